package core

import (
	"golang.org/x/sys/unix"
)

// inodesOf asks the file system; zero where it counts none, as btrfs.
func inodesOf(dir string) inodes {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return inodes{}
	}
	return inodes{st.Ffree, st.Files}
}

// mountedReadOnly reports whether the file system of a folder takes no writes.
func mountedReadOnly(dir string) bool { return unix.Access(dir, unix.W_OK) == unix.EROFS }
