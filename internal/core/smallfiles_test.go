package core_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/storetest"
)

// fullStore makes a store that was in use, with sealed packs and segments, and returns its folder.
func fullStore(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "da ta")
	s, err := stele.Create(ctx, folder, stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	storetest.Put(t, s, "books", "one", []byte("what must not be lost"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return folder
}

// opens says what Open says of a folder, and checks that what it opened is the store that fullStore made.
func opens(t *testing.T, folder string) error {
	t.Helper()
	s, err := stele.Open(ctx, folder, stele.Options{})
	if err != nil {
		return err
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "one"}); string(got) != "what must not be lost" {
		t.Errorf("read %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return nil
}

// destructive is advice that would lose data where it is followed. What a folder of the index or a temporary file may be told is not asked for here.
var destructive = regexp.MustCompile(`(?i)\b(remove|delete|rm|anew in it|begin anew|run init)\b`)

// TestWithoutFormat: a full store without its 22 bytes of store.format is not told to delete itself, and the line that the message prints mends it.
func TestWithoutFormat(t *testing.T) {
	folder := fullStore(t)
	format := filepath.Join(folder, core.FileFormat)
	if err := os.RemoveAll(filepath.Dir(format)); err != nil {
		t.Fatal(err)
	}
	err := opens(t, folder)
	if !errors.Is(err, stele.ErrNotStore) || destructive.MatchString(err.Error()) || !strings.Contains(err.Error(), format) {
		t.Fatalf("Open = %v", err)
	}
	if _, _, err := stele.OpenOrCreate(ctx, folder, stele.Options{}); !errors.Is(err, stele.ErrNotStore) {
		t.Fatalf("OpenOrCreate = %v", err)
	}
	_, line, ok := strings.Cut(err.Error(), "Put the file back with: ")
	if out, rerr := exec.Command("sh", "-c", line).CombinedOutput(); !ok || rerr != nil {
		t.Fatalf("%q: %v %s", line, rerr, out)
	}
	if err := opens(t, folder); err != nil {
		t.Errorf("with the file put back as advised: %v", err)
	}
}

// TestUnfinishedAdvice: whatever of a store lies in a folder without a format file, nobody is told to remove it.
func TestUnfinishedAdvice(t *testing.T) {
	for name, c := range map[string]struct{ files, says []string }{
		"a pack":                {[]string{"packs/" + strings.Repeat("ab", 16) + ".pack"}, []string{"packs: 1", "printf"}},
		"a segment":             {[]string{"segments/000001-00000000000000000000.seg"}, []string{"segments: 1", "printf", "name another folder"}},
		"an unsealed segment":   {[]string{"open/segments_000001-00000000000000000000.seg.0123456789abcdef"}, []string{"unsealed files: 1", "printf"}},
		"a keyring":             {[]string{"keyring/000001", "identity"}, []string{"keyrings: 1", "interrupted"}},
		"an identity alone":     {[]string{"identity"}, []string{"interrupted", "mv data data.unfinished"}},
		"an unfinished restore": {[]string{"packs/" + strings.Repeat("ab", 16) + ".pack", "meta/store-00"}, []string{"unfinished copy", "stele restore"}},
		"somebody's files":      {[]string{"holiday.jpg"}, []string{"holds other files"}},
	} {
		mem := vfs.NewMem()
		for _, f := range c.files {
			if err := mem.MkdirAll(filepath.Dir("data/"+f), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := durable.WriteFile(mem, "data/"+f, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := stele.Open(ctx, "data", stele.Options{FS: mem})
		if !errors.Is(err, stele.ErrNotStore) || regexp.MustCompile(`(?i)\b(remove|delete|rm)\b`).MatchString(err.Error()) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q is not in: %v", name, s, err)
			}
		}
	}
}

// TestSmallFiles damages every small file of a folder in every plain way. Open works, or names the file and advises nothing that loses data; with the file put back the store is as it was.
func TestSmallFiles(t *testing.T) {
	damages := map[string]func(path string, was []byte) error{
		"missing":   func(path string, _ []byte) error { return nil },
		"empty":     func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"cut":       func(path string, was []byte) error { return os.WriteFile(path, was[:len(was)/2], 0o600) },
		"rubbish":   func(path string, _ []byte) error { return os.WriteFile(path, []byte("\x00rubbish\xff"), 0o600) },
		"directory": func(path string, _ []byte) error { return os.Mkdir(path, 0o700) },
	}
	full := fullStore(t)
	// What a file of a whole store may do when it is damaged: must is true where Open must refuse.
	for file, must := range map[string]bool{core.FileFormat: true, core.FileIdentity: true, core.FileRootKey: false, core.FilePublished: false, durable.LockFile: false, "keyring/000001": true,
		core.FileFrom: false, core.FileStandby: false, core.FileAccepted: false, core.FileFormer: false, core.FileFollowers: false, core.FileSuperseded: false, core.DirIndex: false} {
		for how, damage := range damages {
			t.Run(file+"/"+how, func(t *testing.T) {
				folder := filepath.Join(t.TempDir(), "data")
				if err := os.CopyFS(folder, os.DirFS(full)); err != nil {
					t.Fatal(err)
				}
				path, aside := filepath.Join(folder, file), filepath.Join(t.TempDir(), "aside")
				var was []byte
				_, missing := os.Lstat(path)
				if missing == nil {
					was, _ = os.ReadFile(path) // the index is a folder
					if err := os.Rename(path, aside); err != nil {
						t.Fatal(err)
					}
				}
				if err := damage(path, was); err != nil {
					t.Fatal(err)
				}
				err := opens(t, folder)
				if err == nil && must {
					t.Error("it opened")
				}
				if err != nil && (destructive.MatchString(err.Error()) || !strings.Contains(err.Error(), strings.TrimSuffix(file, "/000001"))) {
					t.Errorf("the message does not name %s, or gives dangerous advice: %v", file, err)
				}
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if missing == nil {
					if err := os.Rename(aside, path); err != nil {
						t.Fatal(err)
					}
				}
				if err := opens(t, folder); err != nil {
					t.Errorf("with the file put back: %v", err)
				}
			})
		}
	}
}
