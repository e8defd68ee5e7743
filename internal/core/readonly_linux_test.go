package core

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStuckReader: who opens a folder for reading is told where its file system takes no writes, and only there.
func TestStuckReader(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); errors.Is(err, unix.EPERM) {
		t.Skip("only root may mount a file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := New(dir, Options{ReadOnly: true})
	s.state = Reader
	if err := s.Stuck(); err != nil {
		t.Errorf("a folder that takes writes: %v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Stuck(); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a folder that takes none: %v", err)
	}
}
