package durable

import (
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// ReleaseTail gives back what a file that was never finished holds of the disk behind its last byte that is not zero: what [GrowOptions.PreallocateBytes] reserved. Every byte of it reads as before,
// and its size stays. It needs no room itself. Where the file system can't do it nothing happens.
func ReleaseTail(fsys vfs.FS, path string) error {
	if fsys != vfs.Default {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	end, err := endOfContent(f, info.Size())
	if err == nil && end < info.Size() {
		err = ignoringEINTR(func() error {
			return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, end, info.Size()-end)
		})
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
			err = nil
		}
	}
	return errors.Join(err, f.Close())
}

// endOfContent is the offset behind the last byte that is not zero.
func endOfContent(r io.ReaderAt, size int64) (int64, error) {
	piece := make([]byte, 1<<20)
	for end := size; end > 0; {
		start := max(0, end-int64(len(piece)))
		b := piece[:end-start]
		if _, err := r.ReadAt(b, start); err != nil {
			return 0, err
		}
		for i := len(b); i > 0; i-- {
			if b[i-1] != 0 {
				return start + int64(i), nil
			}
		}
		end = start
	}
	return 0, nil
}
