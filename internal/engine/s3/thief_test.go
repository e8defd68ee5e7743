package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"

	"stele/internal/engine"
)

// thief holds every right but those of time: he writes over each object and puts delete markers over it.
type thief struct {
	*testing.T
	s      *server
	bucket string
}

func (th *thief) junk(name, text string) {
	th.Helper()
	if _, err := th.s.admin.PutObject(th.Context(), th.bucket, "copies/a/"+name, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{}); err != nil {
		th.Fatal(err)
	}
}

func (th *thief) hide(name string) {
	th.Helper()
	if err := th.s.admin.RemoveObject(th.Context(), th.bucket, "copies/a/"+name, minio.RemoveObjectOptions{}); err != nil {
		th.Fatal(err)
	}
}

// testThief: on a versioned bucket junk and delete markers over every object change nothing in what is listed, read and created.
func testThief(t *testing.T, s *server, k kind) {
	bucket := s.bucket(t, k)
	e, _ := probed(t, s.options(bucket))
	files := map[string][]byte{}
	for i := range 6 {
		name := fmt.Sprintf("%sf%d", engine.Folders()[i], i)
		files[name] = content(1000*i + 1)
		if err := e.Create(t.Context(), name, int64(len(files[name])), bytes.NewReader(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	th := &thief{t, s, bucket}
	i := 0
	for name := range files { // each in its own way
		switch i++; i % 4 {
		case 0:
			th.junk(name, "your files are encrypted")
		case 1:
			th.hide(name)
		case 2:
			th.junk(name, "")
			th.hide(name)
		case 3:
			th.hide(name)
			th.junk(name, "pay up")
			th.hide(name)
		}
	}
	before := s.objects(t, bucket)
	for name, want := range files {
		s.wantFile(t, bucket, name, want)
		if err := e.Create(t.Context(), name, 5, strings.NewReader("other")); !errors.Is(err, engine.ErrExist) {
			t.Errorf("Create of the buried %s = %v, want ErrExist", name, err)
		}
		s.wantFile(t, bucket, name, want)
	}
	if after := s.objects(t, bucket); after != before {
		t.Errorf("refused Creates left %d versions", after-before)
	}
	for _, folder := range engine.Folders() {
		if err := e.List(t.Context(), folder, func(i engine.Info) error {
			if want, ok := files[i.Name]; !ok || int64(len(want)) != i.SizeBytes {
				t.Errorf("%s is listed with %d bytes, want %d", i.Name, i.SizeBytes, len(want))
			}
			delete(files, i.Name)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) != 0 {
		t.Errorf("not listed: %d of 6", len(files))
	}
	if err := e.Remove(t.Context(), "packs/f2"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Open(t.Context(), "packs/f2"); !errors.Is(err, engine.ErrNotExist) {
		t.Errorf("Open of what was removed from under junk = %v", err)
	}
	for o := range s.admin.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: "copies/a/packs/", Recursive: true, WithVersions: true}) {
		t.Errorf("Remove left %s %s (marker: %t)", o.Key, o.VersionID, o.IsDeleteMarker)
	}
}

// TestBuriedDeep: the file is found under more junk than a page of the listing holds, among neighbours whose names begin alike.
func TestBuriedDeep(t *testing.T) {
	s := steleServer(t)
	bucket := s.bucket(t, versioned)
	e := unprobed(t, s.options(bucket))
	want := []string{"packs/0", "packs/0-1", "packs/0.pack", "packs/00", "packs/1"}
	for _, name := range want {
		if err := e.Create(t.Context(), name, 4, strings.NewReader("true")); err != nil {
			t.Fatal(err)
		}
	}
	th := &thief{t, s, bucket}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 70 {
				if th.junk("packs/0.pack", "false"); i == 0 {
					th.hide(want[w%len(want)])
				}
			}
		})
	}
	wg.Wait()
	for _, name := range want {
		s.wantFile(t, bucket, name, []byte("true"))
	}
	var got []string
	if err := e.List(t.Context(), engine.Packs, func(i engine.Info) error {
		if got = append(got, i.Name); i.SizeBytes != 4 {
			t.Errorf("%s has %d bytes", i.Name, i.SizeBytes)
		}
		return nil
	}); err != nil || !slices.Equal(got, want) {
		t.Errorf("listed %v, %v; want %v", got, err, want)
	}
}

// TestOpenStays: an open file goes on showing its version, whatever is put over it, and after its context ended.
func TestOpenStays(t *testing.T) {
	s := steleServer(t)
	bucket := s.bucket(t, versioned)
	e := unprobed(t, s.options(bucket))
	want := content(9000)
	if err := e.Create(t.Context(), "packs/p", 9000, bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, e, "packs/p")
	(&thief{t, s, bucket}).junk("packs/p", strings.Repeat("x", 9000))
	if got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size())); err != nil || !bytes.Equal(got, want) {
		t.Errorf("an open file shows what was put over it (%v)", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("a closed file is read")
	}
}
