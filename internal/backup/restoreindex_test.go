package backup_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/index"
	"stele/internal/storetest"
)

// restored restores a backup into a file system of its own and returns the ledger size of the index that came along; 0: none did.
func restored(t *testing.T, x *storetest.BackedUp, target engine.Engine) (vfs.FS, uint64) {
	t.Helper()
	fsys := vfs.NewMem()
	if _, err := stele.RestoreFolder(ctx, storetest.Folder, stele.RestoreOptions{Options: x.Options(fsys), Target: target, Name: "backup"}); err != nil {
		t.Fatal(err)
	}
	at := fsys.PathJoin(storetest.Folder, core.DirIndex)
	if _, err := fsys.Stat(at); core.IsNotExist(err) {
		return fsys, 0
	}
	db, err := index.Open(at, index.Options{FS: fsys, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	size := db.Size()
	return fsys, errorsOr(t, size, db.Close())
}

func errorsOr(t *testing.T, size uint64, err error) uint64 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// shows compares what a restored folder shows with what the store showed, before and after a promotion.
func shows(t *testing.T, x *storetest.BackedUp, what string, fsys vfs.FS) {
	t.Helper()
	for _, promoted := range []bool{false, true} {
		if promoted {
			if _, err := stele.Promote(ctx, storetest.Folder, stele.PromoteOptions{Options: x.Options(fsys)}); err != nil {
				t.Fatalf("%s: Promote = %v", what, err)
			}
		}
		opt := x.Options(fsys)
		opt.ReadOnly = !promoted
		s, err := stele.Open(ctx, storetest.Folder, opt)
		if err != nil {
			t.Fatalf("%s: Open = %v", what, err)
		}
		for i, at := range x.At {
			if got, err := storetest.Show(s, at); err != nil || got != x.Shown[i] {
				t.Errorf("%s, promoted=%t: at %v it shows other things than the store did, %v", what, promoted, at, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestoreIndex: a restored folder has the index of the newest snapshot, and shows the same with it as without; a spoiled snapshot is left alone, and is no error.
func TestRestoreIndex(t *testing.T) {
	x := storetest.NewBackedUp(t)
	of := x.Snapshot
	fsys, size := restored(t, x, x.Target)
	if size != of {
		t.Errorf("the index that came along is of size %d, the snapshot's is %d", size, of)
	}
	shows(t, x, "with the snapshot", fsys)

	none := spoiled(t, x.Target, func(name string, b []byte) []byte {
		if strings.HasPrefix(name, engine.Snapshots) {
			return nil
		}
		return b
	})
	if fsys, size = restored(t, x, none); size != 0 {
		t.Errorf("an index of size %d came from a target without one", size)
	}
	shows(t, x, "without a snapshot", fsys)

	var at int
	for at = range 64 { // one byte of each of its files in turn
		n := -1
		bad := spoiled(t, x.Target, func(name string, b []byte) []byte {
			if strings.HasPrefix(name, engine.Snapshots) {
				if n++; n == at {
					b[len(b)/2] ^= 1
				}
			}
			return b
		})
		if n < at {
			break
		}
		if fsys, size = restored(t, x, bad); size != 0 && size != of {
			t.Errorf("with file %d of the snapshot spoiled an index of size %d came", at, size)
		}
		if at == 0 {
			shows(t, x, "with a spoiled snapshot", fsys)
		} else if size != 0 {
			shows(t, x, "with a spot that nobody reads", fsys)
		}
	}
	if at < 4 {
		t.Errorf("only %d files were spoiled", at)
	}
}

// spoiled is a copy of a target in which change has its way with each file; nil leaves it out.
func spoiled(t *testing.T, from engine.Engine, change func(name string, b []byte) []byte) engine.Engine {
	t.Helper()
	to := mem.New()
	for _, folder := range []string{engine.Keyrings, engine.Meta, engine.Packs, engine.Segments, engine.Snapshots, engine.Tails} {
		err := from.List(ctx, folder, func(i engine.Info) error {
			f, err := from.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			b, err := io.ReadAll(io.NewSectionReader(f, 0, i.SizeBytes))
			if b = change(i.Name, b); b != nil {
				err = errors.Join(err, to.Create(ctx, i.Name, int64(len(b)), bytes.NewReader(b)))
			}
			return errors.Join(err, f.Close())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}
