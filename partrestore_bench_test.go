package stele_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"stele"
	"stele/internal/storetest"
)

// BenchmarkRestorePart puts objects back that were overwritten: keys a second, for b.N keys; and how fast it finds out that there is nothing to do.
func BenchmarkRestorePart(b *testing.B) {
	s := storetest.New(b, stele.Options{})
	if _, err := s.CreateBucket(ctx, stele.Local(), "docs", false); err != nil {
		b.Fatal(err)
	}
	fill := func(text string) {
		var all sync.WaitGroup
		for w := range 64 {
			all.Go(func() {
				for i := w; i < b.N; i += 64 {
					body := fmt.Appendf(nil, "%s %d", text, i)
					if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "docs", Key: fmt.Sprintf("folder %02d/%08d", i%50, i), Body: bytes.NewReader(body), Size: int64(len(body))}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	fill("then")
	at := stele.View{Size: s.Ledger().Size()}
	fill("now")
	b.ResetTimer()
	r, err := s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "docs", At: at})
	b.StopTimer()
	if err != nil || r.Restored.Keys != int64(b.N) {
		b.Fatalf("%+v %v", r, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
	start := time.Now()
	if r, err = s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "docs", At: at}); err != nil || r.Kept.Keys != int64(b.N) {
		b.Fatalf("%+v %v", r, err)
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "kept/s")
}
