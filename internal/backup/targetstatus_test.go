package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stele"
	"stele/internal/core"
	"stele/internal/hydrate"
	"stele/internal/keyring"
	"stele/internal/replicate"
	"stele/internal/storetest"
)

// TestIdleTargetIsLookedAt: nothing is written, and the target's disk is unmounted or emptied. Who asks how the targets stand is told of now, and the same after a restart.
func TestIdleTargetIsLookedAt(t *testing.T) {
	for name, folder := range map[string]bool{"an empty folder": true, "no folder": false} {
		t.Run(name, func(t *testing.T) {
			r := newAnewRig(t)
			if st := r.status(t); !st.Connected || st.Error != "" {
				t.Fatalf("status = %+v", st)
			}
			r.unmount(t, folder)
			for end := time.Now().Add(time.Minute); r.status(t).Connected && time.Now().Before(end); { // while something is being shipped nobody looks
				runtime.Gosched()
			}
			if st := r.status(t); st.Connected || !st.Refused || st.Error == "" || st.Size == 0 {
				t.Errorf("status = %+v", st)
			}
			since := r.status(t).ErrorSince
			r.again(t, func() {})
			if err := r.s.Rooms().Backups.FlushTargets(ctx); err == nil {
				t.Error("shipped to what is not there")
			}
			st := r.status(t)
			if st.Connected || !st.Refused || st.Size == 0 || st.Restorable.IsZero() || st.Behind >= r.s.Ledger().Size() {
				t.Errorf("status after a restart = %+v", st)
			}
			if d := st.ErrorSince.Sub(since); d < -time.Millisecond || d > time.Millisecond {
				t.Errorf("it is gone since %v, and after a restart since %v", since, st.ErrorSince)
			}
			if err := errors.Join(os.RemoveAll(r.nas), os.Rename(r.nas+".disk", r.nas)); err != nil {
				t.Fatal(err)
			}
			if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
				t.Fatal(err)
			}
			if st := r.status(t); !st.Connected || st.Error != "" || st.Behind > 0 {
				t.Errorf("status once it is back = %+v", st)
			}
			r.again(t, func() {})
			if known := r.s.Rooms().Backups.LastKnown(stele.TargetSpec{Name: "nas", URL: "dir://" + r.nas}); !known.ErrorSince.IsZero() || known.Size == 0 {
				t.Errorf("kept: %+v", known)
			}
		})
	}
}

// TestHeldIsKnownAtOnce: a server that is killed right after the first shipment leaves an entry by which its target is known to have held a copy; and what is shipped includes it.
func TestHeldIsKnownAtOnce(t *testing.T) {
	r := newAnewRig(t)
	if held, err := r.s.Rooms().Backups.HeldBy(ctx, "nas"); err != nil || held == 0 {
		t.Errorf("held = %d, %v", held, err)
	}
	if st := r.status(t); st.Behind != 0 {
		t.Errorf("status = %+v", st)
	}
}

