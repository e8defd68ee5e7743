package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/segment"
	"stele/tree"
)

// sequencer is what only the sequencer's goroutine touches: the ledger one batch ahead of what readers see.
type sequencer struct {
	time     timekeeper
	frontier tree.Frontier
	active   *segment.Writer // nil: the next one is being made
	next     *upcoming       // nil: not needed yet
	rotateAt uint64          // size at which active ends; 0: not fixed yet

	batch  batch
	random [512]byte // for salts
	unused int       // bytes of random
}

// batch is what one fsync makes durable.
type batch struct {
	entries []entry.Entry // passed on to Apply
	waiting []*proposal

	items  []segment.Item // these are used again for the next batch
	hashes []tree.Hash
	bytes  []byte // the leaves and private parts
}

// reset empties the batch.
func (b *batch) reset() {
	*b = batch{items: b.items[:0], hashes: b.hashes[:0], bytes: b.bytes[:0]}
	if cap(b.bytes) > 2*segment.BatchBytes {
		b.bytes = nil // one batch of long entries isn't a reason to keep its memory
	}
}

// applied is a durable batch on its way to Apply.
type applied struct {
	entries []entry.Entry
	waiting []*proposal
}

// run is the sequencer's goroutine.
func (l *Ledger) run() {
	defer l.workers.Done()
	defer close(l.apply)
	defer close(l.sealing)
	var proposals []*proposal
	for {
		var ok bool
		if proposals, ok = l.queue.next(proposals); !ok {
			return
		}
		for rest := proposals; len(rest) > 0; {
			rest = l.commit(rest)
		}
		clear(proposals)
	}
}

// commit makes a batch of the first proposals, commits it, and returns the rest.
func (l *Ledger) commit(proposals []*proposal) (rest []*proposal) {
	s := &l.seq
	s.batch.reset()
	err := l.failed()
	if err == nil {
		err = l.superseded() // asked before each batch: once a later epoch is known, nothing more may be signed in this one
	}
	if err == nil {
		err = s.prepare(l)
	}
	if err != nil { // failed, superseded, or no room for a new segment: nobody's decide is asked
		for _, p := range proposals {
			if p.take() {
				p.err = err
				s.batch.waiting = append(s.batch.waiting, p)
			}
		}
		l.apply <- applied{waiting: s.batch.waiting}
		return nil
	}
	rest = l.decide(proposals)
	if len(s.batch.entries) > 0 {
		if err := l.write(); err != nil {
			err = l.fail(err)
			for _, p := range s.batch.waiting {
				p.entry, p.err = entry.Entry{}, err // refusals as well: the entries that a refusal rests on may not be durable
			}
			l.apply <- applied{waiting: s.batch.waiting}
			return rest
		}
	}
	l.apply <- applied{s.batch.entries, s.batch.waiting}
	if err := s.rotate(l); err != nil {
		l.fail(err)
	}
	return rest
}

// decide fills the batch from proposals, in order, and returns those for which it has no room. The order in which proposals came is the commit order: each decide function sees the effects
// of all before it, through Options.Decided, although none of this batch is durable yet.
func (l *Ledger) decide(proposals []*proposal) (rest []*proposal) {
	s := &l.seq
	room := segment.BatchEntries
	if s.rotateAt > 0 { // the next segment is already named by the entry at which this one must end
		room = int(min(uint64(room), s.rotateAt-s.frontier.Size()))
	}
	for i, p := range proposals {
		if len(s.batch.entries) >= room || len(s.batch.bytes) >= segment.BatchBytes {
			return proposals[i:]
		}
		if !p.take() {
			continue
		}
		at, wall, changed := s.time.next()
		if changed {
			if _, err := l.add(driftDraft(s.time.drifting), at, wall); err != nil {
				l.fail(fmt.Errorf("couldn't record a clock drift: %w", err))
			}
			if len(s.batch.entries) >= room {
				p.taken.Store(false) // no room behind the drift entry: its turn comes in the next batch
				return proposals[i:]
			}
		}
		l.decideOne(p, at, wall)
		s.batch.waiting = append(s.batch.waiting, p)
		if bug.On(bug.RefuseBeforeDurable) && p.err != nil {
			s.batch.waiting = s.batch.waiting[:len(s.batch.waiting)-1]
			close(p.done)
		}
	}
	return nil
}

func (l *Ledger) decideOne(p *proposal, at, wall time.Time) {
	draft, err := p.decide(Slot{l.seq.nextIndex(), at})
	if err == nil {
		p.entry, err = l.add(draft, at, wall)
	}
	p.err = err
}

func (s *sequencer) nextIndex() uint64 { return s.frontier.Size() + uint64(len(s.batch.entries)) }

// add encodes a draft as the next entry of the batch.
func (l *Ledger) add(d Draft, at, wall time.Time) (entry.Entry, error) {
	s := &l.seq
	e := entry.Entry{Index: s.nextIndex(), Time: at, Type: d.Type, Salt: s.salt(), Private: d.Private}
	if e.Private.Wall = (time.Time{}); s.time.drifting {
		e.Private.Wall = wall
	}
	e.Private.Clock = s.time.due(e.Index)
	if err := e.Validate(); err != nil {
		return entry.Entry{}, fmt.Errorf("couldn't make an entry: %w", err)
	}
	if e.Private.Clock != nil {
		s.time.carried(e.Index) // only now: an entry that Validate refused carries nothing
	}
	b := &s.batch
	start := len(b.bytes)
	b.bytes = entry.AppendPrivate(b.bytes, &e.Private)
	middle := len(b.bytes)
	b.bytes = entry.AppendLeaf(b.bytes, e.Index, e.Time, e.Type, entry.Commitment(e.Salt, b.bytes[start:middle]))
	private, leaf := b.bytes[start:middle:middle], b.bytes[middle:len(b.bytes):len(b.bytes)]
	b.entries = append(b.entries, e)
	b.items = append(b.items, segment.Item{Leaf: leaf, Salt: e.Salt, Private: private})
	b.hashes = append(b.hashes, entry.LeafHash(leaf))
	if l.opt.Decided != nil {
		l.opt.Decided(&b.entries[len(b.entries)-1])
	}
	return e, nil
}

