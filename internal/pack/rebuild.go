package pack

import (
	"errors"
	"fmt"

	"stele/entry"
	"stele/internal/frame"
)

// errLayout: the chunks do not lie one behind the other, but for pads.
var errLayout = errors.New("the places of the chunks leave room for others")

// SealChunk fills b, which is exactly one chunk's frame long (Overhead and the data), with the frame of that number. Of the same file key, number, flags and data it makes the
// same bytes: it is for the frame that a pack had, and for no other, since a nonce must not seal two texts.
func SealChunk(b []byte, s *frame.Sealer, id *entry.ID, flags uint8, number uint32, data []byte) {
	sealInto(b, s, id, flags, number, data)
}

// Rebuild makes a sealed pack of size bytes again, byte for byte, of its header and of where its chunks were, in file order. fill fills b with the frame of chunks[i], which has that number; its
// error ends the work. Whether the bytes are those that were sealed is for the caller to prove.
func Rebuild(h frame.Header, size int64, chunks []Chunk, fill func(i int, number uint32, b []byte) error) ([]byte, error) {
	h.Magic = frame.MagicPack
	b := h.Append(nil)
	number := uint32(0)
	for i := range chunks {
		c := &chunks[i]
		if gap := c.Offset - int64(len(b)); gap != 0 {
			if gap < frame.FrameHeaderSize || gap > frame.MaxBody {
				return nil, fmt.Errorf("couldn't rebuild a pack: %d bytes before chunk %d: %w", gap, i, errLayout)
			}
			b = appendPad(b, int(gap), number)
			number++
		}
		if c.Length < uint32(Overhead) || c.Length > uint32(Overhead+MaxData) {
			return nil, fmt.Errorf("couldn't rebuild a pack: chunk %d of %d bytes: %w", i, c.Length, errLayout)
		}
		start := len(b)
		b = append(b, make([]byte, c.Length)...)
		if err := fill(i, number, b[start:]); err != nil {
			return nil, err
		}
		number++
	}
	whole := appendFooter(b, chunks, number, int64(len(b)))
	if gap := size - int64(len(whole)); gap >= frame.FrameHeaderSize && gap <= frame.MaxBody { // the last Sync ended in a pad
		b = appendPad(b, int(gap), number)
		whole = appendFooter(b, chunks, number+1, int64(len(b)))
	}
	return whole, nil
}

func appendPad(b []byte, size int, number uint32) []byte {
	start := len(b)
	b = append(b, make([]byte, size)...)
	frame.End(b, start, frame.KindPad, 0, number)
	return b
}
