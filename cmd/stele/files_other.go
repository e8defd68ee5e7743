//go:build !unix

package main

// openFilesLimit is how many file descriptors this process may have; 0: it can't be told.
func openFilesLimit() uint64 { return 0 }

func keepPrivate() {} // there is no umask
