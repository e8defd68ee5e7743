package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/pack"
)

func TestManyWritersAndReaders(t *testing.T) {
	e, p := mem.New(), newPlaces()
	s := open(t, options(alignedEngine{e, 512}, p))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var done []object
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range rounds {
				x := object{seed: rng.Uint64N(20), size: []int{1, 4096, 30_000, 290_000, 700_000}[rng.IntN(5)]}
				w, err := s.Write(ctx, bytes.NewReader(x.data()), WriteOptions{SizeHint: int64(x.size), MD5: true})
				if err == nil {
					err = w.Sync(ctx)
				}
				if err != nil {
					t.Error(err)
					return
				}
				x.body = w.Body
				if err := sameBytes(s, x); err != nil {
					t.Errorf("%d bytes: %v", x.size, err)
				}
				w.Release()
				mu.Lock()
				done = append(done, x)
				y := done[rng.IntN(len(done))]
				mu.Unlock()
				if err := sameBytes(s, y); err != nil {
					t.Errorf("%d bytes: %v", y.size, err)
				}
			}
		}()
	}
	for range 5 {
		if err := s.Flush(ctx); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, options(e, newPlaces()))
	for _, x := range done {
		if err := sameBytes(again, x); err != nil {
			t.Fatalf("%d bytes after reopening: %v", x.size, err)
		}
	}
}

func TestWaitersShareAnFsync(t *testing.T) {
	e := &gatedEngine{Appender: mem.New(), gate: make(chan struct{}), at: make(chan struct{}, 100)}
	s := open(t, options(e, newPlaces()))
	const writers = 32
	var written []*Written
	for i := range writers {
		w, err := s.Write(ctx, bytes.NewReader(random(4096, uint64(i))), WriteOptions{SizeHint: 4096})
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, w)
	}
	errs := make(chan error, writers)
	go func() { errs <- written[0].Sync(ctx) }()
	<-e.at // its fsync runs; the others gather meanwhile
	one, err := s.Write(ctx, bytes.NewReader(random(4096, 1000)), WriteOptions{SizeHint: 4096})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := one.Sync(gone); !errors.Is(err, context.Canceled) {
		t.Fatalf("who has gone away waits: %v", err)
	}
	for _, w := range append(written[1:], one) {
		go func() { errs <- w.Sync(ctx) }()
	}
	close(e.gate)
	for range writers + 1 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Stats().PackSyncs; n > 4 {
		t.Fatalf("%d fsyncs for %d writers", n, writers)
	}
}

// gatedEngine holds every fsync until the gate is opened.
type gatedEngine struct {
	engine.Appender
	gate, at chan struct{}
}

func (e *gatedEngine) Append(c context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	g, err := e.Appender.Append(c, name, opt)
	return gatedFile{g, e}, err
}

type gatedFile struct {
	engine.Growing
	e *gatedEngine
}

func (f gatedFile) Sync() error {
	f.e.at <- struct{}{}
	<-f.e.gate
	return f.Growing.Sync()
}

func TestFailedSyncStaysFailed(t *testing.T) {
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	good := put(t, s, random(100, 1), 100)
	boom := errors.New("EIO")
	e.FailSync(boom)
	w, err := s.Write(ctx, bytes.NewReader(random(100, 2)), WriteOptions{SizeHint: 100})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.Sync(ctx); err == nil {
			t.Fatal("a failed fsync became a success")
		}
	}
	w.Release()
	e.FailSync(nil)
	if _, err := s.Write(ctx, bytes.NewReader(random(100, 3)), WriteOptions{SizeHint: 100}); !errors.Is(err, ErrFailed) {
		t.Fatalf("wrote on after a failed fsync: %v", err)
	}
	if s.Failed() == nil {
		t.Fatal("the store does not say that it failed")
	}
	if !bytes.Equal(get(t, s, good.Body, 0, 100), random(100, 1)) {
		t.Fatal("reads do not go on")
	}
	_ = s.Close()
	again := open(t, options(e.PowerCut(), newPlaces()))
	if !bytes.Equal(get(t, again, good.Body, 0, 100), random(100, 1)) {
		t.Fatal("what was durable is gone")
	}
}

