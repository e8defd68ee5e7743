package durable

import (
	"bytes"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestReleaseTail: a file that a crash left gives back the room that was reserved for it, and reads as before.
func TestReleaseTail(t *testing.T) {
	for _, n := range []int{0, 1, 4096, 3<<20 + 17} {
		f, path := grow(t, t.TempDir(), GrowOptions{PreallocateBytes: 8 << 20})
		if got := blocks(t, path); got < 8<<20 {
			t.Skipf("this file system reserves %d bytes of 8 MiB", got)
		}
		if _, err := f.Write(bytes.Repeat([]byte("x"), n)); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := ReleaseTail(vfs.Default, path); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("of %d bytes: it reads otherwise, %v", n, err)
		}
		if got := blocks(t, path); got > int64(n)+64<<10 {
			t.Errorf("of %d bytes: %d bytes stay reserved", n, got)
		}
	}
}
