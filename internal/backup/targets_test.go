package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stele"
	"stele/internal/backup"
	"stele/internal/replicate"
	"stele/internal/storetest"
	"stele/verify"
)

// TestTargets: a store ships to its targets, says how they stand, heals from them, and knows them again at the next start.
func TestTargets(t *testing.T) {
	base := t.TempDir()
	folder, nas := filepath.Join(base, "data"), filepath.Join(base, "nas")
	opt := stele.Options{OpenTarget: storetest.DirTargets, Kit: filepath.Join(base, "kit.txt")}
	s, err := stele.Create(ctx, folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			s.Close()
		}
	}()
	if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "bucket", "one", []byte("first"))
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + nas, SecretKey: "hidden"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + base + "/elsewhere"}); !errors.Is(err, stele.ErrBadState) {
		t.Errorf("a second place for one target = %v", err)
	}
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "no good", URL: "dir://" + nas}); !errors.Is(err, stele.ErrBadName) {
		t.Errorf("a bad name = %v", err)
	}
	storetest.Put(t, s, "bucket", "two", []byte("second"))
	if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	st, err := s.Rooms().Backups.Targets(ctx)
	if err != nil || len(st) != 1 {
		t.Fatal(st, err)
	}
	if st[0].Behind != 0 || st[0].Size != s.Ledger().Size() || !st[0].Connected || st[0].Error != "" || st[0].SecretKey != "" || st[0].Restorable.IsZero() {
		t.Errorf("status = %+v", st[0])
	}
	if got := s.Rooms().Backups.Copies(); len(got) != 1 || got[0].Name != "nas" {
		t.Errorf("Copies() = %v", got)
	}
	old := filepath.Join(base, "old")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closed = true
	storetest.CopyTree(t, folder, old)

	// The next life goes on shipping. What came last is shipped by Close.
	if s, err = stele.Open(ctx, folder, opt); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "bucket", "three", []byte("third"))
	size := s.Ledger().Size()
	if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A store that was rolled back fetches what is missing from the target that has seen it (invariant 5).
	if s, err = stele.Open(ctx, old, opt); err != nil {
		t.Fatal(err)
	}
	if s.Ledger().Size() < size {
		t.Errorf("a store that was rolled back to before %d entries has %d", size, s.Ledger().Size())
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "bucket", Key: "three"}); string(got) != "third" {
		t.Errorf("what it had forgotten reads %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A target that can't be reached holds up nothing.
	dead := opt
	dead.OpenTarget = func(context.Context, stele.TargetSpec) (stele.OpenedTarget, error) {
		return stele.OpenedTarget{}, errors.New("no route")
	}
	if s, err = stele.Open(ctx, folder, dead); err != nil {
		t.Fatal(err)
	}
	if s.Ledger().Size() < size {
		t.Errorf("%d entries, want %d", s.Ledger().Size(), size)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRemoveTarget: the recovery kit removes a target at once, all else waits and can be cancelled.
func TestRemoveTarget(t *testing.T) {
	base := t.TempDir()
	kit := filepath.Join(base, "kit.txt")
	s, err := stele.Create(ctx, filepath.Join(base, "data"), stele.Options{OpenTarget: storetest.DirTargets, Kit: kit})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(base, "nas")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.RemoveTarget(ctx, stele.Local().Who(), "other", nil); !errors.Is(err, stele.ErrNoTarget) {
		t.Errorf("removing what is not there = %v", err)
	}
	thief := stele.Actor{Key: s.Keys().Root().ID, Address: "203.0.113.9"}
	when, err := s.Rooms().Backups.RemoveTarget(ctx, thief.Who(), "nas", nil)
	if err != nil || when.Before(time.Now().Add(29*24*time.Hour)) {
		t.Fatalf("a removal by key goes at %v: %v", when, err)
	}
	again, err := s.Rooms().Backups.RemoveTarget(ctx, thief.Who(), "nas", nil)
	if err != nil || !again.Equal(when) {
		t.Errorf("asking again: %v, %v; want %v", again, err, when)
	}
	if st, err := s.Rooms().Backups.Targets(ctx); err != nil || len(st) != 1 || !st[0].Removing.Equal(when) {
		t.Errorf("Targets() = %+v, %v", st, err)
	}
	if err := s.Rooms().Backups.RemoveDue(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.CancelRemoval(ctx, stele.Local().Who(), "nas"); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Rooms().Backups.Targets(ctx); err != nil || len(st) != 1 || !st[0].Removing.IsZero() {
		t.Errorf("Targets() after a cancel = %+v, %v", st, err)
	}
	text, err := os.ReadFile(kit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.RemoveTarget(ctx, thief.Who(), "nas", text); !errors.Is(err, stele.ErrBadState) {
		t.Errorf("the kit from afar = %v", err)
	}
	if when, err := s.Rooms().Backups.RemoveTarget(ctx, stele.Local().Who(), "nas", text); err != nil || !when.IsZero() {
		t.Errorf("with the kit: %v, %v", when, err)
	}
	if st, err := s.Rooms().Backups.Targets(ctx); err != nil || len(st) != 0 {
		t.Errorf("Targets() = %+v, %v", st, err)
	}
}

// TestForeignTarget: another store's copy is refused before anything is in the ledger.
func TestForeignTarget(t *testing.T) {
	nas := "dir://" + filepath.Join(t.TempDir(), "nas")
	a, b := storetest.New(t, stele.Options{OpenTarget: storetest.DirTargets}), storetest.New(t, stele.Options{OpenTarget: storetest.DirTargets})
	if _, err := a.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: nas}); err != nil {
		t.Fatal(err)
	}
	if err := a.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	size := b.Ledger().Size()
	if _, err := b.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: nas}); !errors.Is(err, replicate.ErrForeign) || b.Ledger().Size() != size {
		t.Errorf("another store's target = %v", err)
	}
}

// TestFailedDrillShipsAgain: a drill of a target that has lost its packs fails, is tried again before the next regular one, and by then the target has got them again.
func TestFailedDrillShipsAgain(t *testing.T) {
	base, clock := t.TempDir(), storetest.NewClock()
	nas := filepath.Join(base, "nas")
	s, err := stele.Create(ctx, filepath.Join(base, "data"), stele.Options{OpenTarget: storetest.DirTargets, Kit: filepath.Join(base, "kit.txt"), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "bucket", "one", []byte(drillText(1)))
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + nas}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Rooms().Core.Body.Flush(ctx), s.Rooms().Backups.FlushTargets(ctx)); err != nil {
		t.Fatal(err)
	}
	const week = 7 * 24 * time.Hour
	drill := func() []verify.Certificate {
		t.Helper()
		done, err := s.Rooms().Backups.DrillDue(ctx, week)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	added := clock.Now().UTC()
	clock.Pass(time.Hour)
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + nas, Offsite: true}); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Rooms().Backups.Targets(ctx); err != nil || !st[0].Offsite || st[0].Added.IsZero() || st[0].Added.After(added) {
		t.Errorf("a target whose settings were changed has another moment at which it was added: %+v, %v; it was before %v", st, err, added)
	}
	if done := drill(); len(done) != 1 || !done[0].OK {
		t.Fatalf("the first drill: %+v", done)
	}
	if err := os.RemoveAll(filepath.Join(nas, "packs")); err != nil {
		t.Fatal(err)
	}
	clock.Pass(week)
	if done := drill(); len(done) != 1 || done[0].OK {
		t.Fatalf("without packs: %+v", done)
	}
	if st, err := s.Rooms().Backups.Targets(ctx); err != nil || st[0].Drill.Since.IsZero() || st[0].Drill.Problem == "" {
		t.Errorf("status = %+v, %v", st, err)
	}
	if done := drill(); len(done) != 0 {
		t.Errorf("tried again at once: %+v", done)
	}
	if err := s.Rooms().Backups.FlushTargets(ctx); err != nil { // behind the listing that the failure asked for
		t.Fatal(err)
	}
	clock.Pass(backup.DrillRetry)
	if done := drill(); len(done) != 1 || !done[0].OK {
		t.Errorf("half an hour later: %+v", done)
	}
	if st, err := s.Rooms().Backups.Targets(ctx); err != nil || !st[0].Drill.Since.IsZero() {
		t.Errorf("status = %+v, %v", st, err)
	}
}

// TestSyncListsTargets: who asks that everything can be restored from a target is told so of what lies there now, also where nothing was written since it was shipped.
func TestSyncListsTargets(t *testing.T) {
	base := t.TempDir()
	nas := filepath.Join(base, "nas")
	s, err := stele.Create(ctx, filepath.Join(base, "data"), stele.Options{OpenTarget: storetest.DirTargets, Kit: filepath.Join(base, "kit.txt"), ListTargets: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	storetest.Put(t, s, "books", "k", []byte("text"))
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + nas}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Rooms().Core.Body.Flush(ctx), s.Rooms().Backups.FlushTargets(ctx)); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(nas, "packs", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	if err := os.Remove(packs[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(packs[0]); err != nil {
		t.Error("a pack that the target had lost is not there after a sync:", err)
	}
	if err := os.Rename(nas, nas+"-unmounted"); err != nil {
		t.Fatal(err)
	}
	if err := s.Rooms().Backups.FlushTargets(ctx); err == nil {
		t.Error("a sync to a target that is gone was well")
	}
}
