//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/dir"
)

// benchDraft is what a put of a small object records.
func benchDraft(i int64) Draft {
	var body entry.Body
	for j := range 32 {
		body.SHA256[j], body.Ref[j] = byte(i>>(j%8)*7)^byte(j*31), byte(i>>(j%5)*13)^byte(j*17)
	}
	for j := range 16 {
		body.MD5[j] = byte(i>>(j%7)*3) ^ byte(j*29)
	}
	body.Kind, body.Size = entry.BodyChunk, 4096
	return Draft{entry.ObjectPut, entry.Private{Actor: "AKIAROOT0123456789AB", Address: "192.0.2.17", Bucket: "backups", Body: &body, Inc: 1,
		Headers: map[string]string{"content-type": "application/octet-stream"}, Key: fmt.Sprintf("data/%02x/%016x", i%256, i*7919), Request: fmt.Sprintf("%016X", i)}}
}

func benchDir(b *testing.B) string {
	b.Helper()
	root, err := os.MkdirTemp(os.Getenv("STELE_BENCH_DIR"), "stele-ledger-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(root) })
	return root
}

func benchOptions(b *testing.B, root string) Options {
	b.Helper()
	d, err := dir.Open(vfs.Default, root, dir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return Options{Engine: d, Keys: testKeys()}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend appends durably to a folder of the real file system (STELE_BENCH_DIR, else the temporary one).
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := mustCreate(b, benchOptions(b, benchDir(b)))
			var next atomic.Int64
			b.ResetTimer()
			began := cpu()
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := l.Append(ctx, func(Slot) (Draft, error) { return benchDraft(i), nil }); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "cpu-us/entry")
			mustClose(b, l)
			b.ReportMetric(float64(stored(b, l.opt))/float64(b.N), "stored-B/entry")
		})
	}
}

// stored is the size of all sealed segments.
func stored(b *testing.B, opt Options) (n int64) {
	b.Helper()
	err := opt.Engine.List(ctx, engine.Segments, func(i engine.Info) error { n += i.SizeBytes; return nil })
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// benchFill makes a ledger of n entries, put by 256 writers, and returns its folder. Killed, it leaves its last segment as a tail.
func benchFill(b *testing.B, n int, kill bool) string {
	b.Helper()
	root := benchDir(b)
	l := mustCreate(b, benchOptions(b, root))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := next.Add(1); i < int64(n); i = next.Add(1) {
				if _, err := l.Append(ctx, func(Slot) (Draft, error) { return benchDraft(i), nil }); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if kill {
		l.fail(errors.New("killed"))
		_ = l.Close()
	} else {
		mustClose(b, l)
	}
	return root
}

const benchSize = 1_000_000

// BenchmarkOpenClean opens a ledger of a million entries that was closed.
func BenchmarkOpenClean(b *testing.B) {
	root := benchFill(b, benchSize, false)
	for b.Loop() {
		l, err := Open(ctx, benchOptions(b, root))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		mustClose(b, l)
		b.StartTimer()
	}
}

// BenchmarkEntries replays a million entries.
func BenchmarkEntries(b *testing.B) {
	l, err := Open(ctx, benchOptions(b, benchFill(b, benchSize, false)))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	began := cpu()
	for b.Loop() {
		n := 0
		if err := l.Entries(ctx, 0, l.Size(), func(e *entry.Entry) error { n += len(e.Private.Key); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	total := float64(b.N) * float64(l.Size())
	b.ReportMetric(total/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64((cpu()-began).Nanoseconds())/total/1000, "cpu-us/entry")
}

// BenchmarkBegin begins a new epoch of a ledger of 200,000 entries, with a cut within a batch, and opens it: what a promotion costs besides the keyring and the index.
func BenchmarkBegin(b *testing.B) {
	root := benchFill(b, 200_000, false)
	opt := benchOptions(b, root)
	cut := uint64(199_000)
	for b.Loop() {
		var err error
		if opt, err = beginEpoch(opt, cut); err != nil {
			b.Fatal(err)
		}
		l, err := Open(ctx, opt)
		if err != nil {
			b.Fatal(err)
		}
		mustClose(b, l)
		cut -= 100
	}
}

// BenchmarkOpenKilled opens a ledger after kill -9, with a tail of nearly 16 MiB. oneByOne: each entry a batch of its own.
func BenchmarkOpenKilled(b *testing.B) {
	for _, writers := range []int{1, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			root := benchDir(b)
			opt := benchOptions(b, root)
			opt.SegmentBytes = 64 << 20
			l := mustCreate(b, opt)
			var wg sync.WaitGroup
			var next atomic.Int64
			for range writers {
				wg.Go(func() {
					for l.Err() == nil && next.Load() < 16<<20 {
						i := next.Add(int64(600 / min(writers, 4)))
						if _, err := l.Append(ctx, func(Slot) (Draft, error) { return benchDraft(i), nil }); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			size := l.Size()
			l.fail(errors.New("killed"))
			_ = l.Close()
			var tail int64
			for b.Loop() {
				b.StopTimer()
				copied := benchDir(b)
				if err := os.CopyFS(copied+"/store", os.DirFS(root)); err != nil {
					b.Fatal(err)
				}
				opt := benchOptions(b, copied+"/store")
				b.StartTimer()
				l, err := Open(ctx, opt)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if l.Size() != size {
					b.Fatalf("recovered %d of %d", l.Size(), size)
				}
				mustClose(b, l)
				tail = stored(b, opt)
				os.RemoveAll(copied)
				b.StartTimer()
			}
			b.ReportMetric(float64(size), "entries")
			b.ReportMetric(float64(tail)/(1<<20), "tail-MiB")
		})
	}
}
