package ledger

import (
	"context"
	"fmt"
	"sync"

	"stele/entry"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// reader is the tree as it is durable now.
func (l *Ledger) reader(ctx context.Context) *tree.Reader {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.readerLocked(ctx)
}

func (l *Ledger) readerLocked(ctx context.Context) *tree.Reader {
	size := l.head.size
	return &tree.Reader{Size: size, Groups: l.groups, Blocks: l.blocks,
		Leaves: func(group int64) ([]tree.Hash, error) { return l.groupLeaves(ctx, uint64(group), size) }}
}

// Receipt is the self-contained proof, in the newest durable tree, that the ledger holds entry index.
func (l *Ledger) Receipt(ctx context.Context, index uint64) ([]byte, error) {
	return l.ReceiptParts(ctx, index, nil)
}

// ReceiptParts is Receipt for a multipart object: with the parts document that the entry's digest is of.
func (l *Ledger) ReceiptParts(ctx context.Context, index uint64, parts []byte) ([]byte, error) {
	l.mu.RLock()
	h := l.head
	l.mu.RUnlock()
	note := l.note(h)
	if note == nil {
		return nil, fmt.Errorf("couldn't make a receipt: the head of size %d is of another epoch", h.size)
	}
	return l.ReceiptUnder(ctx, index, h.size, note, parts)
}

// ReceiptUnder is ReceiptParts under a checkpoint of this ledger of that size, beyond the entry, which may be older than the newest one and bear cosignatures.
func (l *Ledger) ReceiptUnder(ctx context.Context, index, size uint64, note, parts []byte) ([]byte, error) {
	e, leaf, private, err := l.Entry(ctx, index)
	if err != nil {
		return nil, fmt.Errorf("couldn't make a receipt: %w", err)
	}
	if private == nil {
		return nil, fmt.Errorf("couldn't make a receipt: the private part of entry %d was erased", index)
	}
	receipt, err := l.reader(ctx).Receipt(index, size, note, leaf, private, e.Salt, parts)
	if err != nil {
		return nil, fmt.Errorf("couldn't make a receipt: %w", err)
	}
	return receipt.Append(nil), nil
}

// Inclusion proves that the ledger of that size holds entry index (RFC 6962, section 2.1.1).
func (l *Ledger) Inclusion(ctx context.Context, index, size uint64) ([]tree.Hash, error) {
	return l.reader(ctx).Inclusion(index, size)
}

// Consistency proves that the ledger of size to begins with that of size from (RFC 6962, section 2.1.2).
func (l *Ledger) Consistency(ctx context.Context, from, to uint64) ([]tree.Hash, error) {
	return l.reader(ctx).Consistency(from, to)
}

// Tile is a tile of hashes as c2sp.org/tlog-tiles has it, width 1 to 256.
func (l *Ledger) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	return l.reader(ctx).Tile(tree.Tile{Level: level, N: n, Width: width})
}

// LeafBundle is the entry bundle of the leaves from 256 n on, width 1 to 256, as c2sp.org/tlog-tiles has it.
func (l *Ledger) LeafBundle(ctx context.Context, n int64, width int) ([]byte, error) {
	if n < 0 || width < 1 || width > tree.GroupSize || n > tree.MaxSize/tree.GroupSize {
		return nil, fmt.Errorf("there is no bundle %d of %d entries", n, width)
	}
	from := uint64(n) * tree.GroupSize
	if size := l.Size(); from+uint64(width) > size {
		return nil, fmt.Errorf("bundle %d of %d entries: %w of %d entries", n, width, ErrRange, size)
	}
	var bundle []byte
	err := l.eachLeaf(ctx, from, from+uint64(width), func(leaf []byte) (err error) {
		bundle, err = tree.AppendBundleEntry(bundle, leaf)
		return err
	})
	return bundle, err
}

// eachLeaf calls fn for the stored leaves from to to-1.
func (l *Ledger) eachLeaf(ctx context.Context, from, to uint64, fn func(leaf []byte) error) error {
	for from < to {
		f, err := l.find(from)
		if err != nil {
			return err
		}
		if from, err = l.leavesOf(ctx, f, from, to, fn); err != nil {
			return fmt.Errorf("couldn't read leaves: %w", err)
		}
	}
	return nil
}

// leavesOf does the part of eachLeaf that one segment holds, and returns where that ends.
func (l *Ledger) leavesOf(ctx context.Context, f *file, from, to uint64, fn func([]byte) error) (uint64, error) {
	var pairs []segment.Pair
	err := l.healing(ctx, f, func() (err error) { pairs, err = l.pairsOf(ctx, f, from, to); return err })
	if err != nil {
		return 0, err
	}
	for i := range pairs {
		if from, err = leavesOfPair(&pairs[i], from, f.within(to), fn); err != nil {
			return 0, err
		}
	}
	return from, nil
}

// pairsOf reads the pairs of a segment that hold entries from to to-1.
func (l *Ledger) pairsOf(ctx context.Context, f *file, from, to uint64) ([]segment.Pair, error) {
	r, release, err := l.acquire(ctx, f)
	if err != nil {
		return nil, err
	}
	defer release()
	rows, to := r.Rows(), f.within(to)
	first, ok := r.Find(from)
	if !ok {
		return nil, fmt.Errorf("segment %s hasn't got entry %d: %w", f.name, from, frame.ErrCorrupt)
	}
	last := first + 1
	for last < len(rows) && rows[last].First < to {
		last++
	}
	return r.Pairs(first, last)
}

func leavesOfPair(p *segment.Pair, from, to uint64, fn func([]byte) error) (uint64, error) {
	leaves, err := p.Leaves()
	if err != nil {
		return 0, err
	}
	for end := min(to, p.End()); from < end; from++ {
		if err := fn(leaves[from-p.First]); err != nil {
			return 0, err
		}
	}
	return from, nil
}

// leafCache keeps the leaf hashes of the complete groups that proofs went through last.
type leafCache struct {
	mu     sync.Mutex
	groups map[uint64][]tree.Hash
	order  []uint64 // oldest first
}

const cachedGroups = 64 // 8 KiB each

func (c *leafCache) get(group uint64) []tree.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.groups[group]
}

func (c *leafCache) put(group uint64, leaves []tree.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups == nil {
		c.groups = make(map[uint64][]tree.Hash)
	}
	if c.groups[group] != nil {
		return
	}
	if len(c.order) == cachedGroups {
		delete(c.groups, c.order[0])
		c.order = append(c.order[:0], c.order[1:]...)
	}
	c.groups[group], c.order = leaves, append(c.order, group)
}

// groupLeaves returns the leaf hashes of a group, as far as a ledger of that size has them.
func (l *Ledger) groupLeaves(ctx context.Context, group, size uint64) ([]tree.Hash, error) {
	from, to := group*tree.GroupSize, min((group+1)*tree.GroupSize, size)
	if leaves := l.leaves.get(group); leaves != nil {
		return leaves[:to-from], nil
	}
	l.mu.RLock()
	known := min(max(l.newestAt, from), to) // from here on the hashes are in memory
	var recent []tree.Hash
	if known < to {
		recent = append(recent, l.newest[known-l.newestAt:to-l.newestAt]...)
	}
	l.mu.RUnlock()
	hashes := make([]tree.Hash, 0, tree.GroupSize)
	if from < known {
		err := l.eachLeaf(ctx, from, known, func(leaf []byte) error {
			hashes = append(hashes, entry.LeafHash(leaf))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	hashes = append(hashes, recent...)
	if len(hashes) == tree.GroupSize {
		l.leaves.put(group, hashes)
	}
	return hashes, nil
}
