package admin

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"stele/internal/rpc"
)

const maxSocket = 100 // bytes; the system's limit is 104 or 108

// Socket is a server's unix socket for a data folder.
type Socket struct {
	net.Listener
	path    string
	pointer string // the pointer file, if there is one
	folder  string // the private folder made for the socket, if there is one
}

// ListenSocket opens the socket of a data folder. The caller holds the store for writing: what a killed server left is removed.
func ListenSocket(dir string) (*Socket, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Socket{path: filepath.Join(abs, rpc.SocketName)}
	removeStale(abs)
	if len(s.path) > maxSocket {
		if s.folder, err = os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "stele-"); err != nil { // mode 0700: no one else can put a socket there
			return nil, fmt.Errorf("couldn't make a folder for the socket: %w. Set XDG_RUNTIME_DIR to a folder of this user", err)
		}
		s.path, s.pointer = filepath.Join(s.folder, rpc.SocketName), filepath.Join(abs, rpc.PointerName)
	}
	private(func() { s.Listener, err = net.Listen("unix", s.path) })
	if err != nil {
		s.remove()
		return nil, fmt.Errorf("couldn't open the socket %s: %w", s.path, err)
	}
	if s.pointer != "" {
		if err := os.WriteFile(s.pointer, []byte(s.path+"\n"), 0o600); err != nil {
			s.Close()
			return nil, fmt.Errorf("couldn't write %s: %w", s.pointer, err)
		}
	}
	return s, nil
}

func removeStale(abs string) {
	if p := rpc.SocketPath(abs); filepath.Dir(p) != abs {
		os.Remove(p)
		os.Remove(filepath.Dir(p))
	}
	os.Remove(filepath.Join(abs, rpc.SocketName))
	os.Remove(filepath.Join(abs, rpc.PointerName))
}

// Path returns where the socket is.
func (s *Socket) Path() string { return s.path }

// Close closes the socket and removes its files.
func (s *Socket) Close() error {
	err := s.Listener.Close()
	s.remove()
	return err
}

func (s *Socket) remove() {
	os.Remove(s.path)
	if s.pointer != "" {
		os.Remove(s.pointer)
	}
	if s.folder != "" {
		os.Remove(s.folder)
	}
}
