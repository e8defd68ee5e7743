package durable

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// evict takes a file out of the page cache.
func evict(t *testing.T, f *os.File) {
	t.Helper()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

func patterned(t *testing.T, n int) (*os.File, []byte) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	want := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(want)
	if _, err := f.Write(want); err != nil {
		t.Fatal(err)
	}
	return f, want
}

// TestReadStream: the bytes are the file's own, wherever a piece begins and ends, past the page cache and through it.
func TestReadStream(t *testing.T) {
	f, want := patterned(t, 3<<20+777)
	for _, cold := range []bool{true, false} {
		for _, off := range []int{0, 1, 4095, 4096, 1<<20 - 3, 2<<20 + 511, 3 << 20, len(want) - 1, len(want), len(want) + 5000} {
			for _, n := range []int{1, 511, 4096, 5000, 1 << 20} {
				if cold {
					evict(t, f)
				}
				s := &Pages{fd: f.Fd()}
				got, err := s.ReadStream(f, AlignedBuffer(n+StreamRoom), int64(off), n)
				rest := want[min(off, len(want)):]
				if whole := len(rest) >= n; whole && (err != nil || !bytes.Equal(got, rest[:n])) || !whole && (err != io.EOF || !bytes.Equal(got, rest)) {
					t.Errorf("cold=%t: %d bytes at %d of %d = %d bytes, %v; want the file's, EOF at its end", cold, n, off, len(want), len(got), err)
				}
				if s.failed.Load() {
					t.Errorf("cold=%t: %d bytes at %d: direct I/O was given up", cold, n, off)
				}
				s.Close()
			}
		}
	}
}

// TestReadStreamAndThePageCache: a first read leaves the cache alone, a second one fills it, and what it holds is taken from it.
func TestReadStreamAndThePageCache(t *testing.T) {
	f, want := patterned(t, 2<<20)
	evict(t, f)
	if cached(f.Fd(), 0, 1) {
		t.Skip("this system doesn't say what its page cache holds, or can't be made to forget")
	}
	s := &Pages{fd: f.Fd()}
	defer s.Close()
	room := AlignedBuffer(1<<20 + StreamRoom)
	for i, want1 := range []bool{false, true, true} {
		got, err := s.ReadStream(f, room, 1<<20, 1<<20)
		if err != nil || !bytes.Equal(got, want[1<<20:]) {
			t.Fatalf("read %d = %d bytes, %v", i, len(got), err)
		}
		if s.direct == nil {
			t.Skip("this file system refuses direct I/O")
		}
		if got := cached(f.Fd(), 1<<20, 1<<20); got != want1 {
			t.Errorf("after read %d the page cache holds the piece: %t, want %t", i, got, want1)
		}
	}
}

// TestReadStreamWithoutDirect: a system that takes O_DIRECT at open and refuses it at the read is read through the page cache.
func TestReadStreamWithoutDirect(t *testing.T) {
	f, want := patterned(t, 1<<20)
	evict(t, f)
	broken, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := broken.Close(); err != nil { // what no disk does on demand, a closed descriptor does: each call fails
		t.Fatal(err)
	}
	s := &Pages{fd: f.Fd(), direct: broken}
	for range 2 {
		got, err := s.ReadStream(f, AlignedBuffer(1<<20+StreamRoom), 0, 1<<20)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("ReadStream = %d bytes, %v", len(got), err)
		}
	}
}

// TestReadStreamOfAGrowingFile: what a Sync covers is there, in a last block that is not full and is written again as well.
func TestReadStreamOfAGrowingFile(t *testing.T) {
	for _, direct := range []bool{false, true} {
		f, _ := grow(t, t.TempDir(), GrowOptions{Direct: direct, PreallocateBytes: 4 << 20})
		var want []byte
		for i, n := range []int{1000, 700_000, 4096, 1} {
			p := bytes.Repeat([]byte{byte(i + 1)}, n)
			if _, err := f.Write(p); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			want = append(want, p...)
			for _, off := range []int{0, 1, len(want) / 2, len(want) - 1} {
				room := AlignedBuffer(len(want) + StreamRoom)
				if got, err := f.ReadStream(room, int64(off), len(want)-off); err != nil || !bytes.Equal(got, want[off:]) {
					t.Errorf("direct=%t, piece %d: from %d = %d bytes, %v", direct, i, off, len(got), err)
				}
				if got, err := f.ReadStream(room, int64(off), len(want)-off+1); err != io.EOF || !bytes.Equal(got, want[off:]) {
					t.Errorf("direct=%t, piece %d: one more from %d = %d bytes, %v; want EOF", direct, i, off, len(got), err)
				}
			}
		}
	}
}
