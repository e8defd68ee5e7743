package follow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/frame"
	"stele/internal/pack"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// places keeps in memory where chunks are.
type places map[entry.ID]pack.Name16

func (p places) Add(name pack.Name16, chunks []pack.Chunk) error {
	for _, c := range chunks {
		p[c.ID] = name
	}
	return nil
}

func (p places) KnowPack(pack.Name16) error { return nil }

func (p places) In(id entry.ID) (pack.Name16, bool, error) {
	name, ok := p[id]
	return name, ok, nil
}

var (
	storeID = [16]byte{7}
	dataKey = [32]byte{1, 2, 3}
)

func sealers(_ uint32, file frame.FileID) (*frame.Sealer, error) {
	return frame.NewSealer(dataKey, file)
}

// made is a pack as a primary has it.
type made struct {
	name  string
	short pack.Name16
	bytes []byte // sealed
	ends  []int  // of its chunks
	ids   []entry.ID
}

// makePack makes a pack of n chunks.
func makePack(t testing.TB, n int, rng *rand.Rand) made {
	t.Helper()
	d, err := dir.Open(vfs.NewMem(), "primary", dir.Options{})
	must(t, err)
	id := frame.NewFileID()
	m := made{short: pack.Short(id), name: pack.Name(pack.Short(id))}
	g, err := d.Append(t.Context(), m.name, engine.AppendOptions{})
	must(t, err)
	s, err := sealers(0, id)
	must(t, err)
	w := pack.NewWriter(g, frame.Header{Magic: frame.MagicPack, Version: frame.Version, KeyID: 1, FileID: id, StoreID: storeID}, s)
	for range n {
		data := make([]byte, 1+rng.IntN(5000))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		chunk := entry.ID(sha256.Sum256(data))
		at, err := w.Append(&chunk, 0, data, 1<<30)
		must(t, err)
		m.ids, m.ends = append(m.ids, chunk), append(m.ends, int(at.Offset)+int(at.Length))
	}
	_, _, err = w.Seal()
	must(t, err)
	f, err := d.Open(t.Context(), m.name)
	must(t, err)
	m.bytes = make([]byte, f.Size())
	_, err = f.ReadAt(m.bytes, 0)
	must(t, errors.Join(err, f.Close()))
	return m
}

// box is the folder of one who follows.
type box struct {
	t  testing.TB
	fs vfs.FS
	at places
	p  *Packs
}

func newBox(t testing.TB) *box {
	b := &box{t: t, fs: vfs.NewMem(), at: places{}}
	b.open()
	return b
}

func (b *box) open() {
	b.t.Helper()
	d, err := dir.Open(b.fs, "standby", dir.Options{})
	must(b.t, err)
	b.p = NewPacks(NewFiles(d), storeID, sealers, b.at)
	must(b.t, b.p.Resume(context.Background()))
}

func (b *box) restart() {
	b.t.Helper()
	must(b.t, b.p.Close())
	b.at = places{}
	b.open()
}

// read reads a sealed file.
func (b *box) read(name string) []byte {
	b.t.Helper()
	f, err := b.p.files.Open(context.Background(), name)
	must(b.t, err)
	defer f.Close()
	out := make([]byte, f.Size())
	_, err = f.ReadAt(out, 0)
	must(b.t, err)
	return out
}

// TestFeed: a pack that comes in pieces of any size, with starts anew in between, is sealed byte for byte and has the primary's digest; its chunks are known, and only once they are durable.
func TestFeed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		m, b := makePack(t, 1+rng.IntN(20), rng), newBox(t)
		for !b.p.Whole(m.name) {
			have := int(b.p.Have(m.name))
			n := min(1+rng.IntN(9000), len(m.bytes)-have)
			must(t, b.p.Feed(t.Context(), m.name, m.bytes[have:have+n]))
			known := len(b.at)
			for _, end := range m.ends {
				if end <= have { // fed before, and synced below
					known--
				}
			}
			if known > 0 {
				t.Fatalf("%d chunks are known before they are durable", known)
			}
			must(t, b.p.Sync())
			if rng.IntN(4) == 0 {
				b.restart()
			}
		}
		got, err := b.p.Seal(m.name)
		must(t, err)
		if want := sha256.Sum256(m.bytes); got.SHA256 != want || got.Size != int64(len(m.bytes)) || !bytes.Equal(b.read(m.name), m.bytes) {
			t.Fatalf("the sealed pack is another: %x, %d bytes", got.SHA256, got.Size)
		}
		for _, id := range m.ids {
			if in, ok, _ := b.at.In(id); !ok || in != m.short {
				t.Fatal("a chunk has no place")
			}
		}
		must(t, b.p.Close())
	}
}

// TestUnproven: a byte that is changed anywhere in a pack is noticed, nothing behind it is taken, and what comes right from there on makes the pack all the same. The footer's own checks are
// those of the digest in the pack.seal entry.
func TestUnproven(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := makePack(t, 5, rng)
	last := m.ends[len(m.ends)-1]
	for off := 0; off < last; off += 97 {
		b := newBox(t)
		bad := slices.Clone(m.bytes)
		bad[off] ^= 1
		err := b.p.Feed(t.Context(), m.name, bad[:last])
		if errors.Is(err, frame.ErrVersion) {
			continue // of the header: another version's
		}
		have := int(b.p.Have(m.name))
		if err == nil && have > off && b.p.coming[m.name] != nil && int(b.p.coming[m.name].written) > off {
			t.Fatalf("byte %d is changed, and %d bytes were taken", off, have)
		}
		if err == nil { // a length that says more is to come: the next bytes tell
			continue
		}
		if !errors.Is(err, ErrUnproven) || have > off {
			t.Fatalf("byte %d is changed: %v, %d bytes were taken", off, err, have)
		}
		must(t, b.p.Feed(t.Context(), m.name, m.bytes[have:]))
		if got, err := b.p.Seal(m.name); err != nil || got.SHA256 != sha256.Sum256(m.bytes) {
			t.Fatalf("asked for again from byte %d: %v", have, err)
		}
		must(t, b.p.Close())
	}
}

