package hydrate_test

import (
	"cmp"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/backup"
	"stele/internal/hydrate"
	"stele/internal/storetest"
	"stele/internal/target"
)

// BenchmarkFrom makes a backup of STELE_BENCH_N small objects (default 20,000) on STELE_BENCH_TARGET (a URL; default: a folder) and measures serving from it: from nothing to the first correct GET, and to the first accepted write after a promotion.
// The snapshot of the index is as old as it may get.
func BenchmarkFrom(b *testing.B) {
	n := storetest.BenchN(b)
	root := b.TempDir()
	folder, kit := filepath.Join(root, "data"), filepath.Join(root, "kit.txt")
	s, err := stele.Create(ctx, folder, stele.Options{Kit: kit})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "bench", false); err != nil {
		b.Fatal(err)
	}
	url := cmp.Or(os.Getenv("STELE_BENCH_TARGET"), "dir://"+filepath.Join(root, "target"))
	opened, _, err := target.Open(ctx, url, target.Options{Make: true})
	if err != nil {
		b.Fatal(err)
	}
	late := max(1, min(n/2, max(backup.SnapshotEntries, n/backup.SnapshotShare)))
	fillTiny(b, s, 0, n-late)
	b.Run("snapshot", func(b *testing.B) {
		done, err := s.Rooms().Backups.SnapshotIndex(ctx, opened)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(done.Bytes)/1e6, "index-MB")
	})
	fillTiny(b, s, n-late, n)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	storetest.CopyStore(b, vfs.Default, folder, opened)
	from, opt := hydrate.From{Target: opened, Name: "bench"}, stele.Options{Identity: storetest.RecoveryOf(b, kit)}
	b.Run("first-get", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			here := filepath.Join(root, fmt.Sprint("from", b.N, i))
			start := time.Now()
			s, err := stele.OpenFrom(ctx, here, from, opt)
			if err != nil {
				b.Fatal(err)
			}
			opened := time.Since(start)
			at := mrand.IntN(n)
			if got := string(storetest.Read(b, s, stele.Place{Bucket: "bench", Key: fmt.Sprintf("k%010d", at)})); got != fmt.Sprint("body ", at) {
				b.Fatalf("object %d holds %q", at, got)
			}
			b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/first-get")
			b.ReportMetric(float64(opened.Milliseconds()), "ms/open")
			b.ReportMetric(storetest.ResidentMB(), "rss-MB")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			if err := os.RemoveAll(here); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first-write", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			here := filepath.Join(root, fmt.Sprint("promoted", b.N, i))
			start := time.Now()
			if _, err := stele.PromoteFrom(ctx, here, from, stele.PromoteOptions{Options: opt}); err != nil {
				b.Fatal(err)
			}
			s, err := stele.OpenFrom(ctx, here, from, opt)
			if err != nil {
				b.Fatal(err)
			}
			storetest.Put(b, s, "bench", "new", []byte("x"))
			b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/first-write")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			if err := os.RemoveAll(here); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fill", func(b *testing.B) {
		bytes, took := int64(0), time.Duration(0)
		i := 0
		for b.Loop() {
			i++
			here := filepath.Join(root, fmt.Sprint("filled", b.N, i))
			s, err := stele.OpenFrom(ctx, here, from, opt)
			if err != nil {
				b.Fatal(err)
			}
			start := time.Now()
			h, _ := s.Rooms().Over.Hydration()
			<-s.Rooms().Over.Hydrated()
			bytes, took = bytes+h.Bytes, took+time.Since(start)
			b.ReportMetric(storetest.ResidentMB(), "rss-MB")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(bytes)/1e6/took.Seconds(), "MB/s")
	})
}

// fillTiny puts objects from to to-1 of a few bytes with 64 writers.
func fillTiny(b *testing.B, s *stele.Store, from, to int) {
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(to); i = next.Add(1) - 1 {
				storetest.Put(b, s, "bench", fmt.Sprintf("k%010d", i), []byte(fmt.Sprint("body ", i)))
			}
		})
	}
	wg.Wait()
}
