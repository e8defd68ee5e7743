package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	socketName  = "stele.sock"
	pointerName = "stele.sock.path" // holds the socket's path where the folder's own path is too long for one
	maxSocket   = 100               // bytes; the system's limit is 104 or 108
)

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
	s := &Socket{path: filepath.Join(abs, socketName)}
	removeStale(abs)
	if len(s.path) > maxSocket {
		if s.folder, err = os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "stele-"); err != nil { // mode 0700: no one else can put a socket there
			return nil, fmt.Errorf("couldn't make a folder for the socket: %w. Set XDG_RUNTIME_DIR to a folder of this user", err)
		}
		s.path, s.pointer = filepath.Join(s.folder, socketName), filepath.Join(abs, pointerName)
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
	if p := socketPath(abs); filepath.Dir(p) != abs {
		os.Remove(p)
		os.Remove(filepath.Dir(p))
	}
	os.Remove(filepath.Join(abs, socketName))
	os.Remove(filepath.Join(abs, pointerName))
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

func socketPath(abs string) string {
	if b, err := os.ReadFile(filepath.Join(abs, pointerName)); err == nil {
		return strings.TrimSpace(string(b))
	}
	return filepath.Join(abs, socketName)
}

// ConnectFollower returns a client of the standby that holds a data folder, with or without keys; nil, nil if none answers there. It is for Follows and PromoteStandby.
func ConnectFollower(ctx context.Context, dir string) (*Client, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := socketClient(socketPath(abs))
	if _, err = c.Follows(ctx); absent(err) {
		return nil, nil
	}
	if errors.Is(err, ErrProtocol) {
		return nil, c.Close() // a server that is no standby
	}
	return c, err
}

// absent says that no server is there.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EINVAL)
}

// Connect returns a client of the server that holds a data folder; nil, nil if no server answers there.
func Connect(ctx context.Context, dir string) (*Client, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c, err := DialSocket(ctx, socketPath(abs))
	if absent(err) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("a server holds %s, and its socket belongs to another user. Run as that user, or use --server with an access key: %w", dir, err)
	}
	return c, err
}
