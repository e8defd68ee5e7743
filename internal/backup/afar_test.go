package backup_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/storetest"
)

var ctx = context.Background()

// TestTargetFromAfar: an admin who is not on the machine can't have the server write into a folder, nor send its own keys to a place that he names.
func TestTargetFromAfar(t *testing.T) {
	s := storetest.New(t, stele.Options{OpenTarget: storetest.DirTargets})
	afar := stele.Actor{Key: s.Keys().Root().ID, Address: "203.0.113.9"}
	url := "dir://" + filepath.Join(t.TempDir(), "nas")
	for _, spec := range []stele.TargetSpec{{Name: "nas", URL: url}, {Name: "nas", URL: strings.TrimPrefix(url, "dir://")}, {Name: "nas", URL: "s3://bucket?endpoint=http://203.0.113.9"}} {
		if _, err := s.Rooms().Backups.AddTarget(ctx, afar.Who(), spec); !errors.Is(err, stele.ErrBadState) {
			t.Errorf("%s from afar = %v", spec.URL, err)
		}
	}
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: url}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.AddTarget(ctx, afar.Who(), stele.TargetSpec{Name: "nas", URL: url, RateBytes: 1000}); err != nil {
		t.Errorf("a setting of a target that is there, from afar = %v", err)
	}
}

// TestTargetSecretIsNotShown: who reads the ledger, or a receipt, does not see the secret key of a target.
func TestTargetSecretIsNotShown(t *testing.T) {
	s := storetest.New(t, stele.Options{OpenTarget: storetest.DirTargets})
	c, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(t.TempDir(), "nas"), AccessKey: "id", SecretKey: "swordfish"})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := s.Ledger().Entry(ctx, c.Entry); err != nil || strings.Contains(e.Private.Value, "swordfish") || !strings.Contains(e.Private.Value, "nas") {
		t.Errorf("the entry shows %s, %v", e.Private.Value, err)
	}
	if err := s.Ledger().Log(ctx, stele.LogQuery{}, func(e *entry.Entry) error {
		if strings.Contains(string(entry.AppendPrivate(nil, &e.Private)), "swordfish") {
			t.Errorf("the log shows entry %d: %s", e.Index, e.Private.Value)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Ledger().Receipt(ctx, c.Entry); err != nil || strings.Contains(string(r), "swordfish") {
		t.Errorf("a receipt = %s, %v", r, err)
	}
}
