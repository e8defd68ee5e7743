package s3api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
)

// bench is a handler without a network: what is measured is the door and the store.
func openBench(b *testing.B) (http.Handler, *stele.Store) {
	b.Helper()
	dir := b.TempDir()
	s, err := stele.Create(b.Context(), filepath.Join(dir, "data"), stele.Options{Root: &entry.AccessKey{ID: rootID, Secret: rootSecret, Role: stele.RoleAdmin}, Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if _, err := s.CreateBucket(b.Context(), stele.Actor{Key: rootID}, "bench", false); err != nil {
		b.Fatal(err)
	}
	return s3api.NewHandler(s, s3api.Options{}), s
}

func signed(method, path string, body []byte) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:9000"+path, bytes.NewReader(body))
	sum := sha256.Sum256(body)
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	r = signer.SignV4(*r, rootID, rootSecret, "", "us-east-1")
	return r
}

// sink is a ResponseWriter that drops the body.
type sink struct {
	h      http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) WriteHeader(n int)           { s.status = n }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkGet4K(b *testing.B) {
	h, s := openBench(b)
	body := bytes.Repeat([]byte("stele123"), 512)
	for i := range 1000 {
		if _, err := s.Put(b.Context(), stele.PutRequest{By: stele.Local(), Bucket: "bench", Key: fmt.Sprintf("k%d", i), Body: bytes.NewReader(append(body[:4088:4088], fmt.Sprintf("%08d", i)...)), Size: 4096}); err != nil {
			b.Fatal(err)
		}
	}
	requests := make([]*http.Request, 1000)
	for i := range requests {
		requests[i] = signed("GET", fmt.Sprintf("/bench/k%d", i), nil)
	}
	b.ReportAllocs()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w := &sink{h: http.Header{}}
			h.ServeHTTP(w, requests[n.Add(1)%1000])
			if w.status != 200 {
				b.Errorf("status %d", w.status)
				return
			}
		}
	})
}

func BenchmarkPut4K(b *testing.B) {
	h, _ := openBench(b)
	body := make([]byte, 4096)
	requests := make([]*http.Request, 1000)
	for i := range requests {
		requests[i] = signed("PUT", fmt.Sprintf("/bench/k%d", i), body)
	}
	b.ReportAllocs()
	b.SetParallelism(32)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := *requests[n.Add(1)%1000]
			r.Body = io.NopCloser(bytes.NewReader(body))
			w := &sink{h: http.Header{}}
			h.ServeHTTP(w, &r)
			if w.status != 200 {
				b.Errorf("status %d", w.status)
				return
			}
		}
	})
}

func BenchmarkList1000(b *testing.B) {
	h, s := openBench(b)
	for i := range 1000 {
		if _, err := s.Put(b.Context(), stele.PutRequest{By: stele.Local(), Bucket: "bench", Key: fmt.Sprintf("k%04d", i), Body: bytes.NewReader(nil), Size: 0}); err != nil {
			b.Fatal(err)
		}
	}
	r := signed("GET", "/bench?list-type=2&max-keys=1000", nil)
	b.ReportAllocs()
	for b.Loop() {
		w := &sink{h: http.Header{}}
		h.ServeHTTP(w, r)
		if w.status != 200 {
			b.Fatalf("status %d", w.status)
		}
	}
}
