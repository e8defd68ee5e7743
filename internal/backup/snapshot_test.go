package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/snapshot"
	"stele/internal/storetest"
)

func findSnapshot(t *testing.T, s *stele.Store, target *mem.Mem) *snapshot.Snapshot {
	t.Helper()
	found, err := snapshot.Find(ctx, target, s.Rooms().Backups.SnapshotOptions())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestSnapshotIndex: a snapshot is the index as it was, its entry names it, the next one ships what is new, and a target that fails keeps no other from its own.
func TestSnapshotIndex(t *testing.T) {
	s := storetest.New(t, stele.Options{FS: vfs.NewMem()})
	if _, err := s.CreateBucket(ctx, stele.Local(), "bbb", false); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		storetest.Put(t, s, "bbb", fmt.Sprint("k", i), []byte(fmt.Sprint(i)))
	}
	target, full := mem.New(), mem.New()
	full.Limit(100)
	done, err := s.Rooms().Backups.SnapshotIndex(ctx, target, full)
	if err == nil || done.Entry == 0 || done.Size < 200 {
		t.Fatalf("%+v, %v", done, err)
	}
	found := findSnapshot(t, s, target)
	if found == nil || found.Size != done.Size {
		t.Fatalf("found %+v", found)
	}
	if none := findSnapshot(t, s, full); none != nil {
		t.Fatal("found on a target that had no room")
	}
	e, _, _, err := s.Rooms().Core.Ledger().Entry(ctx, done.Entry)
	if err != nil || e.Type != entry.BackupIndex || e.Private.Target != done.Size {
		t.Fatalf("%+v, %v", e, err)
	}
	storetest.Put(t, s, "bbb", "more", []byte("x"))
	again, err := s.Rooms().Backups.SnapshotIndex(ctx, target)
	if err != nil || again.Size <= done.Size || again.ShippedBytes >= done.ShippedBytes {
		t.Fatalf("%+v after %+v: %v", again, done, err)
	}
	if names, _ := s.Rooms().Core.FS.List(s.Rooms().Core.Dir()); slices.Contains(names, core.DirCheckpoint) {
		t.Fatal("the checkpoint is still there")
	}
}

// TestSnapshotIsSealed: no name and no secret leaves the machine in the clear.
func TestSnapshotIsSealed(t *testing.T) {
	s := storetest.New(t, stele.Options{FS: vfs.NewMem()})
	if _, err := s.CreateBucket(ctx, stele.Local(), "secretbucketname", false); err != nil {
		t.Fatal(err)
	}
	target := mem.New()
	if _, err := s.Rooms().Backups.SnapshotIndex(ctx, target); err != nil {
		t.Fatal(err)
	}
	found := findSnapshot(t, s, target)
	inside := false
	for name := range found.Sizes() {
		r, err := found.Whole(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		inside = inside || holds(b, "secretbucketname")
	}
	if !inside {
		t.Fatal("the name is not in the index: the test sees nothing")
	}
	for _, b := range enginesFiles(t, target) {
		if holds(b, "secretbucketname") {
			t.Fatal("a name lies on the target in the clear")
		}
	}
}

// TestSnapshotDue: after so many entries, and not again right after one was taken.
func TestSnapshotDue(t *testing.T) {
	s := storetest.New(t, stele.Options{FS: vfs.NewMem()})
	due := func() bool {
		t.Helper()
		last, err := s.Rooms().Backups.LastSnapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s.Rooms().Backups.Outgrown(last.Size)
	}
	if due() {
		t.Fatal("due in an empty store")
	}
	s.Rooms().Backups.Snapshots.Every = 20
	if _, err := s.CreateBucket(ctx, stele.Local(), "bbb", false); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		storetest.Put(t, s, "bbb", fmt.Sprint(i), nil)
	}
	if !due() {
		t.Fatal("not due")
	}
	if _, err := s.Rooms().Backups.SnapshotIndex(ctx, mem.New()); err != nil {
		t.Fatal(err)
	}
	if due() {
		t.Fatal("due again")
	}
}

