package stele

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"stele/entry"
	"stele/verify"
)

var ctx = context.Background()

func newTestStore(t testing.TB, opt Options) *Store {
	t.Helper()
	s, err := Create(ctx, filepath.Join(t.TempDir(), "data"), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t testing.TB, s *Store, bucket, key string, body []byte) Version {
	t.Helper()
	v, err := s.Put(ctx, PutRequest{By: Local(), Bucket: bucket, Key: key, Body: bytes.NewReader(body), Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func read(t testing.TB, s *Store, at Place) []byte {
	t.Helper()
	v, err := s.Head(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.OpenBody(ctx, v, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPutGetHideProveReopen(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	s, err := Create(ctx, folder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, Local(), "books", false); err != nil {
		t.Fatal(err)
	}
	one := put(t, s, "books", "a/one", []byte("the first"))
	put(t, s, "books", "a/one", []byte("the second"))
	if got := read(t, s, Place{Bucket: "books", Key: "a/one"}); string(got) != "the second" {
		t.Fatalf("read %q", got)
	}
	if got := read(t, s, Place{Bucket: "books", Key: "a/one", At: View{one.Entry + 1}}); string(got) != "the first" {
		t.Fatalf("in the past: %q", got)
	}
	if _, err := s.Hide(ctx, HideRequest{By: Local(), Bucket: "books", Key: "a/one"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(ctx, Place{Bucket: "books", Key: "a/one"}); !errors.Is(err, ErrNoKey) {
		t.Fatalf("hidden: %v", err)
	}
	receipt, err := s.Receipt(ctx, one.Entry)
	if err != nil {
		t.Fatal(err)
	}
	report, err := verify.Receipt(receipt, s.VKey(), bytes.NewReader([]byte("the first")))
	if err != nil || report.SHA256 != entry.Hash(sha256.Sum256([]byte("the first"))) {
		t.Fatalf("%+v %v", report, err)
	}
	if _, err := verify.Receipt(receipt, s.VKey(), bytes.NewReader([]byte("the fi1st"))); !errors.Is(err, verify.ErrFailed) {
		t.Fatalf("another file: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, err = Open(ctx, folder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	history, err := allChanges(s, "books", "a/one")
	if err != nil || len(history) != 3 {
		t.Fatalf("%d changes, %v", len(history), err)
	}
	if got := read(t, s, Place{Bucket: "books", Key: "a/one", At: View{one.Entry + 1}}); string(got) != "the first" {
		t.Fatalf("in the past, reopened: %q", got)
	}
	for _, deep := range []bool{false, true} {
		r, err := s.Verify(ctx, VerifyOptions{By: Local(), Deep: deep})
		if err != nil || !r.OK() {
			t.Fatalf("deep %v: %+v %v", deep, r, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, folder, Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Verify(ctx, VerifyOptions{Deep: true}); err != nil || !r.OK() || r.Bodies != 2 {
		t.Fatalf("%+v %v", r, err)
	}
}
