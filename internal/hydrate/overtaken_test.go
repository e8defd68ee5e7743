package hydrate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/storetest"
)

// TestFromOvertaken: while a backup is served, its primary goes on shipping and replaces what was listed by larger files. All is read and verified as before, the folder is filled, and is a store by itself.
func TestFromOvertaken(t *testing.T) {
	base := t.TempDir()
	folder, nas, copied := filepath.Join(base, "data"), filepath.Join(base, "nas"), filepath.Join(base, "copy")
	opt := stele.Options{OpenTarget: storetest.DirTargets, Kit: filepath.Join(base, "kit.txt")}
	s, err := stele.Create(ctx, folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	kit, err := os.ReadFile(opt.Kit)
	if err != nil {
		t.Fatal(err)
	}
	k, err := keyring.ParseKit(kit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + nas}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"one", "two"} {
		storetest.Put(t, s, "bucket", key, []byte(key))
		if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
			t.Fatal(err)
		}
	}
	tails := func() []string {
		names, err := filepath.Glob(filepath.Join(nas, "tails", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	listed := tails()
	target, err := dir.Open(vfs.Default, nas, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	x := &storetest.BackedUp{Identity: k.RecoveryIdentity, Gate: make(chan struct{})}
	failed, fill := make(chan struct{}), x.Options(vfs.Default)
	fill.Clock = storetest.Waiting{Clock: fill.Clock, Wait: func(ctx context.Context, d time.Duration) error {
		if d > 0 {
			close(failed)
		}
		return x.Once(ctx, d)
	}}
	from, err := stele.OpenFrom(ctx, copied, stele.From{Target: target, Name: "nas"}, fill)
	if err != nil {
		t.Fatal(err)
	}
	size := from.Ledger().Size()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, folder, opt); err != nil {
		t.Fatal(err)
	}
	if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
		t.Fatal(err)
	}
	now := tails()
	if len(listed) < 4 || slices.ContainsFunc(listed, func(name string) bool { return slices.Contains(now, name) }) {
		t.Fatalf("tails %v, then %v: too few, or not superseded", listed, now)
	}
	verified := func(s *stele.Store) {
		t.Helper()
		r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
		if err != nil || !r.OK() || s.Ledger().Size() != size {
			t.Fatal(r.Problems, err, s.Ledger().Size(), size)
		}
	}
	verified(from)
	close(x.Gate)
	select {
	case <-from.Rooms().Over.Hydrated():
	case <-failed:
	}
	if h, _ := from.Rooms().Over.Hydration(); !h.Full {
		t.Fatalf("%+v", h)
	}
	verified(from)
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	full, err := stele.Open(ctx, copied, stele.Options{Identity: x.Identity})
	if err != nil {
		t.Fatal(err)
	}
	verified(full)
	if err := errors.Join(full.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}
