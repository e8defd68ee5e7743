package replicate

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/enginetest"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/internal/segment"
)

func TestLayerConformance(t *testing.T) {
	t.Run("dir over empty mem", func(t *testing.T) {
		enginetest.RunAppender(t, func(t testing.TB) enginetest.Rig {
			return enginetest.Rig{Engine: Layer(mustDir(t, vfs.NewMem(), "local"), mem.New())}
		})
	})
	t.Run("dir over dir", func(t *testing.T) {
		enginetest.RunAppender(t, func(t testing.TB) enginetest.Rig {
			return enginetest.Rig{Engine: Layer(mustDir(t, vfs.Default, t.TempDir()), mustDir(t, vfs.NewMem(), "under"))}
		})
	})
	t.Run("mem over mem", func(t *testing.T) {
		enginetest.RunAppender(t, func(t testing.TB) enginetest.Rig {
			m, under := mem.New(), mem.New()
			return enginetest.Rig{
				Engine:   Layer(m, under),
				PowerCut: func() engine.Appender { return Layer(m.PowerCut(), under) },
				FailSync: func() { m.FailSync(errors.New("EIO")) },
				Fill:     func() { m.Limit(1 << 20) },
			}
		})
	})
}

func text(t testing.TB, e engine.Engine, name string) string {
	t.Helper()
	f, err := e.Open(ctx, name)
	if err != nil {
		t.Fatalf("Open(%s) = %v", name, err)
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		t.Fatal(err)
	}
	return string(b)
}

