package backup_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/engine/mem"
	"stele/internal/index"
	"stele/internal/ledger"
	"stele/internal/storetest"
)

// TestDrillBeforeTheFirstCopy: a target to which nothing was ever shipped holds no copy that could fail: a drill of it is refused, says how to go on, and is no entry and no alarm. One that has held
// something and is found empty fails.
func TestDrillBeforeTheFirstCopy(t *testing.T) {
	s := storetest.New(t, stele.Options{OpenTarget: func(_ context.Context, spec stele.TargetSpec) (stele.OpenedTarget, error) {
		if !spec.ReadOnly && !spec.Make {
			return stele.OpenedTarget{}, errors.New("not yet") // the shipping has not begun
		}
		return stele.OpenedTarget{Engine: mem.New()}, nil
	}})
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "mem:///nas"}); err != nil {
		t.Fatal(err)
	}
	drills := func() (n int) {
		if err := s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.DrillRun}}, func(*entry.Entry) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, err := s.Rooms().Backups.DrillTarget(ctx, stele.Local().Who(), stele.DrillRequest{}); !errors.Is(err, stele.ErrBadState) || !strings.Contains(err.Error(), "nothing was shipped to target nas yet") || !strings.Contains(err.Error(), "stele target sync") {
		t.Errorf("a drill of a new target = %v", err)
	}
	if done, err := s.Rooms().Backups.DrillDue(ctx, time.Hour); len(done) != 0 || err != nil {
		t.Errorf("the drills that are due = %v, %v", done, err)
	}
	if n := drills(); n != 0 {
		t.Errorf("%d drills are entries", n)
	}
	if _, err := s.Rooms().Core.Record(ctx, stele.Local().Who(), func(index.Reader, ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.BackupHeld, Private: entry.Private{Name: "nas", Target: 5}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	d, err := s.Rooms().Backups.DrillTarget(ctx, stele.Local().Who(), stele.DrillRequest{})
	if err != nil || d.Certificate.OK || drills() != 1 {
		t.Errorf("a drill of a target that has lost all: %+v, %v", d.Certificate, err)
	}
}