// TestEveryTargetGetsASnapshot: one that is added when the last snapshot is fresh gets one of its own, and nothing more is taken once all have theirs.
func TestEveryTargetGetsASnapshot(t *testing.T) {
	s := storetest.New(t, stele.Options{OpenTarget: storetest.DirTargets, Clock: storetest.NewClock()})
	taken := make(chan struct{}, 100)
	s.Rooms().Backups.Snapshots.Every, s.Rooms().Backups.Snapshots.Taken = 20, func() { taken <- struct{}{} }
	if _, err := s.CreateBucket(ctx, stele.Local(), "bbb", false); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		storetest.Put(t, s, "bbb", fmt.Sprint(i), nil)
	}
	for _, name := range []string{"first", "second"} {
		at := filepath.Join(t.TempDir(), name)
		if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: name, URL: "dir://" + at}); err != nil {
			t.Fatal(err)
		}
		if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
			t.Fatal(err)
		}
		<-taken // a shipment asks for it
		if lists, err := filepath.Glob(filepath.Join(at, engine.Snapshots, "*.idx")); err != nil || len(lists) != 1 {
			t.Fatalf("target %s has the snapshots %v, %v", name, lists, err)
		}
	}
	// A target that is listed anew is shipped to once more, and that asks for a snapshot too: what was asked for is done first.
	for s.Rooms().Backups.Shippers.Snapshotting.Load() {
		runtime.Gosched()
	}
	if err := errors.Join(s.Rooms().Backups.FlushTargets(ctx), s.Rooms().Backups.SnapshotTargets(ctx)); err != nil {
		t.Fatal(err)
	}
	size := s.Ledger().Size()
	for range 5 {
		if err := errors.Join(s.Rooms().Backups.FlushTargets(ctx), s.Rooms().Backups.SnapshotTargets(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	if s.Ledger().Size() != size {
		t.Errorf("%d entries more although every target has its snapshot", s.Ledger().Size()-size)
	}
}

func holds(b []byte, text string) bool { return bytes.Contains(b, []byte(text)) }

func enginesFiles(t *testing.T, e *mem.Mem) (all [][]byte) {
	t.Helper()
	for _, folder := range engine.Folders() {
		err := e.List(ctx, folder, func(i engine.Info) error {
			f, err := e.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			all = append(all, b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestSnapshotOnTarget: a target is known by the newest snapshot that is whole there, whichever the newest of all is; one that lost a pack of it needs another.
func TestSnapshotOnTarget(t *testing.T) {
	s := storetest.New(t, stele.Options{Clock: storetest.NewClock()})
	if _, err := s.CreateBucket(ctx, stele.Local(), "bbb", false); err != nil {
		t.Fatal(err)
	}
	first, second := mem.New(), mem.New()
	if _, err := s.Rooms().Backups.SnapshotIndex(ctx, first); err != nil {
		t.Fatal(err)
	}
	size := s.Rooms().Backups.SnapshotOn(ctx, first)
	if size == 0 || s.Rooms().Backups.SnapshotOn(ctx, second) != 0 {
		t.Fatalf("the first target has %d, the second %d", size, s.Rooms().Backups.SnapshotOn(ctx, second))
	}
	storetest.Put(t, s, "bbb", "key", nil)
	if _, err := s.Rooms().Backups.SnapshotIndex(ctx, second); err != nil {
		t.Fatal(err)
	}
	if got := s.Rooms().Backups.SnapshotOn(ctx, first); got != size {
		t.Errorf("the first target has %d, want %d: the newest snapshot is on the second", got, size)
	}
	if s.Rooms().Backups.SnapshotOn(ctx, second) <= size {
		t.Error("the second target has the older snapshot")
	}
	var packs []string
	if err := first.List(ctx, engine.Snapshots, func(i engine.Info) error {
		if strings.HasSuffix(i.Name, ".pack") {
			packs = append(packs, i.Name)
		}
		return nil
	}); err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	if err := first.Remove(ctx, packs[0]); err != nil {
		t.Fatal(err)
	}
	if got := s.Rooms().Backups.SnapshotOn(ctx, first); got != 0 {
		t.Errorf("%s is gone, and the snapshot of %d entries counts", packs[0], got)
	}
}
