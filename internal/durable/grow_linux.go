package durable

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// osMedium grows one of the system's own files.
type osMedium struct {
	w      *os.File
	r      *os.File // w, or with direct I/O a descriptor of its own, which may read into any memory
	direct bool

	pages Pages // Direct only

	// Buffered and preallocated only; Write's goroutine alone uses them.
	zeroedTo   int64 // up to here the blocks were written before, if only with zeros
	reservedTo int64
}

// Writing into a block that was only reserved makes fdatasync journal that it is in use now, which costs as much as a file that
// grows: 4 KiB and an fdatasync took 0.21 ms either way, and 0.145 ms into blocks that were written before (ext4). So
// pieces up to smallBytes get zeros written aheadBytes ahead of them: one journalled fdatasync a MiB.
// The price is that each byte is written twice, which large pieces don't pay.
const (
	smallBytes = 256 << 10
	aheadBytes = 1 << 20
)

var zeros [aheadBytes]byte

func openMedium(fsys vfs.FS, path string, opt GrowOptions) (medium, bool, error) {
	if fsys != vfs.Default {
		m, err := openVFS(fsys, path)
		return m, false, err
	}
	w, direct, err := openOS(path, opt.Direct)
	if err != nil {
		return nil, false, err
	}
	m := &osMedium{w: w, r: w, direct: direct}
	if err := m.prepare(path, opt.PreallocateBytes); err != nil {
		_ = m.close()
		_ = os.Remove(path) // nothing was written; a crash may bring it back as an empty tail
		return nil, false, err
	}
	return m, direct, nil
}

// newStream makes a file of size bytes that is written once, from its start to its end, and not read: by direct I/O where the file system has it.
func newStream(path string, size int64, perm os.FileMode) (*File, error) {
	w, direct, err := openOS(path, true)
	if err != nil {
		return nil, fmt.Errorf("couldn't create %s: %w", path, err)
	}
	m := &osMedium{w: w, r: w, direct: direct}
	err = w.Chmod(perm)
	if err == nil {
		_, err = m.reserve((size + BlockBytes - 1) &^ (BlockBytes - 1))
	}
	if err != nil {
		_ = m.close()
		_ = os.Remove(path)
		return nil, fmt.Errorf("couldn't make room for %s: %w", path, err)
	}
	f := &File{m: m, name: path, direct: direct}
	if direct {
		f.buf = AlignedBuffer(BlockBytes)[:0] // for a last block that is not full
	}
	return f, nil
}

// openOS falls back to buffered I/O where the file system refuses O_DIRECT.
func openOS(path string, direct bool) (*os.File, bool, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	if direct {
		f, err := os.OpenFile(path, flags|unix.O_DIRECT, 0o600)
		if !errors.Is(err, unix.EINVAL) {
			return f, true, err
		}
		// The kernel makes the file before it looks at the flag.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, false, err
		}
	}
	f, err := os.OpenFile(path, flags, 0o600)
	return f, false, err
}

func (m *osMedium) prepare(path string, preallocate int64) error {
	if m.direct {
		r, err := os.Open(path)
		if err != nil {
			return err
		}
		m.r = r
		m.pages.fd, m.pages.direct = r.Fd(), m.w
	}
	if preallocate <= 0 {
		return nil
	}
	reserved, err := m.reserve(preallocate)
	if reserved && !m.direct && !m.copiesOnWrite() {
		m.reservedTo = preallocate
	}
	return err
}

// reserve makes room for size bytes, where the file system can. Mode 0 moves the end of the file as well, so that fdatasync has no new size to journal; cut takes it back.
func (m *osMedium) reserve(size int64) (bool, error) {
	err := ignoringEINTR(func() error { return unix.Fallocate(int(m.w.Fd()), 0, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return false, nil // slower, not wrong
	}
	return err == nil, err
}

// copiesOnWrite is true where no block is ever written in place, so that zeros ahead help nobody.
func (m *osMedium) copiesOnWrite() bool {
	var st unix.Statfs_t
	err := ignoringEINTR(func() error { return unix.Fstatfs(int(m.w.Fd()), &st) })
	return err != nil || st.Type == unix.BTRFS_SUPER_MAGIC
}

// zeroAhead writes zeros after end, where the next pieces go. A crash leaves them as it leaves reserved blocks: as zeros.
func (m *osMedium) zeroAhead(end int64) error {
	n := min(aheadBytes, m.reservedTo-end)
	if n <= 0 || end <= m.zeroedTo {
		return nil
	}
	m.zeroedTo = end + n
	_, err := m.w.WriteAt(zeros[:n], end)
	return err
}

func (m *osMedium) writeAt(p []byte, off int64) error {
	_, err := m.w.WriteAt(p, off)
	if m.direct && errors.Is(err, unix.EINVAL) {
		// O_DIRECT was taken at open and is refused now (an odd block size, some FUSE): go on through the page cache.
		if _, err := unix.FcntlInt(m.w.Fd(), unix.F_SETFL, 0); err != nil {
			return err
		}
		_, err = m.w.WriteAt(p, off)
	}
	if err == nil && len(p) <= smallBytes {
		err = m.zeroAhead(off + int64(len(p)))
	}
	return err
}

func (m *osMedium) readAt(p []byte, off int64) (int, error) { return m.r.ReadAt(p, off) }

func (m *osMedium) readStream(room []byte, off int64, n int) ([]byte, error) {
	return m.pages.ReadStream(m.r, room, off, n)
}

func (m *osMedium) syncData() error {
	return ignoringEINTR(func() error { return unix.Fdatasync(int(m.w.Fd())) })
}

func (m *osMedium) cut(size int64) error {
	if err := m.w.Truncate(size); err != nil {
		return err
	}
	return m.w.Sync()
}

func (m *osMedium) close() error {
	if m.r != m.w {
		return errors.Join(m.w.Close(), m.r.Close())
	}
	return m.w.Close()
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
