//go:build !linux

package durable

import "os"

func cached(uintptr, int64, int64) bool { return true }

func reopenDirect(uintptr) *os.File { return nil }
