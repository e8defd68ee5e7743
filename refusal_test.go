package stele_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stele"
	"stele/internal/core"
	"stele/internal/storetest"
)

// TestVerifySaysWhatOpeningRefuses: whatever was done to a file of a folder, if the folder can't be opened for writing any more, then verify does not say that all is well.
func TestVerifySaysWhatOpeningRefuses(t *testing.T) {
	x := newEntrance(t)
	if _, err := stele.Promote(ctx, x.folder, stele.PromoteOptions{}); err != nil { // two keyrings, two epochs
		t.Fatal(err)
	}
	x.write(t)
	opt := stele.Options{} // no target: nothing is healed
	damages := map[string]func(path string, b []byte) error{
		"removed": func(path string, _ []byte) error { return os.Remove(path) },
		"empty":   func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"cut":     func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)/2], 0o600) },
		"flipped": func(path string, b []byte) error {
			b = bytes.Clone(b)
			b[len(b)/2] ^= 4
			return os.WriteFile(path, b, 0o600)
		},
		"a folder": func(path string, _ []byte) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
	}
	refused := 0
	try := func(what string, do func(folder string) error) {
		t.Run(what, func(t *testing.T) {
			folder, again := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "data")
			storetest.CopyTree(t, x.folder, folder)
			storetest.CopyTree(t, x.folder, again)
			for _, f := range []string{folder, again} {
				if err := do(f); err != nil {
					t.Fatal(err)
				}
			}
			s, refusal := stele.Open(ctx, folder, opt)
			if refusal == nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return
			}
			refused++
			if verifies(t, again, opt) {
				t.Errorf("verify says that all is well, and the opening says: %v", refusal)
			}
		})
	}
	for _, name := range everyFile(t, x.folder) {
		b, err := os.ReadFile(filepath.Join(x.folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for how, damage := range damages {
			try(name+" "+how, func(folder string) error { return damage(filepath.Join(folder, name), b) })
		}
	}
	for _, name := range []string{"keyrings/junk", "keyrings/000000000000.keys", "segments/junk", "segments/00000009-000000000000000000ff.seg", "packs/junk", "meta/junk", "open/junk", "standby", "superseded", "from", "accepted", "former", "followers", "findings", "junk"} {
		for how, text := range map[string]string{"with junk": "junk", "empty": ""} {
			try("new "+name+" "+how, func(folder string) error {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700); err != nil {
					return err
				}
				return os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)
			})
		}
	}
	if refused < 20 {
		t.Errorf("only %d of the damages are refused: this test tests nothing", refused)
	}
}

// verifies opens a folder as the verb does that only looks, and reports whether all is well with it.
func verifies(t *testing.T, folder string, opt stele.Options) bool {
	t.Helper()
	opt.ReadOnly = true
	s, err := stele.Open(ctx, folder, opt)
	if err != nil {
		return false
	}
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local()})
	if cerr := s.Close(); cerr != nil {
		t.Error(cerr)
	}
	return err == nil && r.OK()
}

// everyFile lists the files of a folder, but for the index, which is made again.
func everyFile(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, filepath.Join(folder, core.DirIndex)) {
			return err
		}
		name, err := filepath.Rel(folder, path)
		names = append(names, name)
		return err
	})
	if err != nil || len(names) < 8 {
		t.Fatal(fmt.Sprint(names), err)
	}
	return names
}
