// Package pack writes and reads packs. A pack is a file of encrypted chunks, closed by an index of them.
//
// A pack is a frame file (package frame) with magic "STELEPAK". Its frames are, frozen with version 1:
//
//	KindChunk   0            32
//	            ├─chunk id───┼─sealed chunk (data + 16 bytes of tag)─┤
//	            AES-256-GCM, nonce = frame number, AD = kind ‖ flags ‖ chunk id. FlagZstd: the data is one zstd frame.
//	KindPad     zeros, where a file in direct I/O had to reach the next block
//	KindFooter  the index (footer.go), in clear: chunk ids are keyed digests and tell nothing of the content
//
// then the trailer, 32 bytes, by which the footer is found from the end:
//
//	0                8          12      16          24   28    32
//	├─footer offset──┼──length──┼─count─┼"STELEPKE"─┼─0──┼─crc─┤
//
// crc is CRC-32C over bytes 0 to 28; length is that of the footer's whole frame, count that of its chunks. Footer and
// trailer are written before the last fsync, and only then does the file get its sealed name: packs/<32 hex>.pack, the
// first 16 bytes of the file id.
//
// A file that grows has no footer. Scan reads it frame by frame; whatever GCM opens was written by somebody who holds the key.
// The index in the footer is in clear and is not trusted: the frame of a chunk proves its place.
package pack

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
)

const (
	idSize = len(entry.ID{})
	// Overhead is what a chunk's frame adds to its data, in bytes.
	Overhead = frame.FrameHeaderSize + idSize + frame.SealOverhead
	// MaxChunks bounds the chunks of one pack, so that its footer stays one frame.
	MaxChunks = 1 << 18
	suffix    = ".pack"
)

// Name16 is the first half of a pack's file id: its name.
type Name16 = [16]byte

// Name is the engine's name for the pack with that name.
func Name(pack Name16) string { return engine.Packs + hex.EncodeToString(pack[:]) + suffix }

// ParseName takes a pack's name back from the engine's; false if it is none.
func ParseName(name string) (pack Name16, ok bool) {
	base, ok := strings.CutPrefix(name, engine.Packs)
	if !ok {
		return pack, false
	}
	if base, ok = strings.CutSuffix(base, suffix); !ok || len(base) != 32 {
		return pack, false
	}
	if _, err := hex.Decode(pack[:], []byte(base)); err != nil || Name(pack) != name {
		return Name16{}, false
	}
	return pack, true
}

// Short is the name of the pack with that file id.
func Short(id frame.FileID) Name16 { return Name16(id[:16]) }

// Chunk says where in its pack a chunk is.
type Chunk struct {
	ID     entry.ID
	Offset int64  // of its frame
	Length uint32 // of its whole frame, in bytes
}

// ads holds associated data on its way through an interface, where an array on the stack would be allocated each time.
var ads = sync.Pool{New: func() any { return new([2 + idSize]byte) }}

func withAD(flags uint8, id *entry.ID, f func(ad []byte)) {
	ad := ads.Get().(*[2 + idSize]byte)
	ad[0], ad[1] = byte(frame.KindChunk), flags
	copy(ad[2:], id[:])
	f(ad[:])
	ads.Put(ad)
}

// sealInto fills b, which is exactly one chunk's frame long.
func sealInto(b []byte, s *frame.Sealer, id *entry.ID, flags uint8, number uint32, data []byte) {
	body := b[frame.FrameHeaderSize:]
	copy(body, id[:])
	withAD(flags, id, func(ad []byte) { s.Seal(body[idSize:idSize], number, data, ad) })
	frame.End(b, 0, frame.KindChunk, flags, number)
}

// OpenChunk opens the frame in b, which is the chunk's whole frame as read from the pack. It overwrites b; data aliases
// it. GCM covers kind, flags, number, id and data, so that the frame's CRC is not looked at here. ErrCorrupt if b is not
// what was sealed under that id.
func OpenChunk(s *frame.Sealer, b []byte, want *entry.ID) (data []byte, flags uint8, err error) {
	n, err := frame.Length(b)
	if err != nil || n != len(b) || n < Overhead || frame.Kind(b[4]) != frame.KindChunk {
		return nil, 0, fmt.Errorf("chunk %x: no such frame: %w", want[:8], frame.ErrCorrupt)
	}
	flags = b[5]
	number := uint32(b[8])<<24 | uint32(b[9])<<16 | uint32(b[10])<<8 | uint32(b[11])
	body := b[frame.FrameHeaderSize:]
	if entry.ID(body[:idSize]) != *want {
		return nil, 0, fmt.Errorf("chunk %x: another chunk's frame: %w", want[:8], frame.ErrCorrupt)
	}
	if flags&^frame.FlagZstd != 0 {
		return nil, 0, fmt.Errorf("chunk %x: flags %#x: %w", want[:8], flags, frame.ErrCorrupt)
	}
	withAD(flags, want, func(ad []byte) { data, err = s.Open(body[idSize:idSize], number, body[idSize:], ad) })
	if err != nil {
		return nil, 0, fmt.Errorf("chunk %x: %w", want[:8], err)
	}
	return data, flags, nil
}