func TestFullMedium(t *testing.T) {
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	good := put(t, s, random(100_000, 1), -1)
	e.Limit(300_000)
	var full error
	for i := uint64(2); i < 20 && full == nil; i++ {
		w, err := s.Write(ctx, bytes.NewReader(random(100_000, i)), WriteOptions{SizeHint: 100_000})
		if err == nil {
			err = w.Sync(ctx)
			w.Release()
		}
		full = err
	}
	if !errors.Is(full, engine.ErrFull) {
		t.Fatalf("a full medium: %v", full)
	}
	if !bytes.Equal(get(t, s, good.Body, 0, 100_000), random(100_000, 1)) {
		t.Fatal("reads do not go on")
	}
	e.Limit(1 << 40)
	put(t, s, random(100_000, 30), -1) // there is room again
	if !bytes.Equal(get(t, s, good.Body, 0, 100_000), random(100_000, 1)) {
		t.Fatal("what was durable is gone")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, options(e, newPlaces()))
	if !bytes.Equal(get(t, again, good.Body, 0, 100_000), random(100_000, 1)) {
		t.Fatal("what was durable is gone after a restart")
	}
}

func TestReadOnly(t *testing.T) {
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	a := put(t, s, random(300_000, 1), -1)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	b := put(t, s, random(5000, 2), -1)
	opt := options(e.PowerCut(), newPlaces())
	opt.ReadOnly = true
	p := opt.Places.(*memPlaces)
	r := open(t, opt)
	if !bytes.Equal(get(t, r, a.Body, 0, 300_000), random(300_000, 1)) {
		t.Fatal("a sealed pack reads otherwise")
	}
	if rd, err := r.Read(ctx, b.Body, 0, 5000); err != nil {
		t.Fatal(err)
	} else if _, err := io.Copy(io.Discard, rd); !errors.Is(err, ErrUnrecovered) {
		t.Fatalf("a chunk in a tail: %v", err)
	}
	if _, err := r.Write(ctx, bytes.NewReader(nil), WriteOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("wrote: %v", err)
	}
	if len(p.at) != 0 || len(p.known) != 0 {
		t.Fatal("a read-only store wrote to the index")
	}
}

