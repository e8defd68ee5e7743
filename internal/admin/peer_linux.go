package admin

import (
	"net"
	"strconv"
	"syscall"
)

// peerUID asks the kernel whose process is at the other end.
func peerUID(c *net.UnixConn) (uid string, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return "", false
	}
	err = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			uid, ok = strconv.FormatUint(uint64(cred.Uid), 10), true
		}
	})
	return uid, ok && err == nil
}
