//go:build !unix

package admin

func private(fn func()) { fn() }
