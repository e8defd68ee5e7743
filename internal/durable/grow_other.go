//go:build !linux

package durable

import (
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func openMedium(fsys vfs.FS, path string, _ GrowOptions) (medium, bool, error) {
	m, err := openVFS(fsys, path)
	return m, false, err
}

func newStream(string, int64, os.FileMode) (*File, error) { return nil, nil }

func withoutLinks(_, _ string, err error) error { return err }
