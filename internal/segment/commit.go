package segment

import (
	"encoding/binary"
	"fmt"

	"stele/internal/frame"
)

const commitSize = 124

// Commit makes the batch before it a part of the ledger. Nothing behind the last valid commit counts.
type Commit struct {
	First     uint64 // index of the batch's first entry
	Size      uint64 // size of the ledger with the batch
	Root      [32]byte
	KeyHash   uint32 // of the note signer
	Signature [64]byte
	Time      int64 // of the batch's last entry, microseconds since 1970
}

// Append appends the 124 bytes of c.
func (c *Commit) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, c.First)
	dst = binary.BigEndian.AppendUint64(dst, c.Size)
	dst = append(dst, c.Root[:]...)
	dst = binary.BigEndian.AppendUint32(dst, c.KeyHash)
	dst = append(dst, c.Signature[:]...)
	return binary.BigEndian.AppendUint64(dst, uint64(c.Time))
}

// ParseCommit parses what Append wrote.
func ParseCommit(b []byte) (Commit, error) {
	if len(b) != commitSize {
		return Commit{}, fmt.Errorf("commit of %d bytes: %w", len(b), frame.ErrCorrupt)
	}
	c := Commit{
		First: binary.BigEndian.Uint64(b), Size: binary.BigEndian.Uint64(b[8:]), Root: [32]byte(b[16:48]),
		KeyHash: binary.BigEndian.Uint32(b[48:]), Signature: [64]byte(b[52:116]), Time: int64(binary.BigEndian.Uint64(b[116:])),
	}
	if c.First >= c.Size || c.Size > 1<<53 {
		return Commit{}, fmt.Errorf("commit of entries %d to %d: %w", c.First, c.Size, frame.ErrCorrupt)
	}
	return c, nil
}

func appendCommit(dst []byte, c *Commit, number uint32) []byte {
	start := len(dst)
	dst = c.Append(frame.Begin(dst))
	frame.End(dst, start, frame.KindCommit, 0, number)
	return dst
}
