package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/durable"
)

// TestWithoutHardLinks has the system refuse them.
func TestWithoutHardLinks(t *testing.T) {
	const call = "STELE_TEST_NO_LINKS"
	if dir := os.Getenv(call); dir != "" {
		withoutHardLinks(t, dir)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("strace is missing")
		}
		t.Skip("strace is missing")
	}
	for inject, want := range map[string]string{
		"linkat:error=EPERM":      "created, refused",
		"linkat:error=EOPNOTSUPP": "created, refused",
		"linkat:error=EIO":        "input/output error",
		"linkat:error=EPERM -e inject=renameat2:error=EINVAL":     "has neither hard links",
		"linkat:error=EMLINK -e inject=renameat2:error=EPERM":     "too many links",
		"linkat:error=EPERM -e inject=renameat2:error=EEXIST":     "file exists",
		"linkat:error=EEXIST -e inject=renameat2:error=EOVERFLOW": "file exists",
	} {
		args := []string{"-f", "-o", os.DevNull, "-e"}
		for part := range bytes.FieldsSeq([]byte("inject=" + inject)) {
			args = append(args, string(part))
		}
		cmd := exec.Command(strace, append(args, os.Args[0], "-test.run=^TestWithoutHardLinks$", "-test.v")...)
		cmd.Env = append(os.Environ(), call+"="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("with %s: %v, want %q in\n%s", inject, err, want, out)
		}
	}
}

func withoutHardLinks(t *testing.T, dir string) {
	path := filepath.Join(dir, "f")
	if err := durable.WriteFile(vfs.Default, path, []byte("first"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	if err := durable.WriteFile(vfs.Default, path, []byte("second"), 0o600); !errors.Is(err, durable.ErrExist) {
		t.Errorf("second WriteFile = %v, want ErrExist", err)
	}
	// Past the first look, the rename itself must refuse.
	if err := os.WriteFile(filepath.Join(dir, "g"), []byte("third"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.Publish(vfs.Default, filepath.Join(dir, "g"), path); !errors.Is(err, durable.ErrExist) {
		t.Errorf("Publish onto a taken name = %v, want ErrExist", err)
	}
	if got, err := os.ReadFile(path); string(got) != "first" || err != nil {
		t.Errorf("the file holds %q, %v", got, err)
	}
	fmt.Println("created, refused")
}
