package tree

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Reader gives any hash of a tree, for proofs and tiles at any size up to Size. It implements tlog.HashReader. It holds
// no state of its own: where Groups, Blocks and Leaves may be used concurrently, so may it.
type Reader struct {
	Size   uint64 // of the tree
	Groups []Hash // hashes of the complete groups: at least Size / GroupSize

	// Blocks are the hashes of the complete runs of GroupSize groups. They only save time: what is missing is computed
	// from Groups. BlockHashes extends them.
	Blocks []Hash

	// Leaves returns the leaf hashes of a group: of the last one those below Size at least, else all.
	Leaves func(group int64) ([]Hash, error)
}

// BlockHashes appends to blocks the hashes of those complete runs of GroupSize groups that it lacks.
func BlockHashes(blocks, groups []Hash) []Hash {
	for n := len(blocks) * GroupSize; n+GroupSize <= len(groups); n += GroupSize {
		blocks = append(blocks, subtree(groups[n:n+GroupSize]))
	}
	return blocks
}

// ReadHashes returns the hashes at tlog's stored hash indexes. A complete group whose leaves do not hash to its hash
// in Groups is an error.
func (r *Reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	loaded := make(map[int64]*group, 2) // a proof passes through one group, or two
	for i, index := range indexes {
		if index < 0 {
			return nil, fmt.Errorf("no hash has index %d", index)
		}
		level, n := tlog.SplitStoredHashIndex(index)
		if end := (uint64(n) + 1) << level; end > r.Size {
			return nil, fmt.Errorf("hash %d of level %d ends at %d, beyond the tree of size %d", n, level, end, r.Size)
		}
		if level >= tileHeight {
			h, err := r.upper(level, n)
			if err != nil {
				return nil, err
			}
			hashes[i] = tlog.Hash(h)
			continue
		}
		number := n >> (tileHeight - level)
		g, ok := loaded[number]
		if !ok {
			var err error
			if g, err = r.group(number); err != nil {
				return nil, err
			}
			loaded[number] = g
		}
		hashes[i] = tlog.Hash(g[level][n-number<<(tileHeight-level)])
	}
	return hashes, nil
}

// upper is the n'th complete subtree of 2^level leaves, level 8 and up.
func (r *Reader) upper(level int, n int64) (Hash, error) {
	if end := (n + 1) << (level - tileHeight); end > int64(len(r.Groups)) {
		return Hash{}, fmt.Errorf("group %d is missing, there are %d", end-1, len(r.Groups))
	}
	return r.join(level, n), nil
}

func (r *Reader) join(level int, n int64) Hash {
	switch {
	case level == tileHeight:
		return r.Groups[n]
	case level == 2*tileHeight && n < int64(len(r.Blocks)):
		return r.Blocks[n]
	}
	return node(r.join(level-1, 2*n), r.join(level-1, 2*n+1))
}

// group is a group's hashes: its leaves, and above them each level's complete subtrees.
type group [tileHeight + 1][]Hash

func newGroup(leaves []Hash) *group {
	g := group{leaves}
	inner := make([]Hash, 0, len(leaves))
	for level := range tileHeight {
		below, from := g[level], len(inner)
		for i := 0; i+1 < len(below); i += 2 {
			inner = append(inner, node(below[i], below[i+1]))
		}
		g[level+1] = inner[from:]
	}
	return &g
}

// group loads a group, and checks it where it is complete.
func (r *Reader) group(n int64) (*group, error) {
	leaves, err := r.Leaves(n)
	if err != nil {
		return nil, fmt.Errorf("couldn't load the leaves of group %d: %w", n, err)
	}
	want := min(GroupSize, r.Size-uint64(n)*GroupSize)
	if uint64(len(leaves)) < want || len(leaves) > GroupSize {
		return nil, fmt.Errorf("group %d has %d leaves, not %d", n, len(leaves), want)
	}
	g := newGroup(leaves[:want])
	if want < GroupSize {
		return g, nil
	}
	if n >= int64(len(r.Groups)) {
		return nil, fmt.Errorf("group %d is missing, there are %d", n, len(r.Groups))
	}
	if got := g[tileHeight][0]; got != r.Groups[n] {
		return nil, fmt.Errorf("the leaves of group %d hash to %s, not to %s", n, got, r.Groups[n])
	}
	return g, nil
}

