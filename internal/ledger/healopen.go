package ledger

import (
	"context"
	"fmt"

	"stele/internal/engine"
	"stele/internal/heal"
	"stele/internal/segment"
	"stele/tree"
)

// healAtOpen heals the segment for which l could not be opened. It replaces only by a copy that goes on from the segments before, has every entry that the damaged
// file, the files behind it or anybody else proves, and from which the file behind goes on.
func (l *Ledger) healAtOpen(ctx context.Context, d *damagedSegment) error {
	if l.seq.frontier.Size() != d.first {
		return fmt.Errorf("what is before entry %d must be healed first", d.first)
	}
	next, least, exact, err := l.expected(ctx, d)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range l.copies() {
		name, err := l.nameIn(ctx, c.Engine, d, next)
		var p proof
		if err == nil {
			p, err = l.proveFile(ctx, c.Engine, name, l.seq.frontier, least)
		}
		if err == nil {
			err = l.reaches(ctx, c.Engine, p, next, least, exact)
		}
		if err == nil {
			err = l.replace(ctx, name, c, p, d.err)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, heal.OfCopy(c.Name, err))
	}
	if err := l.remakeAtOpen(ctx, d, next, least, exact); err != nil {
		return fmt.Errorf("no copy is good: %w", heal.Joined(append(errs, err)))
	}
	return nil
}

// reaches says whether a copy, from a segment of it that is proven on, has all entries up to least, over segments that are missing here as well, and what is behind goes on from there.
func (l *Ledger) reaches(ctx context.Context, e engine.Engine, p proof, next string, least uint64, exact bool) error {
	for {
		if err := l.wasPublished(p); err != nil {
			return err
		}
		size := p.edge.Size()
		switch {
		case size == least || size > least && !exact:
			return l.goesOn(ctx, next, p.edge)
		case size > least && p.marked.Size() == least: // what is beyond is evidence: a later epoch went another way
			return l.goesOn(ctx, next, p.marked)
		}
		name, err := l.nameIn(ctx, e, &damagedSegment{first: size}, next)
		if err == nil && size < least {
			p, err = l.proveFile(ctx, e, name, p.edge, least)
		}
		if err != nil || size > least {
			return fmt.Errorf("holds the entries up to %d, there were %d: %w", size, least, heal.ErrUnproven)
		}
	}
}

// wasPublished compares a proof with the published checkpoint, if the proof covers that checkpoint's size: a copy with another root there is of a rewritten history.
func (l *Ledger) wasPublished(p proof) error {
	c, ok := l.lastPublished()
	if root, within := p.roots[c.Size]; ok && within && root != c.Root {
		return fmt.Errorf("at size %d its root is not the one that was published: %w", c.Size, heal.ErrUnproven)
	}
	return nil
}

func (l *Ledger) lastPublished() (c tree.Checkpoint, ok bool) {
	if l.opt.Published == nil {
		return c, false
	}
	note, err := l.opt.Published.Load()
	if err != nil {
		return c, false
	}
	c, err = l.signer.Open(note)
	return c, err == nil
}

// expected finds where a damaged segment must end: next is the sealed segment behind it ("": none), least the end that is proven, exact whether it is that one and no other.
func (l *Ledger) expected(ctx context.Context, d *damagedSegment) (next string, least uint64, exact bool, err error) {
	names, _, err := l.segmentNames(ctx)
	if err != nil {
		return "", 0, false, err
	}
	chain, _, err := Chain(names)
	if err != nil {
		return "", 0, false, err
	}
	for _, k := range chain {
		if k.First > d.first {
			return k.Name, k.First, true, nil
		}
	}
	if e, ok := l.opt.Engine.(engine.Appender); ok {
		tails, err := segmentTails(ctx, e)
		if err != nil {
			return "", 0, false, err
		}
		for _, t := range tails { // the next one begins where this one ended; the last of a recovery that was cut short begins where this one does
			if _, first, _ := segment.ParseName(t.Name); first > d.first {
				return "", first, true, nil
			}
		}
	}
	least = max(d.first+1, d.least)
	if d.name == "" { // whatever goes on is more than there is
		return "", least, false, nil
	}
	for _, s := range l.opt.Seen {
		least = max(least, s.Size)
	}
	if c, ok := l.lastPublished(); ok {
		least = max(least, c.Size)
	}
	if f, err := l.opt.Engine.Open(ctx, d.name); err == nil {
		t := engine.Tail{Open: func() (engine.File, error) { return f, nil }}
		end, _ := tailEnd(t, d.first) // what can't be read proves nothing
		least = max(least, end)
	}
	return "", least, false, nil
}
