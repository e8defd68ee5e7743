//go:build !linux

package core

func inodesOf(string) inodes { return inodes{} }

func mountedReadOnly(string) bool { return false }
