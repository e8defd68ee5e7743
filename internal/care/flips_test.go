package care_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/engine"
	"stele/internal/heal"
	"stele/internal/ledger"
	"stele/internal/storetest"
)

// hastyClock is the system's clock, on which a minute passes whenever a test says so.
type hastyClock struct {
	ledger.SystemClock
	extra atomic.Int64
}

func (c *hastyClock) Monotonic() time.Duration {
	return c.SystemClock.Monotonic() + time.Duration(c.extra.Load())
}

// Sleep is over at once.
func (c *hastyClock) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func (c *hastyClock) pass() { c.extra.Add(int64(heal.RetryAfter)) }

// battered is a store with a folder target whose files rot while it is used.
type battered struct {
	*stele.Store
	folder string
	clock  *hastyClock
	opt    stele.Options

	log     lastWords
	mu      sync.Mutex
	objects []uint64 // seeds of what was acknowledged
	damaged []damage
}

// lastWords keeps the end of a log.
type lastWords struct {
	mu    sync.Mutex
	lines []string
}

func (l *lastWords) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	l.lines = l.lines[max(0, len(l.lines)-30):]
	return len(b), nil
}

// damage is what was done to a file.
type damage struct{ file, what string }

const batteredBucket = "bucket"

func newBattered(t testing.TB) *battered {
	t.Helper()
	base := t.TempDir()
	x := &battered{folder: filepath.Join(base, "data"), clock: &hastyClock{}}
	x.opt = stele.Options{OpenTarget: storetest.ExistingTargets, Kit: filepath.Join(base, "kit.txt"), Clock: x.clock, SegmentBytes: 32 << 10, PackBytes: 256 << 10}
	x.opt.Log = slog.New(slog.NewTextHandler(&x.log, nil))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%d damages, the last ones: %v\nthe log ends:\n%s", len(x.damaged), x.damaged[max(0, len(x.damaged)-5):], strings.Join(x.log.lines, ""))
		}
	})
	var err error
	if x.Store, err = stele.Create(ctx, x.folder, x.opt); err != nil {
		t.Fatal(err)
	}
	if _, err := x.CreateBucket(ctx, stele.Local(), batteredBucket, false); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(base, "nas")}); err != nil {
		t.Fatal(err)
	}
	return x
}

func batteredKey(seed uint64) string { return fmt.Sprintf("key-%06d", seed) }

// batteredBytes are an object's: mostly small ones, some of many chunks, some that compress.
func batteredBytes(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	size := r.IntN(6 << 10)
	if seed%9 == 0 {
		size = r.IntN(300 << 10)
	}
	b := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64()>>(seed%3*24))
	}
	return b
}

func (x *battered) putOne(seed uint64) error {
	b := batteredBytes(seed)
	if _, err := x.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: batteredBucket, Key: batteredKey(seed), Body: bytes.NewReader(b), Size: int64(len(b))}); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	x.mu.Lock()
	x.objects = append(x.objects, seed)
	x.mu.Unlock()
	return nil
}

var errWrongBytes = errors.New("what was read was never written")

