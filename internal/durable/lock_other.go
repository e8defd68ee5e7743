//go:build !unix

package durable

import (
	"errors"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// LockExclusive is for unix systems only.
func LockExclusive(string) (*Lock, error) { return nil, errors.ErrUnsupported }

// LockShared is for unix systems only.
func LockShared(string) (*Lock, error) { return nil, errors.ErrUnsupported }

func chmod(vfs.File, os.FileMode) error { return nil }
