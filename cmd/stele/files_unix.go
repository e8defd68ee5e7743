//go:build unix

package main

import "syscall"

// openFilesLimit is how many file descriptors this process may have. The Go runtime has raised the soft limit to the hard one when the process began (package os). 0: it can't be told.
func openFilesLimit() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Cur)
}

// keepPrivate makes what this process makes from here on readable by its user alone.
func keepPrivate() { syscall.Umask(0o077) }
