package epoch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine/dir"
	"stele/internal/ledger"
)

// PromoteOptions says from where a new epoch goes on, and why.
type PromoteOptions struct {
	At     uint64   // the number of entries with which the new epoch goes on; 0: all
	Reason string   // for the record
	By     core.Who // who does it; none: the command line
}

// Promotion is what Promote did.
type Promotion struct {
	Store    string // its id
	From, To uint32 // epochs
	Cut      uint64 // entries with which the new epoch goes on
	Left     uint64 // entries beyond the cut: they stay in the files of the old epoch, as evidence, and are not shown
	VKey     string // verifier key of the new epoch
}

// PromoteFolder locks the folder, and makes it the primary of a new epoch: that of a store, or, with standby, the one that followed pin.
func (s *Epochs) PromoteFolder(ctx context.Context, opt PromoteOptions, pin Pin, standby bool, asked *Asked) (p Promotion, err error) {
	err = s.core.Locked(func() error {
		p, err = s.promoteFolder(ctx, opt, pin, standby, asked)
		return err
	})
	return p, err
}

func (s *Epochs) promoteFolder(ctx context.Context, opt PromoteOptions, pin Pin, standby bool, asked *Asked) (_ Promotion, err error) {
	if err := s.core.Sweep(); err != nil {
		return Promotion{}, err
	}
	if s.core.Engine, err = dir.Open(s.core.FS, s.core.Dir(), dir.Options{}); err != nil {
		return Promotion{}, err
	}
	id, err := s.core.Identity()
	if err != nil {
		return Promotion{}, err
	}
	if standby {
		err = s.standbyKeys(ctx, pin, id)
	} else {
		err = s.core.LoadKeys(ctx, id)
	}
	if err != nil {
		return Promotion{}, err
	}
	if err := s.core.RefuseSuperseded(); err != nil {
		return Promotion{}, err
	}
	if standby {
		return s.promoteStandby(ctx, opt, pin)
	}
	return s.Promote(ctx, opt, asked.Into(s.core.LedgerOptions()))
}

// Promote begins the next epoch over the ledger that of opens, with the folder locked and its keyring loaded: PromoteFolder for a folder whose engine is there already. A crash leaves the old epoch or
// the new one; the lines below say which. core.ErrBehind: one of those in of.Seen has seen more. core.ErrFuture: there are fewer entries than At.
func (s *Epochs) Promote(ctx context.Context, opt PromoteOptions, of ledger.Options) (p Promotion, err error) {
	l, err := ledger.OpenHalted(ctx, of)
	var behind *ledger.BehindError
	if errors.As(err, &behind) {
		err = fmt.Errorf("%w: %s has %d entries, here are %d. A new epoch would go on without the newer ones: serve or restore from there. To give them up, promote a folder with --at @%d", core.ErrBehind, behind.By, behind.Saw, behind.Have, behind.Have)
	}
	if err != nil {
		return Promotion{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	p = Promotion{Store: s.core.ID(), From: l.Epoch(), Cut: l.Size()}
	if opt.At > p.Cut {
		return Promotion{}, fmt.Errorf("%w: the store has %d entries, not %d", core.ErrFuture, p.Cut, opt.At)
	}
	if opt.At > 0 {
		p.Cut, p.Left = opt.At, p.Cut-opt.At
	}
	next, err := s.core.Keys.Next(p.Cut)
	if err != nil {
		return Promotion{}, err
	}
	if p.VKey, err = next.VKey(); err != nil {
		return Promotion{}, err
	}
	p.To = next.Epoch
	// The keyring comes before the segments that it opens. After a crash it is a keyring without a segment of its epoch, which every opening skips: the old epoch goes on.
	if err := s.core.SaveKeysHere(ctx, next); err != nil {
		return Promotion{}, err
	}
	if p.Left > 0 {
		// The new epoch must not meet rows of entries that no longer count. After a crash the old epoch opens without an index and folds it anew.
		if err := s.removeIndex(); err != nil {
			return Promotion{}, err
		}
	}
	// The mark comes before the segment: a folder that has a segment of the new epoch has to know that this epoch is its own. After a crash the mark names an epoch that never began, and counts for nothing.
	if err := s.over.NotePromotion(next); err != nil {
		return Promotion{}, err
	}
	by := opt.By
	if by.Key == "" {
		by.Key = core.ActorLocal
	}
	why := entry.Private{Actor: by.Key, Address: by.Address, Request: by.Request, Reason: opt.Reason}
	if backup, served := s.over.Backup(); served {
		why.Value = backup.Name // the entry tells from which backup the epoch began: the store above shows it (Stats.PromotedFrom)
	}
	return p, l.Begin(ctx, next, p.Cut, why) // the commit point is in it: the segment of the new epoch gets its name
}

// removeIndex removes the index, durably: if a power cut brought it back after the commit point, it would have rows of entries beyond the cut.
func (s *Epochs) removeIndex() error {
	if err := s.core.FS.RemoveAll(s.core.Path(core.DirIndex)); err != nil && !core.IsNotExist(err) {
		return fmt.Errorf("couldn't remove the index %s: %w", s.core.Path(core.DirIndex), err)
	}
	if err := durable.SyncDir(s.core.FS, s.core.Dir()); err != nil {
		return fmt.Errorf("couldn't remove the index %s: %w", s.core.Path(core.DirIndex), err)
	}
	return nil
}

// Epochs returns the epochs of which the store has entries, with the first entry of each, in order.
func (s *Epochs) Epochs() (epochs []Begin) {
	for epoch, first := range s.core.Keys.Begins() {
		epochs = append(epochs, Begin{epoch, first})
	}
	return slices.Clip(epochs)
}

// Begin says with which entry an epoch began.
type Begin struct {
	Epoch uint32
	First uint64
}
