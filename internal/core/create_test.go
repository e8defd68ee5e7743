package core_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/internal/storetest"
)

var ctx = context.Background()

// TestCreateInterrupted stops Create at every write and then starts as a server does: either there is a store, or Open says in what state the folder is and what to do.
func TestCreateInterrupted(t *testing.T) {
	made, told := 0, 0
	for k := 0; ; k++ {
		mem := vfs.NewMem()
		var n atomic.Int64
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || strings.Contains(op.Path, core.DirIndex+"/") {
				return nil
			}
			if n.Add(1) > int64(k) {
				return errors.New("the power went")
			}
			return nil
		}))
		s, err := stele.Create(ctx, "data", stele.Options{FS: fs, Kit: "kit.txt"})
		if err == nil {
			s.Close()
			break
		}
		_, kitless := mem.Stat("kit.txt")
		s, created, err := stele.OpenOrCreate(ctx, "data", stele.Options{FS: mem, Kit: "kit2.txt"})
		switch {
		case err == nil:
			if !created && kitless != nil {
				t.Errorf("write %d: there is a store and no recovery kit", k)
			}
			made++
			s.Close()
		case errors.Is(err, stele.ErrNotStore) && strings.Contains(err.Error(), "interrupted"):
			told++
		default:
			t.Errorf("write %d: %v", k, err)
		}
	}
	if made == 0 || told == 0 {
		t.Errorf("%d times a store was made, %d times it was told that making one was interrupted", made, told)
	}
}

// TestCreateBesideCreate: who waited for the other's Create does not build over it.
func TestCreateBesideCreate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s := core.New(folder, core.Options{})
	if err := s.LockFolder(); err != nil {
		t.Fatal(err)
	}
	if _, err := stele.Create(ctx, folder, stele.Options{}); !errors.Is(err, stele.ErrLocked) {
		t.Errorf("beside another: %v", err)
	}
	if err := s.Unlock(); err != nil {
		t.Fatal(err)
	}
	a, err := stele.Create(ctx, folder, stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := stele.Create(ctx, folder, stele.Options{Kit: filepath.Join(t.TempDir(), "kit")}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("after another: %v", err)
	}
}

// TestOpenSweeps: what a crash left of a file that was being replaced goes at the next start, and nothing else does. The root key from the options is an admin's.
func TestOpenSweeps(t *testing.T) {
	fs := vfs.NewMem()
	storetest.NewMem(t, stele.Options{FS: fs}).Close()
	write := func(name string) {
		f, err := fs.Create("data/"+name, vfs.WriteCategoryUnspecified)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"published.0123456789abcdef.tmp", "root.key.0123456789abcdef.tmp", "mine.tmp", "published.old"} {
		write(name)
	}
	s, err := stele.Open(ctx, "data", stele.Options{FS: fs, Root: &entry.AccessKey{ID: "ROOT", Secret: "secret", Scope: []string{"books"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"published.0123456789abcdef.tmp": false, "root.key.0123456789abcdef.tmp": false, "mine.tmp": true, "published.old": true, "published": true, "root.key": true, "identity": true} {
		if slices.Contains(names, name) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
	if k, err := s.Keys().Get(ctx, "ROOT"); err != nil || k.Role != stele.RoleAdmin || len(k.Scope) != 0 {
		t.Errorf("%+v %v", k, err)
	}
}
