package stele

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"stele/entry"
)

// TestTargetFromAfar: an admin who is not on the machine can't have the server write into a folder, nor send its own keys to a place that he names.
func TestTargetFromAfar(t *testing.T) {
	s := newTestStore(t, Options{OpenTarget: dirTargets})
	afar := Actor{Key: s.Keys().Root().ID, Address: "203.0.113.9"}
	url := "dir://" + filepath.Join(t.TempDir(), "nas")
	for _, spec := range []TargetSpec{{Name: "nas", URL: url}, {Name: "nas", URL: strings.TrimPrefix(url, "dir://")}, {Name: "nas", URL: "s3://bucket?endpoint=http://203.0.113.9"}} {
		if _, err := s.backup.AddTarget(ctx, afar.Who(), spec); !errors.Is(err, ErrBadState) {
			t.Errorf("%s from afar = %v", spec.URL, err)
		}
	}
	if _, err := s.backup.AddTarget(ctx, Local().Who(), TargetSpec{Name: "nas", URL: url}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.backup.AddTarget(ctx, afar.Who(), TargetSpec{Name: "nas", URL: url, RateBytes: 1000}); err != nil {
		t.Errorf("a setting of a target that is there, from afar = %v", err)
	}
}

// TestTargetSecretIsNotShown: who reads the ledger, or a receipt, does not see the secret key of a target.
func TestTargetSecretIsNotShown(t *testing.T) {
	s := newTestStore(t, Options{OpenTarget: dirTargets})
	c, err := s.backup.AddTarget(ctx, Local().Who(), TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(t.TempDir(), "nas"), AccessKey: "id", SecretKey: "swordfish"})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := s.Entry(ctx, c.Entry); err != nil || strings.Contains(e.Private.Value, "swordfish") || !strings.Contains(e.Private.Value, "nas") {
		t.Errorf("the entry shows %s, %v", e.Private.Value, err)
	}
	if err := s.Log(ctx, LogQuery{}, func(e *entry.Entry) error {
		if strings.Contains(string(entry.AppendPrivate(nil, &e.Private)), "swordfish") {
			t.Errorf("the log shows entry %d: %s", e.Index, e.Private.Value)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Receipt(ctx, c.Entry); err != nil || strings.Contains(string(r), "swordfish") {
		t.Errorf("a receipt = %s, %v", r, err)
	}
}
