//go:build !linux

package core

func inodesOf(string) inodes { return inodes{} }
