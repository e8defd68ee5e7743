package storetest

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
)

// NewMem makes a store in memory, which is faster and has a disk without end.
func NewMem(t testing.TB, opt stele.Options) *stele.Store {
	t.Helper()
	if opt.FS == nil {
		opt.FS = vfs.NewMem()
	}
	opt.Kit = "kit.txt"
	s, err := stele.Create(ctx, "data", opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// MakeBucket makes a bucket, with object lock and in a state of versioning.
func MakeBucket(t testing.TB, s *stele.Store, name string, lock bool, to stele.Versioning) {
	t.Helper()
	_, err := s.CreateBucket(ctx, stele.Local(), name, lock)
	if err == nil && to != stele.Unversioned {
		_, err = s.SetVersioning(ctx, stele.Local(), name, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Full says that tests take no short cuts: .ci/full sets it.
var Full = os.Getenv("STELE_FULL") != ""

// Folder is where the stores of a file system in memory lie.
const Folder = "data"

// Options are those of a store with small files, so that a short history has several of each kind.
func (w *Client) Options(fs vfs.FS) stele.Options {
	return stele.Options{FS: fs, Clock: w.Clock, SegmentBytes: 6 << 10, PackBytes: 96 << 10, Kit: "kit.txt"}
}

// Template makes an empty store and returns its files, so that a scenario need not make keys a thousand times.
func Template(t testing.TB) map[string][]byte {
	t.Helper()
	fs := vfs.NewMem()
	s, err := stele.Create(ctx, Folder, NewClient().Options(fs))
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return ReadFiles(t, fs, "")
}

// MustClose closes a store and fails the test if that failed.
func MustClose(t testing.TB, s *stele.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Cancelled is a context that has ended.
func Cancelled() (context.Context, context.CancelFunc) {
	c, cancel := context.WithCancel(ctx)
	cancel()
	return c, cancel
}

var ctx = context.Background()

// New makes a store in a folder of the test's own, which is closed at its end.
func New(t testing.TB, opt stele.Options) *stele.Store {
	t.Helper()
	s, err := stele.Create(ctx, filepath.Join(t.TempDir(), "data"), opt)
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

// Put puts an object as the command line.
func Put(t testing.TB, s *stele.Store, bucket, key string, body []byte) stele.Version {
	t.Helper()
	v, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: bucket, Key: key, Body: bytes.NewReader(body), Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Read reads an object's bytes.
func Read(t testing.TB, s *stele.Store, at stele.Place) []byte {
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

// BeginUpload begins a multipart upload to bucket books.
func BeginUpload(t *testing.T, s *stele.Store, key string) stele.Upload {
	t.Helper()
	u, err := s.Multipart().Create(ctx, stele.Local(), stele.Upload{Bucket: "books", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// PutPart uploads a part of it.
func PutPart(t *testing.T, s *stele.Store, u stele.Upload, n int, body []byte) stele.Part {
	t.Helper()
	p, err := s.Multipart().PutPart(ctx, stele.PartRequest{By: stele.Local(), Bucket: u.Bucket, Key: u.Key, Upload: u.ID, Number: n, Body: bytes.NewReader(body), Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