// salt draws 16 random bytes, a block at a time.
func (s *sequencer) salt() (salt [16]byte) {
	if s.unused == 0 {
		rand.Read(s.random[:])
		s.unused = len(s.random)
	}
	copy(salt[:], s.random[len(s.random)-s.unused:])
	s.unused -= len(salt)
	return salt
}

// write commits the batch. frontier is a copy until the fsync has returned: if anything before that fails, the sequencer's own tree is still that of the durable ledger.
func (l *Ledger) write() error {
	s, b := &l.seq, &l.seq.batch
	frontier := s.frontier
	groups := frontier.AppendMany(nil, b.hashes...)
	sb, err := l.encode(frontier.Size(), frontier.Root())
	if err != nil {
		return err
	}
	if err := s.active.Append(sb, micros(b.entries[0].Time)); err != nil { // a crash from here on leaves a torn tail, or an unacknowledged batch
		return err
	}
	if bug.On(bug.AckBeforeSync) {
		l.apply <- applied{b.entries, b.waiting}
		b.entries, b.waiting = nil, nil
	}
	if err := l.sync(); err != nil { // nobody repeats it: the page cache can now hold what the disk does not (DESIGN invariant 6)
		return err
	}
	// The commit point is behind us: whatever happens now, the next Open finds the batch.
	s.frontier = frontier
	l.show(sb.Commit, groups)
	return nil
}

func (l *Ledger) sync() error {
	if bug.On(bug.SkipSegmentSync) {
		return nil
	}
	err := l.seq.active.Sync()
	if err != nil && bug.On(bug.RetryFsync) {
		return nil // what a second fsync says after a failed one
	}
	return err
}

// encode makes the segment's batch of what was decided, with the signed tree head.
func (l *Ledger) encode(size uint64, root tree.Hash) (segment.Batch, error) {
	b := &l.seq.batch
	var out segment.Batch
	for from := 0; from < len(b.items); from += segment.PairEntries {
		to := min(from+segment.PairEntries, len(b.items))
		p, err := segment.EncodePair(b.entries[from].Index, b.items[from:to], micros(b.entries[to-1].Time))
		if err != nil {
			return segment.Batch{}, err
		}
		out.Pairs = append(out.Pairs, p)
	}
	out.Commit = segment.Commit{
		First: b.entries[0].Index, Size: size, Root: root, KeyHash: l.signer.KeyHash(),
		Signature: l.signer.Sign(size, root), Time: micros(b.entries[len(b.entries)-1].Time),
	}
	return out, nil
}

func micros(t time.Time) int64 { return t.UnixMicro() }

// show lets readers see the batch that has become durable. Size, hashes and segment change together under l.mu, so that a reader who sees the new size can also prove it.
func (l *Ledger) show(c segment.Commit, groups []tree.Hash) {
	s := &l.seq
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = head{size: c.Size, root: c.Root, commit: c, signer: l.signer.Verifier}
	l.groups = append(l.groups, groups...)
	l.blocks = tree.BlockHashes(l.blocks, l.groups)
	l.newest = append(l.newest, s.batch.hashes...)
	l.trim()
	l.segments[len(l.segments)-1].grow(s.active.View(), c)
	l.publish.kick()
}

// trim keeps the leaf hashes of the last, incomplete group and of the one before it; whole groups older than that are read from their segments. l.mu is held.
func (l *Ledger) trim() {
	keep := l.head.size &^ (tree.GroupSize - 1)
	if keep > tree.GroupSize && keep-tree.GroupSize > l.newestAt && len(l.newest) > 8*tree.GroupSize {
		l.newest = append([]tree.Hash(nil), l.newest[keep-tree.GroupSize-l.newestAt:]...)
		l.newestAt = keep - tree.GroupSize
	}
}

// runApply is the goroutine that derives and wakes.
func (l *Ledger) runApply() {
	defer l.workers.Done()
	var broken error // an earlier batch could not be applied
	for b := range l.apply {
		if len(b.entries) > 0 && l.opt.Apply != nil && broken == nil {
			if err := l.opt.Apply(b.entries); err != nil {
				broken = l.fail(fmt.Errorf("couldn't apply entries from %d on: %w", b.entries[0].Index, err))
			}
		}
		for _, p := range b.waiting {
			// An entry that is durable but not applied is not acknowledged, because a read that follows would not see it.
			if broken != nil {
				p.entry, p.err = entry.Entry{}, broken
			}
			close(p.done)
		}
	}
}

// finish seals the active segment and gives back the one that was made ahead. Called once, when the goroutines are done. After a failure the active segment stays a tail, because what it
// holds on disk is not known any more; the next Open recovers it.
func (s *sequencer) finish(l *Ledger) error {
	ctx := context.Background()
	var errs []error
	if s.active != nil && l.failed() == nil && s.active.Next() > s.active.First() {
		errs = append(errs, l.seal(sealing{s.active, l.segments[len(l.segments)-1], s.frontier}))
	} else if s.active != nil {
		l.hide(l.segments[len(l.segments)-1])
		errs = append(errs, l.abandon(ctx, s.active))
	}
	if s.next != nil {
		if w, err := s.next.wait(); err == nil {
			errs = append(errs, l.abandon(ctx, w))
		}
	}
	return errors.Join(errs...)
}
