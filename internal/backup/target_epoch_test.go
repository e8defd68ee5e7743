package backup_test

import (
	"errors"
	"path/filepath"
	"testing"

	"stele"
	"stele/internal/storetest"
)

// TestOpenAsksTargetsOfLaterEpochs: a former primary that nobody has told learns it from its target before it writes anything, also once the later epoch has several files there.
func TestOpenAsksTargetsOfLaterEpochs(t *testing.T) {
	base := t.TempDir()
	former, taker := filepath.Join(base, "former"), filepath.Join(base, "taker")
	opt := stele.Options{OpenTarget: storetest.DirTargets, Kit: filepath.Join(base, "kit.txt")}
	s, err := stele.Create(ctx, former, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(base, "nas")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.CopyTree(t, former, taker)
	if _, err := stele.Promote(ctx, taker, stele.PromoteOptions{Options: opt}); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, taker, opt); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"one", "two", "three"} {
		storetest.Put(t, s, "bucket", key, []byte(key))
		if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = stele.Open(ctx, former, opt)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, stele.ErrSuperseded) {
		t.Errorf("the former primary opens: %v, want ErrSuperseded", err)
	}
}
