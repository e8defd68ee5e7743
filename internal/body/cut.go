package body

import (
	"encoding/binary"

	"github.com/zeebo/blake3"
)

// class is a range of chunk sizes. All numbers are part of no format: a reader follows the manifest. Changing them
// costs deduplication against what was written before, once.
type class struct {
	min, avg, max int
	cut, jump     uint64 // thresholds: below cut ends a chunk, below jump (twice cut) skips ahead
	skip          int    // by so many bytes
}

// newClass makes the class with an average of 2^bits, in which 2^-rare of all bytes are looked at more closely.
func newClass(bits, rare int) class {
	// JC (Jin and others, "Accelerating Content-Defined Chunking for Data Deduplication Based on Speculative Jump", IEEE TPDS 2023):
	// after the smallest chunk, every 2^rare bytes on average, the hash is below jump; every second time it is below cut as
	// well, else skip bytes are passed over. On average a chunk then is min + 2·2^rare + skip. The hash is compared as a
	// number, that is by its leading bits, so that a cut of a class is one of each smaller class: the masks are nested.
	c := class{min: 1 << (bits - 2), avg: 1 << bits, max: 1 << (bits + 2), cut: 1 << (63 - rare), jump: 1 << (64 - rare)}
	c.skip = c.avg - c.min - 2<<rare
	return c
}

// Small chunks vary less in size, which deduplicates better; in large ones fewer bytes are looked at, which is faster.
var (
	small  = newClass(14, 12) // 16 KiB on average
	medium = newClass(16, 13) // 64 KiB
	large  = newClass(18, 15) // 256 KiB
)

const (
	oneChunk   = 16 << 10 // an object up to here is one chunk
	mediumFrom = 4 << 20
	largeFrom  = 1 << 30
)

// classAt is the class of the chunk that begins at offset at, of an object of size bytes (-1: not known yet, so that it
// grows with what has passed).
func classAt(at, size int64) *class {
	if size < 0 {
		size = at
	}
	switch {
	case size >= largeFrom:
		return &large
	case size > mediumFrom:
		return &medium
	default:
		return &small
	}
}

// gear is the table of the rolling hash. It comes from the dedup key, so that sizes of chunks give no known content away.
type gear [256]uint64

func newGear(dedupKey [32]byte) *gear {
	var raw [8 * len(gear{})]byte
	blake3.DeriveKey("stele 2026-11 gear table v0", dedupKey[:], raw[:])
	g := new(gear)
	for i := range g {
		g[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return g
}

// cut returns the length of the first chunk of data, or 0 if that depends on what comes behind data. At the body's end nothing comes.
func (g *gear) cut(c *class, data []byte, end bool) int {
	short := !end && len(data) < c.max
	data = data[:min(len(data), c.max)]
	for at := c.min; at < len(data); at += c.skip {
		n, h := g.find(data[at:], c.jump)
		if at += n; h < c.cut {
			return at
		}
	}
	if short {
		return 0
	}
	return len(data)
}

// find returns the length of the shortest beginning of data whose hash is below limit, and the hash; all of data if none is.
// Four bytes a turn: nothing else in the way of a stream's bytes but the hashes costs as much.
func (g *gear) find(data []byte, limit uint64) (int, uint64) {
	h, n := uint64(0), 0
	for ; len(data) >= 4; data, n = data[4:], n+4 {
		if h = h<<1 + g[data[0]]; h < limit {
			return n + 1, h
		}
		if h = h<<1 + g[data[1]]; h < limit {
			return n + 2, h
		}
		if h = h<<1 + g[data[2]]; h < limit {
			return n + 3, h
		}
		if h = h<<1 + g[data[3]]; h < limit {
			return n + 4, h
		}
	}
	for _, c := range data {
		n++
		if h = h<<1 + g[c]; h < limit {
			break
		}
	}
	return n, h
}
