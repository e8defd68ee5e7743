package stele_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/storetest"
)

var ctx = context.Background()

// benchStore is a store with a bucket on the real disk.
func benchStore(b *testing.B) *stele.Store {
	s := storetest.New(b, stele.Options{})
	if _, err := s.CreateBucket(ctx, stele.Local(), "bench", false); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkPut4K is durable puts of 4 KiB that nothing can compress or deduplicate.
func BenchmarkPut4K(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := benchStore(b)
			var n atomic.Int64
			var took []time.Duration
			var pair func() time.Duration
			if writers == 1 {
				pair = fsyncPair(b)
			}
			var pairs []time.Duration
			cpu := storetest.CPUSeconds()
			b.SetParallelism((writers + 1) / 2) // times GOMAXPROCS 2
			b.SetBytes(4096)
			b.ResetTimer()
			work := func(next func() bool) {
				body := make([]byte, 4096)
				rand.Read(body)
				for next() {
					for i := 0; i < 4096; i += 512 {
						*(*[8]byte)(body[i:]) = [8]byte(binary8(mrand.Uint64()))
					}
					start := time.Now()
					storetest.Put(b, s, "bench", fmt.Sprintf("k%010d", n.Add(1)), body)
					if pair != nil {
						took = append(took, time.Since(start))
						if len(took)%8 == 0 {
							b.StopTimer()
							before := storetest.CPUSeconds()
							pairs = append(pairs, pair())
							cpu += storetest.CPUSeconds() - before
							b.StartTimer()
						}
					}
				}
			}
			if writers == 1 {
				b.StartTimer()
				work(func() func() bool { i := 0; return func() bool { i++; return i <= b.N } }())
			} else {
				b.RunParallel(func(pb *testing.PB) { work(pb.Next) })
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
			b.ReportMetric((storetest.CPUSeconds()-cpu)*1e6/float64(b.N), "cpu-us/put")
			if len(pairs) > 0 {
				b.ReportMetric(float64(median(took).Microseconds()), "p50-us")
				b.ReportMetric(float64(median(pairs).Microseconds()), "two-fsyncs-us")
				b.ReportMetric(float64(median(took))/float64(median(pairs)), "p50/two-fsyncs")
			}
		})
	}
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2]
}

// fsyncPair returns what does what the disk does for one put: 4 KiB into one growing file and 512 bytes into another, each made durable, one after the other. It says how long they took.
func fsyncPair(b *testing.B) func() time.Duration {
	d, err := dir.Open(vfs.Default, b.TempDir(), dir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var files []engine.Growing
	for _, name := range []string{"packs/p", "segments/s"} {
		g, err := d.Append(ctx, name, engine.AppendOptions{PreallocateBytes: 1 << 30})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { g.Close() })
		files = append(files, g)
	}
	pieces := [][]byte{make([]byte, 4<<10), make([]byte, 512)}
	return func() time.Duration {
		start := time.Now()
		for i, g := range files {
			if _, err := g.Write(pieces[i]); err != nil {
				b.Fatal(err)
			}
			if err := g.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}
}

func binary8(v uint64) []byte {
	return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24), byte(v >> 32), byte(v >> 40), byte(v >> 48), byte(v >> 56)}
}

// BenchmarkPut64M is durable puts of 64 MiB of noise.
func BenchmarkPut64M(b *testing.B) {
	pool := make([]byte, 65<<20)
	rand.Read(pool)
	for _, writers := range []int{1, 4} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := benchStore(b)
			var n atomic.Int64
			cpu := storetest.CPUSeconds()
			b.SetBytes(64 << 20)
			b.SetParallelism((writers + 1) / 2)
			b.ResetTimer()
			work := func(next func() bool) {
				for next() {
					id := n.Add(1)
					put64(b, s, fmt.Sprintf("big%06d", id), pool, uint64(id))
				}
			}
			if writers == 1 {
				work(b.Loop)
			} else {
				b.RunParallel(func(pb *testing.PB) { work(pb.Next) })
			}
			b.StopTimer()
			mb := float64(b.N) * 64 * 1.048576
			b.ReportMetric(mb/(storetest.CPUSeconds()-cpu), "MB/cpu-s")
		})
	}
}

// noise yields a pool's bytes with a fresh word in every 4 KiB, so that no chunk was seen before.
type noise struct {
	pool []byte
	seed *mrand.PCG
	left int
	off  int
}

func (r *noise) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.left)], r.pool[r.off:])
	for i := 0; i+8 <= n; i += 4096 {
		copy(p[i:], binary8(r.seed.Uint64()))
	}
	r.left, r.off = r.left-n, r.off+n
	return n, nil
}

func put64(b *testing.B, s *stele.Store, key string, pool []byte, id uint64) {
	_, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "bench", Key: key, Body: &noise{pool: pool, seed: mrand.NewPCG(id, 7), left: 64 << 20}, Size: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGet reads warm objects, authenticated.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			s := benchStore(b)
			keys := 4096
			if size > 1<<20 {
				keys = 4
			}
			body := make([]byte, size)
			for i := range keys {
				rand.Read(body[:4096])
				storetest.Put(b, s, "bench", fmt.Sprintf("k%06d", i), body)
			}
			cpu := storetest.CPUSeconds()
			b.SetBytes(int64(size))
			b.SetParallelism(4)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					v, err := s.Head(ctx, stele.Place{Bucket: "bench", Key: fmt.Sprintf("k%06d", mrand.IntN(keys))})
					if err != nil {
						b.Fatal(err)
					}
					r, err := s.OpenBody(ctx, v, 0, -1)
					if err != nil {
						b.Fatal(err)
					}
					if n, err := r.(io.WriterTo).WriteTo(io.Discard); err != nil || n != int64(size) {
						b.Fatal(n, err)
					}
					r.Close()
				}
			})
			b.StopTimer()
			used := storetest.CPUSeconds() - cpu
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
			b.ReportMetric(float64(b.N)*float64(size)/1e6/used, "MB/cpu-s")
		})
	}
}

// BenchmarkVersions1000 puts 1,000 versions of a body of 1 MiB that differ in 1 KiB each, and says what they take on disk.
func BenchmarkVersions1000(b *testing.B) {
	for range b.N {
		folder := filepath.Join(b.TempDir(), "data")
		s, err := stele.Create(ctx, folder, stele.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.CreateBucket(ctx, stele.Local(), "bench", false); err != nil {
			b.Fatal(err)
		}
		body := make([]byte, 1<<20)
		rand.Read(body)
		for range 1000 {
			at := mrand.IntN(len(body) - 1024)
			rand.Read(body[at : at+1024])
			storetest.Put(b, s, "bench", "versions", body)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(diskBytes(b, folder))/1e6, "MB/1000-versions")
	}
}

// BenchmarkHidden lists 1,000 live keys among many hidden ones (STELE_BENCH_N, default 20,000).
func BenchmarkHidden(b *testing.B) {
	s := benchStore(b)
	n := storetest.BenchN(b)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				key := fmt.Sprintf("k%010d", i)
				storetest.Put(b, s, "bench", key, []byte("x"))
				if i%int64(max(1, n/1000)) != 0 {
					if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "bench", Key: key}); err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.ResetTimer()
	for range b.N {
		p, err := s.List(ctx, stele.ListRequest{Bucket: "bench", Max: 1000})
		if err != nil || len(p.Versions) < min(n, 1000) {
			b.Fatal(len(p.Versions), err)
		}
	}
}