// Root is the root of the tree when it had this size.
func (r *Reader) Root(size uint64) (Hash, error) {
	if err := r.within(size); err != nil {
		return Hash{}, err
	}
	h, err := tlog.TreeHash(int64(size), r)
	if err != nil {
		return Hash{}, fmt.Errorf("couldn't compute the root at size %d: %w", size, err)
	}
	return Hash(h), nil
}

// Inclusion proves that leaf index is in the tree of this size (RFC 6962, section 2.1.1).
func (r *Reader) Inclusion(index, size uint64) ([]Hash, error) {
	if err := r.within(size); err != nil {
		return nil, err
	}
	if index >= size {
		return nil, fmt.Errorf("entry %d is not in a ledger of size %d", index, size)
	}
	p, err := tlog.ProveRecord(int64(size), int64(index), r)
	if err != nil {
		return nil, fmt.Errorf("couldn't prove entry %d at size %d: %w", index, size, err)
	}
	return fromLog(p), nil
}

// Consistency proves that the tree of size to begins with the tree of size from, at least 1 (RFC 6962, section 2.1.2).
func (r *Reader) Consistency(from, to uint64) ([]Hash, error) {
	if err := r.within(to); err != nil {
		return nil, err
	}
	if from < 1 || from > to {
		return nil, fmt.Errorf("there is no consistency proof from size %d to %d", from, to)
	}
	p, err := tlog.ProveTree(int64(to), int64(from), r)
	if err != nil {
		return nil, fmt.Errorf("couldn't prove size %d consistent with %d: %w", to, from, err)
	}
	return fromLog(p), nil
}

func (r *Reader) within(size uint64) error {
	if size > r.Size {
		return fmt.Errorf("size %d is beyond the ledger's %d", size, r.Size)
	}
	return nil
}

// CheckInclusion verifies what Inclusion proves.
func CheckInclusion(proof []Hash, index, size uint64, root, leaf Hash) error {
	if size > MaxSize || index >= size {
		return fmt.Errorf("entry %d is not in a ledger of size %d", index, size)
	}
	if err := tlog.CheckRecord(toLog(proof), int64(size), tlog.Hash(root), int64(index), tlog.Hash(leaf)); err != nil {
		return fmt.Errorf("entry %d is not proven to be in the ledger of size %d: %w", index, size, err)
	}
	return nil
}

// RootBefore is the root of the tree that holds just the leaves before index, from the proof that leaf index is in a tree of this size: its left-hand hashes are the right edge of
// that smaller tree. The proof must have been verified.
func RootBefore(proof []Hash, index, size uint64) (Hash, error) {
	bad := fmt.Errorf("the proof of entry %d at size %d is too short: %w", index, size, ErrFormat)
	if index == 0 || index >= size {
		return Hash{}, bad
	}
	var root Hash
	begun := false
	for at, last := index, size-1; at > 0; at, last = at>>1, last>>1 {
		if at&1 == 0 && at == last {
			continue // a subtree without a right-hand neighbour goes up by itself
		}
		if len(proof) == 0 {
			return Hash{}, bad
		}
		if at&1 == 1 {
			if root = node(proof[0], root); !begun {
				root, begun = proof[0], true
			}
		}
		proof = proof[1:]
	}
	return root, nil
}

// CheckConsistency verifies what Consistency proves.
func CheckConsistency(proof []Hash, from uint64, fromRoot Hash, to uint64, toRoot Hash) error {
	if to > MaxSize || from < 1 || from > to {
		return fmt.Errorf("there is no consistency proof from size %d to %d", from, to)
	}
	if err := tlog.CheckTree(toLog(proof), int64(to), tlog.Hash(toRoot), int64(from), tlog.Hash(fromRoot)); err != nil {
		return fmt.Errorf("size %d is not proven consistent with size %d: %w", to, from, err)
	}
	return nil
}

func fromLog(p []tlog.Hash) []Hash {
	h := make([]Hash, len(p))
	for i := range p {
		h[i] = Hash(p[i])
	}
	return h
}

func toLog(p []Hash) []tlog.Hash {
	h := make([]tlog.Hash, len(p))
	for i := range p {
		h[i] = tlog.Hash(p[i])
	}
	return h
}
