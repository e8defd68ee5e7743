//go:build !linux

package durable

import "github.com/cockroachdb/pebble/v2/vfs"

// ReleaseTail does nothing where nothing is preallocated.
func ReleaseTail(vfs.FS, string) error { return nil }
