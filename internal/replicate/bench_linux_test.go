package replicate

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// BenchmarkBesideCp compares a first shipment and a restore with cp -r and sync of the same files, in turns, with the source in the page cache and without.
// of-cp-% is the median of their ratios: 100 is as fast.
func BenchmarkBesideCp(b *testing.B) {
	p := benchStore(b)
	store := p.eng.(interface{ Root() string }).Root()
	target := tempDir(b)
	if err := mustConnect(b, p, mustDir(b, vfs.Default, target)).shipNow(); err != nil {
		b.Fatal(err)
	}
	for what, c := range map[string]struct {
		from string
		do   func(to string) error
	}{
		"ship": {store, func(to string) error { return mustConnect(b, p, mustDir(b, vfs.Default, to)).shipNow() }},
		"restore": {target, func(to string) error {
			_, err := restoreInto(mustDir(b, vfs.Default, to), mustDir(b, vfs.Default, target), p.keys)
			return err
		}},
	} {
		for _, cold := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/cold=%t", what, cold), func(b *testing.B) {
				var ratios, took, cpu []float64
				for b.Loop() {
					cp := timed(b, c.from, cold, copyAndSync(b, c.from))
					before := cpuSeconds(b)
					ours := timed(b, c.from, cold, c.do)
					ratios, took, cpu = append(ratios, 100*cp/ours), append(took, ours), append(cpu, cpuSeconds(b)-before)
				}
				b.ReportMetric(median(ratios), "of-cp-%")
				b.ReportMetric(256*(1<<20)/1e6/median(took), "MB/s")
				b.ReportMetric(1000*median(cpu), "cpu-ms")
			})
		}
	}
}

// cpuSeconds is what this process has used.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// timed says how many seconds do takes into an empty folder, which goes again.
func timed(b *testing.B, from string, cold bool, do func(to string) error) float64 {
	b.Helper()
	if err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return cache(path, cold)
	}); err != nil {
		b.Fatal(err)
	}
	to := tempDir(b)
	start := time.Now()
	if err := do(to); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start).Seconds()
	if err := os.RemoveAll(to); err != nil {
		b.Fatal(err)
	}
	return took
}

// cache takes a file out of the page cache, or into it.
func cache(path string, out bool) error {
	if !out {
		_, err := os.ReadFile(path)
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// copyAndSync copies a folder with cp, then makes the copy durable, and no file besides.
func copyAndSync(b *testing.B, from string) func(to string) error {
	return func(to string) error {
		if out, err := exec.Command("cp", "-r", from, to).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w", out, err)
		}
		var files []string
		err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
			files = append(files, path)
			return err
		})
		if err != nil {
			return err
		}
		return exec.Command("sync", files...).Run()
	}
}
