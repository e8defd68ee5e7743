package main

import (
	"path/filepath"
	"strings"
	"testing"

	"stele"
	"stele/internal/node"
)

// TestEachChange: a history of several pages is told whole, newest first, each change once.
func TestEachChange(t *testing.T) {
	dir := t.TempDir()
	s, err := node.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.CreateBucket(t.Context(), stele.Local(), "books", false); err != nil {
		t.Fatal(err)
	}
	want := []uint64{}
	for range 2*historyPage + 3 {
		v, err := s.Put(t.Context(), stele.PutRequest{By: stele.Local(), Bucket: "books", Key: "k", Body: strings.NewReader("x"), Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, v.Entry)
	}
	err = eachChange(t.Context(), s, "books", "k", func(h *stele.Change) error {
		if n := len(want); n == 0 || h.Entry != want[n-1] {
			t.Fatalf("change of entry %d, %d are left", h.Entry, n)
		}
		want = want[:len(want)-1]
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Fatalf("%d changes were not told: %v", len(want), err)
	}
}
