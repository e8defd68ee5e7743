package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// SegmentInfo is one file of the ledger.
type SegmentInfo struct {
	Name       string
	First, End uint64 // entries First to End-1
	Sealed     bool   // else it grows, and End is what was durable
}

// Segments lists the files of the ledger, ascending, without gaps; the last ones may grow.
func (l *Ledger) Segments() []SegmentInfo {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]SegmentInfo, 0, len(l.segments))
	for _, f := range l.segments {
		if f.end > f.first {
			out = append(out, SegmentInfo{f.name, f.first, f.end, f.sealed})
		}
	}
	return out
}

// CheckSegment reads a file of sizeBytes that should be the sealed segment of that name: every frame, each private part against its leaf, the leaves against the roots that were committed,
// the last root against its signature and, where this ledger reaches that far, against the ledger. It returns where the entries end. frame.ErrCorrupt if it is not.
func (l *Ledger) CheckSegment(ctx context.Context, name string, r io.ReaderAt, sizeBytes int64) (end uint64, err error) {
	_, first, ok := segment.ParseName(name)
	if !ok {
		return 0, fmt.Errorf("%s is not the name of a segment", name)
	}
	c, err := l.check(ctx, first)
	if err != nil {
		return 0, err
	}
	c.limit = l.limitOf(name)
	s := segment.NewScanner(r, sizeBytes, first, l.opt.Keys.Sealer)
	for err == nil {
		var b segment.Batch
		if b, err = s.Next(); err == nil {
			err = c.batch(b)
		}
		if err == nil {
			err = ctx.Err()
		}
	}
	if err == io.EOF {
		err = s.Whole()
	}
	if err == nil && (s.Header.StoreID != l.opt.Keys.StoreID || segment.Name(s.Header.Epoch, s.Header.First) != name) {
		err = fmt.Errorf("it is of store %x, epoch %d: %w", s.Header.StoreID, s.Header.Epoch, frame.ErrCorrupt)
	}
	if err == nil {
		err = c.end(ctx, s.Header.Epoch)
	}
	if err != nil {
		return 0, fmt.Errorf("segment %s: %w", name, err)
	}
	return c.last.Size, nil
}

// WriteSegment writes entries from to to-1 as a sealed segment of their own, under its name as a segment, into e. Both must be bounds of batches and lie in one segment of the ledger.
// The batches go over as they are, checked like those of a tail that is recovered.
func (l *Ledger) WriteSegment(ctx context.Context, e engine.Appender, from, to uint64) error {
	f, err := l.find(from)
	if err != nil {
		return err
	}
	r, release, err := l.acquire(ctx, f)
	if err != nil {
		return err
	}
	defer release()
	c, err := l.check(ctx, from)
	if err != nil {
		return err
	}
	epoch, key, id := r.Header.Epoch, l.opt.Keys.Current(), frame.NewFileID()
	sealer, err := l.opt.Keys.Sealer(key.ID, id)
	if err != nil {
		return err
	}
	w, err := segment.Create(ctx, e, segment.Options{StoreID: l.opt.Keys.StoreID, KeyID: key.ID, Epoch: epoch, First: from, FileID: id, Sealer: sealer, BufferBytes: recoveryBuffer})
	if err != nil {
		return err
	}
	err = r.Batches(from, to, func(b segment.Batch) error {
		if err := c.batch(b); err != nil {
			return err
		}
		return w.Append(b, c.firstTime)
	})
	if err == nil {
		err = c.end(ctx, epoch)
	}
	if err == nil {
		err = sealWriter(w, &c.frontier, c.groups)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("couldn't copy entries %d to %d: %w", from, to-1, err)
	}
	return nil
}

// limitOf is up to where a segment's entries are the ledger's: the size, or where a later epoch goes another way.
func (l *Ledger) limitOf(name string) uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, f := range l.segments {
		if f.name == name && f.limit > 0 {
			return f.limit
		}
	}
	return l.head.size
}

// checker checks batches one after the other.
type checker struct {
	limit     uint64         // entries beyond it are not the ledger's
	within    segment.Commit // the last one up to there
	l         *Ledger
	frontier  tree.Frontier
	groups    []tree.Hash // that were completed
	firstTime int64       // of the batch that was checked last
	last      segment.Commit
	scratch   segment.Scratch
}

// check begins behind the first size entries, which this ledger holds.
func (l *Ledger) check(ctx context.Context, size uint64) (*checker, error) {
	c := &checker{l: l}
	l.mu.RLock()
	c.limit = l.head.size
	if size > l.head.size {
		defer l.mu.RUnlock()
		return nil, fmt.Errorf("entry %d: %w of %d entries", size, ErrRange, l.head.size)
	}
	groups := l.groups[:size/tree.GroupSize]
	l.mu.RUnlock()
	for _, g := range groups {
		if err := c.frontier.AppendGroup(g); err != nil {
			return nil, err
		}
	}
	err := l.eachLeaf(ctx, c.frontier.Size(), size, func(leaf []byte) error {
		c.frontier.Append(entry.LeafHash(leaf))
		return nil
	})
	return c, err
}

func (c *checker) batch(b segment.Batch) error {
	cb := checkedBatch{Batch: b}
	if err := cb.check(&c.scratch); err != nil {
		return err
	}
	if b.Commit.First != c.frontier.Size() {
		return fmt.Errorf("batch of entry %d where %d should be: %w", b.Commit.First, c.frontier.Size(), frame.ErrCorrupt)
	}
	c.groups = c.frontier.AppendMany(c.groups, cb.hashes...)
	if root := c.frontier.Root(); root != b.Commit.Root {
		return fmt.Errorf("the entries up to %d have the root %s, not the one that is signed: %w", b.Commit.Size, root, frame.ErrCorrupt)
	}
	if c.firstTime, c.last = cb.firstTime, b.Commit; c.last.Size <= c.limit {
		c.within = c.last
	}
	return nil
}

// end checks the last commit's signature, and that the newest root that this ledger has is its own.
func (c *checker) end(ctx context.Context, epoch uint32) error {
	if _, err := c.l.verify(epoch, c.last); err != nil || c.within.Size == 0 {
		return err
	}
	root, err := c.l.Root(ctx, c.within.Size)
	if err == nil && root != c.within.Root {
		err = fmt.Errorf("size %d has another root than the ledger's: %w", c.within.Size, frame.ErrCorrupt)
	}
	return err
}

// VerifyHead checks that c is a signed head of this ledger's epoch: frame.ErrCorrupt if it is not.
func (l *Ledger) VerifyHead(epoch uint32, c segment.Commit) error {
	signer, err := l.verify(epoch, c)
	if err == nil && signer == nil {
		err = fmt.Errorf("size %d is of epoch %d, whose keys are not known: %w", c.Size, epoch, frame.ErrCorrupt)
	}
	return err
}
