package core_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/core"
)

// TestRootIsNobodyElse: a root key whose id is how the ledger calls the store or the command line is refused wherever it comes from.
func TestRootIsNobodyElse(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	s, err := stele.Create(ctx, folder, stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for id, good := range map[string]bool{"local": false, "local:alice": false, "local:": false, "stele": false, "localadmin": true, "stelemate": true} {
		root := entry.AccessKey{ID: id, Secret: "a-secret-of-some-length"}
		file := filepath.Join(folder, core.FileRootKey)
		if err := os.WriteFile(file, []byte(`{"access_key":"`+id+`","secret_key":"a-secret-of-some-length"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		for what, open := range map[string]func() (*stele.Store, error){
			"given": func() (*stele.Store, error) { return stele.Open(ctx, folder, stele.Options{Root: &root}) },
			"kept":  func() (*stele.Store, error) { return stele.Open(ctx, folder, stele.Options{}) },
			"of a new": func() (*stele.Store, error) {
				return stele.Create(ctx, filepath.Join(t.TempDir(), "new"), stele.Options{Root: &root})
			},
		} {
			s, err := open()
			if (err == nil) != good || !good && !errors.Is(err, stele.ErrBadName) {
				t.Errorf("%s, %s: %v", id, what, err)
			}
			if err == nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		if _, err := stele.RootOf(folder, stele.Options{}); (err == nil) != good {
			t.Errorf("%s, asked for: %v", id, err)
		}
	}
}
