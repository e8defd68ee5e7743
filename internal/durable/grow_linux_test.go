package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// isDirect asks the kernel.
func isDirect(f *File) bool {
	flags, err := unix.FcntlInt(f.m.(*osMedium).w.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_DIRECT != 0
}

func grow(t *testing.T, dir string, opt GrowOptions) (*File, string) {
	t.Helper()
	path := filepath.Join(dir, Random())
	f, err := Grow(vfs.Default, path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, path
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestPreallocation(t *testing.T) {
	for _, direct := range []bool{false, true} {
		f, path := grow(t, t.TempDir(), GrowOptions{PreallocateBytes: 8 << 20, Direct: direct})
		if got := blocks(t, path); got < 8<<20 {
			t.Skipf("this file system reserves %d bytes of 8 MiB", got)
		}
		if _, err := f.Write(make([]byte, 10000)); err != nil {
			t.Fatal(err)
		}
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() != 10000 {
			t.Errorf("direct=%t: size after Finish = %d, %v; want 10000", direct, info.Size(), err)
		}
		if got := blocks(t, path); got > 64<<10 {
			t.Errorf("direct=%t: %d bytes stay reserved after Finish", direct, got)
		}
	}
}

func TestDirectIsDirect(t *testing.T) {
	f, _ := grow(t, t.TempDir(), GrowOptions{Direct: true})
	if f.Align() == 1 {
		t.Skip("this file system refuses direct I/O")
	}
	if !isDirect(f) {
		t.Error("the file is written through the page cache")
	}
}

// TestDirectSyncsAnUnalignedEnd: a Sync whose end is in the middle of a block makes that end durable as well, and the
// block is written again when it grows.
func TestDirectSyncsAnUnalignedEnd(t *testing.T) {
	f, path := grow(t, t.TempDir(), GrowOptions{Direct: true, PreallocateBytes: 1 << 20})
	var want []byte
	for i, n := range []int{1, 4094, 3, 5000, 4096, 2 << 20, 7} {
		p := bytes.Repeat([]byte{byte(i + 1)}, n)
		if _, err := f.Write(p); err != nil {
			t.Fatal(err)
		}
		want = append(want, p...)
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || len(got) < len(want) || !bytes.Equal(got[:len(want)], want) {
			t.Fatalf("after piece %d and a Sync, the file doesn't start with the %d bytes written (%v)", i, len(want), err)
		}
		if !bytes.Equal(got[len(want):], make([]byte, len(got)-len(want))) {
			t.Fatalf("after piece %d, what follows the end isn't zeros", i)
		}
		back := make([]byte, len(want))
		if _, err := f.ReadAt(back, 0); err != nil || !bytes.Equal(back, want) {
			t.Fatalf("ReadAt after piece %d: %v", i, err)
		}
	}
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after Finish the file holds %d bytes, %v; want the %d written", len(got), err, len(want))
	}
}

// TestDirectRefusedLater: a system that takes O_DIRECT at open and refuses it at the write is written through the page cache.
func TestDirectRefusedLater(t *testing.T) {
	f, path := grow(t, t.TempDir(), GrowOptions{Direct: true})
	if f.Align() == 1 {
		t.Skip("this file system refuses direct I/O")
	}
	m := f.m.(*osMedium)
	if err := m.writeAt(AlignedBuffer(4097)[1:], 0); err != nil { // an address that O_DIRECT refuses
		t.Fatalf("a write that direct I/O refuses = %v", err)
	}
	if isDirect(f) {
		t.Error("the file is still written directly")
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 4096 {
		t.Errorf("size = %d, %v; want 4096", info.Size(), err)
	}
}

// TestErrorsOfTheSystem: every call that fails is told, and the file stays failed.
func TestErrorsOfTheSystem(t *testing.T) {
	for _, direct := range []bool{false, true} {
		f, _ := grow(t, t.TempDir(), GrowOptions{Direct: direct})
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil { // what no disk does on demand, a closed descriptor does: each call fails
			t.Fatal(err)
		}
		if err := f.Sync(); err == nil || errors.Is(err, ErrFailed) {
			t.Errorf("direct=%t: Sync of a closed file = %v, want the system's error", direct, err)
		}
		if _, err := f.Write(make([]byte, 4096)); !errors.Is(err, ErrFailed) {
			t.Errorf("direct=%t: Write after a failed Sync = %v, want ErrFailed", direct, err)
		}
		if err := f.Finish(); !errors.Is(err, ErrFailed) {
			t.Errorf("direct=%t: Finish after a failed Sync = %v, want ErrFailed", direct, err)
		}
	}
}
