package target

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// statPath returns the device number of the file system that a path lies on, MAJOR:MINOR, and the type of that file system (linux/magic.h).
func statPath(path string) (device string, fsType int64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", 0, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), int64(fs.Type) & 0xffffffff, nil
}
