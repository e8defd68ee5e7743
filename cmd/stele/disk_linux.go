package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// diskSpace returns the size of a folder's file system and what is free on it for this user, in bytes; zeros if it can't be told.
func diskSpace(dir string) (total, free int64) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, 0
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize
}

// fileSystems are types by their magic number (linux/magic.h), and whether a store may live there: an fsync must mean something, and
// links and locks must work.
var fileSystems = map[int64]struct{ name, trouble string }{
	0xef53:     {"ext4", ""},
	0x58465342: {"xfs", ""},
	0x9123683e: {"btrfs", ""},
	0x2fc12fc1: {"zfs", ""},
	0xf2f52010: {"f2fs", ""},
	0xca451a4e: {"bcachefs", ""},
	0x794c7630: {"overlayfs", "what a container writes into its own image is lost with it: use a volume"},
	0x01021994: {"tmpfs", "everything is lost at a restart of the machine"},
	0x858458f6: {"ramfs", "everything is lost at a restart of the machine"},
	0x6969:     {"nfs", "locks and fsync depend on the server and its mount options: put the store on a local disk, and a backup here"},
	0xff534d42: {"cifs", "locks and fsync depend on the server: put the store on a local disk, and a backup here"},
	0xfe534d42: {"smb2", "locks and fsync depend on the server: put the store on a local disk, and a backup here"},
	0x65735546: {"fuse", "whether fsync reaches a disk depends on the program behind it"},
	0x01021997: {"9p", "whether fsync reaches a disk depends on the host"},
	0x4d44:     {"vfat", "it has no permissions: the keys in the folder are open to every user"},
	0x2011bab0: {"exfat", "it has no permissions: the keys in the folder are open to every user"},
}

// fileSystem names the type of a folder's file system and says what is wrong with it for a store.
func fileSystem(dir string) (name, trouble string) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "unknown", err.Error()
	}
	if f, ok := fileSystems[int64(st.Type)&0xffffffff]; ok {
		return f.name, f.trouble
	}
	return fmt.Sprintf("type 0x%x", uint32(st.Type)), ""
}

// clockSynchronized reports whether the kernel believes that its clock is kept right by somebody; false, false: it does not say.
func clockSynchronized() (synced, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, err == nil
}
