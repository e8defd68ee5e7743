package stele_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"stele"
	"stele/verify"
)

// openExample makes a store with a bucket in a temporary folder.
func openExample(ctx context.Context) (s *stele.Store, end func()) {
	folder, err := os.MkdirTemp("", "stele-example-")
	if err != nil {
		log.Fatal(err)
	}
	s, _, err = stele.OpenOrCreate(ctx, filepath.Join(folder, "data"), stele.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "photos", false); err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := s.Close(); err != nil {
			log.Fatal(err)
		}
		os.RemoveAll(folder)
	}
}

func put(ctx context.Context, s *stele.Store, text string) stele.Version {
	v, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "photos", Key: "cat", Body: strings.NewReader(text), Size: int64(len(text))})
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func get(ctx context.Context, s *stele.Store, at stele.Place) string {
	v, err := s.Head(ctx, at)
	if err != nil {
		log.Fatal(err)
	}
	r, err := s.OpenBody(ctx, v, 0, -1)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	return string(b)
}

// A put is acknowledged when its entry is durable.
func ExampleStore_Put() {
	ctx := context.Background()
	s, end := openExample(ctx)
	defer end()

	v, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "photos", Key: "cat", Body: strings.NewReader("meow"), Size: 4})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Size, "bytes, entry", v.Entry)
	// Output: 4 bytes, entry 2
}

// Head finds the version, OpenBody reads its bytes, or a part of them; every chunk is authenticated.
func ExampleStore_OpenBody() {
	ctx := context.Background()
	s, end := openExample(ctx)
	defer end()
	put(ctx, s, "meow")

	v, err := s.Head(ctx, stele.Place{Bucket: "photos", Key: "cat"})
	if err != nil {
		log.Fatal(err)
	}
	r, err := s.OpenBody(ctx, v, 1, 3)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	fmt.Println(string(b), err)
	// Output: eow <nil>
}

// A view is the store as of a ledger size: the past is read like the present.
func ExampleView() {
	ctx := context.Background()
	s, end := openExample(ctx)
	defer end()
	put(ctx, s, "meow")
	before := stele.View{Size: s.Ledger().Size()}
	put(ctx, s, "woof")

	fmt.Println("now:", get(ctx, s, stele.Place{Bucket: "photos", Key: "cat"}))
	fmt.Println("then:", get(ctx, s, stele.Place{Bucket: "photos", Key: "cat", At: before}))
	// Output:
	// now: woof
	// then: meow
}

// A receipt proves to a stranger, offline, that the ledger has an entry for these bytes.
func ExampleLedger_Receipt() {
	ctx := context.Background()
	s, end := openExample(ctx)
	defer end()
	v := put(ctx, s, "meow")

	receipt, err := s.Ledger().Receipt(ctx, v.Entry)
	if err != nil {
		log.Fatal(err)
	}
	// The stranger has the receipt, the file, and the store's public key from somewhere else.
	report, err := verify.Receipt(receipt, s.Ledger().VKey(), strings.NewReader("meow"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("entry", report.Entry.Index, "proves", report.Size, "bytes of", report.Entry.Private.Key)
	_, err = verify.Receipt(receipt, s.Ledger().VKey(), strings.NewReader("woof"))
	fmt.Println("other bytes are refused:", err != nil)
	// Output:
	// entry 2 proves 4 bytes of cat
	// other bytes are refused: true
}
