package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// A follower goes through all epochs of the ledger that it follows. Which segments make that is known to it beforehand (Options.Ends), not by the names of its own files alone: those of the
// next epoch have not come yet where it turns to that. What its own files hold beyond an epoch's end is evidence, as everywhere.

// upToEnds leaves of a chain what counts by Ends.
func (o *Options) upToEnds(chain []Link) []Link {
	if o.Ends == nil {
		return chain
	}
	var out []Link
	for _, k := range chain {
		end, counts := o.Ends[k.Epoch]
		if k.Epoch == o.Keys.Epoch {
			end, counts = math.MaxUint64, true
		}
		if counts && k.First < end {
			k.Limit = min(k.Limit, end)
			out = append(out, k)
		}
	}
	return out
}

// standAtEnd brings the tree to where an epoch ended if that is in the middle of its last segment here, and nothing of the next epoch is.
func (l *Ledger) standAtEnd(ctx context.Context) error {
	n := len(l.segments)
	if n == 0 || l.segments[n-1].limit == 0 {
		return nil
	}
	c, err := l.check(ctx, l.head.size)
	if err == nil {
		l.seq.frontier, l.head.root = c.frontier, c.frontier.Root()
	}
	return err
}

// NextEpoch is the epoch whose segment holds the entry that is to come next.
func (f *Follower) NextEpoch() uint32 {
	next := f.opt.Keys.Epoch
	for epoch, end := range f.opt.Ends {
		if f.head.size < end {
			next = min(next, epoch)
		}
	}
	return next
}

func (f *Follower) nextName() string { return segment.Name(f.NextEpoch(), f.head.size) }

// endOf is up to where the segments of an epoch count.
func (f *Follower) endOf(epoch uint32) uint64 {
	if end, ok := f.opt.Ends[epoch]; ok {
		return end
	}
	return tree.MaxSize
}

// rightBegin checks that an epoch begins where its keyring says, and there only, and that it is a rightful handover. The tree before e is at with hashes behind. Without keys the entry's
// type is all there is to see: the handover was checked when the key of its epoch was pinned.
func (f *Follower) rightBegin(epoch uint32, e *entry.Entry, at tree.Frontier, hashes []tree.Hash) error {
	begins := false
	for of, first := range f.opt.Keys.Begins() {
		begins = begins || of == epoch && first == e.Index && first > 0
	}
	if begins != (e.Type == entry.EpochBegin) {
		return fmt.Errorf("entry %d is a %s in epoch %d, which does not agree with where the epochs begin: %w", e.Index, e.Type, epoch, frame.ErrCorrupt)
	}
	if !begins || f.dataKeys() == nil || bug.On(bug.SkipParent) {
		return nil
	}
	at.AppendMany(nil, hashes...)
	if err := CheckBegin(e, epoch, at.Root(), f.opt.Keys); err != nil {
		return fmt.Errorf("%w: %w", err, frame.ErrCorrupt)
	}
	return nil
}

// sealHere seals the segment of a piece with which its epoch ends: what the primary's file holds behind that is evidence there, and is not copied. The bytes up to there are the primary's.
func (f *Follower) sealHere(p *Piece) error {
	seg := p.seg
	rows := append(seg.rows[:len(seg.rows):len(seg.rows)], p.rows...)
	groups := append(f.groups[:len(f.groups):len(f.groups)], p.groups...)
	last := p.last
	if last.Size == 0 { // nothing of it is new
		last = f.head.commit
	}
	w := seg.scan.Finish(seg.g, rows, last, p.first)
	if err := sealWriter(w, &p.frontier, groups[seg.first/tree.GroupSize:p.Size/tree.GroupSize]); err != nil {
		return err
	}
	p.Sealed = true
	return nil
}

// SealTail seals the segment that has come so far, all that was accepted of it. The follower must be closed then: it goes on with none of its files.
func (f *Follower) SealTail() error {
	seg := f.cur
	if seg == nil || seg.g == nil {
		return nil
	}
	if f.Forget(); seg.scan.SizeBytes() != seg.src.written {
		return fmt.Errorf("couldn't seal segment %s: what was accepted of it doesn't read back: %w", seg.name, frame.ErrCorrupt)
	}
	w := seg.scan.Finish(seg.g, seg.rows, f.head.commit, seg.firstTime)
	err := sealWriter(w, &f.seq.frontier, f.groups[seg.first/tree.GroupSize:f.head.size/tree.GroupSize])
	if err != nil {
		return f.fail(fmt.Errorf("couldn't seal segment %s: %w", seg.name, err))
	}
	return nil
}

// Shorten puts a sealed segment of the primary's, b, in the place of what came of the one of its name so far, though it ends before that: the primary's files were copied from a backup, where the same
// entries lie in other files. It must hold the entries that were accepted. The follower must be closed then; what it holds beyond, the primary's next segments bring again.
func (f *Follower) Shorten(ctx context.Context, b []byte) error {
	old := f.cur
	if old == nil {
		return fmt.Errorf("couldn't replace a segment: none has begun to come: %w", ErrUnproven)
	}
	seg := &following{name: old.name, epoch: old.epoch, first: old.first, start: old.start}
	seg.src.ahead = b
	seg.scan = segment.NewScanner(&seg.src, 0, seg.first, f.dataKeys())
	p, err := f.check(seg, tree.MaxSize)
	if err != nil {
		return err
	}
	if !p.Sealed || p.Size > f.head.size {
		return fmt.Errorf("segment %s is no shorter sealed one: %w", seg.name, ErrUnproven)
	}
	last := seg.scan.Footer().Commit
	if _, err := f.verify(seg.epoch, last); err != nil {
		return unproven(err)
	}
	if root, err := f.Root(ctx, last.Size); err != nil {
		return err
	} else if root != tree.Hash(last.Root) {
		return fmt.Errorf("%w: at size %d the root differs from the one that was accepted", ErrForked, last.Size)
	}
	g, err := f.app().Append(ctx, seg.name, engine.AppendOptions{})
	if err != nil {
		return fmt.Errorf("couldn't begin segment %s: %w", seg.name, err)
	}
	_, err = g.Write(b)
	if err == nil {
		err = g.Publish()
	}
	if err = errors.Join(err, g.Close()); err != nil {
		return f.fail(fmt.Errorf("couldn't write segment %s: %w", seg.name, err))
	}
	return nil
}
