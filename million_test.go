package stele_test

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stele"
	"stele/internal/core"
	"stele/internal/storetest"
)

// publishEvery is how often the ledger moves its published checkpoint at most.
const publishEvery = time.Second

// BenchmarkMillion fills a store with STELE_BENCH_N objects of 4 KiB (default 20,000; figures in docs/PERFORMANCE.md are for 1,000,000) and measures what depends on that number:
// disk and memory, opening after a close and after a kill, rebuilding the index, listing, history, verification.
func BenchmarkMillion(b *testing.B) {
	n := storetest.BenchN(b)
	folder := filepath.Join(b.TempDir(), "data")
	s, err := stele.Create(ctx, folder, stele.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "bench", false); err != nil {
		b.Fatal(err)
	}
	b.Run("fill", func(b *testing.B) {
		b.ReportAllocs()
		fill(b, s, n)
		b.ReportMetric(storetest.ResidentMB(), "rss-MB")
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "puts/s")
	})
	time.Sleep(2 * publishEvery) // the published checkpoint is at rest, so that cp meets no file on its way
	killed := filepath.Join(b.TempDir(), "killed")
	if out, err := exec.Command("cp", "-r", folder, killed).CombinedOutput(); err != nil { // what a kill -9 leaves
		b.Fatal(string(out))
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	index, all := diskBytes(b, filepath.Join(folder, core.DirIndex)), diskBytes(b, folder)
	b.Run("disk", func(b *testing.B) {
		b.ReportMetric(float64(all)/float64(n), "bytes/object")
		b.ReportMetric(float64(index)/float64(n), "index-bytes/object")
	})
	syscall.Sync() // the copy's dirty pages would be in the way of every fsync of the next opening
	b.Run("open=clean", func(b *testing.B) { s = timedOpen(b, folder) })
	pass := func() {
		keys, after := 0, ""
		for keys < min(n, 100_000) {
			p, err := s.List(ctx, stele.ListRequest{Bucket: "bench", After: after, Max: 1000})
			if err != nil || len(p.Versions) == 0 {
				b.Fatal(len(p.Versions), err)
			}
			keys, after = keys+len(p.Versions), p.Versions[len(p.Versions)-1].Key
		}
	}
	b.Run("list=first", func(b *testing.B) {
		var took []time.Duration
		for range 5 {
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			if s, err = stele.Open(ctx, folder, stele.Options{}); err != nil {
				b.Fatal(err)
			}
			start := time.Now()
			pass()
			took = append(took, time.Since(start))
		}
		b.ReportMetric(float64(median(took).Microseconds())/1000, "ms/100k")
	})
	b.Run("list=warm", func(b *testing.B) {
		var took []time.Duration
		for range 9 {
			start := time.Now()
			pass()
			took = append(took, time.Since(start))
		}
		b.ReportMetric(float64(median(took).Microseconds())/1000, "ms/100k")
	})
	b.Run("history", func(b *testing.B) {
		for b.Loop() {
			if h, err := storetest.AllChanges(s, "bench", fmt.Sprintf("k%010d", mrand.IntN(n))); err != nil || len(h) != 1 {
				b.Fatal(len(h), err)
			}
		}
	})
	b.Run("verify=deep", func(b *testing.B) {
		r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
		if err != nil || !r.OK() {
			b.Fatal(r.Problems, err)
		}
		b.ReportMetric(float64(r.Bytes)/1e6/r.Took.Seconds(), "MB/s")
	})
	s.Close()
	syscall.Sync()
	b.Run("open=killed", func(b *testing.B) { timedOpen(b, killed).Close() })
	b.Run("open=rebuild", func(b *testing.B) {
		if err := os.RemoveAll(filepath.Join(folder, core.DirIndex)); err != nil {
			b.Fatal(err)
		}
		s := timedOpen(b, folder)
		b.ReportMetric(float64(s.Ledger().Size())/b.Elapsed().Seconds(), "entries/s")
		s.Close()
	})
}

// fill puts n objects of 4 KiB of noise with 64 writers.
func fill(b *testing.B, s *stele.Store, n int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			body := make([]byte, 4096)
			rand.Read(body)
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				for k := 0; k < 4096; k += 64 {
					copy(body[k:], binary8(mrand.Uint64()))
				}
				storetest.Put(b, s, "bench", fmt.Sprintf("k%010d", i), body)
			}
		})
	}
	wg.Wait()
}

func timedOpen(b *testing.B, folder string) *stele.Store {
	start := time.Now()
	s, err := stele.Open(ctx, folder, stele.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/open")
	return s
}

func diskBytes(b *testing.B, dir string) (n int64) {
	if err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var i fs.FileInfo
			if i, err = d.Info(); err == nil {
				n += i.Size()
			}
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return n
}
