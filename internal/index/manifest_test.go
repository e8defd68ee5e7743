package index

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele/entry"
)

// TestManifestCannotBeWritten fails each write of the manifest in turn, of an index that flushes and compacts. What was applied is read as before, Apply and Close say what
// happened, and the next Open finds an index that is whole. With -race, Pebble also checks its own lists of tables, and ended the process when the failure was passed on to it.
func TestManifestCannotBeWritten(t *testing.T) {
	for fault := 0; ; fault += 1 + fault/8 {
		mem := vfs.NewMem()
		armed, seen := false, 0
		inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
			base := mem.PathBase(op.Path)
			if !armed || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.HasPrefix(base, "MANIFEST-") && !strings.HasPrefix(base, "marker.manifest.") {
				return nil
			}
			if seen++; seen <= fault {
				return nil
			}
			return syscall.ENOSPC
		})
		db, err := Open("index", Options{FS: errorfs.Wrap(mem, inject), CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		armed = true
		applied := 0
		for ; applied < 60 && db.Failed() == nil; applied++ {
			e := entry.Entry{Index: uint64(applied), Time: time.Unix(1, 0).UTC(), Type: entry.ConfigSet, Private: entry.Private{Name: fmt.Sprint("n", applied), Value: "v"}}
			if err := db.Apply([]entry.Entry{e}); err != nil {
				break
			}
			if err := db.flushAll(); err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		}
		failed := db.Failed()
		if failed == nil {
			if err := db.Close(); errors.Is(err, syscall.ENOSPC) {
				continue // it was closed beside the compaction that met it
			} else if err != nil {
				t.Fatal(err)
			}
			if fault < 20 {
				t.Fatalf("only %d writes of the manifest", seen)
			}
			return
		}
		if !errors.Is(failed, syscall.ENOSPC) {
			t.Fatal(failed)
		}
		e := entry.Entry{Index: uint64(applied), Time: time.Unix(1, 0).UTC(), Type: entry.ConfigSet, Private: entry.Private{Name: "late", Value: "v"}}
		if err := db.Apply([]entry.Entry{e}); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("fault %d: applied: %v", fault, err)
		}
		check := func(db *DB, size int) {
			t.Helper()
			for i := range size {
				if v, ok, err := db.Reader().Config(fmt.Sprint("n", i)); err != nil || !ok || v.Value != "v" {
					t.Fatalf("fault %d: row %d of %d: %+v, %v", fault, i, size, v, err)
				}
			}
		}
		check(db, applied)
		if err := db.Close(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("fault %d: closed: %v", fault, err)
		}
		armed = false
		db, err = Open("index", Options{FS: mem, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatalf("fault %d: %v", fault, err)
		}
		check(db, int(db.Size()))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManifestGoesNowhere: a new manifest that can't even be made is written nowhere, and nobody waits for it. Pebble begins one after 128 MiB of the last.
func TestManifestGoesNowhere(t *testing.T) {
	mem := vfs.NewMem()
	g := newGate(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate {
			return syscall.ENOSPC
		}
		return nil
	})), "")
	g.serving.Store(true)
	for _, name := range []string{"MANIFEST-000007", "marker.manifest.000002.MANIFEST-000007"} {
		f, err := g.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		f.Fd() // a wrapper of the file asks for it
		if n, err := f.Write([]byte("edit")); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := mem.List(""); err != nil || len(names) != 0 || !errors.Is(g.failed(), syscall.ENOSPC) {
		t.Fatal(names, err, g.failed())
	}
}

// TestCheckpointThatFails: a manifest of a checkpoint that can't be written is an error of the checkpoint. The index goes on.
func TestCheckpointThatFails(t *testing.T) {
	mem, armed := vfs.NewMem(), false
	db, err := Open("index", Options{CacheBytes: 1 << 20, FS: errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && mem.PathDir(op.Path) == "shot" && strings.HasPrefix(mem.PathBase(op.Path), "MANIFEST-") {
			return syscall.ENOSPC
		}
		return nil
	}))})
	if err != nil {
		t.Fatal(err)
	}
	armed = true
	if _, err := db.Checkpoint("shot"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the checkpoint: %v", err)
	}
	e := entry.Entry{Time: time.Unix(1, 0).UTC(), Type: entry.ConfigSet, Private: entry.Private{Name: "n", Value: "v"}}
	if err := errors.Join(db.Failed(), db.Apply([]entry.Entry{e}), db.flushAll(), db.Close()); err != nil {
		t.Errorf("the index: %v", err)
	}
}
