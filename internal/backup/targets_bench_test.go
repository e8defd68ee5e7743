package backup_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"stele"
	"stele/internal/storetest"
)

// BenchmarkPutShipping puts 4 KiB objects from 64 goroutines, with no target and with one in a folder of the same disk.
func BenchmarkPutShipping(b *testing.B) {
	for _, ship := range []bool{false, true} {
		b.Run(fmt.Sprintf("target=%t", ship), func(b *testing.B) {
			s := storetest.New(b, stele.Options{OpenTarget: storetest.DirTargets})
			if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
				b.Fatal(err)
			}
			if ship {
				if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(b.TempDir(), "nas")}); err != nil {
					b.Fatal(err)
				}
			}
			body := make([]byte, 4096)
			var n atomic.Int64
			b.SetParallelism(32)
			b.SetBytes(4096)
			cpu := storetest.CPUSeconds()
			b.RunParallel(func(pb *testing.PB) {
				own := bytes.Clone(body)
				for pb.Next() {
					i := n.Add(1)
					copy(own, fmt.Sprintf("%d random enough to be a chunk of its own", i))
					for k := 64; k < len(own); k += 8 { // does not compress
						x := uint64(i)*0x9e3779b97f4a7c15 + uint64(k)*0xbf58476d1ce4e5b9
						x ^= x >> 31
						own[k], own[k+1], own[k+2], own[k+3], own[k+4], own[k+5] = byte(x), byte(x>>8), byte(x>>16), byte(x>>24), byte(x>>32), byte(x>>40)
					}
					if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "bucket", Key: fmt.Sprint(i), Body: bytes.NewReader(own), Size: int64(len(own))}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.StopTimer()
			b.ReportMetric((storetest.CPUSeconds()-cpu)/float64(b.N)*1e6, "cpu-us/op")
			if ship {
				st, err := s.Rooms().Backups.Targets(ctx)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(st[0].Behind), "entries-behind")
			}
		})
	}
}
