package body

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// model is what a store should hold: the bytes of each body that was acknowledged.
type model struct {
	t      *rapid.T
	e      *mem.Mem
	p      *memPlaces
	s      *Store
	bytes  map[entry.Body][]byte
	bodies []entry.Body
	texts  [][]byte // what was written before: to be written again, changed
	open   []*Written
}

func (m *model) start() {
	opt := options(alignedEngine{m.e, 64}, m.p)
	opt.PackBytes = 300 << 10
	s, err := Open(ctx, opt)
	if err != nil {
		m.t.Fatal(err)
	}
	m.s = s
}

func (m *model) stop() error {
	for _, w := range m.open {
		w.Release()
	}
	m.open = nil
	return m.s.Close()
}

func (m *model) text() []byte {
	t := m.t
	var b []byte
	switch {
	case len(m.texts) > 0 && rapid.Bool().Draw(t, "like an earlier one"):
		b = bytes.Clone(m.texts[rapid.IntRange(0, len(m.texts)-1).Draw(t, "which")])
		if len(b) > 0 && rapid.Bool().Draw(t, "changed") {
			at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			b = append(b[:at:at], append([]byte("inserted"), b[at:]...)...)
		}
	case rapid.Bool().Draw(t, "compressible"):
		b = bytes.Repeat([]byte("so it goes "), rapid.IntRange(0, 60_000).Draw(t, "words"))
	default:
		b = random(rapid.SampledFrom([]int{0, 1, 1000, 16 << 10, 20_000, 262_144, 262_145, 400_000}).Draw(t, "size"), rapid.Uint64Range(0, 1000).Draw(t, "seed"))
	}
	m.texts = append(m.texts, b)
	return b
}

func (m *model) Write(t *rapid.T) {
	m.t = t
	b := m.text()
	hint := int64(-1)
	if rapid.Bool().Draw(t, "length known") {
		hint = int64(len(b))
	}
	var r io.Reader = bytes.NewReader(b)
	if rapid.Bool().Draw(t, "in small pieces") {
		r = &piecewise{b: b}
	}
	w, err := m.s.Write(ctx, r, WriteOptions{SizeHint: hint, MD5: true})
	if err != nil {
		t.Fatal(err)
	}
	m.open = append(m.open, w)
	if rapid.Bool().Draw(t, "sync") {
		if err := w.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		if _, ok := m.bytes[w.Body]; !ok {
			m.bodies = append(m.bodies, w.Body)
		}
		m.bytes[w.Body] = b
	}
}

type piecewise struct {
	b  []byte
	at int
}

func (p *piecewise) Read(b []byte) (int, error) {
	if p.at == len(p.b) {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+p.at%7777)], p.b[p.at:])
	p.at += n
	return n, nil
}

func (m *model) Fail(t *rapid.T) {
	m.t = t
	boom := errors.New("boom")
	if _, err := m.s.Write(ctx, io.MultiReader(bytes.NewReader(m.text()), failing{boom}), WriteOptions{SizeHint: -1}); !errors.Is(err, boom) {
		t.Fatalf("a failing reader: %v", err)
	}
}

func (m *model) Range(t *rapid.T) {
	m.t = t
	if len(m.bodies) == 0 {
		t.Skip("nothing there")
	}
	b := m.bodies[rapid.IntRange(0, len(m.bodies)-1).Draw(t, "body")]
	off := rapid.Int64Range(0, b.Size).Draw(t, "off")
	n := rapid.Int64Range(0, b.Size-off).Draw(t, "n")
	m.same(b, off, n)
}

func (m *model) same(b entry.Body, off, n int64) {
	r, err := m.s.Read(ctx, b, off, n)
	if err != nil {
		m.t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	if _, err := r.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), m.bytes[b][off:off+n]) {
		m.t.Fatalf("%d bytes from %d of %d read otherwise: %v", n, off, b.Size, err)
	}
}

func (m *model) Flush(t *rapid.T) {
	m.t = t
	if err := m.s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func (m *model) Release(t *rapid.T) {
	for _, w := range m.open {
		w.Release()
	}
	m.open = nil
}

func (m *model) Reopen(t *rapid.T) {
	m.t = t
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	m.loseIndex()
	m.start()
}

func (m *model) PowerCut(t *rapid.T) {
	m.t = t
	after := m.e.PowerCut()
	_ = m.stop() // it writes without power
	m.e = after
	m.loseIndex()
	m.start()
}

func (m *model) loseIndex() {
	if rapid.Bool().Draw(m.t, "index lost") {
		m.p = newPlaces()
	}
}

// Check reads everything that was acknowledged.
func (m *model) Check(t *rapid.T) {
	m.t = t
	for _, b := range m.bodies {
		m.same(b, 0, b.Size)
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, e: mem.New(), p: newPlaces(), bytes: map[entry.Body][]byte{}}
		m.start()
		t.Repeat(map[string]func(*rapid.T){
			"write": m.Write, "write again": m.Write, "fail": m.Fail, "range": m.Range, "flush": m.Flush,
			"release": m.Release, "reopen": m.Reopen, "power cut": m.PowerCut, "all": m.Check,
		})
		m.t = t
		m.Check(t)
		for _, b := range m.bodies {
			if err := m.s.Verify(ctx, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.e.List(ctx, engine.Packs, func(i engine.Info) error {
			_, err := m.s.VerifyPack(ctx, i.Name)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
	})
}
