// Package tree is the Merkle tree of the ledger (plain RFC 6962), its proofs, tiles, checkpoints and receipts. It does
// no I/O. All formats are C2SP's: signed-note, tlog-checkpoint, tlog-tiles, tlog-proof; any client of these can check
// what this package makes.
//
// Leaves come in groups of 256, one full level-0 tile each. A Frontier, the right edge, is all that appending needs. A
// Reader proves anything about any size from the hashes of the complete groups (32 bytes per 256 entries in memory)
// and the leaf hashes of the one or two groups that a proof passes through. Nothing from outside is trusted: a proof is checked against a root, a root against a signature by a pinned key.
package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"stele/entry"
)

// Hash is a SHA-256 value: of a leaf (entry.LeafHash), an inner node or a root.
type Hash = entry.Hash

// GroupSize is how many leaves make a group; it is the width of a tile (frozen).
const GroupSize = 1 << tileHeight

const tileHeight = 8

// MaxSize is the largest size of a tree.
const MaxSize = entry.MaxInt

// ErrFormat says that bytes are not in the form that they should have.
var ErrFormat = errors.New("malformed")

// node is SHA-256(0x01 ‖ left ‖ right), RFC 6962, section 2.1.
func node(left, right Hash) Hash {
	return Hash(tlog.NodeHash(tlog.Hash(left), tlog.Hash(right)))
}

// Frontier is the right edge of a tree: what it takes to append and to know the root. The zero Frontier is the empty
// tree. Assignment copies it, so that a batch can be tried on a copy. Not safe for concurrent use.
type Frontier struct {
	size uint64
	edge [54]Hash // edge[l] is the complete subtree of 2^l leaves that bit l of size stands for
}

// Size is the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Append adds one leaf hash. If that completes a group it returns the group's hash and true.
func (f *Frontier) Append(leaf Hash) (group Hash, complete bool) {
	h, level := leaf, 0
	for ; f.size>>level&1 == 1; level++ {
		h = node(f.edge[level], h)
		if level+1 == tileHeight {
			group, complete = h, true
		}
	}
	f.edge[level] = h
	f.size++
	return group, complete
}

// AppendMany adds leaf hashes in order, and appends to groups the hashes of the groups that they complete.
func (f *Frontier) AppendMany(groups []Hash, leaves ...Hash) []Hash {
	for _, leaf := range leaves {
		if g, ok := f.Append(leaf); ok {
			groups = append(groups, g)
		}
	}
	return groups
}

// AppendGroup adds a complete group by its hash alone. The size must be a multiple of GroupSize.
func (f *Frontier) AppendGroup(group Hash) error {
	if f.size%GroupSize != 0 {
		return fmt.Errorf("couldn't append a group at size %d: not a multiple of %d", f.size, GroupSize)
	}
	h, level := group, tileHeight
	for ; f.size>>level&1 == 1; level++ {
		h = node(f.edge[level], h)
	}
	f.edge[level] = h
	f.size += GroupSize
	return nil
}

// Root is the Merkle tree hash.
func (f *Frontier) Root() Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	low := bits.TrailingZeros64(f.size)
	h := f.edge[low]
	for level := low + 1; f.size>>level != 0; level++ {
		if f.size>>level&1 == 1 {
			h = node(f.edge[level], h)
		}
	}
	return h
}

// AppendBinary appends the size, 8 bytes big-endian, and the hashes of the edge, largest subtree first (frozen).
func (f *Frontier) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, f.size)
	for level := len(f.edge) - 1; level >= 0; level-- {
		if f.size>>level&1 == 1 {
			dst = append(dst, f.edge[level][:]...)
		}
	}
	return dst, nil
}

// MarshalBinary is AppendBinary to a new slice.
func (f *Frontier) MarshalBinary() ([]byte, error) { return f.AppendBinary(nil) }

// UnmarshalBinary reads what MarshalBinary wrote; all else is ErrFormat.
func (f *Frontier) UnmarshalBinary(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("right edge of %d bytes: %w", len(b), ErrFormat)
	}
	size, rest := binary.BigEndian.Uint64(b), b[8:]
	if size > MaxSize || len(rest) != bits.OnesCount64(size)*len(Hash{}) {
		return fmt.Errorf("right edge of size %d in %d bytes: %w", size, len(b), ErrFormat)
	}
	*f = Frontier{size: size}
	for level := len(f.edge) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			rest = rest[copy(f.edge[level][:], rest):]
		}
	}
	return nil
}

// subtree is the hash of a complete subtree over a power of two of hashes.
func subtree(h []Hash) Hash {
	if len(h) == 1 {
		return h[0]
	}
	half := len(h) / 2
	return node(subtree(h[:half]), subtree(h[half:]))
}
