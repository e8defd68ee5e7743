//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// LockExclusive locks the folder dir of the operating system for one writer: ErrLocked while anyone else holds it.
func LockExclusive(dir string) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the lock of %s: %w", dir, err)
	}
	if err := flock(f, dir, unix.LOCK_EX); err != nil {
		return nil, err
	}
	// Who holds it is for the message of the next one only; the flock decides.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Lock{f}, nil
}

// LockShared locks dir for a reader: ErrLocked while a writer holds it. It works in a folder that can only be read, if
// the lock file is there or the file system takes no writes at all.
func LockShared(dir string) (*Lock, error) {
	path := filepath.Join(dir, LockFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	}
	if errors.Is(err, unix.EROFS) {
		return &Lock{}, nil // nobody writes there
	}
	if err == nil {
		err = notFolder(f) // which can be opened to read, and locked; a writer could not open it
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't open the lock of %s: %w", dir, err)
	}
	if err := flock(f, dir, unix.LOCK_SH); err != nil {
		return nil, err
	}
	return &Lock{f}, nil
}

// notFolder closes f if it is a folder.
func notFolder(f *os.File) error {
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "open", Path: f.Name(), Err: unix.EISDIR}
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// flock closes f if it fails. It is flock(2), not vfs.FS.Lock: that one is fcntl's, which the close of any other
// descriptor of the file drops, and it knows no shared lock.
func flock(f *os.File, dir string, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == unix.EINTR {
			continue
		}
		if err == nil {
			return nil
		}
		holder := holder(f)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%w: %s%s", ErrLocked, dir, holder)
		}
		return fmt.Errorf("couldn't lock %s: %w", dir, err)
	}
}

// holder names the last writer, who need not be the one in the way: readers leave no name.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return " (last writer: process " + pid + ")"
	}
	return ""
}

func chmod(f vfs.File, perm os.FileMode) error {
	if fd := f.Fd(); fd != vfs.InvalidFd {
		return unix.Fchmod(int(fd), uint32(perm.Perm()))
	}
	return nil
}
