package body

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"stele/internal/engine"
	"stele/internal/engine/mem"
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
