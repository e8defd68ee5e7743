package s3_test

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkCreate is a file of a pack's size and one of a tail's, to Stele on loopback, on a versioned bucket.
func BenchmarkCreate(b *testing.B) {
	s := steleServer(b)
	for _, size := range []int{16 << 10, 64 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			e := s.open(b, versioned)
			want := content(size)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				if err := e.Create(b.Context(), fmt.Sprintf("packs/%d", i), int64(size), bytes.NewReader(want)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadAt is a chunk and a large range.
func BenchmarkReadAt(b *testing.B) {
	s := steleServer(b)
	e := s.open(b, versioned)
	want := content(64 << 20)
	if err := e.Create(b.Context(), "packs/p", int64(len(want)), bytes.NewReader(want)); err != nil {
		b.Fatal(err)
	}
	f, err := e.Open(b.Context(), "packs/p")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			p := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := f.ReadAt(p, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
