package stele

import (
	"errors"
	"path/filepath"
	"testing"
)

// TestOpenAsksTargetsOfLaterEpochs: a former primary that nobody has told learns it from its target before it writes anything, also once the later epoch has several files there.
func TestOpenAsksTargetsOfLaterEpochs(t *testing.T) {
	base := t.TempDir()
	former, taker := filepath.Join(base, "former"), filepath.Join(base, "taker")
	opt := Options{OpenTarget: dirTargets, Kit: filepath.Join(base, "kit.txt")}
	s, err := Create(ctx, former, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.backup.AddTarget(ctx, Local().Who(), TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(base, "nas")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copyTree(t, former, taker)
	if _, err := Promote(ctx, taker, PromoteOptions{Options: opt}); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, taker, opt); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"one", "two", "three"} {
		put(t, s, "bucket", key, []byte(key))
		if err := s.backup.FlushTargets(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(ctx, former, opt)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, ErrSuperseded) {
		t.Errorf("the former primary opens: %v, want ErrSuperseded", err)
	}
}
