package backup_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/replicate"
	"stele/internal/storetest"
)

// anewRig is a store with a target in a folder, which has everything.
type anewRig struct {
	s                *stele.Store
	opt              stele.Options
	folder, nas, kit string
}

func newAnewRig(t *testing.T) *anewRig {
	t.Helper()
	base := t.TempDir()
	r := &anewRig{folder: filepath.Join(base, "data"), nas: filepath.Join(base, "mnt"), kit: filepath.Join(base, "kit.txt")}
	r.opt = stele.Options{OpenTarget: storetest.ExistingTargets, Kit: r.kit}
	var err error
	if r.s, err = stele.Create(ctx, r.folder, r.opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.s.Close() })
	if _, err := r.s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, r.s, "bucket", "one", []byte("first"))
	if _, err := r.s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + r.nas}); err != nil {
		t.Fatal(err)
	}
	if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// again closes the store, changes what is on the disks, and opens it.
func (r *anewRig) again(t *testing.T, between func()) {
	t.Helper()
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	between()
	var err error
	if r.s, err = stele.Open(ctx, r.folder, r.opt); err != nil {
		t.Fatal(err)
	}
}

func (r *anewRig) status(t *testing.T) stele.TargetStatus {
	t.Helper()
	all, err := r.s.Rooms().Backups.Targets(ctx)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return all[0]
}

// unmount leaves what is found where a disk is not mounted: an empty folder, or none.
func (r *anewRig) unmount(t *testing.T, folder bool) {
	t.Helper()
	if err := os.Rename(r.nas, r.nas+".disk"); err != nil {
		t.Fatal(err)
	}
	if folder {
		if err := os.Mkdir(r.nas, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *anewRig) files(t *testing.T) (n int) {
	t.Helper()
	err := filepath.WalkDir(r.nas, func(path string, d os.DirEntry, err error) error {
		if err == nil && path != r.nas {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}

// TestTargetNotMounted: a target's disk is not mounted at the next start. Nothing is begun in its place, also if the index is made anew, and not by adding the target once more; when the disk is
// there again, shipping goes on.
func TestTargetNotMounted(t *testing.T) {
	for name, folder := range map[string]bool{"an empty folder": true, "no folder": false} {
		t.Run(name, func(t *testing.T) {
			r := newAnewRig(t)
			want := replicate.ErrEmptied
			if !folder {
				want = engine.ErrGone
			}
			r.again(t, func() {
				r.unmount(t, folder)
				if err := os.RemoveAll(filepath.Join(r.folder, core.DirIndex)); err != nil {
					t.Fatal(err)
				}
			})
			if err := r.s.Rooms().Backups.FlushTargets(ctx); !errors.Is(err, want) {
				t.Errorf("shipping = %v, want %v", err, want)
			}
			if st := r.status(t); !st.Refused || st.Connected || st.Error == "" {
				t.Errorf("status = %+v", st)
			}
			if _, err := r.s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + r.nas, RateBytes: 1}); !errors.Is(err, want) {
				t.Errorf("adding it once more = %v, want %v", err, want)
			}
			if n := r.files(t); n > 0 {
				t.Errorf("%d files and folders were made in its place", n)
			}
			r.again(t, func() {
				if err := errors.Join(os.RemoveAll(r.nas), os.Rename(r.nas+".disk", r.nas)); err != nil {
					t.Fatal(err)
				}
			})
			if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
				t.Fatal(err)
			}
			if st := r.status(t); st.Behind != 0 || st.Error != "" {
				t.Errorf("status once it is mounted = %+v", st)
			}
		})
	}
}

// TestAnew: a person with the recovery kit, on the machine, agrees that a target begins anew. What was drilled before proves nothing any more.
func TestAnew(t *testing.T) {
	r := newAnewRig(t)
	if _, err := r.s.Rooms().Backups.DrillTarget(ctx, stele.Local().Who(), stele.DrillRequest{Target: "nas"}); err != nil {
		t.Fatal(err)
	}
	r.again(t, func() { r.unmount(t, false) })
	spec := stele.TargetSpec{Name: "nas", URL: "dir://" + r.nas}
	kit, err := os.ReadFile(r.kit)
	if err != nil {
		t.Fatal(err)
	}
	other := newAnewRig(t)
	foreign, err := os.ReadFile(other.kit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.s.Rooms().Backups.AddTargetAnew(ctx, stele.Actor{Key: "STELEROOT", Address: "203.0.113.9"}.Who(), spec, kit); !errors.Is(err, stele.ErrBadState) {
		t.Errorf("the kit from afar = %v", err)
	}
	if _, err := r.s.Rooms().Backups.AddTargetAnew(ctx, stele.Local().Who(), spec, foreign); err == nil {
		t.Errorf("another store's kit = %v", err)
	}
	if st := r.status(t); !st.LastDrill.After(st.LastLoss) {
		t.Errorf("before anything is agreed the drill is no proof: %+v", st)
	}
	if _, err := r.s.Rooms().Backups.AddTargetAnew(ctx, stele.Local().Who(), spec, kit); err != nil {
		t.Fatal(err)
	}
	if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	st := r.status(t)
	if st.Behind != 0 || st.Error != "" || st.LastDrill.After(st.LastLoss) {
		t.Errorf("status = %+v", st)
	}
}

// TestLostPack: a pack vanishes from a target while nothing is written and the store is closed. The next start notices, by the ledger, ships it again, and says so in an entry.
func TestLostPack(t *testing.T) {
	r := newAnewRig(t)
	var lost string
	r.again(t, func() {})
	if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	r.again(t, func() {
		all, err := filepath.Glob(filepath.Join(r.nas, engine.Packs, "*"))
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		lost = all[0]
		if err := os.Remove(lost); err != nil {
			t.Fatal(err)
		}
	})
	if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(lost); err != nil {
		t.Errorf("it was not shipped again: %v", err)
	}
	for i := range 200 { // before its entry, while that is written, and after it
		if st := r.status(t); st.LastLoss.IsZero() {
			t.Fatalf("status %d = %+v", i, st)
		}
	}
	r.again(t, func() {})
	e, err := r.s.Rooms().Backups.NewestOf(ctx, entry.BackupLost, "nas")
	if err != nil || e.Private.Data["files"] != "1" || !strings.HasSuffix(lost, e.Private.Data["first"]) {
		t.Errorf("the entry says %+v, %v", e.Private, err)
	}
}
