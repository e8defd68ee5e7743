package storetest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync"
)

// Data is so many bytes, made from a name; a name that begins with "zero" makes zeros.
func Data(name string, size int) Content { return Content{name, size} }

// Content is bytes by a name that makes them.
type Content struct {
	name string
	size int
}

// made is a content's bytes and digests, kept: tests ask for them again and again.
type made struct {
	bytes []byte
	etag  string
	sum   [32]byte
}

var contents sync.Map // content → *made

func (c Content) made() *made {
	if m, ok := contents.Load(c); ok {
		return m.(*made)
	}
	b := make([]byte, c.size)
	if !strings.HasPrefix(c.name, "zero") {
		rand.NewChaCha8(sha256.Sum256([]byte(c.name))).Read(b)
	}
	sum := md5.Sum(b)
	m := &made{b, hex.EncodeToString(sum[:]), sha256.Sum256(b)}
	contents.Store(c, m)
	return m
}

// Bytes are the same at each call, and are not to be changed.
func (c Content) Bytes() []byte { return c.made().bytes }

// ETag is the MD5 of the bytes, in hex.
func (c Content) ETag() string { return c.made().etag }
