//go:build unix

package admin

import "syscall"

// private runs fn so that what it makes is for this user alone from the first moment.
func private(fn func()) {
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	fn()
}
