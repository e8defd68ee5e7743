package stele_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/storetest"
	"stele/verify"
)

func TestPutGetHideProveReopen(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	s, err := stele.Create(ctx, folder, stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "books", false); err != nil {
		t.Fatal(err)
	}
	one := storetest.Put(t, s, "books", "a/one", []byte("the first"))
	storetest.Put(t, s, "books", "a/one", []byte("the second"))
	if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a/one"}); string(got) != "the second" {
		t.Fatalf("read %q", got)
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a/one", At: stele.View{Size: one.Entry + 1}}); string(got) != "the first" {
		t.Fatalf("in the past: %q", got)
	}
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a/one"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(ctx, stele.Place{Bucket: "books", Key: "a/one"}); !errors.Is(err, stele.ErrNoKey) {
		t.Fatalf("hidden: %v", err)
	}
	receipt, err := s.Ledger().Receipt(ctx, one.Entry)
	if err != nil {
		t.Fatal(err)
	}
	report, err := verify.Receipt(receipt, s.Ledger().VKey(), bytes.NewReader([]byte("the first")))
	if err != nil || report.SHA256 != entry.Hash(sha256.Sum256([]byte("the first"))) {
		t.Fatalf("%+v %v", report, err)
	}
	if _, err := verify.Receipt(receipt, s.Ledger().VKey(), bytes.NewReader([]byte("the fi1st"))); !errors.Is(err, verify.ErrFailed) {
		t.Fatalf("another file: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, err = stele.Open(ctx, folder, stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	history, err := storetest.AllChanges(s, "books", "a/one")
	if err != nil || len(history) != 3 {
		t.Fatalf("%d changes, %v", len(history), err)
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a/one", At: stele.View{Size: one.Entry + 1}}); string(got) != "the first" {
		t.Fatalf("in the past, reopened: %q", got)
	}
	for _, deep := range []bool{false, true} {
		r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: deep})
		if err != nil || !r.OK() {
			t.Fatalf("deep %v: %+v %v", deep, r, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, folder, stele.Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Verify(ctx, stele.VerifyOptions{Deep: true}); err != nil || !r.OK() || r.Bodies != 2 {
		t.Fatalf("%+v %v", r, err)
	}
}
