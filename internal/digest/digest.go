// Package digest computes MD5 and SHA-256 of the same bytes in one pass.
//
// S3 wants the one, the ledger the other, and together they are half of the CPU of a large write. Each is a chain of operations that wait for one
// another, on units of the processor that do not compete: MD5's are those of integers, SHA-256 has its own. On amd64 with SHA
// extensions both chains run side by side, at about the cost of MD5 alone; elsewhere the standard library runs them one after the other.
package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"unsafe"
)

//go:generate go run gen.go

// Hash is MD5 and SHA-256 of what is written to it. New makes one; it is for one goroutine.
type Hash struct {
	md    [4]uint32
	sha   [8]uint32 // F E B A H G D C, as the processor wants them
	rest  [64]byte  // bytes that do not fill a block
	bytes uint64    // written

	plain *[2]hash.Hash // MD5 and SHA-256, where there is no faster way
}

// New returns the Hash of nothing.
func New() *Hash {
	if !Together {
		return &Hash{plain: &[2]hash.Hash{md5.New(), sha256.New()}}
	}
	h := &Hash{}
	h.reset()
	return h
}

func (h *Hash) reset() {
	h.md = [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	h.sha = [8]uint32{0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667, 0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372}
}

// mostBytes is what one call of blocks takes: the scheduler can't interrupt it.
const mostBytes = 64 << 10

// Write adds p. It never fails.
func (h *Hash) Write(p []byte) (int, error) {
	if h.plain != nil {
		h.plain[0].Write(p)
		return h.plain[1].Write(p)
	}
	n := len(p)
	have := int(h.bytes % 64)
	h.bytes += uint64(n)
	if have > 0 {
		took := copy(h.rest[have:], p)
		p = p[took:]
		if have+took < 64 {
			return n, nil
		}
		h.blocks(h.rest[:])
	}
	for len(p) >= 64 {
		whole := min(len(p)&^63, mostBytes)
		h.blocks(p[:whole])
		p = p[whole:]
	}
	copy(h.rest[:], p)
	return n, nil
}

// blocks takes p, some whole blocks.
func (h *Hash) blocks(p []byte) {
	blocks(&h.md, &h.sha, unsafe.SliceData(p), len(p)/64)
}

// Sums returns MD5 and SHA-256 of what was written. Nothing may be written afterwards.
func (h *Hash) Sums() (md [16]byte, sha [32]byte) {
	if h.plain != nil {
		h.plain[0].Sum(md[:0])
		h.plain[1].Sum(sha[:0])
		return md, sha
	}
	// Both end in a one bit, zeros, and the number of bits, which MD5 writes in little-endian and SHA-256 in big-endian order.
	var end [128]byte
	n := copy(end[:], h.rest[:h.bytes%64])
	end[n] = 0x80
	size := 64
	if n >= 56 {
		size = 128
	}
	shaBefore := h.sha
	binary.LittleEndian.PutUint64(end[size-8:], h.bytes*8)
	h.blocks(end[:size])
	for i, w := range h.md {
		binary.LittleEndian.PutUint32(md[4*i:], w)
	}
	h.sha = shaBefore
	binary.BigEndian.PutUint64(end[size-8:], h.bytes*8)
	h.blocks(end[:size])
	for i, at := range [8]int{3, 2, 7, 6, 1, 0, 5, 4} { // A B C D E F G H
		binary.BigEndian.PutUint32(sha[4*i:], h.sha[at])
	}
	return md, sha
}

// Sum returns MD5 and SHA-256 of p.
func Sum(p []byte) (md [16]byte, sha [32]byte) {
	if !Together {
		return md5.Sum(p), sha256.Sum256(p)
	}
	var h Hash
	h.reset()
	h.Write(p)
	return h.Sums()
}
