package admin_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/node"
	"stele/internal/rpc/client"
)

// shrunk is a disk that says how much is free.
type shrunk struct {
	vfs.FS
	free atomic.Uint64
}

func (d *shrunk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load(), TotalBytes: 100 << 30}, nil
}

// TestReadyOnAFullDisk: who asks whether the server takes writes is told that it doesn't while the disk is full, and why.
func TestReadyOnAFullDisk(t *testing.T) {
	for _, c := range []struct {
		free uint64
		code int
	}{{50 << 30, http.StatusOK}, {1 << 20, http.StatusServiceUnavailable}} {
		disk := &shrunk{FS: vfs.NewMem()}
		disk.free.Store(50 << 30)
		dir := t.TempDir()
		s, err := node.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{FS: disk, Kit: filepath.Join(dir, "kit.txt")})
		if err != nil {
			t.Fatal(err)
		}
		disk.free.Store(c.free)
		ts := port(t, s)
		resp, err := http.Get(ts.URL + "/healthz/ready")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		client, err := client.Dial(t.Context(), ts.URL, s.Keys().Root(), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = client.Ready(t.Context())
		if resp.StatusCode != c.code || (err == nil) != (c.code == http.StatusOK) || err != nil && !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("%d bytes free: %d, %v; want %d", c.free, resp.StatusCode, err, c.code)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
