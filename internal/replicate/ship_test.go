package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/frame"
)

const testFormat = "stele store, format 0\n"

func (p *primary) origin() *Origin {
	return &Origin{Engine: p.eng, Ledger: p.led, Body: p.body, Keys: p.keys, Format: testFormat, Sealed: p.sealedEntry}
}

// sealedEntry finds the pack.seal entry of a pack as slowly as can be.
func (p *primary) sealedEntry(ctx context.Context, name string) (out entry.Pack, ok bool, err error) {
	err = p.led.Entries(ctx, 0, p.led.Size(), func(e *entry.Entry) error {
		if e.Type == entry.PackSeal && e.Private.Pack.Name == name {
			out, ok = *e.Private.Pack, true
		}
		return nil
	})
	return out, ok, err
}

func mustConnect(t testing.TB, p *primary, target engine.Engine) *session {
	t.Helper()
	s, err := connect(ctx, p.origin(), target, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *session) shipNow() error { return s.ship(ctx, s.o.markNow()) }

// model is what was put: by ledger size the objects that were there.
type model struct {
	log []struct{ key, data string } // by entry; empty key: another kind
}

func (m *model) put(p *primary, key string, data []byte) error {
	e, err := p.put(key, data)
	if err != nil {
		return err
	}
	for uint64(len(m.log)) <= e.Index {
		m.log = append(m.log, struct{ key, data string }{})
	}
	m.log[e.Index] = struct{ key, data string }{key, string(data)}
	return nil
}

// at is what a store of that size holds.
func (m *model) at(size uint64) map[string]string {
	items := map[string]string{}
	for _, l := range m.log[:min(size, uint64(len(m.log)))] {
		if l.key != "" {
			items[l.key] = l.data
		}
	}
	return items
}

// checkCopy reads a copy of p and compares it with the model.
func checkCopy(e engine.Engine, p *primary, m *model) (size uint64, err error) {
	got, err := readStore(e, p.keys)
	if err != nil {
		return 0, err
	}
	root, err := p.led.Root(ctx, got.size)
	if err != nil {
		return 0, err
	}
	if root != got.root {
		return 0, fmt.Errorf("size %d has the root %s, the store's is %s", got.size, got.root, root)
	}
	if want := m.at(got.size); !maps.Equal(got.items, want) {
		return 0, fmt.Errorf("%d objects at size %d, want %d, or other bytes", len(got.items), got.size, len(want))
	}
	return got.size, nil
}

func checkTarget(target engine.Engine, p *primary, m *model) (uint64, error) {
	src, err := OpenSource(ctx, target)
	if err != nil {
		return 0, err
	}
	return checkCopy(src, p, m)
}

// TestShip ships a growing store many times, merging as it goes, sometimes by a new session, sometimes after a restart of the store, and reads the target each time.
func TestShip(t *testing.T) {
	fs, target, m := vfs.NewMem(), mem.New(), &model{}
	p := mustPrimary(t, mustDir(t, fs, "store"), testKeys(t))
	s := mustConnect(t, p, target)
	s.fanIn = 4
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 120 {
		for k := range r.IntN(4) {
			if err := m.put(p, fmt.Sprintf("k%03d-%d", i, k), random(r.IntN(9000), uint64(i*10+k))); err != nil {
				t.Fatal(err)
			}
		}
		switch r.IntN(12) {
		case 0:
			s = mustConnect(t, p, target)
			s.fanIn = 4
		case 1:
			p.mustClose(t)
			p = mustPrimary(t, mustDir(t, fs, "store"), p.keys)
			s = mustConnect(t, p, target)
			s.fanIn = 4
		}
		if err := s.shipNow(); err != nil {
			t.Fatalf("shipment %d: %v", i, err)
		}
		if len(s.lacking) > 0 {
			t.Fatalf("shipment %d lacks %v", i, s.lacking)
		}
		if i%5 > 0 {
			continue
		}
		size, err := checkTarget(target, p, m)
		if err != nil {
			t.Fatalf("after shipment %d: %v", i, err)
		}
		if want := p.led.Size(); size != want {
			t.Fatalf("after shipment %d the target holds %d entries, want %d", i, size, want)
		}
	}
	if got := names(t, target, engine.Tails); len(got) > 30 {
		t.Errorf("%d tails are left: %s", len(got), strings.Join(got, "\n"))
	}
	p.mustClose(t)
}

// TestTailsAreFew ships every change by itself: merging leaves few tails, as few as the tiers allow.
func TestTailsAreFew(t *testing.T) {
	target, m := mem.New(), &model{}
	p, err := openPrimarySized(mustDir(t, vfs.NewMem(), "store"), testKeys(t), 16<<20, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	s := mustConnect(t, p, target)
	for i := range 600 {
		if err := m.put(p, fmt.Sprint(i), random(100, uint64(i))); err != nil {
			t.Fatal(err)
		}
		if err := s.shipNow(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := checkTarget(target, p, m); err != nil {
		t.Fatal(err)
	}
	// 600 = 2·256 + 5·16 + 8
	if got := names(t, target, engine.Tails); len(got) != 2*(2+5+8) {
		t.Errorf("%d tails after 600 shipments, want 30", len(got))
	}
	p.mustClose(t)
}

// snapshot is all that an engine holds.
func snapshot(t testing.TB, e engine.Engine) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, folder := range engine.Folders() {
		for _, name := range names(t, e, folder) {
			out[name] = text(t, e, name)
		}
	}
	return out
}

// clone copies an engine whole, with edit's changes; an empty result leaves a file out.
func clone(t testing.TB, e engine.Engine, edit func(name string, b []byte) []byte) *mem.Mem {
	t.Helper()
	out := mem.New()
	for name, content := range snapshot(t, e) {
		b := []byte(content)
		if edit != nil {
			if b = edit(name, b); b == nil {
				continue
			}
		}
		if err := out.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// lastTailSegment is the newest tail of a segment on a target; empty: there is none.
func lastTailSegment(t *testing.T, target engine.Engine) (last string) {
	t.Helper()
	for _, name := range names(t, target, engine.Tails) {
		if _, _, _, ok := parseTailSegment(name); ok {
			last = name
		}
	}
	return last
}

// TestRefused: a target with another history is left as it is.
func TestRefused(t *testing.T) {
	keys := testKeys(t)
	disk := vfs.NewMem()
	p := mustPrimary(t, mustDir(t, disk, "store"), keys)
	for i := range 30 {
		p.mustPut(t, fmt.Sprint(i), random(2000, uint64(i)))
	}
	p.mustClose(t)
	young := vfs.NewMem()
	if ok, err := vfs.Clone(disk, young, "store", "store"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	grow := func(fsys vfs.FS, n int, seed uint64) (*primary, *mem.Mem) {
		p := mustPrimary(t, mustDir(t, fsys, "store"), keys)
		for i := range n {
			p.mustPut(t, fmt.Sprint(seed, i), random(2000, seed+uint64(i)))
		}
		for i := 0; ; i++ { // the last entries must lie in no sealed segment, so that a tail is shipped; a segment may be sealed at any moment
			target := mem.New()
			if err := mustConnect(t, p, target).shipNow(); err != nil {
				t.Fatal(err)
			}
			if lastTailSegment(t, target) != "" {
				return p, target
			}
			p.mustPut(t, fmt.Sprint(seed, "more", i), random(2000, seed+uint64(n+i)))
		}
	}
	fork := vfs.NewMem()
	if ok, err := vfs.Clone(disk, fork, "store", "store"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	old, shipped := grow(disk, 20, 100)
	defer old.mustClose(t)
	other, forked := grow(fork, 10, 900)
	defer other.mustClose(t)
	rolled := mustPrimary(t, mustDir(t, young, "store"), keys)
	defer rolled.mustClose(t)
	stranger := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeysOf(t, [16]byte{0xbb}))
	defer stranger.mustClose(t)

	damage := func(prefix string, change func([]byte) []byte) *mem.Mem {
		done := false
		return clone(t, shipped, func(name string, b []byte) []byte {
			if strings.HasPrefix(name, prefix) && !done {
				done = true
				return change(b)
			}
			return b
		})
	}
	lastTail := lastTailSegment(t, shipped)
	for _, c := range []struct {
		name   string
		p      *primary
		target *mem.Mem
		want   error
	}{
		{"we were rolled back", rolled, shipped, ErrBehind},
		{"forked", old, forked, ErrForked},
		{"forked, the target is ahead", rolled, forked, ErrBehind},
		{"another store's", stranger, shipped, ErrForeign},
		{"nobody's", old, clone(t, shipped, func(name string, b []byte) []byte {
			if strings.HasPrefix(name, engine.Meta) {
				return nil
			}
			return b
		}), ErrForeign},
		{"two stores'", old, func() *mem.Mem {
			m := clone(t, shipped, nil)
			create(t, m, ownerFile([16]byte{9}), "copy")
			return m
		}(), ErrForeign},
		{"a truncated pack", old, damage(engine.Packs, func(b []byte) []byte { return b[:len(b)-1] }), ErrAltered},
		{"a truncated segment", old, damage(engine.Segments, func(b []byte) []byte { return b[:len(b)/2] }), ErrAltered},
		{"a truncated tail", old, damage(lastTail, func(b []byte) []byte { return b[:len(b)-9] }), ErrAltered},
		{"a forged head", old, damage(lastTail, func(b []byte) []byte { return forge(t, b) }), ErrAltered},
	} {
		before := snapshot(t, c.target)
		s, err := connect(ctx, c.p.origin(), c.target, 0, nil)
		if !errors.Is(err, c.want) || !Refused(err) || s != nil {
			t.Errorf("%s: connect = %v, want %v", c.name, err, c.want)
		}
		if !maps.Equal(before, snapshot(t, c.target)) {
			t.Errorf("%s: the target was touched", c.name)
		}
	}

	// What is merely behind goes on.
	behind := clone(t, shipped, func(name string, b []byte) []byte {
		if strings.HasPrefix(name, engine.Tails) {
			return nil
		}
		return b
	})
	if err := mustConnect(t, old, behind).shipNow(); err != nil {
		t.Errorf("a target that was rolled back itself: %v", err)
	}
}

// forge changes the root in the footer of a sealed segment, and its checksums.
func forge(t testing.TB, b []byte) []byte {
	t.Helper()
	off := int(uint64(b[len(b)-24])<<56 | uint64(b[len(b)-20])<<24 | uint64(b[len(b)-19])<<16 | uint64(b[len(b)-18])<<8 | uint64(b[len(b)-17]))
	f, n, err := frame.Parse(b[off:])
	if err != nil {
		t.Fatal(err)
	}
	f.Body[20] ^= 1
	end := append([]byte(nil), b[off+n:]...)
	out := b[:off+n]
	frame.End(out, off, f.Kind, f.Flags, f.Number)
	return append(out, end...)
}

// TestDamagedOrigin: a pack that is damaged here is not shipped, and holds up nothing else.
func TestDamagedOrigin(t *testing.T) {
	for _, blind := range bug.Ways() {
		fs, m := vfs.NewMem(), &model{}
		p := mustPrimary(t, mustDir(t, fs, "store"), testKeys(t))
		for i := range 80 {
			if err := m.put(p, fmt.Sprint(i), random(4000, uint64(i))); err != nil {
				t.Fatal(err)
			}
		}
		p.mustClose(t)
		bad := names(t, p.eng, engine.Packs)[1]
		b := []byte(text(t, p.eng, bad))
		b[len(b)/2] ^= 8
		w, err := fs.Create("store/"+bad, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = w.Write(b)
		}
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		p = mustPrimary(t, mustDir(t, fs, "store"), p.keys)
		target := mem.New()
		s := mustConnect(t, p, target)
		if blind {
			bug.Plant(t, bug.ShipUnverified)
		}
		if err := s.shipNow(); err != nil {
			t.Fatal(err)
		}
		_, there := snapshot(t, target)[bad]
		if reported := s.lacking[bad] != nil; reported == blind || there != blind {
			t.Errorf("without a look at the digest %t: the damaged pack was reported %t, shipped %t", blind, reported, there)
		}
		if s.at != p.led.Size() {
			t.Errorf("%d of %d entries were shipped", s.at, p.led.Size())
		}
		p.mustClose(t)
	}
}

// TestDamagedSegment: a segment that is damaged here is not shipped.
func TestDamagedSegment(t *testing.T) {
	p, _ := store(t, 60)
	q := mustPrimary(t, p.eng, p.keys)
	defer q.mustClose(t)
	name := names(t, p.eng, engine.Segments)[1]
	b := []byte(text(t, p.eng, name))
	b[200] ^= 1
	o := q.origin()
	o.Engine = overlay{p.eng, name, b}
	target := mem.New()
	s, err := connect(ctx, o, target, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.shipNow(); !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("shipping a damaged segment = %v", err)
	}
	if got := names(t, target, engine.Segments); len(got) != 1 {
		t.Errorf("the target has %v", got)
	}
}

// overlay is an engine with other bytes in one file.
type overlay struct {
	engine.Appender
	name string
	b    []byte
}

func (o overlay) Open(ctx context.Context, name string) (engine.File, error) {
	if name == o.name {
		return bytesFile{o.b}, nil
	}
	return o.Appender.Open(ctx, name)
}

// TestLargeGrowthIsShippedOnce: a pack that grew by much since the last shipment is sealed and goes over whole; no tail of it is made.
func TestLargeGrowthIsShippedOnce(t *testing.T) {
	p, err := openPrimarySized(mustDir(t, vfs.NewMem(), "store"), testKeys(t), 1<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer p.mustClose(t)
	target, m := mem.New(), &model{}
	s := mustConnect(t, p, target)
	s.sealFrom = 64 << 10
	for round, n := range []int{3, 30, 1, 40, 2} {
		for i := range n {
			if err := m.put(p, fmt.Sprintf("%d/%d", round, i), random(4096, uint64(round*100+i))); err != nil {
				t.Fatal(err)
			}
		}
		tails, packs := len(names(t, target, engine.Tails)), len(names(t, target, engine.Packs))
		if err := s.shipNow(); err != nil {
			t.Fatal(err)
		}
		var newTails int
		for _, name := range names(t, target, engine.Tails) {
			if _, _, ok := parseTailPack(name); ok {
				newTails++
			}
		}
		if large := n > 16; large && (newTails > 0 || len(names(t, target, engine.Packs)) != packs+1) {
			t.Errorf("round %d: %d tail packs, %d packs after %d tails, %d packs; want no tail and one pack more", round, newTails, len(names(t, target, engine.Packs)), tails, packs)
		} else if !large && newTails == 0 {
			t.Errorf("round %d: %d objects went over without a tail", round, n)
		}
		if _, err := checkTarget(target, p, m); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}
