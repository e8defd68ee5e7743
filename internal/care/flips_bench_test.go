package care_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"stele"
	"stele/internal/body"
	"stele/internal/core"
	"stele/internal/pack"
	"stele/internal/storetest"
)

// BenchmarkHeal damages a byte of a random object's chunk, times the read that meets it (read-ms, the median: the bytes come from a folder target) and the heal of the whole pack behind it
// (heal-ms, the median), and of segments the read of an entry, which waits for the heal.
func BenchmarkHeal(b *testing.B) {
	for _, packBytes := range []int64{1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("pack=%d", packBytes), func(b *testing.B) { benchmarkHealPack(b, packBytes) })
	}
	b.Run("segment", benchmarkHealSegment)
}

func benchmarkHealPack(b *testing.B, packBytes int64) {
	x := healBench(b, stele.Options{PackBytes: packBytes}, 4<<10, int(packBytes>>12)*2)
	r := rand.New(rand.NewPCG(1, 2))
	var reads, heals []time.Duration
	b.ResetTimer()
	for range b.N {
		seed, _ := x.known(r)
		v, err := x.Head(ctx, stele.Place{Bucket: batteredBucket, Key: batteredKey(seed)})
		if err != nil {
			b.Fatal(err)
		}
		at, ok, err := core.BodyPlaces{DB: x.Rooms().Core.Index}.Lookup(v.Body.Ref)
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		name := pack.Name(at.Pack)
		flipFile(b, filepath.Join(x.folder, name), at.Offset+int64(pack.Overhead))
		reads = append(reads, timed(b, func() error { return readAllOf(x.Store, v) }))
		heals = append(heals, timed(b, func() error {
			if err := x.Rooms().Core.Body.Heal(ctx, name, errors.New("flipped")); !errors.Is(err, body.ErrSound) {
				return err
			}
			return nil
		}))
	}
	b.StopTimer()
	report(b, reads, heals)
}

func benchmarkHealSegment(b *testing.B) {
	x := healBench(b, stele.Options{SegmentBytes: 4 << 20}, 10, 30_000)
	r := rand.New(rand.NewPCG(1, 2))
	var sealed []uint64 // first entries
	for _, f := range x.Rooms().Core.Ledger().Segments() {
		if f.Sealed {
			sealed = append(sealed, f.First)
		}
	}
	if len(sealed) == 0 {
		b.Fatal("no segment is sealed")
	}
	var reads []time.Duration
	b.ResetTimer()
	for range b.N {
		first := sealed[r.IntN(len(sealed))]
		for _, f := range x.Rooms().Core.Ledger().Segments() {
			if f.First == first {
				flipFile(b, filepath.Join(x.folder, f.Name), 200)
			}
		}
		reads = append(reads, timed(b, func() error { _, _, _, err := x.Rooms().Core.Ledger().Entry(ctx, first); return err }))
	}
	b.StopTimer()
	report(b, reads, nil)
}

// healBench is a store of n objects of that size, all of it on a folder target.
func healBench(b *testing.B, opt stele.Options, size, n int) *battered {
	b.Helper()
	base := b.TempDir()
	x := &battered{folder: filepath.Join(base, "data")}
	opt.OpenTarget, opt.Kit = storetest.ExistingTargets, filepath.Join(base, "kit.txt")
	var err error
	if x.Store, err = stele.Create(ctx, x.folder, opt); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := x.Close(); err != nil {
			b.Error(err)
		}
	})
	if _, err := x.CreateBucket(ctx, stele.Local(), batteredBucket, false); err != nil {
		b.Fatal(err)
	}
	const writers = 32
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := w; i < n && err == nil; i += writers {
				err = x.putSized(uint64(i), size)
			}
			errs <- err
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	if _, err := x.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(base, "nas")}); err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(x.Rooms().Core.Body.Flush(ctx), x.Rooms().Backups.FlushTargets(ctx)); err != nil {
		b.Fatal(err)
	}
	return x
}

func (x *battered) putSized(seed uint64, size int) error {
	data := storetest.Data(fmt.Sprint(seed), size).Bytes()
	if _, err := x.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: batteredBucket, Key: batteredKey(seed), Body: bytes.NewReader(data), Size: int64(size)}); err != nil {
		return err
	}
	x.mu.Lock()
	x.objects = append(x.objects, seed)
	x.mu.Unlock()
	return nil
}

func readAllOf(s *stele.Store, v stele.Version) error {
	r, err := s.OpenBody(ctx, v, 0, -1)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

func flipFile(b *testing.B, path string, at int64) {
	b.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	var one [1]byte
	_, err = f.ReadAt(one[:], at)
	one[0] ^= 1
	if err == nil {
		_, err = f.WriteAt(one[:], at)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		b.Fatal(err)
	}
}

func timed(b *testing.B, fn func() error) time.Duration {
	b.Helper()
	start := time.Now()
	if err := fn(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func report(b *testing.B, reads, heals []time.Duration) {
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2].Microseconds()) / 1000
	}
	b.ReportMetric(median(reads), "read-ms")
	if len(heals) > 0 {
		b.ReportMetric(median(heals), "heal-ms")
	}
	b.ReportMetric(float64(len(reads))/b.Elapsed().Seconds(), "flips/s")
}