// getOne reads an object, or a part of it.
func (x *battered) getOne(seed uint64, r *rand.Rand) error {
	want := batteredBytes(seed)
	v, err := x.Head(ctx, stele.Place{Bucket: batteredBucket, Key: batteredKey(seed)})
	if err != nil {
		return fmt.Errorf("head: %w", err)
	}
	from, n := int64(0), int64(-1)
	if r != nil && len(want) > 0 && r.IntN(2) == 0 {
		from = r.Int64N(int64(len(want)))
		n = 1 + r.Int64N(int64(len(want))-from)
		want = want[from : from+n]
	}
	body, err := x.OpenBody(ctx, v, from, n)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if !bytes.HasPrefix(want, got) || err == nil && len(got) != len(want) {
		return fmt.Errorf("object %d, from %d: %w (%v)", seed, from, errWrongBytes, err)
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

func (x *battered) known(r *rand.Rand) (uint64, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.objects) == 0 {
		return 0, false
	}
	return x.objects[r.IntN(len(x.objects))], true
}

// use does one thing after another until stop is closed.
func (x *battered) use(seed uint64, next *atomic.Uint64, stop <-chan struct{}) error {
	r := rand.New(rand.NewPCG(seed, 1))
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		var err error
		switch n := r.IntN(20); {
		case n < 7:
			err = x.putOne(next.Add(1))
		case n == 7:
			_, err = x.List(ctx, stele.ListRequest{Bucket: batteredBucket, Prefix: "key-00", Max: 50})
		case n == 8:
			_, err = x.Ledger().Receipt(ctx, r.Uint64N(x.Ledger().Size()))
		case n == 9:
			from := r.Uint64N(x.Ledger().Size())
			err = x.Ledger().Log(ctx, stele.LogQuery{From: from, To: min(from+20, x.Ledger().Size())}, func(*entry.Entry) error { return nil })
		default:
			if seed, ok := x.known(r); ok {
				err = x.getOne(seed, r)
			}
		}
		if err != nil {
			return err
		}
	}
}

// victim is a file of which the first bytes are on the target, in one file or several.
type victim struct {
	file, path string
	bytes      int64
	grows      bool
}

