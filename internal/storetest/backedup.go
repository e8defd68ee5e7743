package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/hydrate"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// BackedUp is a target to serve from, and what must be seen there.
type BackedUp struct {
	Target   *mem.Mem
	Identity string   // recovery key
	Shown    []string // by moment: now, and at the size of the snapshot
	At       []stele.View
	Snapshot uint64        // entries in the snapshot
	Gate     chan struct{} // what filling waits for
}

// NewBackedUp makes a store with a rich history on a file system of its own, takes a snapshot of its index in the middle, and copies it to a target as a shipper would.
func NewBackedUp(t testing.TB) *BackedUp {
	t.Helper()
	fsys := vfs.NewMem()
	w := NewClient()
	s, err := stele.Create(ctx, Folder, w.Options(fsys))
	if err != nil {
		t.Fatal(err)
	}
	kit, err := core.ReadFile(fsys, "kit.txt")
	if err != nil {
		t.Fatal(err)
	}
	k, err := keyring.ParseKit(kit)
	if err != nil {
		t.Fatal(err)
	}
	x := &BackedUp{Target: mem.New(), Identity: k.RecoveryIdentity, Gate: OpenGate}
	if err := w.FirstReign(s); err != nil {
		t.Fatal(err)
	}
	snap, err := s.Rooms().Backups.SnapshotIndex(ctx, x.Target)
	if err != nil {
		t.Fatal(err)
	}
	x.At, x.Snapshot = []stele.View{{}, {Size: s.Ledger().Size()}}, snap.Size
	if err := w.SecondReign(s); err != nil {
		t.Fatal(err)
	}
	for _, at := range x.At {
		text, err := Show(s, at)
		if err != nil {
			t.Fatal(err)
		}
		x.Shown = append(x.Shown, text)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	x.CopyFrom(t, fsys)
	return x
}

// CopyFrom ships what a closed store has and the target has not.
func (x *BackedUp) CopyFrom(t testing.TB, fsys vfs.FS) {
	t.Helper()
	CopyStore(t, fsys, Folder, x.Target)
}

// CopyStore copies the files of a closed store to a target, in the order in which a shipper would.
func CopyStore(t testing.TB, fsys vfs.FS, folder string, target engine.Engine) {
	t.Helper()
	d, err := dir.Open(fsys, folder, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{engine.Meta, engine.Keyrings, engine.Packs, engine.Segments} {
		err := d.List(ctx, of, func(i engine.Info) error {
			f, err := d.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			defer f.Close()
			return target.Create(ctx, i.Name, i.SizeBytes, io.NewSectionReader(f, 0, i.SizeBytes))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Options are those of a server that serves from the backup, on a file system.
func (x *BackedUp) Options(fsys vfs.FS) stele.Options {
	return stele.Options{FS: fsys, Identity: x.Identity, Clock: Waiting{ledger.SystemClock{}, x.Once}}
}

// Once lets the folder be filled once the gate is open, and not again after a failure.
func (x *BackedUp) Once(ctx context.Context, d time.Duration) error {
	if d > 0 {
		return errors.New("once is enough in a test")
	}
	select {
	case <-x.Gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// OpenGate is an open gate.
var OpenGate = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Open serves the backup, read from this engine, in a folder on fsys.
func (x *BackedUp) Open(fsys vfs.FS, target engine.Engine) (*stele.Store, error) {
	return stele.OpenFrom(ctx, Folder, hydrate.From{Target: target, Name: "mem:///target"}, x.Options(fsys))
}

// Check compares what a store shows with what the backed up one showed.
func (x *BackedUp) Check(s *stele.Store) error {
	for i, at := range x.At {
		got, err := Show(s, at)
		if err != nil {
			return err
		}
		if got != x.Shown[i] {
			return fmt.Errorf("at %+v it shows\n%s\nnot\n%s", at, got, x.Shown[i])
		}
	}
	return nil
}
