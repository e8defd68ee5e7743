package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"stele/internal/bug"
	"stele/tree"
)

// compare compares the ledger with what was seen of it (DESIGN invariant 5).
func (l *Ledger) compare(ctx context.Context) error {
	if bug.On(bug.SkipSeen) {
		return nil
	}
	for _, s := range l.opt.Seen {
		if err := l.Compare(ctx, s); err != nil {
			return fmt.Errorf("couldn't open the ledger: %w", err)
		}
	}
	note, s, err := l.comparePublished(ctx)
	if err != nil {
		return fmt.Errorf("couldn't open the ledger: %w", err)
	}
	if note != nil && s.Epoch == l.Epoch() && s.Size == l.head.size {
		l.publish.newest, l.publish.size = note, s.Size // nothing to publish again
	}
	return nil
}

// ComparePublished compares the ledger with the published checkpoint, as Open does: see Compare.
func (l *Ledger) ComparePublished(ctx context.Context) error {
	_, _, err := l.comparePublished(ctx)
	return err
}

// comparePublished also returns the checkpoint and what it says; nil if there is none, or if it is damaged.
func (l *Ledger) comparePublished(ctx context.Context) (note []byte, s Seen, err error) {
	if l.opt.Published == nil {
		return nil, s, nil
	}
	note, err = l.opt.Published.Load()
	if err != nil {
		return nil, s, fmt.Errorf("couldn't read the published checkpoint: %w", err)
	}
	s, ok := l.seenIn(note)
	if !ok {
		return nil, s, nil
	}
	return note, s, l.Compare(ctx, s)
}

// seenIn reads a published checkpoint. None, and a damaged one, prove nothing. One of a later epoch can't be verified without that epoch's keyring, and says all the same that
// this ledger is not the newest.
func (l *Ledger) seenIn(note []byte) (Seen, bool) {
	s := Seen{By: "the published checkpoint"}
	for epoch, keys := range l.keys {
		for _, v := range keys {
			if c, err := v.Open(note); err == nil {
				s.Size, s.Epoch, s.Root = c.Size, epoch, c.Root
				return s, true
			}
		}
	}
	origin, _, _ := strings.Cut(string(note), "\n")
	store, _, _ := strings.Cut(l.Origin(), "/")
	n, ok := strings.CutPrefix(origin, store+"/")
	epoch, err := strconv.ParseUint(n, 10, 32)
	s.Epoch = uint32(epoch)
	return s, ok && err == nil && s.Epoch > l.Epoch()
}

// Compare compares the ledger with what somebody has seen of it (DESIGN invariant 5): nil if what was seen is a part of this ledger, or belongs to an earlier epoch beyond its end.
// Otherwise BehindError if it is more of our own epoch, ErrForked if it has another root, SupersededError if it is of a later epoch.
func (l *Ledger) Compare(ctx context.Context, s Seen) error {
	size, ours := l.Size(), l.Epoch()
	if s.Epoch > ours {
		return &SupersededError{s.By, s.Epoch, ours}
	}
	if s.Epoch > 0 && s.Epoch < ours {
		if end, ok := l.opt.Keys.EndOf(s.Epoch); !ok || s.Size > end {
			return nil // evidence
		}
	}
	if s.Size > size {
		return &BehindError{s.By, s.Size, size}
	}
	if s.Root == (tree.Hash{}) || s.Size == 0 {
		return nil
	}
	root, err := l.Root(ctx, s.Size)
	if err != nil {
		return fmt.Errorf("couldn't compare with what %s has seen: %w", s.By, err)
	}
	if root != s.Root {
		return fmt.Errorf("%w: %s has seen another root at size %d. Two servers have written, each with a copy of this folder, or files were rewritten: keep both as they are. The reading verbs show what is here; to go on with what was seen, restore from a target into an empty folder", ErrForked, s.By, s.Size)
	}
	return nil
}