// victims are what may be damaged once the targets were flushed.
func (x *battered) victims() (all []victim, err error) {
	grow := func(name string, bytes int64) {
		paths, _ := filepath.Glob(filepath.Join(x.folder, "open", strings.ReplaceAll(name, "/", "_")+".*"))
		if len(paths) == 1 && bytes > 0 {
			all = append(all, victim{name, paths[0], bytes, true})
		}
	}
	for _, g := range x.Rooms().Core.Body.Growing() {
		grow(g.Name, g.DurableBytes)
	}
	_, _, segments := x.Rooms().Core.Ledger().Growing()
	for _, g := range segments {
		grow(g.Name, g.DurableBytes)
	}
	for _, folder := range []string{engine.Packs, engine.Segments} {
		if err := x.Rooms().Core.Engine.List(ctx, folder, func(i engine.Info) error {
			all = append(all, victim{i.Name, filepath.Join(x.folder, i.Name), i.SizeBytes, false})
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// batter damages one file.
func (x *battered) batter(r *rand.Rand) error {
	all, err := x.victims()
	if err != nil {
		return err
	}
	if err := x.Rooms().Backups.FlushTargets(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	slices.SortFunc(all, func(a, b victim) int { return strings.Compare(a.path, b.path) })
	v := all[r.IntN(len(all))]
	if open := slices.DeleteFunc(slices.Clone(all), func(v victim) bool { return !v.grows }); len(open) > 0 && r.IntN(2) == 0 {
		v = open[r.IntN(len(open))]
	}
	what := r.IntN(5)
	if v.grows {
		what = r.IntN(3)
	}
	done, err := x.spoil(v, what, r)
	if os.IsNotExist(err) { // sealed, or replaced, a moment ago
		return nil
	}
	if err == nil && done != "" {
		x.mu.Lock()
		x.damaged = append(x.damaged, damage{v.file, done})
		x.mu.Unlock()
	}
	return err
}

// spoil damages a file in one of five ways, and says how; "" if its bytes are what they were.
func (x *battered) spoil(v victim, what int, r *rand.Rand) (string, error) {
	switch what {
	case 3:
		return "cut", os.Truncate(v.path, r.Int64N(v.bytes))
	case 4:
		return "removed", os.Remove(v.path)
	}
	f, err := os.OpenFile(v.path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if what == 2 {
		at := r.Int64N(v.bytes)
		b := make([]byte, min(4096, v.bytes-at))
		if _, err := f.ReadAt(b, at); err != nil || bytes.Equal(b, make([]byte, len(b))) {
			return "", nil // cut before, or zeros
		}
		clear(b)
		_, err = f.WriteAt(b, at)
		return "zeroed", err
	}
	for range 1 + r.IntN(8) {
		at := r.Int64N(v.bytes)
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return "", nil
		}
		b[0] ^= 1 << r.IntN(8)
		if _, err := f.WriteAt(b[:], at); err != nil {
			return "", err
		}
	}
	return "flipped", nil
}

// scrubNow reads every sealed file, once, and heals.
func (x *battered) scrubNow() error {
	if err := x.Rooms().Care.ScrubRound(ctx, time.Hour); err != nil {
		return err
	}
	if bad := x.Rooms().Care.ScrubStatus().Bad; len(bad) > 0 {
		return fmt.Errorf("not healed: %v", bad)
	}
	return nil
}

// scrubAll seals what grows, so that a round of the scrub reads all of it. It comes a day later: what was healed and damaged again is not healed sooner than that, and the round would rightly say so.
func (x *battered) scrubAll(t *testing.T) {
	t.Helper()
	x.clock.extra.Add(int64(24 * time.Hour))
	if err := errors.Join(x.Rooms().Core.Body.Flush(ctx), x.scrubNow()); err != nil {
		t.Error(err)
	}
}

// TestFlipsUnderLoad damages packs and segments, sealed ones and those that grow, in bytes that a target has, while eight put, get, list and read the log: no read fails, none yields a wrong byte,
// a round of the scrub leaves nothing to heal, every damaged file has its entry, and without any target all is there.
func TestFlipsUnderLoad(t *testing.T) {
	rounds, seeds := 40, uint64(3)
	if testing.Short() {
		rounds, seeds = 25, 1
	}
	if storetest.Full {
		rounds, seeds = 200, 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { flipsUnderLoad(t, seed, rounds) })
	}
}

func flipsUnderLoad(t *testing.T, seed uint64, rounds int) {
	x := newBattered(t)
	var next atomic.Uint64
	stop := make(chan struct{})
	var users sync.WaitGroup
	errs := make(chan error, 8)
	for u := range uint64(cap(errs)) {
		users.Go(func() {
			if err := x.use(seed<<8|u, &next, stop); err != nil {
				errs <- err
			}
		})
	}
	r := rand.New(rand.NewPCG(seed, 2))
	for round := 0; round < rounds && len(errs) == 0; round++ {
		if err := x.batter(r); err != nil {
			t.Errorf("round %d: %v", round, err)
			break
		}
		x.clock.pass()
	}
	close(stop)
	users.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	x.scrubAll(t)
	for _, o := range x.objects {
		if err := x.getOne(o, nil); err != nil {
			t.Error(err)
		}
	}
	if rep, err := x.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true}); err != nil || !rep.OK() {
		t.Errorf("after a scrub: %v %+v", err, rep.Problems)
	}
	if err := x.Close(); err != nil { // which seals the segment that grew
		t.Fatal(err)
	}
	var err error
	if x.Store, err = stele.Open(ctx, x.folder, x.opt); err != nil {
		t.Fatal(err)
	}
	x.scrubAll(t)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x.withoutTarget(t)
	kinds := map[string]int{}
	for _, d := range x.damaged {
		folder, _ := engine.SplitName(d.file)
		kinds[folder+" "+d.what]++
	}
	t.Logf("%d objects, %d damages: %v", len(x.objects), len(x.damaged), kinds)
}

// withoutTarget opens the store alone, and demands that everything is there, and an entry for each file that was damaged.
func (x *battered) withoutTarget(t *testing.T) {
	t.Helper()
	opt := x.opt
	opt.OpenTarget = nil
	s, err := stele.Open(ctx, x.folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	x.Store = s
	for _, o := range x.objects {
		if err := x.getOne(o, nil); err != nil {
			t.Error(err)
		}
	}
	if rep, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true}); err != nil || !rep.OK() {
		t.Errorf("without the target: %v %+v", err, rep.Problems)
	}
	told := map[string]bool{}
	if err := s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.Heal}}, func(e *entry.Entry) error { told[e.Private.Name] = true; return nil }); err != nil {
		t.Error(err)
	}
	for _, d := range x.damaged {
		if !told[d.file] {
			t.Errorf("%s was %s, and no entry tells of a heal", d.file, d.what)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
