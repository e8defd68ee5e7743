package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/keyring"
	"stele/internal/segment"
	"stele/tree"
)

// OpenHalted opens a ledger as Open does, recovery and comparisons included, and takes no entries: it is for Begin, on a store that no process writes.
func OpenHalted(ctx context.Context, opt Options) (*Ledger, error) {
	l, err := open(ctx, opt, false)
	if err != nil {
		return nil, err
	}
	if l.readOnly = true; l.head.size == 0 {
		err = fmt.Errorf("couldn't open the ledger: %w", ErrNone)
	} else {
		err = l.compare(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.open.close())
	}
	return l, nil
}

// Begin begins the epoch of next, a keyring made by Keyring.Next and saved before, with the first cut entries of l, which OpenHalted has opened. Nothing of the old epoch is
// altered: what it holds beyond the cut stays in its segments. p holds the actor and the reason.
//
// The new epoch's first segment holds the entries from the last commit below the cut on, byte for byte, and epoch.begin behind them, in one batch that the new signer signs: so no
// signature of the new epoch is without its epoch.begin. It is made by what makes every segment. The commit point is where it gets its sealed name: a crash before leaves the old
// epoch and a tail that the next Open removes; a crash after it, the new epoch.
//
// ErrRange: the ledger has fewer entries than cut.
func (l *Ledger) Begin(ctx context.Context, next *keyring.Keyring, cut uint64, p entry.Private) error {
	if end, ok := next.EndOf(l.Epoch()); !ok || end > cut || next.EpochOf(cut) != next.Epoch {
		return fmt.Errorf("couldn't begin epoch %d: its keyring was made for another cut than %d", next.Epoch, cut)
	}
	h, err := l.handOver(ctx, next, cut)
	if err != nil {
		return fmt.Errorf("couldn't begin epoch %d: %w", next.Epoch, err)
	}
	p.Data = h.Data()
	n, err := l.successor(ctx, next, cut)
	if err != nil {
		return fmt.Errorf("couldn't begin epoch %d: %w", next.Epoch, err)
	}
	if err := n.beginWith(Draft{entry.EpochBegin, p}); err != nil {
		return fmt.Errorf("couldn't begin epoch %d: %w", next.Epoch, err)
	}
	return nil
}

// handOver makes the handover from l's signer to that of next.
func (l *Ledger) handOver(ctx context.Context, next *keyring.Keyring, cut uint64) (h tree.Handover, err error) {
	head := l.head
	if cut == 0 || cut > head.size {
		return h, fmt.Errorf("at entry %d: %w of %d entries", cut, ErrRange, head.size)
	}
	root, err := l.Root(ctx, cut)
	if err != nil {
		return h, err
	}
	h = tree.Handover{Epoch: next.Epoch, Cut: cut, Parent: l.note(head)}
	if h.VKey, err = next.VKey(); err != nil {
		return h, err
	}
	if cut < head.size {
		if h.Proof, err = l.Consistency(ctx, cut, head.size); err != nil {
			return h, err
		}
	}
	if bug.On(bug.OtherParent) {
		root[0] ^= 1
		h.Parent = l.signer.Note(cut, root, l.signer.Sign(cut, root))
		h.Proof = nil
	}
	l.signer.HandOver(&h, root)
	return h, nil
}

// successor makes the ledger of the next epoch as it is before its first batch: with the tree up to the last commit below the cut, and the entries from there to the cut in the batch.
func (l *Ledger) successor(ctx context.Context, next *keyring.Keyring, cut uint64) (*Ledger, error) {
	if bug.On(bug.CutTooFar) {
		cut--
	}
	last, _, _, err := l.Entry(ctx, cut-1)
	if err != nil {
		return nil, err
	}
	from, items, err := l.sinceCommit(ctx, cut)
	if err != nil {
		return nil, err
	}
	opt := l.opt
	opt.Keys, opt.Apply, opt.Decided, opt.Rotated, opt.Published, opt.Seen = next, nil, nil, nil, nil, nil
	n, err := makeLedger(opt, false)
	if err != nil {
		return nil, err
	}
	s := &n.seq
	for _, g := range l.groups[:from/tree.GroupSize] {
		if err := s.frontier.AppendGroup(g); err != nil {
			return nil, err
		}
		n.groups = append(n.groups, g)
	}
	edge, err := l.groupLeaves(ctx, from/tree.GroupSize, from)
	if err != nil {
		return nil, err
	}
	s.frontier.AppendMany(nil, edge...)
	n.head.size, n.head.root, n.newestAt = from, s.frontier.Root(), from
	if root, err := l.Root(ctx, from); err != nil || from > 0 && root != n.head.root {
		return nil, fmt.Errorf("the entries before %d don't make the root %s: %w", from, root, err)
	}
	if err := n.startClock(ctx, l); err != nil { // from all that l holds: entries beyond the cut count no more, and still tell how far the clock was
		return nil, err
	}
	s.time.last, s.time.stale = last.Time, true
	for i := range items {
		leaf, err := parseLeaf(&items[i], from+uint64(i))
		if err != nil {
			return nil, err
		}
		s.batch.items = append(s.batch.items, items[i])
		s.batch.hashes = append(s.batch.hashes, entry.LeafHash(items[i].Leaf))
		s.batch.entries = append(s.batch.entries, entry.Entry{Index: leaf.Index, Time: leaf.Time, Type: leaf.Type})
	}
	return n, nil
}

// sinceCommit returns the size of the ledger at the last commit at or below cut, and the entries from there to the cut as they are stored.
func (l *Ledger) sinceCommit(ctx context.Context, cut uint64) (from uint64, items []segment.Item, err error) {
	f, err := l.find(cut - 1)
	if err != nil {
		return 0, nil, err
	}
	if f.end == cut {
		return cut, nil, nil
	}
	file, err := l.opt.Engine.Open(ctx, f.name)
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't open segment %s: %w", f.name, err)
	}
	defer file.Close()
	s := segment.NewScanner(file, file.Size(), f.first, l.opt.Keys.Sealer)
	for from = f.first; ; {
		b, err := s.Next()
		if err == io.EOF {
			err = s.Whole()
		}
		if err != nil {
			return 0, nil, fmt.Errorf("couldn't read segment %s: %w", f.name, err)
		}
		if b.Commit.Size <= cut {
			if from = b.Commit.Size; from == cut {
				return from, nil, nil
			}
			continue
		}
		for i := range b.Pairs {
			more, err := b.Pairs[i].Items()
			if err != nil {
				return 0, nil, fmt.Errorf("couldn't read segment %s: %w", f.name, err)
			}
			items = append(items, more...)
		}
		return from, items[:cut-from], nil
	}
}

// beginWith commits the batch of a successor, with d behind it, and seals it as a segment.
func (n *Ledger) beginWith(d Draft) (err error) {
	s := &n.seq
	defer func() {
		n.queue.close()
		err = errors.Join(err, s.finish(n), n.open.close()) // seals, or leaves a tail if something failed
	}()
	if err := s.prepare(n); err != nil {
		return err
	}
	at, wall, _ := s.time.next() // if the clocks have parted, the first batch after the next Open records a time.drift
	if _, err := n.add(d, at, wall); err != nil {
		return n.fail(err)
	}
	if err := n.write(); err != nil {
		return n.fail(err)
	}
	return nil
}
