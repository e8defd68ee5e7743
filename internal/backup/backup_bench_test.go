package backup_test

import (
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/backup"
	"stele/internal/engine/dir"
	"stele/internal/hydrate"
	"stele/internal/storetest"
)

// BenchmarkBackup takes a store of STELE_BENCH_N objects of 4 KiB (default 20,000) through the life of a backup in a folder, each step once: the first shipment; increments of 100 objects; 255 small shipments after a
// snapshot of the index, which leave the layout of a target that was shipped to every two seconds for a month; from there the first correct GET, the first accepted write after a promotion from
// nothing, filling a folder, and a restore until it lists. Run it with -benchtime 1x.
func BenchmarkBackup(b *testing.B) {
	n, root := storetest.BenchN(b), b.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	s, err := stele.Create(ctx, at("data"), stele.Options{Kit: at("kit.txt"), OpenTarget: storetest.DirTargets})
	if err != nil {
		b.Fatal(err)
	}
	taken := make(chan struct{}, 1000)
	s.Rooms().Backups.Snapshots.Taken = func() { taken <- struct{}{} }
	if _, err := s.CreateBucket(ctx, stele.Local(), "bench", false); err != nil {
		b.Fatal(err)
	}
	fill4K(b, s, 0, n)
	once := func(name string, do func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			debug.FreeOSMemory()
			_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak begins anew, where the system can
			for b.Loop() {
				do(b)
			}
			b.ReportMetric(storetest.MemoryMB("VmHWM:"), "peak-MB")
		})
	}
	ship := func(b *testing.B) {
		if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
			b.Fatal(err)
		}
	}
	once("first-shipment", func(b *testing.B) {
		if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + at("nas")}); err != nil {
			b.Fatal(err)
		}
		ship(b)
	})
	if n >= backup.SnapshotEntries {
		<-taken // the new target has none
	}
	more := n
	once("increment-100", func(b *testing.B) {
		b.StopTimer()
		fill4K(b, s, more, more+100)
		more += 100
		b.StartTimer()
		ship(b)
	})
	for range 255 {
		fill4K(b, s, more, more+18)
		more += 18
		ship(b)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	target, err := dir.Open(vfs.Default, at("nas"), dir.Options{ReadOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	opt := stele.Options{Identity: storetest.RecoveryOf(b, at("kit.txt"))}
	get := func(b *testing.B, s *stele.Store) {
		i := mrand.IntN(more)
		if got := storetest.Read(b, s, stele.Place{Bucket: "bench", Key: fmt.Sprintf("k%010d", i)}); string(got) != string(body4K(i)) {
			b.Fatalf("object %d holds other bytes", i)
		}
	}
	open := func(b *testing.B, from hydrate.From) *stele.Store {
		s, err := stele.OpenFrom(ctx, at("from"), from, opt)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	end := func(b *testing.B, s *stele.Store, folder string) {
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		if err := os.RemoveAll(at(folder)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	from := hydrate.From{Target: target, Name: "bench"}
	once("first-get", func(b *testing.B) {
		s := open(b, hydrate.From{Target: target, Name: "bench", NoFill: true})
		get(b, s)
		end(b, s, "from")
	})
	once("first-write", func(b *testing.B) {
		if _, err := stele.PromoteFrom(ctx, at("from"), from, stele.PromoteOptions{Options: opt}); err != nil {
			b.Fatal(err)
		}
		s := open(b, from)
		storetest.Put(b, s, "bench", "new", []byte("x"))
		end(b, s, "from")
	})
	once("fill", func(b *testing.B) {
		s := open(b, from)
		<-s.Rooms().Over.Hydrated()
		end(b, s, "from")
	})
	once("restore", func(b *testing.B) {
		start := time.Now()
		if _, err := stele.RestoreFolder(ctx, at("restored"), stele.RestoreOptions{Options: opt, Target: target}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "copy-s")
		if _, err := stele.Promote(ctx, at("restored"), stele.PromoteOptions{Options: opt}); err != nil {
			b.Fatal(err)
		}
		s, err := stele.Open(ctx, at("restored"), stele.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if page, err := s.List(ctx, stele.ListRequest{Bucket: "bench", Max: 1000}); err != nil || len(page.Versions) != 1000 {
			b.Fatalf("it lists %d objects, %v", len(page.Versions), err)
		}
		end(b, s, "restored")
	})
}

// body4K is object i, which does not compress.
func body4K(i int) []byte {
	b := make([]byte, 4096)
	mrand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}).Read(b)
	return b
}

// fill4K puts objects from to to-1 with 64 writers.
func fill4K(b *testing.B, s *stele.Store, from, to int) {
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < to; i = int(next.Add(1) - 1) {
				storetest.Put(b, s, "bench", fmt.Sprintf("k%010d", i), body4K(i))
			}
		})
	}
	wg.Wait()
}
