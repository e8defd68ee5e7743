package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/durable"
)

func TestReplaceKeepsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	for i, data := range []string{"first", "second, longer", "3"} {
		if err := durable.Replace(vfs.Default, path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != data {
			t.Errorf("after Replace %d the file holds %q, %v", i, got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", info.Mode())
	}
}

func TestWriteFileRefusesATakenName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kit")
	if err := durable.WriteFile(vfs.Default, path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(vfs.Default, path, []byte("second"), 0o600); !errors.Is(err, durable.ErrExist) {
		t.Errorf("second WriteFile = %v, want ErrExist", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "first" {
		t.Errorf("the file holds %q", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v; want the file alone", entries, err)
	}
}

func TestWriteFileLeavesTheCallersBytes(t *testing.T) {
	fsys := vfs.NewMem()
	data := []byte(strings.Repeat("x", 10000))
	if err := durable.WriteFile(fsys, "f", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if string(data) != strings.Repeat("x", 10000) {
		t.Error("WriteFile changed its argument")
	}
}

func TestMkdirAllOnAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(vfs.Default, path); err == nil {
		t.Error("MkdirAll of a file = nil")
	}
	if err := durable.MkdirAll(vfs.Default, filepath.Join(path, "x")); err == nil {
		t.Error("MkdirAll below a file = nil")
	}
	if err := durable.MkdirAll(vfs.Default, filepath.Join(filepath.Dir(path), "a", "b", "c")); err != nil {
		t.Errorf("MkdirAll = %v", err)
	}
}

// TestMkdirAllAfterAKill: a process was killed between a mkdir and the fsync of its parent. The folder is there, but the next
// process may not build in it until its name is durable.
func TestMkdirAllAfterAKill(t *testing.T) {
	fsys := vfs.NewCrashableMem()
	if err := fsys.MkdirAll("a", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(fsys, "a/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.CrashClone(vfs.CrashCloneCfg{}).Stat("a/b"); err != nil {
		t.Errorf("a folder that MkdirAll made is gone after the power went: %v", err)
	}
}

func TestAlignedBuffer(t *testing.T) {
	for _, n := range []int{0, 1, 511, 4096, 1 << 20} {
		for range 10 {
			b := durable.AlignedBuffer(n)
			if len(b) != n || cap(b) != n || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%4096 != 0 {
				t.Fatalf("AlignedBuffer(%d): %d bytes, room for %d, at %p", n, len(b), cap(b), b)
			}
		}
	}
}
