package rpc

import (
	"os"
	"path/filepath"
	"strings"
)

// A server's unix socket lies in its data folder. Where the folder's path is too long for one, a file in the folder holds the socket's path.
const (
	SocketName  = "stele.sock"
	PointerName = "stele.sock.path"
)

// SocketPath returns the path of the socket of a data folder, whose path is absolute.
func SocketPath(folder string) string {
	if b, err := os.ReadFile(filepath.Join(folder, PointerName)); err == nil {
		return strings.TrimSpace(string(b))
	}
	return filepath.Join(folder, SocketName)
}