func TestErasedAndMissing(t *testing.T) {
	e, p := mem.New(), newPlaces()
	s := open(t, options(e, p))
	w := put(t, s, random(600_000, 1), -1)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var victim entry.ID
	n := 0
	if err := s.Chunks(ctx, w.Body, func(id entry.ID) error {
		if n++; n == 20 {
			victim = id
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	read := func() (int, error) {
		r, err := s.Read(ctx, w.Body, 0, w.Body.Size)
		if err != nil {
			return 0, err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if !bytes.HasPrefix(random(600_000, 1), got) {
			t.Fatal("wrong bytes before the error")
		}
		return len(got), err
	}
	at := p.at[victim]
	delete(p.at, victim)
	if n, err := read(); !errors.Is(err, ErrErased) || n == 600_000 {
		t.Fatalf("a chunk without a place: %d bytes, %v", n, err)
	}
	p.at[victim] = Place{Pack: [16]byte{1}, Offset: 96, Length: at.Length}
	if n, err := read(); !errors.Is(err, frame.ErrCorrupt) || n == 600_000 {
		t.Fatalf("a chunk in a pack that is gone: %d bytes, %v", n, err)
	}
	p.at[victim] = Place{Pack: at.Pack, Offset: at.Offset + 1, Length: at.Length}
	if n, err := read(); !errors.Is(err, frame.ErrCorrupt) || n == 600_000 {
		t.Fatalf("a chunk at a wrong place: %d bytes, %v", n, err)
	}
	p.at[victim] = at
	if _, err := read(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, w.Body, 1, w.Body.Size); !errors.Is(err, ErrRange) {
		t.Fatalf("a range beyond the end: %v", err)
	}
	short := w.Body
	short.Size++ // an entry that says more than its manifest
	if _, err := s.Read(ctx, short, 0, short.Size); !errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("a manifest that is too short: %v", err)
	}
	other := w.Body
	other.SHA256[0] ^= 1
	if err := s.Verify(ctx, other); !errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("another SHA-256: %v", err)
	}
}

func TestParts(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	var parts entry.Parts
	var want []byte
	for i := range 900 { // enough for a parts document of several chunks
		data := random(1+i*7, uint64(i))
		if i == 400 {
			data = random(700_000, 400)
		}
		w := put(t, s, data, int64(len(data)))
		want = append(want, data...)
		parts = append(parts, entry.Part{Number: i + 1, Body: w.Body})
	}
	doc := entry.AppendParts(nil, parts)
	w, err := s.WriteDocument(ctx, doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	w.Release()
	b := entry.Body{Kind: entry.BodyParts, Ref: w.Body.Ref, SHA256: sha256.Sum256(doc), Size: int64(len(want))}
	if !bytes.Equal(get(t, s, b, 0, b.Size), want) {
		t.Fatal("read otherwise")
	}
	for range 30 {
		off := rand.Int64N(b.Size)
		n := rand.Int64N(min(b.Size-off, 100_000) + 1)
		if !bytes.Equal(get(t, s, b, off, n), want[off:off+n]) {
			t.Fatalf("range %d+%d reads otherwise", off, n)
		}
	}
	if err := s.Verify(ctx, b); err != nil {
		t.Fatal(err)
	}
	seen := map[entry.ID]bool{}
	if err := s.Chunks(ctx, b, func(id entry.ID) error { seen[id] = true; return nil }); err != nil || len(seen) < 900 {
		t.Fatalf("%d chunks, %v", len(seen), err)
	}
	b.Size--
	if _, err := s.Read(ctx, b, 0, b.Size); !errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("parts longer than the body: %v", err)
	}
}

func TestLeases(t *testing.T) {
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	data := random(50_000, 1)
	first, err := s.Write(ctx, bytes.NewReader(data), WriteOptions{SizeHint: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var names [][16]byte
	_ = e.List(ctx, engine.Packs, func(i engine.Info) error {
		name, _ := pack.ParseName(i.Name)
		names = append(names, name)
		return nil
	})
	if leased := s.Retire(names); len(leased) != 1 {
		t.Fatalf("%d of %d packs are leased by a body that is not committed", len(leased), len(names))
	}
	s.Unretire(names)
	first.Release()
	first.Release()
	second := put(t, s, data, -1)
	if second.StoredBytes != 0 {
		t.Fatal("not deduplicated")
	}
	third, err := s.Write(ctx, bytes.NewReader(data), WriteOptions{SizeHint: -1})
	if err != nil {
		t.Fatal(err)
	}
	if leased := s.Retire(names); len(leased) != 1 {
		t.Fatal("a hit does not lease its pack")
	}
	third.Release()
	if leased := s.Retire(names); len(leased) != 0 {
		t.Fatal("a released pack is leased")
	}
	if fourth := put(t, s, data, -1); fourth.StoredBytes == 0 {
		t.Fatal("deduplicated against a pack that is to be erased")
	}
	if err := e.Remove(ctx, pack.Name(names[0])); err != nil {
		t.Fatal(err)
	}
	s.Forget(names)
	if !bytes.Equal(get(t, s, second.Body, 0, 50_000), data) {
		t.Fatal("the newer copy is not read")
	}
}

// turningKeys has a current key that changes.
type turningKeys struct {
	testKeys
	now *atomic.Uint32
}

func (k turningKeys) Current() uint32 { return k.now.Load() }

func TestKeyRotation(t *testing.T) {
	e := mem.New()
	opt := options(e, newPlaces())
	keys := turningKeys{now: new(atomic.Uint32)}
	keys.now.Store(1)
	opt.Keys = keys
	s := open(t, opt)
	data := random(700_000, 1) // more than half a pack: a spare of the first key is there
	a := put(t, s, data, -1)
	small := put(t, s, data[:1000], -1)
	keys.now.Store(2)
	b := put(t, s, data, -1)
	c := put(t, s, data[:1000], -1)
	if b.StoredBytes == 0 || b.Body.Ref == a.Body.Ref {
		t.Fatal("a chunk keeps its name under another key")
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	ids := map[uint32]int{}
	if err := e.List(ctx, engine.Packs, func(i engine.Info) error {
		rep, err := s.VerifyPack(ctx, i.Name)
		ids[rep.KeyID]++
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if ids[1] == 0 || ids[2] == 0 {
		t.Fatalf("packs by key: %v", ids)
	}
	for _, w := range []*Written{a, b, small, c} {
		if err := s.Verify(ctx, w.Body); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if tails, _ := e.Tails(ctx); len(tails) > 1 { // the spare of the old key is the next Open's
		t.Fatalf("%d tails after Close", len(tails))
	}
	opt.Places = newPlaces()
	if err := open(t, opt).Close(); err != nil {
		t.Fatal(err)
	}
	if tails, _ := e.Tails(ctx); len(tails) != 0 {
		t.Fatalf("%d tails after a second Close", len(tails))
	}
}

func TestSmallObjectsCostLittle(t *testing.T) {
	opt := options(mem.New(), newPlaces())
	opt.PackBytes = 64 << 20
	packed := int64(0)
	opt.Sealed = func(p entry.Pack) { packed += p.Size }
	s := open(t, opt)
	const n = 5000
	for i := range n {
		w, err := s.Write(ctx, newUnique(4096, uint64(i)+1<<30), WriteOptions{SizeHint: 4096})
		if err != nil {
			t.Fatal(err)
		}
		w.Release()
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	over := float64(packed)/n - 4096
	t.Logf("%.1f bytes besides 4,096", over)
	if over > 110 {
		t.Fatalf("%.1f bytes besides 4,096", over)
	}
}

// rewrite lets change edit a file of the engine.
func rewrite(t *testing.T, fs vfs.FS, path string, change func([]byte)) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	change(b)
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// tailOn leaves three bodies in a tail.
func tailOn(t *testing.T, fs *vfs.MemFS) (o *oracle, left *vfs.MemFS, path string) {
	t.Helper()
	o = &oracle{places: newPlaces()}
	s, err := openOn(fs, o, o.places)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		if err := o.put(s, 2*i, 3000, true); err != nil {
			t.Fatal(err)
		}
	}
	left = fs.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := left.List("store/open")
	if err != nil || len(names) != 1 {
		t.Fatalf("%d tails, %v", len(names), err)
	}
	return o, left, "store/open/" + names[0]
}

func TestABadSpotInATailLosesOneChunk(t *testing.T) {
	o, fs, path := tailOn(t, vfs.NewCrashableMem())
	rewrite(t, fs, path, func(b []byte) { b[500] ^= 1 })
	s, err := openOn(fs, o, newPlaces())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := sameBytes(s, o.acked[0]); !errors.Is(err, ErrErased) {
		t.Fatalf("the chunk that went bad: %v", err)
	}
	for _, x := range o.acked[1:] {
		if err := sameBytes(s, x); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATailThatDoesNotOpenIsKept(t *testing.T) {
	o, fs, _ := tailOn(t, vfs.NewCrashableMem())
	e, err := dir.Open(fs, "store", dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opt := options(e, newPlaces())
	opt.Keys = wrongKeys{}
	s := open(t, opt)
	if n := s.Stats().UnrecoveredTails; n != 1 {
		t.Fatalf("%d tails kept", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openOn(fs, o, newPlaces()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := checkBodies(s, o); err != nil {
		t.Fatalf("with the right key: %v", err)
	}
}

type wrongKeys struct{ testKeys }

func (wrongKeys) Sealer(_ uint32, f frame.FileID) (*frame.Sealer, error) {
	return frame.NewSealer([32]byte{99}, f)
}

func TestNewerFilesAreNotDamage(t *testing.T) {
	newer := func(b []byte) { b[9]++ }
	o, fs, path := tailOn(t, vfs.NewCrashableMem())
	rewrite(t, fs, path, newer)
	if _, err := openOn(fs, o, newPlaces()); !errors.Is(err, frame.ErrVersion) {
		t.Fatalf("a tail of a newer program: %v", err)
	}
	if names, _ := fs.List("store/open"); len(names) != 1 {
		t.Fatal("it was removed")
	}
	rewrite(t, fs, path, func(b []byte) { b[9]-- })
	s, err := openOn(fs, o, newPlaces())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("store/packs")
	if err != nil || len(names) != 1 {
		t.Fatalf("%d packs, %v", len(names), err)
	}
	rewrite(t, fs, "store/packs/"+names[0], newer)
	if _, err := openOn(fs, o, newPlaces()); !errors.Is(err, frame.ErrVersion) {
		t.Fatalf("a pack of a newer program: %v", err)
	}
}

func TestTeeSeesEveryByte(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	for _, n := range []int{0, 1000, 100_000, 2 << 20} {
		a, b := sha256.New(), &bytes.Buffer{}
		w, err := s.Write(ctx, bytes.NewReader(random(n, 1)), WriteOptions{SizeHint: -1, Tee: []io.Writer{a, b}})
		if err != nil {
			t.Fatal(err)
		}
		w.Release()
		if entry.Hash(a.Sum(nil)) != w.Body.SHA256 || !bytes.Equal(b.Bytes(), random(n, 1)) {
			t.Fatalf("%d bytes: the tee saw others", n)
		}
		boom := errors.New("boom")
		if _, err := s.Write(ctx, bytes.NewReader(random(n, 1)), WriteOptions{SizeHint: -1, Tee: []io.Writer{failingWriter{boom}}}); n > 0 && !errors.Is(err, boom) {
			t.Fatalf("%d bytes: a tee that fails: %v", n, err)
		}
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestCancel(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	c, cancel := context.WithCancel(ctx)
	r := io.MultiReader(bytes.NewReader(random(3<<20, 1)), readerFunc(func([]byte) (int, error) { cancel(); return 1, nil }))
	if _, err := s.Write(c, r, WriteOptions{SizeHint: -1}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled write: %v", err)
	}
	w := put(t, s, random(5<<20, 2), -1)
	c, cancel = context.WithCancel(ctx)
	rd, err := s.Read(c, w.Body, 0, w.Body.Size)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, rd); err == nil || n == w.Body.Size {
		t.Fatal("a cancelled read ended well")
	}
	if err := rd.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := rd.Read(make([]byte, 1)); err == nil {
		t.Fatal("read after Close")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestStreamMemoryIsBounded: what a stream holds does not grow with its length.
func TestStreamMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 1 GiB")
	}
	opt := options(sink{mem.New()}, newPlaces())
	opt.PackBytes = 64 << 20
	s := open(t, opt)
	const size = 1 << 30
	for _, hint := range []int64{size, -1} {
		var early, late uint64
		from := newUnique(size, numbers.Add(1))
		r := readerFunc(func(p []byte) (int, error) {
			n, err := from.Read(p)
			if at := from.at >> 20; at%64 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				if at < 256 {
					early = max(early, m.HeapInuse)
				} else {
					late = max(late, m.HeapInuse)
				}
			}
			return n, err
		})
		w, err := s.Write(ctx, r, WriteOptions{SizeHint: hint})
		if err != nil {
			t.Fatal(err)
		}
		w.Release()
		t.Logf("%d MiB in use in the first quarter, %d later", early>>20, late>>20)
		if late > 100<<20 {
			t.Fatalf("%d MiB in use", late>>20)
		}
	}
}

// sink forgets what is written to packs.
type sink struct{ engine.Appender }

func (s sink) Append(c context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	g, err := s.Appender.Append(c, name, opt)
	return sinkFile{g}, err
}

type sinkFile struct{ engine.Growing }

func (sinkFile) Write(p []byte) (int, error) { return len(p), nil }
