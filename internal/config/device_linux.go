package config

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// device names the disk that a folder lies on, "" if it can't be told: of a partition the whole disk, since they die together, else the file system's device number. Arrays and
// volumes over several disks are a device of their own.
func device(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ""
	}
	number := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	// /sys/dev/block/8:1 → ../../devices/…/block/sda/sda1
	at, err := filepath.EvalSymlinks("/sys/dev/block/" + number)
	if err != nil {
		return number
	}
	if _, err := os.Stat(filepath.Join(at, "partition")); err == nil {
		at = filepath.Dir(at)
	}
	return filepath.Base(at)
}
