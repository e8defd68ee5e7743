package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"

	"stele/internal/rpc"
)

// DialSocket connects to the server on a unix socket.
func DialSocket(ctx context.Context, path string) (*Client, error) {
	c := socketClient(path)
	return c, c.greet(ctx)
}

func socketClient(path string) *Client {
	var d net.Dialer
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) }}
	return &Client{base: "http://stele", http: &http.Client{Transport: tr}, spoken: path}
}

// ConnectFollower returns a client of the standby that holds a data folder, with or without keys; nil, nil if none answers there. It is for Follows and PromoteStandby.
func ConnectFollower(ctx context.Context, dir string) (*Client, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := socketClient(rpc.SocketPath(abs))
	if _, err = c.Follows(ctx); absent(err) {
		return nil, nil
	}
	if errors.Is(err, rpc.ErrProtocol) {
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
	c, err := DialSocket(ctx, rpc.SocketPath(abs))
	if absent(err) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("a server holds %s, and its socket belongs to another user. Run as that user, or use --server with an access key: %w", dir, err)
	}
	return c, err
}
