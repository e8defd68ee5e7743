package durable

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// StreamRoom is by how many bytes the memory for ReadStream is longer than what it reads.
const StreamRoom = 2 * BlockBytes

// Pages reads large pieces of a file in a way that is cheap the first time: what the page cache does not hold is read past it, by direct I/O.
// Filling the cache costs more CPU than all the rest of such a read (0.25 to 1.6 s a GB were measured, against 0.1 to 0.25 for direct
// I/O), and throws out what is read often. What is read a second time goes through the cache and stays there. The zero value never reads directly.
type Pages struct {
	fd     uintptr // a descriptor of the file, which stays open while ReadStream is called; 0: none
	once   sync.Once
	direct *os.File    // nil: there is none
	own    bool        // Close closes direct
	failed atomic.Bool // direct I/O is refused

	// Which regions were read directly, by where a read began. A file of more than 64 MiB has regions that share a bit: a read that
	// finds it set goes through the cache for nothing, that is all.
	seen [4]atomic.Uint64
}

const regionBytes = 256 << 10

// ReadStream reads n bytes at off. It returns them, or as many as there are and why, within room, which is an AlignedBuffer of at least n+StreamRoom bytes.
// r reads the same file through the page cache. It may be called concurrently. Where off is a multiple of BlockBytes, n rounded up to one is room enough, and the bytes are at its start.
func (s *Pages) ReadStream(r io.ReaderAt, room []byte, off int64, n int) ([]byte, error) {
	begin := off &^ (BlockBytes - 1)
	end := (off + int64(n) + BlockBytes - 1) &^ (BlockBytes - 1)
	if f := s.past(off, int64(n)); f != nil && aligned(room) && int64(len(room)) >= end-begin {
		got, err := f.ReadAt(room[:end-begin], begin)
		if skip := int(off - begin); got >= skip+n { // the file may end within its last block
			return room[skip : skip+n], nil
		}
		if err != nil && err != io.EOF {
			s.failed.Store(true) // an odd block size, some FUSE; if it is the disk, the page cache will say so
		}
	}
	got, err := r.ReadAt(room[:n], off)
	if got == n {
		err = nil
	}
	return room[:got], err
}

// past returns the descriptor by which to read past the page cache; nil: go through it.
func (s *Pages) past(off, n int64) *os.File {
	if s.fd == 0 || off < 0 || s.failed.Load() || cached(s.fd, off, n) {
		return nil
	}
	region := uint64(off) / regionBytes % (64 * uint64(len(s.seen)))
	bit := uint64(1) << (region % 64)
	if s.seen[region/64].Or(bit)&bit != 0 {
		return nil
	}
	s.once.Do(func() {
		if s.direct == nil {
			s.direct, s.own = reopenDirect(s.fd), true
		}
	})
	return s.direct
}

// Of makes s read the file that fd is open on.
func (s *Pages) Of(fd uintptr) { s.fd = fd }

// Close gives back what s opened itself.
func (s *Pages) Close() {
	s.once.Do(func() {}) // from here on nothing is opened
	if s.direct != nil && s.own {
		_ = s.direct.Close() // opened for reading only
	}
}
