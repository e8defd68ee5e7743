package ledger

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"stele/entry"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// check scans what is ahead in seg.
func (f *Follower) check(seg *following, limit uint64) (*Piece, error) {
	limit = min(limit, f.endOf(seg.epoch))
	p := &Piece{seg: seg, frontier: f.seq.frontier, Size: f.head.size, Root: f.head.root, first: seg.firstTime, end: seg.src.written}
	at := seg.start // where the scan is, if that is before the ledger's end
	if seg.scan.SizeBytes() > 0 || f.head.size == seg.first {
		at = f.seq.frontier
	}
	last := f.head.commit.Time
	if at.Size() < f.head.size {
		last = 0
	}
	seg.scan.Grow(seg.src.written + int64(len(seg.src.ahead)))
	var scratch segment.Scratch
	for at.Size() < limit {
		b, err := seg.scan.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = f.checkBatch(p, &at, &last, b, &scratch)
		}
		if err != nil {
			return nil, unproven(err)
		}
		p.end = seg.scan.SizeBytes()
	}
	if p.Size > f.head.size {
		signer, err := f.verify(seg.epoch, p.last)
		if err != nil {
			return nil, unproven(err)
		}
		if signer == nil {
			return nil, fmt.Errorf("size %d is of an epoch whose key isn't known: %w", p.Size, ErrUnproven)
		}
		p.signer, p.Note = signer, signer.Note(p.Size, p.Root, tree.Signature(p.last.Signature))
	}
	return p, f.checkEnd(p)
}

func unproven(err error) error {
	if errors.Is(err, frame.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	return err
}

// checkEnd judges what ended the batches. In a tail of our own a broken end is what a crash tore.
func (f *Follower) checkEnd(p *Piece) error {
	seg := p.seg
	if seg.scan.Footer() == nil {
		if why := seg.scan.Ended(); !seg.tail && errors.Is(why, frame.ErrCorrupt) {
			return unproven(why)
		}
		return nil
	}
	total := seg.src.written + int64(len(seg.src.ahead))
	if err := seg.scan.Whole(); err != nil {
		return nil // its trailer has not come yet
	}
	foot := seg.scan.Footer()
	if _, err := foot.Rows(seg.first); err != nil {
		return unproven(err)
	}
	p.Sealed, p.end = true, total
	return nil
}

// checkBatch checks one batch against the tree and adds to the piece what of it is new.
func (f *Follower) checkBatch(p *Piece, at *tree.Frontier, last *int64, b segment.Batch, scratch *segment.Scratch) error {
	if h := p.seg.scan.Header; h.StoreID != f.opt.Keys.StoreID || h.Epoch != p.seg.epoch {
		return fmt.Errorf("segment %s is of store %x, epoch %d: %w", p.seg.name, h.StoreID, h.Epoch, frame.ErrCorrupt)
	}
	var hashes []tree.Hash
	for i := range b.Pairs {
		pair := &b.Pairs[i]
		if err := f.checkPair(p, pair, last, *at, &hashes, scratch); err != nil {
			return err
		}
		p.rows = append(p.rows, pair.Row())
	}
	if b.Commit.Time != *last {
		return fmt.Errorf("commit of size %d has another time than its last entry: %w", b.Commit.Size, frame.ErrCorrupt)
	}
	next := *at
	groups := next.AppendMany(nil, hashes...)
	if root := next.Root(); next.Size() != b.Commit.Size || root != b.Commit.Root {
		return fmt.Errorf("the entries up to %d have the root %s, not the one that is signed: %w", b.Commit.Size, root, frame.ErrCorrupt)
	}
	have := f.head.size
	if at.Size() < have && next.Size() >= have { // a replaced segment meets the ledger's end: is it the same ledger?
		if err := f.sameRoot(*at, hashes); err != nil {
			return err
		}
	}
	if end := f.endOf(p.seg.epoch); next.Size() > end {
		return fmt.Errorf("a batch goes on beyond entry %d, from which a later epoch counts: %w", end, frame.ErrCorrupt)
	}
	*at = next
	if next.Size() <= have {
		return nil
	}
	if skip := int(have) - int(next.Size()-uint64(len(hashes))); skip > 0 {
		hashes = hashes[skip:]
		edge := p.frontier
		groups = edge.AppendMany(nil, hashes...)
	}
	p.hashes, p.groups = append(p.hashes, hashes...), append(p.groups, groups...)
	p.frontier, p.last, p.Size, p.Root = next, b.Commit, b.Commit.Size, b.Commit.Root
	return nil
}

// sameRoot checks that the leaves behind at lead to the ledger's own root at its size.
func (f *Follower) sameRoot(at tree.Frontier, hashes []tree.Hash) error {
	at.AppendMany(nil, hashes[:f.head.size-at.Size()]...)
	if at.Root() != f.head.root {
		return fmt.Errorf("%w: at size %d the root differs from the one that was accepted", ErrForked, f.head.size)
	}
	return nil
}

// checkPair checks the entries of a pair: each is the one that its place asks for, canonical, not older than the one before, and its private part the one that its
// leaf commits to.
func (f *Follower) checkPair(p *Piece, pair *segment.Pair, last *int64, at tree.Frontier, hashes *[]tree.Hash, scratch *segment.Scratch) error {
	items, err := f.items(pair, scratch)
	if err != nil {
		return err
	}
	for j := range items {
		index := pair.First + uint64(j)
		e, err := f.decodeItem(&items[j], index)
		if err != nil {
			return err
		}
		t := micros(e.Time)
		if t < *last {
			return fmt.Errorf("entry %d is older than the one before: %w", index, frame.ErrCorrupt)
		}
		if index == p.seg.first {
			p.first = t
		}
		*last = t
		if err := f.rightBegin(p.seg.epoch, &e, at, *hashes); err != nil {
			return err
		}
		*hashes = append(*hashes, entry.LeafHash(items[j].Leaf))
		if index >= f.head.size {
			p.Entries = append(p.Entries, e)
		}
	}
	pair.LastTime = *last
	return nil
}

// items decodes a pair, without keys its leaves only.
func (f *Follower) items(pair *segment.Pair, scratch *segment.Scratch) ([]segment.Item, error) {
	if f.dataKeys() != nil {
		return pair.ItemsIn(scratch)
	}
	leaves, err := pair.LeavesIn(scratch)
	if err != nil {
		return nil, err
	}
	items := make([]segment.Item, len(leaves))
	for i := range leaves {
		items[i] = segment.Item{Leaf: leaves[i], Erased: true}
	}
	return items, nil
}

func (f *Follower) decodeItem(it *segment.Item, index uint64) (entry.Entry, error) {
	e, err := decode(it, index)
	if err != nil || it.Erased {
		return e, err
	}
	if again := entry.AppendPrivate(nil, &e.Private); !slices.Equal(again, it.Private) {
		return e, fmt.Errorf("entry %d: its private part is not canonical: %w", index, frame.ErrCorrupt)
	}
	return e, nil
}