// TestForeign: what is another store's, another pack's, or goes on behind its end is refused.
func TestForeign(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	m, other := makePack(t, 3, rng), makePack(t, 3, rng)
	for name, feed := range map[string]struct {
		as    string
		bytes []byte
	}{
		"another pack's bytes": {m.name, other.bytes},
		"no pack's name":       {"packs/x", m.bytes},
		"more behind its end":  {m.name, append(slices.Clone(m.bytes), 1)},
	} {
		b := newBox(t)
		if err := b.p.Feed(t.Context(), feed.as, feed.bytes); !errors.Is(err, ErrUnproven) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, b.p.Close())
	}
}

// TestTwoTails: a crash while tails were taken up leaves the old one and a copy of a part of it. Whichever comes first, what both hold is taken up: bytes that an accepted entry names are
// never lost by a second crash.
func TestTwoTails(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	m := makePack(t, 8, rng)
	for i := range 8 {
		for _, partFirst := range []bool{true, false} {
			fs := vfs.NewMem()
			names := map[bool]string{true: "0000000000000000", false: "ffffffffffffffff"}
			write := func(suffix string, b []byte) {
				must(t, fs.MkdirAll("standby/open", 0o700))
				f, err := fs.Create(fmt.Sprintf("standby/open/packs_%s.%s", m.name[len(engine.Packs):], suffix), vfs.WriteCategoryUnspecified)
				must(t, err)
				_, err = io.Copy(f, bytes.NewReader(append(slices.Clone(b), make([]byte, 5000)...))) // reserved room
				must(t, errors.Join(err, f.Close()))
			}
			write(names[partFirst], m.bytes[:m.ends[i]-1]) // torn in its last chunk
			write(names[!partFirst], m.bytes[:m.ends[7]])
			b := &box{t: t, fs: fs, at: places{}}
			b.open()
			if got := b.p.Have(m.name); got != int64(m.ends[7]) || len(b.at) != 8 {
				t.Fatalf("%d bytes and %d chunks were taken up, of %d and 8", got, len(b.at), m.ends[7])
			}
			must(t, b.p.Feed(t.Context(), m.name, m.bytes[m.ends[7]:]))
			if got, err := b.p.Seal(m.name); err != nil || got.SHA256 != sha256.Sum256(m.bytes) {
				t.Fatalf("the pack goes on wrongly: %v", err)
			}
			must(t, b.p.Close())
		}
	}
}

// TestGone: a pack that the primary has no longer stays until each of its chunks is in another one.
func TestGone(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	m, b := makePack(t, 3, rng), newBox(t)
	must(t, b.p.Feed(t.Context(), m.name, m.bytes[:m.ends[2]]))
	must(t, b.p.Sync())
	for _, id := range m.ids {
		must(t, b.p.Gone(t.Context(), m.name))
		if len(b.p.Coming()) != 1 {
			t.Fatal("a pack went whose chunks are nowhere else")
		}
		b.at[id] = pack.Name16{9}
	}
	must(t, b.p.Gone(t.Context(), m.name))
	if got := b.p.Coming(); len(got) != 0 {
		t.Fatalf("%v still grow", got)
	}
	tails, err := b.p.files.Tails(t.Context())
	if err != nil || len(tails) != 0 {
		t.Fatalf("%d tails stay (%v)", len(tails), err)
	}
	must(t, b.p.Close())
}

// TestFiles: a growing file is found under its sealed name, as far as it is durable, and by who had it open also once it is sealed or let go of.
func TestFiles(t *testing.T) {
	d, err := dir.Open(vfs.NewMem(), "standby", dir.Options{})
	must(t, err)
	files := NewFiles(d)
	name := pack.Name(pack.Name16{1})
	if _, err := files.Open(t.Context(), name); !errors.Is(err, engine.ErrNotExist) {
		t.Fatalf("a file that nobody began: %v", err)
	}
	g, err := files.Append(t.Context(), name, engine.AppendOptions{})
	must(t, err)
	write := func(text string) {
		_, err := g.Write([]byte(text))
		must(t, err)
	}
	size := func() int64 {
		f, err := files.Open(t.Context(), name)
		must(t, err)
		defer f.Close()
		return f.Size()
	}
	write("abc")
	if size() != 0 {
		t.Fatal("what is not durable is shown")
	}
	must(t, g.Sync())
	held, err := files.Open(t.Context(), name)
	must(t, err)
	write("def")
	if size() != 3 {
		t.Fatalf("%d bytes are shown, 3 are durable", size())
	}
	must(t, g.Publish())
	must(t, g.Close())
	if size() != 6 {
		t.Fatalf("sealed, it has %d bytes", size())
	}
	b := make([]byte, 6)
	if _, err := held.ReadAt(b, 0); err != nil || string(b) != "abcdef" {
		t.Fatalf("who had it open reads %q, %v", b, err)
	}
	must(t, held.Close())
	must(t, held.Close()) // a second time does no harm
}
