package stele_test

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stele"
	"stele/internal/storetest"
)

// BenchmarkLarge writes STELE_BENCH_GB GiB (default 1; figures in docs/PERFORMANCE.md are for 20) in objects of 64 MiB with four writers, and shows whether speed and memory stay what they were:
// the first quarter's speed against the last one's, the highest resident memory. Then it verifies every byte, and streams half as much in as one object.
func BenchmarkLarge(b *testing.B) {
	gb, err := strconv.Atoi(os.Getenv("STELE_BENCH_GB"))
	if err != nil {
		gb = 1
	}
	s := benchStore(b)
	pool := make([]byte, 65<<20)
	rand.Read(pool)
	b.Run("put=64M", func(b *testing.B) {
		objects := int64(gb) << 30 / (64 << 20)
		resetPeak(b)
		ends := make([]time.Duration, objects) // of each object, since the start
		start, cpu := time.Now(), storetest.CPUSeconds()
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := next.Add(1); i <= objects; i = next.Add(1) {
					put64(b, s, fmt.Sprintf("big%06d", i), pool, uint64(i))
					ends[i-1] = time.Since(start)
				}
			})
		}
		wg.Wait()
		mb := float64(objects) * 64 * 1.048576
		q := objects / 4
		b.ReportMetric(mb/time.Since(start).Seconds(), "MB/s")
		b.ReportMetric(mb/(storetest.CPUSeconds()-cpu), "MB/cpu-s")
		b.ReportMetric(float64(ends[q-1])/float64(ends[objects-1]-ends[objects-1-q]), "last/first-quarter")
		b.ReportMetric(peak(b), "peak-MB")
	})
	syscall.Sync()
	b.Run("verify=deep", func(b *testing.B) {
		cpu := storetest.CPUSeconds()
		resetPeak(b)
		r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
		if err != nil || !r.OK() {
			b.Fatal(r.Problems, err)
		}
		b.ReportMetric(float64(r.Bytes)/1e6/r.Took.Seconds(), "MB/s")
		b.ReportMetric(float64(r.Bytes)/1e6/(storetest.CPUSeconds()-cpu), "MB/cpu-s")
		b.ReportMetric(peak(b), "peak-MB")
	})
	b.Run("stream", func(b *testing.B) {
		resetPeak(b)
		size := int64(gb) << 29
		start, cpu := time.Now(), storetest.CPUSeconds()
		body := &noise{pool: pool, seed: mrand.NewPCG(99, 7), left: int(size)}
		if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "bench", Key: "stream", Body: &around{body}, Size: size}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/1e6/time.Since(start).Seconds(), "MB/s")
		b.ReportMetric(float64(size)/1e6/(storetest.CPUSeconds()-cpu), "MB/cpu-s")
		b.ReportMetric(peak(b), "peak-MB")
	})
}

// around reads noise longer than its pool.
type around struct{ *noise }

func (r *around) Read(p []byte) (int, error) {
	if r.off >= 64<<20 {
		r.off = 0
	}
	return r.noise.Read(p[:min(len(p), 64<<20-r.off)])
}

// resetPeak makes the present resident memory the highest.
func resetPeak(b *testing.B) {
	storetest.ResidentMB()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200); err != nil {
		b.Log("the peak of resident memory is that of the whole process:", err)
	}
}

// peak is the highest resident memory since resetPeak, in MB.
func peak(b *testing.B) float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Log(err)
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1000
		}
	}
	return 0
}
