package body

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/engine/dir"
	"stele/internal/frame"
)

// Benchmarks run on a real folder: BENCH_DIR, else the system's temporary one. Each prints MB per CPU second of the process.

func benchStore(b *testing.B) *Store {
	root, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "body")
	if err != nil {
		b.Fatal(err)
	}
	s := openDir(b, root)
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
		_ = os.RemoveAll(root)
	})
	return s
}

func openDir(b *testing.B, root string) *Store {
	e, err := dir.Open(vfs.Default, root, dir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	opt := options(e, newPlaces())
	opt.PackBytes = 0
	s, err := Open(ctx, opt)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// unique yields size bytes that no other call with another number yields, at the cost of a copy.
type unique struct {
	base   []byte
	number uint64
	at     int64
	size   int64
}

var base = random(1<<20, 99)

func newUnique(size int64, number uint64) *unique {
	return &unique{base: base, number: number, size: size}
}

func (u *unique) Read(p []byte) (int, error) {
	if u.at == u.size {
		return 0, io.EOF
	}
	total := 0
	for len(p) > 0 && u.at < u.size {
		from := u.at % int64(len(u.base))
		n := copy(p, u.base[from:min(int64(len(u.base)), from+u.size-u.at)])
		for i := (4096 - int(u.at%4096)) % 4096; i+8 <= n; i += 4096 {
			binary.LittleEndian.PutUint64(p[i:], u.number<<32|uint64(u.at+int64(i))>>12)
		}
		if u.at == 0 && n >= 8 {
			binary.LittleEndian.PutUint64(p, u.number<<32|1<<31)
		}
		u.at += int64(n)
		p = p[n:]
		total += n
	}
	return total, nil
}

var numbers atomic.Uint64

func benchPut(b *testing.B, writers int, size int64) {
	s := benchStore(b)
	b.SetBytes(size)
	b.ResetTimer()
	start, began := cpu(), time.Now()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for left.Add(-1) >= 0 {
				w, err := s.Write(ctx, newUnique(size, numbers.Add(1)), WriteOptions{SizeHint: size, MD5: true})
				if err == nil {
					err = w.Sync(ctx)
				}
				if err != nil {
					b.Error(err)
					return
				}
				w.Release()
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	mb := float64(size) * float64(b.N) / 1e6
	b.ReportMetric(mb/(cpu()-start).Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "puts/s")
	b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N), "cpu-us/put")
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct {
		writers int
		size    int64
	}{{1, 4 << 10}, {64, 4 << 10}, {4, 1 << 20}, {1, 64 << 20}, {4, 64 << 20}} {
		b.Run(fmt.Sprintf("%dx%dKiB", c.writers, c.size>>10), func(b *testing.B) { benchPut(b, c.writers, c.size) })
	}
}

func benchGet(b *testing.B, readers int, size int64, objects int) {
	s := benchStore(b)
	bodies := make([]entry.Body, objects)
	for i := range bodies {
		w, err := s.Write(ctx, newUnique(size, numbers.Add(1)), WriteOptions{SizeHint: size})
		if err != nil {
			b.Fatal(err)
		}
		if i%64 == 63 || i == objects-1 {
			if err := w.Sync(ctx); err != nil {
				b.Fatal(err)
			}
		}
		w.Release()
		bodies[i] = w.Body
	}
	if err := s.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ResetTimer()
	start, began := cpu(), time.Now()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for range readers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				r, err := s.Read(ctx, bodies[i%int64(objects)], 0, size)
				if err == nil {
					_, err = r.WriteTo(io.Discard)
					r.Close()
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(size)*float64(b.N)/1e6/(cpu()-start).Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "gets/s")
}

func BenchmarkGet(b *testing.B) {
	b.Run("2x4KiB", func(b *testing.B) { benchGet(b, 2, 4<<10, 10_000) })
	b.Run("1x64MiB", func(b *testing.B) { benchGet(b, 1, 64<<20, 4) })
	b.Run("4x64MiB", func(b *testing.B) { benchGet(b, 4, 64<<20, 4) })
}

// BenchmarkRecover opens a store that was killed with its packs nearly full: one of small objects and four of streams.
func BenchmarkRecover(b *testing.B) {
	for range b.N {
		b.StopTimer()
		root, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "body")
		if err != nil {
			b.Fatal(err)
		}
		killed := openDir(b, root)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 3 {
					w, err := killed.Write(ctx, newUnique(18<<20, numbers.Add(1)), WriteOptions{SizeHint: -1})
					if err == nil {
						err = w.Sync(ctx)
					}
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		for range 12_000 {
			if _, err := killed.Write(ctx, newUnique(4096, numbers.Add(1)), WriteOptions{SizeHint: 4096}); err != nil {
				b.Fatal(err)
			}
		}
		wg.Wait()
		b.StartTimer()
		s := openDir(b, root)
		b.StopTimer()
		b.ReportMetric(float64(s.recovered.tails), "tails")
		b.ReportMetric(float64(s.recovered.chunks), "chunks")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		killed.closeOpen()
		_ = os.RemoveAll(root)
	}
}

// BenchmarkFloor is what the hashes and the cipher alone cost of a byte that is put: MD5, SHA-256 of the body and of the
// pack, BLAKE3, GCM, CRC-32C, on two goroutines. Put can't be cheaper; run both on the same load of the machine.
func BenchmarkFloor(b *testing.B) {
	const size = 64 << 10
	b.SetBytes(2 * size)
	start := cpu()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			data := random(size, 1)
			k := newKeyState(1, [32]byte{})
			sealer, _ := testKeys{}.Sealer(1, frame.FileID{})
			m, s, p := md5.New(), sha256.New(), sha256.New()
			out := make([]byte, 0, size+64)
			for range b.N {
				m.Write(data)
				s.Write(data)
				k.chunkID(data)
				out = sealer.Seal(out[:0], 1, data, nil)
				crc32.Update(0, castagnoli, out)
				p.Write(out)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(2*size*float64(b.N)/1e6/(cpu()-start).Seconds(), "MB/cpu-s")
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func BenchmarkCut(b *testing.B) {
	g := newGear([32]byte{1})
	data := random(8<<20, 5)
	for _, c := range []*class{&small, &medium, &large} {
		b.Run(fmt.Sprintf("%dKiB", c.avg>>10), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			chunks := 0
			for b.Loop() {
				for at := 0; at < len(data); chunks++ {
					at += g.cut(c, data[at:], true)
				}
			}
			b.ReportMetric(float64(len(data))*float64(b.N)/float64(chunks)/1024, "KiB/chunk")
		})
	}
}

func BenchmarkProbe(b *testing.B) {
	for _, n := range []int{4 << 10, 64 << 10} {
		data := random(n, 5)
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				if compress(nil, data) != nil {
					b.Fatal("random bytes were compressed")
				}
			}
		})
	}
	runtime.GC()
}
