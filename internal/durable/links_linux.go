package durable

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// withoutLinks renames private to path where err says that there are no hard links; it never replaces a file. A system
// that can do neither gets a plain answer, and no store.
func withoutLinks(private, path string, err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	rename := unix.Renameat2(unix.AT_FDCWD, private, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if rename == nil || errors.Is(rename, fs.ErrExist) {
		return rename
	}
	return fmt.Errorf("this file system has neither hard links (%w) nor a rename that replaces nothing (%w)", err, rename)
}
