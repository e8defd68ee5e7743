package stele_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/storetest"
)

// everyCall is every method that asks index, ledger or packs, or writes.
func everyCall(s *stele.Store, v stele.Version) map[string]func() error {
	by, at := stele.Local(), stele.Place{Bucket: "books", Key: "a"}
	list := stele.ListRequest{Bucket: "books", Max: 10}
	one := func(_ any, err error) error { return err }
	return map[string]func() error{
		"Put": func() error {
			return one(s.Put(ctx, stele.PutRequest{By: by, Bucket: "books", Key: "a", Body: strings.NewReader("x"), Size: 1}))
		},
		"Copy": func() error {
			return one(s.Copy(ctx, stele.CopyRequest{PutRequest: stele.PutRequest{By: by, Bucket: "books", Key: "b"}, Source: v}))
		},
		"Hide": func() error { return one(s.Hide(ctx, stele.HideRequest{By: by, Bucket: "books", Key: "a"})) },
		"Head": func() error { return one(s.Head(ctx, at)) },
		"Head past": func() error {
			return one(s.Head(ctx, stele.Place{Bucket: "books", Key: "a", At: stele.View{Size: v.Entry + 1}}))
		},
		"Describe": func() error { return s.Describe(ctx, &v) },
		"OpenBody": func() error { return one(s.OpenBody(ctx, v, 0, -1)) },
		"Multipart.PartsOf": func() error {
			return one(s.Multipart().PartsOf(ctx, stele.Version{Body: entry.Body{Kind: entry.BodyParts}}))
		},
		"List":         func() error { return one(s.List(ctx, list)) },
		"ListVersions": func() error { return one(s.ListVersions(ctx, list)) },
		"List past": func() error {
			return one(s.List(ctx, stele.ListRequest{Bucket: "books", Max: 1, At: stele.View{Size: v.Entry + 1}}))
		},
		"History":      func() error { return one(storetest.AllChanges(s, "books", "a")) },
		"Receipt":      func() error { return one(s.Ledger().Receipt(ctx, v.Entry)) },
		"Prove":        func() error { _, _, err := s.Ledger().Prove(ctx, at); return err },
		"Entry":        func() error { return one(s.Ledger().Entry(ctx, v.Entry)) },
		"Log":          func() error { return s.Ledger().Log(ctx, stele.LogQuery{}, func(*entry.Entry) error { return nil }) },
		"CreateBucket": func() error { return one(s.CreateBucket(ctx, by, "other", false)) },
		"DeleteBucket": func() error { return one(s.DeleteBucket(ctx, by, "books")) },
		"SetVersioning": func() error {
			return one(s.SetVersioning(ctx, by, "books", stele.Enabled))
		},
		"SetObjectLock": func() error { return one(s.SetObjectLock(ctx, by, "books", stele.Retention{})) },
		"SetSetting": func() error {
			return one(s.SetSetting(ctx, by, "books", stele.SettingPolicy, strings.Repeat("x", 5<<10)))
		},
		"Bucket":            func() error { return one(s.Bucket(ctx, "books", stele.View{})) },
		"Buckets":           func() error { return one(s.Buckets(ctx, stele.View{})) },
		"SetRetention":      func() error { return one(s.SetRetention(ctx, by, at, "", v.Time)) },
		"SetHold":           func() error { return one(s.SetHold(ctx, by, at, true)) },
		"SetTags":           func() error { return one(s.SetTags(ctx, by, at, nil)) },
		"Keys.Create":       func() error { return one(s.Keys().Create(ctx, by, stele.RoleAdmin, nil, 0)) },
		"Keys.Revoke":       func() error { return one(s.Keys().Revoke(ctx, by, "none")) },
		"Keys.List":         func() error { return one(s.Keys().List(ctx)) },
		"Keys.Get":          func() error { return one(s.Keys().Get(ctx, "none")) },
		"Keys.KitConfirmed": func() error { return one(s.Keys().KitConfirmed()) },
		"Tile":              func() error { return one(s.Ledger().Tile(ctx, 0, 0, 1)) },
		"Bundle":            func() error { return one(s.Ledger().Bundle(ctx, 0, 1)) },
		"Inclusion":         func() error { return one(s.Ledger().Inclusion(ctx, 0, 1)) },
		"Consistency":       func() error { return one(s.Ledger().Consistency(ctx, 1, 2)) },
		"Keys.ShareSets":    func() error { return one(s.Keys().ShareSets()) },
		"Stats":             func() error { return one(s.Stats(ctx)) },
		"Multipart.Create":  func() error { return one(s.Multipart().Create(ctx, by, stele.Upload{Bucket: "books", Key: "a"})) },
		"Multipart.PutPart": func() error {
			return one(s.Multipart().PutPart(ctx, stele.PartRequest{By: by, Bucket: "books", Key: "a", Upload: "u", Number: 1, Size: 0}))
		},
		"Multipart.Get": func() error { return one(s.Multipart().Get(ctx, "books", "a", "u")) },
		"Multipart.Complete": func() error {
			return one(s.Multipart().Complete(ctx, stele.CompleteRequest{By: by, Bucket: "books", Key: "a", Upload: "u"}))
		},
		"Multipart.Abort": func() error { return one(s.Multipart().Abort(ctx, by, "books", "a", "u")) },
		"Multipart.List":  func() error { return one(s.Multipart().List(ctx, list)) },
		"Multipart.Parts": func() error { _, _, _, err := s.Multipart().Parts(ctx, "books", "a", "u", 0, 10); return err },
		"Verify":          func() error { return one(s.Verify(ctx, stele.VerifyOptions{By: by, Deep: true})) },
		"ViewAt":          func() error { return one(s.ViewAt(ctx, "1s")) },
		"ParseBucket":     func() error { _, _, err := s.ParseBucket(ctx, "books--at-pin"); return err },
		"Pin":             func() error { return one(s.Pin(ctx, by, "pin", stele.View{})) },
		"Views":           func() error { return one(s.Views(ctx)) },
	}
}

