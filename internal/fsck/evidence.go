package fsck

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"stele/internal/ledger"
	"stele/internal/segment"
)

// Evidence is what an epoch holds beyond where a later one went another way. It is not of the store and nobody reads it; whoever was told of it finds it here.
type Evidence struct {
	Epoch  uint32
	From   uint64 // first entry
	To     uint64 // behind the last entry that was hashed and found under a signature of that epoch
	Files  int    // segments that hold nothing else
	Broken string // what is not as that epoch's signer has signed it, or can't be told; empty: all of it is
}

func (e *Evidence) broken(name, format string, args ...any) {
	if e.Broken == "" {
		e.Broken = name + ": " + fmt.Sprintf(format, args...)
	}
}

// evidence goes on with the trees of earlier epochs beyond their ends.
func (j *job) evidence(ctx context.Context, c *chain, links []ledger.Link) error {
	for _, k := range links {
		e := c.evidence[k.Epoch]
		if e == nil {
			e = &Evidence{Epoch: k.Epoch, From: k.First, To: k.First}
			c.evidence[k.Epoch] = e
		}
		e.Files++
		tail := c.tails[k.Epoch]
		switch {
		case tail == nil: // none of its entries count: the tree on which it stood is one of those that were left
			tail = c.under(k)
			c.tails[k.Epoch] = tail
		case tail.edge.Size() != k.First:
			e.broken(k.Name, "entries %d to %d are not there", tail.edge.Size(), k.First-1)
		}
		if tail == nil {
			e.broken(k.Name, "not followed: no earlier epoch ends at entry %d, where this one begins", k.First)
		}
		if e.Broken != "" {
			continue
		}
		if err := j.evidenceFile(ctx, c, k, tail, e); err != nil {
			return err
		}
	}
	for _, e := range c.evidence {
		j.report.Evidence = append(j.report.Evidence, *e)
	}
	slices.SortFunc(j.report.Evidence, func(a, b Evidence) int { return cmp.Compare(a.Epoch, b.Epoch) })
	return nil
}

// under returns the tree of an earlier epoch that ends where k begins; nil if none of those that were followed does.
func (c *chain) under(k ledger.Link) *branch {
	for epoch := k.Epoch - 1; epoch > 0; epoch-- {
		if b := c.tails[epoch]; b != nil && b.edge.Size() == k.First {
			under := *b
			under.epoch = k.Epoch
			return &under
		}
	}
	return nil
}

func (j *job) evidenceFile(ctx context.Context, c *chain, k ledger.Link, tail *branch, e *Evidence) error {
	f, err := j.Engine.Open(ctx, k.Name)
	if err != nil {
		return fmt.Errorf("couldn't open %s: %w", k.Name, err)
	}
	defer f.Close()
	sc := segment.NewScanner(f, f.Size(), k.First, j.Keys.Sealer)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := sc.Next()
		if err == io.EOF {
			if sc.Footer() == nil {
				why, _, _ := sc.Broken()
				if short(why) {
					return why
				}
				e.broken(k.Name, "damaged behind entry %d: %v", tail.edge.Size(), why)
			}
			j.advance(f.Size())
			return nil
		}
		if err == nil {
			err = c.follow(tail, &b)
		}
		if short(err) {
			return fmt.Errorf("couldn't read %s: %w", k.Name, err)
		}
		if err != nil {
			e.broken(k.Name, "behind entry %d: %v", e.To, err)
			return nil
		}
		e.To = tail.edge.Size()
	}
}

// follow goes on with a batch of evidence.
func (c *chain) follow(tail *branch, b *segment.Batch) error {
	for i := range b.Pairs {
		items, err := b.Pairs[i].Items()
		if err != nil {
			return err
		}
		for k := range items {
			if _, _, err := tail.add(&items[k]); err != nil {
				return err
			}
		}
	}
	return c.signed(tail, &b.Commit)
}
