package care_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/care"
	"stele/internal/storetest"
)

// starved has no file descriptor for one file.
type starved struct {
	vfs.FS
	path atomic.Value // string
}

func (s *starved) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if short, _ := s.path.Load().(string); short != "" && strings.HasSuffix(name, short) {
		return nil, &vfsError{name}
	}
	return s.FS.Open(name, opts...)
}

type vfsError struct{ name string }

func (e *vfsError) Error() string { return "open " + e.name + ": too many open files" }
func (e *vfsError) Unwrap() error { return syscall.EMFILE }

// TestVerifyRunsShort: a verification that can't open one pack for want of a file descriptor, and finds another one damaged, ends with an error, reports the damage alone, and it stays known after a restart.
func TestVerifyRunsShort(t *testing.T) {
	mem := vfs.NewMem()
	opt := stele.Options{FS: mem, Kit: "kit", PackBytes: 16 << 10}
	s, err := stele.Create(ctx, "srv", opt)
	if err != nil {
		t.Fatal(err)
	}
	storetest.MakeBucket(t, s, "bucket", false, stele.Enabled)
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		storetest.Put(t, s, "bucket", key, batteredBytes(uint64(key[0])))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	packs, err := mem.List("srv/packs")
	slices.Sort(packs)
	packs = slices.DeleteFunc(packs, func(n string) bool { return !strings.HasSuffix(n, ".pack") })
	if err != nil || len(packs) < 2 {
		t.Fatal(packs, err)
	}
	flip(t, mem, "srv/packs/"+packs[0])
	fs := &starved{FS: mem}
	opt.FS = fs
	if s, err = stele.Open(ctx, "srv", opt); err != nil {
		t.Fatal(err)
	}
	fs.path.Store(packs[1])
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if !errors.Is(err, syscall.EMFILE) || len(r.Problems) == 0 {
		t.Errorf("verify: %+v %v", r.Problems, err)
	}
	for _, p := range r.Problems {
		if strings.Contains(p.Where+p.What, packs[1]) || strings.Contains(p.What, "open files") {
			t.Errorf("it blames what it could not open: %+v", p)
		}
	}
	fs.path.Store("")
	for _, when := range []string{"at once", "after a restart"} {
		all, err := s.Rooms().Care.Damaged()
		if err != nil || !slices.ContainsFunc(all, func(d care.Damage) bool { return d.File == "packs/"+packs[0] }) || len(all) != 1 {
			t.Errorf("known %s: %+v %v", when, all, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = stele.Open(ctx, "srv", opt); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, mem vfs.FS, path string) {
	t.Helper()
	info, err := mem.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := mem.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	at := info.Size() / 2
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}