// TestAfterClose: every call after Close is ErrClosed, and none panics or writes.
func TestAfterClose(t *testing.T) {
	fs := vfs.NewMem()
	s := storetest.NewMem(t, stele.Options{FS: fs})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	v := storetest.Put(t, s, "books", "a", []byte("the first"))
	r, err := s.OpenBody(ctx, v, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	size := s.Ledger().Size()
	for name, call := range everyCall(s, v) {
		if err := call(); !errors.Is(err, stele.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if _, err := io.ReadAll(r); !errors.Is(err, stele.ErrClosed) {
		t.Errorf("reading after Close: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	s.Denied(stele.Local(), "x")
	s.Keys().Used("x")
	_, _, _, _, _ = s.Failed(), s.Ledger().Checkpoint(), s.Ledger().Published(), s.Ledger().VKey(), s.Ledger().Origin()
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	s, err = stele.Open(ctx, "data", stele.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Ledger().Size() < size {
		t.Errorf("size %d, was %d", s.Ledger().Size(), size)
	}
}

// TestCloseDuring: requests on many goroutines while the store is closed end well or are ErrClosed, and what was acknowledged is there.
func TestCloseDuring(t *testing.T) {
	fs := vfs.NewMem()
	s := storetest.NewMem(t, stele.Options{FS: fs})
	storetest.MakeBucket(t, s, "books", false, stele.Enabled)
	big := bytes.Repeat([]byte("0123456789abcdef"), 100<<10)
	v := storetest.Put(t, s, "books", "a", big)
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]bool{}
	going := make(chan struct{}, 64)
	for g := range 4 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				w, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "books", Key: "k", Body: bytes.NewReader(big[:1000*g+i]), Size: int64(1000*g + i)})
				if err != nil {
					if !errors.Is(err, stele.ErrClosed) {
						t.Errorf("put: %v", err)
					}
					return
				}
				mu.Lock()
				acked[w.ID] = true
				mu.Unlock()
				select {
				case going <- struct{}{}:
				default:
				}
			}
		}()
		go func() {
			defer wg.Done()
			for {
				r, err := s.OpenBody(ctx, v, 0, -1)
				if err == nil {
					var n int64
					n, err = r.(io.WriterTo).WriteTo(io.Discard)
					if err == nil && n != v.Size {
						t.Errorf("%d bytes of %d without an error", n, v.Size)
					}
					r.Close()
				}
				if err == nil {
					_, err = s.ListVersions(ctx, stele.ListRequest{Bucket: "books", Max: 5})
				}
				if err != nil {
					if !errors.Is(err, stele.ErrClosed) {
						t.Errorf("read: %v", err)
					}
					return
				}
			}
		}()
	}
	for range 16 {
		<-going
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	s, err := stele.Open(ctx, "data", stele.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for id := range acked {
		if _, err := s.Head(ctx, stele.Place{Bucket: "books", Key: "k", VersionID: id}); err != nil {
			t.Errorf("acknowledged and lost: %v", err)
		}
	}
}

// TestCloseEndsStreams: a body that still streams in does not hold up Close for longer than its next read.
func TestCloseEndsStreams(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	begun := make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "books", Key: "a", Body: &endless{begun: begun}, Size: -1})
		done <- err
	}()
	<-begun
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, stele.ErrClosed) {
		t.Errorf("put: %v", err)
	}
}

type endless struct {
	begun chan struct{}
	once  sync.Once
}

func (e *endless) Read(p []byte) (int, error) {
	e.once.Do(func() { close(e.begun) })
	return len(p), nil
}

// TestCloseIdleReader: a reader that its owner forgot holds nothing up, also if it fetches ahead.
func TestCloseIdleReader(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	v := storetest.Put(t, s, "books", "a", make([]byte, 3<<20))
	r, err := s.OpenBody(ctx, v, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, stele.ErrClosed) {
		t.Errorf("read on: %v", err)
	}
	r.Close()
}

// TestCreateFailsLate: where the recovery kit can't be written nothing goes on in the background, and the message names the kit.
func TestCreateFailsLate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	_, err := stele.Create(context.Background(), folder, stele.Options{Kit: filepath.Join(t.TempDir(), "no", "such", "folder", "kit.txt")})
	if err == nil || !strings.Contains(err.Error(), "kit") {
		t.Fatalf("%v", err)
	}
	s, created, err := stele.OpenOrCreate(context.Background(), folder, stele.Options{})
	if err != nil || !created {
		t.Fatalf("after a bad --kit the folder can't be used: %v", err)
	}
	s.Close()
}