// TestAmnesia: without the file, or with a spoiled one, the ledger says how much a target has held at least.
func TestAmnesia(t *testing.T) {
	for _, text := range []string{"", "{", `{"v":2}`} {
		r := newAnewRig(t)
		held, err := r.s.Rooms().Backups.HeldBy(ctx, "nas")
		if err != nil {
			t.Fatal(err)
		}
		r.again(t, func() {
			r.unmount(t, false)
			path := filepath.Join(r.folder, core.FileTargets)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if text != "" {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
		if st := r.status(t); st.Size != held || st.Restorable.IsZero() || st.Connected {
			t.Errorf("with %q: status = %+v, want %d entries", text, st, held)
		}
	}
}

// TestSilentTargetOfReader: a target that never answers holds up no reader's status for longer than what is waited for targets.
func TestSilentTargetOfReader(t *testing.T) {
	r := newAnewRig(t)
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	forever := make(chan struct{})
	defer close(forever)
	opt := r.opt
	opt.ReadOnly = true
	var hangs atomic.Bool
	opt.OpenTarget = func(context.Context, stele.TargetSpec) (stele.OpenedTarget, error) {
		if hangs.Load() {
			<-forever
		}
		return stele.OpenedTarget{}, errors.New("at last")
	}
	s, err := stele.Open(ctx, r.folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	hangs.Store(true)
	over, cancel := context.WithCancel(ctx)
	cancel() // as if the time for targets were over
	all, err := s.Rooms().Backups.Targets(over)
	if err != nil || len(all) != 1 || all[0].Error != replicate.ErrSilent.Error() || all[0].Connected || all[0].Size == 0 {
		t.Errorf("Targets() = %+v, %v", all, err)
	}
}

// TestOlderBackupServed: a backup is served that is older than what a target holds. Nothing was rolled back; the target is said to be newer. Once it is promoted, what the target holds beyond is said for good.
func TestOlderBackupServed(t *testing.T) {
	r := newAnewRig(t)
	old := filepath.Join(t.TempDir(), "old")
	storetest.CopyTree(t, r.nas, old)
	storetest.Put(t, r.s, "bucket", "two", []byte("second"))
	storetest.Put(t, r.s, "bucket", "three", []byte("third"))
	if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	size := r.s.Ledger().Size()
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.kit)
	if err != nil {
		t.Fatal(err)
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := storetest.ExistingTargets(ctx, stele.TargetSpec{URL: "dir://" + old, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "srv")
	s, err := stele.OpenFrom(ctx, folder, hydrate.From{Target: opened.Engine, Name: "dir://" + old}, stele.Options{OpenTarget: storetest.ExistingTargets, Identity: kit.RecoveryIdentity})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Rooms().Backups.Targets(ctx)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if st := all[0]; st.Error != "" || !st.Connected || st.Newer < size-s.Ledger().Size() || st.Newer == 0 || st.Behind != 0 {
		t.Errorf("status = %+v, want it newer by %d", st, size-s.Ledger().Size())
	}
}

// TestBeyond: an epoch goes on from before what a target holds of the one before. The target's status says so after each start.
func TestBeyond(t *testing.T) {
	r := newAnewRig(t)
	cut := r.s.Ledger().Size()
	storetest.Put(t, r.s, "bucket", "two", []byte("second"))
	if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	lost := uint64(0)
	p, err := stele.Promote(ctx, r.folder, stele.PromoteOptions{Options: r.opt, At: cut})
	if err != nil {
		t.Fatal(err)
	}
	lost = p.Left
	for _, when := range []string{"at the first start", "at the next"} {
		if r.s, err = stele.Open(ctx, r.folder, r.opt); err != nil {
			t.Fatal(err)
		}
		if err := r.s.Rooms().Backups.FlushTargets(ctx); err != nil {
			t.Fatal(err)
		}
		if st := r.status(t); st.Beyond == 0 || st.Beyond > lost || st.Error != "" || st.Behind != 0 {
			t.Errorf("%s: status = %+v, want some of %d entries beyond", when, st, lost)
		}
		if err := r.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := stele.Open(ctx, r.folder, stele.Options{ReadOnly: true, OpenTarget: storetest.ExistingTargets})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Rooms().Backups.Targets(ctx)
	if err != nil || len(all) != 1 || strings.Contains(all[0].Error, "rolled") {
		t.Errorf("Targets() = %+v, %v", all, err)
	}
}

// TestPromotedFromNoTarget: a backup is promoted that the ledger knows under another URL. What gets nothing is said, after a restart and once the folder is full too, until it is a target.
func TestPromotedFromNoTarget(t *testing.T) {
	r := newAnewRig(t)
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(t.TempDir(), "here")
	if err := os.Rename(r.nas, here); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.kit)
	if err != nil {
		t.Fatal(err)
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := storetest.ExistingTargets(ctx, stele.TargetSpec{URL: "dir://" + here, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	from := hydrate.From{Target: opened.Engine, Name: "dir://" + here}
	folder, opt := filepath.Join(t.TempDir(), "srv"), stele.Options{OpenTarget: storetest.ExistingTargets, Identity: kit.RecoveryIdentity}
	if _, err := stele.PromoteFrom(ctx, folder, from, stele.PromoteOptions{Options: opt}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the folder is a store of its own
		s, err := stele.OpenFrom(ctx, folder, from, opt)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := s.Stats(ctx); err != nil || st.PromotedFrom != from.Name {
			t.Errorf("promoted from %q, %v; want %s", st.PromotedFrom, err, from.Name)
		}
		if full := s.Rooms().Over.Hydrated(); full != nil {
			<-full
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := stele.Open(ctx, folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "backup", URL: from.Name}); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Stats(ctx); err != nil || st.PromotedFrom != "" {
		t.Errorf("promoted from %q, %v, though it is a target", st.PromotedFrom, err)
	}
}
