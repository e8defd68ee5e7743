package durable

import (
	"os"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// starved can't open a folder the first times.
type starved struct {
	vfs.FS
	times int
}

func (s *starved) OpenDir(name string) (vfs.File, error) {
	if s.times--; s.times >= 0 {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	return s.FS.OpenDir(name)
}

// TestStarved: whoever makes a name durable waits for a file descriptor, and reports no failure that ends all writing.
func TestStarved(t *testing.T) {
	fs := &starved{vfs.NewMem(), 3}
	if err := Replace(fs, "published", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if fs.times >= 0 {
		t.Error("the folder was not opened until there was a file descriptor")
	}
}
