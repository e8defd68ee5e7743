package durable

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// TestLargeFiles: what is written past the page cache is the reader's bytes, of its length and mode, wherever it ends and however it is read.
func TestLargeFiles(t *testing.T) {
	dir := t.TempDir()
	all := make([]byte, 9*copyBytes+BlockBytes+1)
	rand.NewChaCha8([32]byte{2}).Read(all)
	for _, size := range []int{streamFrom - 1, streamFrom, streamFrom + 1, streamFrom + BlockBytes, 2*copyBytes - 1, 2 * copyBytes, 2*copyBytes + 1, 5*copyBytes + 7, len(all)} {
		for what, r := range map[string]func() io.Reader{
			"whole":                   func() io.Reader { return bytes.NewReader(all[:size]) },
			"halves":                  func() io.Reader { return iotest.HalfReader(bytes.NewReader(all[:size])) },
			"end with the last bytes": func() io.Reader { return iotest.DataErrReader(bytes.NewReader(all[:size])) },
		} {
			path := filepath.Join(dir, "f")
			if err := Create(vfs.Default, path+".tmp", path, int64(size), r(), 0o640); err != nil {
				t.Fatalf("%d bytes, %s: %v", size, what, err)
			}
			got, err := os.ReadFile(path)
			info, serr := os.Stat(path)
			if err != nil || serr != nil || !bytes.Equal(got, all[:size]) || info.Mode().Perm() != 0o640 {
				t.Errorf("%d bytes, %s: %d came back, the same: %t, mode %v, %v, %v", size, what, len(got), bytes.Equal(got, all[:size]), info.Mode(), err, serr)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLargeFilesThatFail: a reader of another length, or one that fails at its last byte, leaves nothing, and a replaced file stays what it was.
func TestLargeFilesThatFail(t *testing.T) {
	dir := t.TempDir()
	path, bad := filepath.Join(dir, "f"), errors.New("bad digest")
	const size = 3*copyBytes + 5000
	for what, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"short":              {bytes.NewReader(make([]byte, size-1)), ErrLength},
		"long":               {bytes.NewReader(make([]byte, size+1)), ErrLength},
		"longer by a piece":  {bytes.NewReader(make([]byte, size+copyBytes)), ErrLength},
		"failing at the end": {io.MultiReader(bytes.NewReader(make([]byte, size-1)), iotest.ErrReader(bad)), bad},
	} {
		if err := Create(vfs.Default, path+".tmp", path, size, c.r, 0o600); !errors.Is(err, c.want) {
			t.Errorf("%s: Create = %v, want %v", what, err, c.want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Fatalf("%s: the folder holds %v, %v", what, left, err)
		}
	}
	if err := WriteFile(vfs.Default, path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFrom(vfs.Default, path+".tmp", path, size, bytes.NewReader(make([]byte, size-1)), 0o600); !errors.Is(err, ErrLength) {
		t.Errorf("ReplaceFrom = %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("the replaced file holds %d bytes, %v", len(got), err)
	}
}

// TestLargeFilesWithoutDirect: a file system that takes O_DIRECT at open and refuses it at the write is written through the page cache.
func TestLargeFilesWithoutDirect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := newStream(path, 3*streamFrom+77, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := bytes.Repeat([]byte("0123456"), (3*streamFrom+77)/7)
	odd := make([]byte, len(want)+1)[1:] // memory that no device takes: each direct write is EINVAL
	copy(odd, want)
	if err := f.m.writeAt(odd, 0); err != nil {
		t.Fatal(err)
	}
	f.written.Store(int64(len(odd)))
	f.direct = false
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back, want %d, %v", len(got), len(want), err)
	}
}

// TestLargeFilesOnAFullDisk: a write that fails behind its writer is the error of the whole, whichever piece it was, and nothing is written after it.
func TestLargeFilesOnAFullDisk(t *testing.T) {
	for pieces := 1; pieces <= 4; pieces++ {
		for fail := 1; fail <= pieces; fail++ {
			m := &fullMedium{left: fail - 1}
			b := newBehind(&File{m: m, name: "f", direct: true, buf: AlignedBuffer(BlockBytes)[:0]})
			rooms := [][]byte{AlignedBuffer(copyBytes), AlignedBuffer(copyBytes)}
			size := int64(pieces * copyBytes)
			err := copyExactly(b, bytes.NewReader(make([]byte, size)), size, rooms)
			if err == nil {
				err = b.Finish()
			}
			if cerr := b.Close(); !errors.Is(err, unix.ENOSPC) || cerr != nil || m.after {
				t.Errorf("piece %d of %d: %v, %v, a write after it: %t", fail, pieces, err, cerr, m.after)
			}
		}
	}
}

// fullMedium takes some writes and then is full.
type fullMedium struct {
	medium
	left  int
	after bool // a write came after the one that failed
}

func (m *fullMedium) writeAt([]byte, int64) error {
	if m.left--; m.left < -1 {
		m.after = true
	}
	if m.left < 0 {
		return unix.ENOSPC
	}
	return nil
}

func (m *fullMedium) cut(int64) error { return nil }
func (m *fullMedium) close() error    { return nil }