func create(t testing.TB, e engine.Engine, name, content string) {
	t.Helper()
	if err := e.Create(ctx, name, int64(len(content)), strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

// TestLayer: what lies below is read, listed, taken and never touched.
func TestLayer(t *testing.T) {
	local, under := mem.New(), mem.New()
	create(t, under, "packs/below", "below")
	create(t, under, "packs/both", "old")
	create(t, local, "packs/both", "new")
	create(t, local, "packs/local", "local")
	l := Layer(local, under)
	for name, want := range map[string]string{"packs/below": "below", "packs/both": "new", "packs/local": "local"} {
		if got := text(t, l, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got := names(t, l, engine.Packs); !slices.Equal(got, []string{"packs/below", "packs/both", "packs/local"}) {
		t.Errorf("List = %v", got)
	}
	if err := l.Create(ctx, "packs/below", 1, strings.NewReader("x")); !errors.Is(err, engine.ErrExist) {
		t.Errorf("Create onto a file below = %v", err)
	}
	if _, err := l.Append(ctx, "packs/below", engine.AppendOptions{}); !errors.Is(err, engine.ErrExist) {
		t.Errorf("Append onto a file below = %v", err)
	}
	for _, name := range []string{"packs/below", "packs/both"} {
		if err := l.Remove(ctx, name); !errors.Is(err, ErrBelow) {
			t.Errorf("Remove(%s) = %v, want ErrBelow", name, err)
		}
	}
	if err := l.Remove(ctx, "packs/local"); err != nil {
		t.Errorf("Remove of a local file = %v", err)
	}
	if got := names(t, under, engine.Packs); len(got) != 2 {
		t.Errorf("the layer below has %v now", got)
	}
}

func TestTailNames(t *testing.T) {
	if e, a, b, ok := parseTailSegment(tailSegment(3, 12, 400)); !ok || e != 3 || a != 12 || b != 400 {
		t.Errorf("tail segment comes back as %d %d %d %t", e, a, b, ok)
	}
	if of, own, ok := parseTailPack(tailPack([16]byte{1}, [16]byte{2})); !ok || of != [16]byte{1} || own != [16]byte{2} {
		t.Errorf("tail pack comes back as %x %x %t", of, own, ok)
	}
	for _, name := range []string{"tails/", "tails/000001-00000000000000000001-00000000000000000001.seg", "tails/1-2-3.seg", "segments/000001-00000000000000000001.seg",
		"tails/000001-00000000000000000001.seg", tailPack([16]byte{1}, [16]byte{2})} {
		if _, _, _, ok := parseTailSegment(name); ok {
			t.Errorf("%s parses as a tail segment", name)
		}
	}
	for _, name := range []string{"tails/x-y.pack", tailSegment(1, 2, 3), strings.ToUpper(tailPack([16]byte{0xab}, [16]byte{2}))} {
		if _, _, ok := parseTailPack(name); ok {
			t.Errorf("%s parses as a tail pack", name)
		}
	}
}

func TestChain(t *testing.T) {
	seg := func(epoch uint32, first uint64) link {
		return link{name: segment.Name(epoch, first), epoch: epoch, first: first, sealed: true}
	}
	tail := func(epoch uint32, first, end uint64) link {
		return link{name: tailSegment(epoch, first, end), epoch: epoch, first: first, end: end}
	}
	ends := map[string]uint64{segment.Name(1, 100): 200, segment.Name(1, 200): 300, segment.Name(2, 250): 400, segment.Name(3, 150): 160, segment.Name(1, 0): 100}
	for _, c := range []struct {
		name string
		in   []link
		want []link
		end  uint64
	}{
		{"nothing", nil, nil, 0},
		{"sealed", []link{seg(1, 0), seg(1, 100)}, []link{seg(1, 0), seg(1, 100)}, 200},
		{"tails go on", []link{seg(1, 0), tail(1, 100, 120), tail(1, 120, 130)}, []link{seg(1, 0), tail(1, 100, 120), tail(1, 120, 130)}, 130},
		{"merged tail wins", []link{seg(1, 0), tail(1, 100, 120), tail(1, 120, 130), tail(1, 100, 130), tail(1, 130, 131)}, []link{seg(1, 0), tail(1, 100, 130), tail(1, 130, 131)}, 131},
		{"superseded tails", []link{seg(1, 0), seg(1, 100), tail(1, 100, 120), tail(1, 120, 200), tail(1, 200, 210)}, []link{seg(1, 0), seg(1, 100), tail(1, 200, 210)}, 210},
		{"a gap ends the tails", []link{seg(1, 0), tail(1, 100, 120), tail(1, 121, 130)}, []link{seg(1, 0), tail(1, 100, 120)}, 120},
		{"tails alone", []link{tail(1, 0, 10), tail(1, 10, 12)}, []link{tail(1, 0, 10), tail(1, 10, 12)}, 12},
		{"two epochs", []link{seg(1, 0), seg(1, 100), seg(1, 200), seg(2, 250)}, []link{seg(1, 0), seg(1, 100), seg(1, 200), seg(2, 250)}, 400},
		{"the cut-off tail", []link{seg(1, 0), seg(1, 100), tail(1, 200, 240), tail(1, 240, 260), tail(1, 260, 280), tail(2, 250, 255)},
			[]link{seg(1, 0), seg(1, 100), tail(1, 200, 240), tail(1, 240, 260), tail(2, 250, 255)}, 255},
		{"cut within sealed", []link{seg(1, 0), seg(1, 100), seg(1, 200), tail(2, 150, 170)}, []link{seg(1, 0), seg(1, 100), tail(2, 150, 170)}, 170},
		{"a branch from before another", []link{seg(1, 0), seg(1, 100), seg(1, 200), seg(2, 250), seg(3, 150)}, []link{seg(1, 0), seg(1, 100), seg(3, 150)}, 160},
	} {
		got, err := chain(c.in, func(l *link) (uint64, error) {
			if end, ok := ends[l.name]; ok {
				return end, nil
			}
			return 0, fmt.Errorf("nobody should ask for the end of %s", l.name)
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		name := func(l link) string { return l.name }
		if a, b := mapped(got, name), mapped(c.want, name); !slices.Equal(a, b) {
			t.Errorf("%s: chain is\n%s\nwant\n%s", c.name, strings.Join(a, "\n"), strings.Join(b, "\n"))
		} else if len(got) > 0 && got[len(got)-1].end != c.end {
			t.Errorf("%s: ends at %d, want %d", c.name, got[len(got)-1].end, c.end)
		}
	}
}

func mapped[T, R any](in []T, fn func(T) R) (out []R) {
	for _, v := range in {
		out = append(out, fn(v))
	}
	return out
}

// store makes a store of n objects, some segments and packs, all sealed, and says what is in it.
func store(t testing.TB, n int) (*primary, copied) {
	t.Helper()
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	for i := range n {
		p.mustPut(t, fmt.Sprintf("k%03d", i), random(3000+i, uint64(i)))
	}
	p.mustClose(t)
	want, err := readStore(p.eng, p.keys)
	if err != nil {
		t.Fatal(err)
	}
	return p, want
}

func wantSame(t testing.TB, what string, got, want copied) {
	t.Helper()
	if got.size != want.size || got.root != want.root || !maps.Equal(got.items, want.items) {
		t.Errorf("%s holds %d entries and %d objects under %s, want %d, %d, %s", what, got.size, len(got.items), got.root, want.size, len(want.items), want.root)
	}
}

// TestSource reads a target of which the newest segments and packs are tails.
func TestSource(t *testing.T) {
	p, want := store(t, 150)
	segments, packs := names(t, p.eng, engine.Segments), names(t, p.eng, engine.Packs)
	if len(segments) < 6 || len(packs) < 5 {
		t.Fatalf("%d segments, %d packs: too few for this test", len(segments), len(packs))
	}
	ends := map[string]uint64{}
	for i, name := range segments[1:] {
		_, first, _ := segment.ParseName(name)
		ends[segments[i]] = first
	}
	ends[segments[len(segments)-1]] = want.size
	target := mem.New()
	rename(t, p.eng, target, func(name string) string {
		if i := slices.Index(segments, name); i >= len(segments)-3 {
			epoch, first, _ := segment.ParseName(name)
			return tailSegment(epoch, first, ends[name])
		}
		if i := slices.Index(packs, name); i >= len(packs)-2 {
			return tailPackOf(name, byte(i))
		}
		return name
	})
	s, err := OpenSource(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readStore(s, p.keys)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "the source", got, want)
	if epoch, size := s.Head(); epoch != 1 || size != want.size {
		t.Errorf("Head() = %d, %d", epoch, size)
	}
	if got := names(t, s, engine.Tails); len(got) != 0 {
		t.Errorf("a source lists tails: %v", got)
	}
	for _, err := range []error{s.Create(ctx, "packs/x", 0, bytes.NewReader(nil)), s.Remove(ctx, packs[0])} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("a write = %v", err)
		}
	}

	// The shipper supersedes two tails while a ledger is open over the source.
	l, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: s, Keys: p.keys})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	superseded := segments[len(segments)-3]
	rename(t, p.eng, target, func(name string) string {
		if name == superseded {
			return name
		}
		return ""
	})
	epoch, first, _ := segment.ParseName(superseded)
	if err := target.Remove(ctx, tailSegment(epoch, first, ends[superseded])); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := l.Entry(ctx, first); err != nil {
		t.Errorf("an entry whose tail was superseded = %v", err)
	}
	if err := s.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err = readStore(s, p.keys); err != nil {
		t.Fatal(err)
	}
	wantSame(t, "the source after a refresh", got, want)
}

// TestSourceListsAPackOnce: the tail of a pack that burnt with its machine, which the next primary has as a pack and has shipped as one.
func TestSourceListsAPackOnce(t *testing.T) {
	p, want := store(t, 150)
	target := mem.New()
	rename(t, p.eng, target, func(name string) string { return name })
	packs := names(t, target, engine.Packs)
	own, ok := pack.ParseName(packs[0])
	if !ok {
		t.Fatalf("%s is no pack", packs[0])
	}
	rename(t, p.eng, target, func(name string) string {
		if name == packs[0] {
			return tailPack([16]byte{0xee}, own)
		}
		return ""
	})
	s, err := OpenSource(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, s, engine.Packs); !slices.Equal(got, packs) {
		t.Errorf("lists %v, want %v", got, packs)
	}
	got, err := readStore(s, p.keys)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "the source", got, want)
}

func TestSourceRefusals(t *testing.T) {
	if _, err := OpenSource(ctx, mem.New()); !errors.Is(err, ErrNone) {
		t.Errorf("an empty target = %v", err)
	}
	p, _ := store(t, 60)
	segments := names(t, p.eng, engine.Segments)
	last := segments[len(segments)-1]

	cut := mem.New()
	rename(t, p.eng, cut, func(name string) string {
		if name == last {
			return ""
		}
		return name
	})
	create(t, cut, last, text(t, p.eng, last)[:300])
	if _, err := OpenSource(ctx, cut); !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("a truncated segment = %v", err)
	}

	gap := mem.New()
	rename(t, p.eng, gap, func(name string) string {
		if name == segments[1] {
			return ""
		}
		return name
	})
	s, err := OpenSource(ctx, gap)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readStore(s, p.keys); !errors.Is(err, frame.ErrCorrupt) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a missing segment = %v", err)
	}
}
