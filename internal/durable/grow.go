package durable

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrFailed: an earlier call on this file failed; it takes no more.
var ErrFailed = errors.New("file failed earlier")

// GrowOptions tell how a growing file will be used.
type GrowOptions struct {
	PreallocateBytes int64 // room to reserve; 0 for none
	Direct           bool  // direct I/O, where the file system has it
}

// File is a file that is written at its end and made durable step by step. One goroutine writes at a time; Sync and ReadAt
// may run beside it. After the first error every call but ReadAt and Close returns ErrFailed.
type File struct {
	m       medium
	name    string
	direct  bool
	written atomic.Int64          // bytes that Write took
	failed  atomic.Pointer[error] // the first error

	// syncMu lets one fdatasync run at a time. The kernel reports a write-back error once per descriptor: of two that
	// run side by side one gets EIO and the other success, for the same lost pages. Here the second one starts after
	// the first has set failed.
	syncMu sync.Mutex

	// Direct only: bytes that Write took and that are not yet, or only in a padded last block, on the medium.
	mu      sync.Mutex
	buf     []byte // aligned; holds [flushed, written)
	flushed int64  // a multiple of BlockBytes
}

// medium is what differs between the system's files and any other vfs.FS.
type medium interface {
	writeAt(p []byte, off int64) error // off never leaves a gap
	readAt(p []byte, off int64) (int, error)
	readStream(room []byte, off int64, n int) ([]byte, error)
	syncData() error
	cut(size int64) error // cut to size and fsync
	close() error
}

// Grow makes a new file at path; when it returns, the name is durable.
func Grow(fsys vfs.FS, path string, opt GrowOptions) (*File, error) {
	m, direct, err := openMedium(fsys, path, opt)
	if err != nil {
		return nil, fmt.Errorf("couldn't create %s: %w", path, err)
	}
	if err := SyncDir(fsys, fsys.PathDir(path)); err != nil {
		_ = m.close()
		return nil, err
	}
	f := &File{m: m, name: path, direct: direct}
	if direct {
		f.buf = AlignedBuffer(copyBytes)[:0]
	}
	return f, nil
}

// Align is the multiple at which a Sync costs no block written twice: BlockBytes with direct I/O, else 1.
func (f *File) Align() int {
	if f.direct {
		return BlockBytes
	}
	return 1
}

// Written is how many bytes Write took.
func (f *File) Written() int64 { return f.written.Load() }

// Write appends p, which it neither keeps nor changes.
func (f *File) Write(p []byte) (int, error) {
	if f.failed.Load() != nil {
		return 0, f.refuse()
	}
	if err := f.append(p); err != nil {
		return 0, f.fail(fmt.Errorf("couldn't write %s: %w", f.name, err))
	}
	return len(p), nil
}

func (f *File) append(p []byte) error {
	if !f.direct {
		if err := f.m.writeAt(p, f.written.Load()); err != nil {
			return err
		}
		f.written.Add(int64(len(p)))
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(p) > 0 {
		n := len(p) &^ (BlockBytes - 1)
		if len(f.buf) == 0 && n > 0 && aligned(p) {
			if err := f.m.writeAt(p[:n], f.flushed); err != nil {
				return err
			}
			f.flushed += int64(n)
		} else {
			n = min(len(p), cap(f.buf)-len(f.buf))
			f.buf = append(f.buf, p[:n]...)
			if len(f.buf) == cap(f.buf) {
				if err := f.flush(); err != nil {
					return err
				}
			}
		}
		f.written.Add(int64(n))
		p = p[n:]
	}
	return nil
}

// flush hands the buffer to the medium, its last block padded with zeros. A block that is not full stays in the buffer
// and is written again with what follows: its durable bytes are the same in both, so that a torn rewrite harms none.
func (f *File) flush() error {
	n := len(f.buf)
	if n == 0 {
		return nil
	}
	whole := n &^ (BlockBytes - 1)
	padded := (n + BlockBytes - 1) &^ (BlockBytes - 1)
	clear(f.buf[n:padded])
	if err := f.m.writeAt(f.buf[:padded], f.flushed); err != nil {
		return err
	}
	f.flushed += int64(whole)
	f.buf = f.buf[:copy(f.buf, f.buf[whole:n])]
	return nil
}

// ReadAt reads what a returned Sync covers, or what was written to a file that is not direct.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("couldn't read %s: negative offset", f.name)
	}
	// What was preallocated is not content.
	room := f.written.Load() - off
	if room <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) <= room {
		return f.m.readAt(p, off)
	}
	n, err := f.m.readAt(p[:room], off)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

// ReadStream reads n bytes at off within room as Pages does; the same may be read as by ReadAt.
func (f *File) ReadStream(room []byte, off int64, n int) ([]byte, error) {
	if off < 0 || int64(n) > f.written.Load()-off {
		got, err := f.ReadAt(room[:n], off)
		return room[:got], err
	}
	return f.m.readStream(room, off, n)
}

// Sync returns when all that was written before the call is durable.
func (f *File) Sync() error {
	return f.sync(f.m.syncData)
}

// Finish makes all bytes durable and cuts the file to them.
func (f *File) Finish() error {
	return f.sync(func() error { return f.m.cut(f.written.Load()) })
}

func (f *File) sync(how func() error) error {
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	if f.failed.Load() != nil {
		return f.refuse()
	}
	if f.direct {
		f.mu.Lock()
		err := f.flush()
		f.mu.Unlock()
		if err != nil {
			return f.fail(fmt.Errorf("couldn't write %s: %w", f.name, err))
		}
	}
	if err := how(); err != nil {
		return f.fail(syncError(f.name, err))
	}
	// A Write beside us may have failed; what was written before the call is durable all the same.
	return nil
}

// Close closes the file and makes nothing durable.
func (f *File) Close() error { return f.m.close() }

// Fail makes the file refuse all that comes, as after an error of its own.
func (f *File) Fail(err error) { _ = f.fail(err) }

func (f *File) fail(err error) error {
	f.failed.CompareAndSwap(nil, &err)
	return err
}

func (f *File) refuse() error {
	return fmt.Errorf("%w: %s: %v", ErrFailed, f.name, *f.failed.Load())
}

// vfsMedium grows a file on any vfs.FS, by appending.
type vfsMedium struct{ f vfs.File }

func openVFS(fsys vfs.FS, path string) (medium, error) {
	f, err := fsys.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return vfsMedium{f}, nil
}

func (m vfsMedium) writeAt(p []byte, _ int64) error {
	// A vfs.File may scribble on what it is given, and callers of Write keep theirs.
	_, err := m.f.Write(append([]byte(nil), p...))
	return err
}
func (m vfsMedium) readAt(p []byte, off int64) (int, error) { return m.f.ReadAt(p, off) }
func (m vfsMedium) readStream(room []byte, off int64, n int) ([]byte, error) {
	return new(Pages).ReadStream(m.f, room, off, n)
}
func (m vfsMedium) syncData() error { return m.f.SyncData() }
func (m vfsMedium) cut(int64) error { return m.f.Sync() }
func (m vfsMedium) close() error    { return m.f.Close() }
