package stele

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"filippo.io/age"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// PromoteOptions say from where a new epoch goes on, and why.
type PromoteOptions struct {
	Options        // FS, Clock, Log, Identity (a recovery key, on a machine that the store is new to); the rest has no effect
	At      uint64 // the number of entries with which the new epoch goes on; 0: all
	Reason  string // for the record
	By      Actor  // who does it; none: the command line
	Asked   *Asked // PromoteFrom only: what Store.AskTargets has just returned; nil: the targets are asked
}

// Promotion is what Promote did.
type Promotion struct {
	Store    string // its id
	From, To uint32 // epochs
	Cut      uint64 // entries with which the new epoch goes on
	Left     uint64 // entries beyond the cut: they stay in the files of the old epoch, as evidence, and are not shown
	VKey     string // verifier key of the new epoch
}

// Promote makes the store in folder, which no process holds, the primary of a new epoch: from the next Open on it takes writes under a signing key of its own, and whoever still follows the
// epoch before learns that it has ended. Nothing is altered or removed: entries beyond At stay in the old epoch's files.
//
// A crash leaves the old epoch or the new one; Promote may then be called again. ErrLocked: a process holds the folder. ErrSuperseded: the folder is of a primary from which another one has
// taken over. ErrFuture: the store has fewer entries than At.
func Promote(ctx context.Context, folder string, opt PromoteOptions) (_ Promotion, err error) {
	opt.ReadOnly = false
	s := newStore(folder, opt.Options)
	defer func() {
		err = core.Translate(err)
		if s.core.Lock != nil {
			err = errors.Join(err, s.core.Lock.Close())
		}
	}()
	if _, _, err := s.over.CheckFrom(ctx); err != nil {
		return Promotion{}, err
	}
	pin, standby, err := PinOf(folder, opt.Options)
	if err == nil && standby && pin.Keyless {
		err = fmt.Errorf("%w: %s follows without keys: it can verify and cosign, and cannot read what it would have to serve. Promote a standby with keys, or restore from a target", ErrWrongKey, folder)
	} else if err == nil && !standby {
		err = s.core.CheckIsStore()
	}
	if err != nil {
		return Promotion{}, err
	}
	var asked *Asked
	if standby {
		if err := settleStandby(ctx, folder, opt.Options, pin); err != nil {
			return Promotion{}, err
		}
		warnOfMore(ctx, folder, opt.Options)
	} else if asked, err = askBefore(ctx, folder, opt.Options); err != nil && !(errors.Is(err, ErrBehind) && opt.At > 0) {
		return Promotion{}, err
	}
	if err := s.core.LockFolder(); err != nil {
		return Promotion{}, err
	}
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
	if opt.At > 0 { // a cut gives up, by name, what comes after it
		asked = nil
	}
	return s.promote(ctx, opt, asked.into(s.core.LedgerOptions()))
}

func (s *Store) promote(ctx context.Context, opt PromoteOptions, of ledger.Options) (p Promotion, err error) {
	l, err := ledger.OpenHalted(ctx, of)
	var behind *ledger.BehindError
	if errors.As(err, &behind) {
		err = fmt.Errorf("%w: %s has %d entries, here are %d. A new epoch would go on without the newer ones: serve or restore from there. To give them up, promote a folder with --at @%d", ErrBehind, behind.By, behind.Saw, behind.Have, behind.Have)
	}
	if err != nil {
		return Promotion{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	p = Promotion{Store: s.ID(), From: l.Epoch(), Cut: l.Size()}
	if opt.At > p.Cut {
		return Promotion{}, fmt.Errorf("%w: the store has %d entries, not %d", ErrFuture, p.Cut, opt.At)
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
	if err := s.saveKeys(ctx, next); err != nil {
		return Promotion{}, err
	}
	if p.Left > 0 {
		// Rows of entries that no longer count must not be met by the new epoch. The index is derived: without it the old epoch opens as well.
		if err := s.removeIndex(); err != nil {
			return Promotion{}, err
		}
	}
	if err := s.over.NotePromotion(next); err != nil {
		return Promotion{}, err
	}
	by := opt.By
	if by.Key == "" {
		by = Local()
	}
	why := entry.Private{Actor: by.Key, Address: by.Address, Request: by.Request, Reason: opt.Reason}
	if backup, served := s.over.Backup(); served {
		why.Value = backup.Name // see promotedFrom
	}
	return p, l.Begin(ctx, next, p.Cut, why) // the commit point
}

// saveKeys wraps the keyring of a new epoch: to this machine's identity, which is made if there is none, in place of the old server's, and to all others to whom the old one was wrapped, the recovery key first.
func (s *Store) saveKeys(ctx context.Context, next *keyring.Keyring) error {
	server, err := s.core.ServerIdentity()
	if err != nil {
		return err
	}
	to := []age.Recipient{server.Recipient()}
	for i, r := range s.core.Keys.Recipients {
		if i == 0 || r == server.Recipient().String() {
			continue
		}
		other, err := age.ParseX25519Recipient(r)
		if err != nil {
			return fmt.Errorf("couldn't wrap the new epoch's keyring to %s: %w", r, err)
		}
		to = append(to, other)
	}
	return keyring.Save(ctx, s.core.Engine, next, to...)
}

// removeIndex removes the index, durably.
func (s *Store) removeIndex() error {
	if err := s.core.FS.RemoveAll(s.core.Path(core.DirIndex)); err != nil && !core.IsNotExist(err) {
		return fmt.Errorf("couldn't remove the index %s: %w", s.core.Path(core.DirIndex), err)
	}
	if err := durable.SyncDir(s.core.FS, s.core.Dir()); err != nil {
		return fmt.Errorf("couldn't remove the index %s: %w", s.core.Path(core.DirIndex), err)
	}
	return nil
}

// Epoch returns the present epoch.
func (s *Store) Epoch() uint32 { return s.core.Keys.Epoch }

// Epochs returns the epochs of which the store has entries, with the first entry of each, in order.
func (s *Store) Epochs() (epochs []EpochBegin) {
	for epoch, first := range s.core.Keys.Begins() {
		epochs = append(epochs, EpochBegin{epoch, first})
	}
	return slices.Clip(epochs)
}

// EpochBegin says with which entry an epoch began.
type EpochBegin struct {
	Epoch uint32
	First uint64
}
