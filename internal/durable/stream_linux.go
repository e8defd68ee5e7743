package durable

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// cached says whether the page cache holds all n bytes at off, or can't be asked (cachestat: Linux 6.5).
func cached(fd uintptr, off, n int64) bool {
	var st unix.Cachestat_t
	first := off / int64(os.Getpagesize())
	last := (off + n - 1) / int64(os.Getpagesize())
	err := unix.Cachestat(uint(fd), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &st, 0)
	return err != nil || st.Cache >= uint64(last-first+1)
}

// reopenDirect opens the file that fd is open on, whatever its name is now, for direct I/O; nil where that is not to be had.
func reopenDirect(fd uintptr) *os.File {
	f, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(fd)), os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	return f
}
