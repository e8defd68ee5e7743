package stele

import (
	"context"
	"errors"
	"slices"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/hydrate"
)

// OpenFrom serves from a backup: it opens a store over folder, which is missing, empty, or was begun by an earlier OpenFrom of the same store, and the target, from which it reads whatever
// the folder has not got. Behind that the folder is filled (Hydration). The store takes no writes, ErrUnpromoted, until PromoteFrom has made the folder a primary. A folder that has
// everything and was promoted is opened as Open does.
// opt.Identity is the recovery key, unless the folder has an identity that opens the target's keyring.
func OpenFrom(ctx context.Context, folder string, from From, opt Options) (*Store, error) {
	const tries = 5
	for try := 1; ; try++ {
		s, err := openFrom(ctx, folder, from, opt)
		// A shipper goes on meanwhile: a tail that was listed may be superseded, and gone, before it is read. What was begun in the folder is taken up again.
		if !errors.Is(err, engine.ErrNotExist) || try == tries || ctx.Err() != nil {
			return s, err
		}
	}
}

func openFrom(ctx context.Context, folder string, from From, opt Options) (*Store, error) {
	opt.ReadOnly = false // of the folder; the store takes no writes until it is promoted
	s := newStore(folder, opt)
	whole, err := s.over.IsWhole()
	if err != nil {
		return nil, core.Translate(err)
	}
	if whole {
		return s.opened(ctx, core.Way{})
	}
	over := s.over.Serve(from)
	s.care.Opt.Full = s.over.Hydrated()
	return s.opened(ctx, core.Way{Over: over})
}

// Whole reports whether a folder is a store that needs no target: one that never had any, or that has everything of its backup and was promoted.
func Whole(folder string) (bool, error) {
	return hydrate.New(folderOf(folder, Options{}), hydrate.Options{}).IsWhole()
}

// promotedFrom is the backup from which the present epoch was begun, if no target of the store has its URL: the store it was made by may have known the same place by another one, from another machine or by
// another protocol. Nothing is shipped there then. Empty: it is a target, or the epoch began otherwise.
func (s *Store) promotedFrom(ctx context.Context) (string, error) {
	epochs := s.Ledger().Epochs()
	if len(epochs) < 2 {
		return "", nil
	}
	e, _, _, err := s.core.Ledger().Entry(ctx, epochs[len(epochs)-1].First)
	if err != nil || e.Type != entry.EpochBegin || e.Private.Value == "" {
		return "", core.Translate(err)
	}
	specs, err := s.backup.Specs()
	if err != nil || slices.ContainsFunc(specs, func(t TargetSpec) bool { return t.URL == e.Private.Value }) {
		return "", err
	}
	return e.Private.Value, nil
}

// PromoteFrom is Promote for a folder that is, or will be, filled from a backup: it need not be full. OpenFrom then opens a store that takes writes, and goes on filling the folder.
// ErrBadState: it was promoted already.
func PromoteFrom(ctx context.Context, folder string, from From, opt PromoteOptions) (p Promotion, err error) {
	opt.ReadOnly = false
	s := newStore(folder, opt.Options)
	defer func() { err = core.Translate(err) }()
	if whole, err := s.over.IsWhole(); err != nil || whole {
		return p, errors.Join(err, core.BadState("%s needs no target, it is a store of its own", s.core.Dir()))
	}
	if opt.Asked == nil {
		if opt.Asked, err = askBeforeFrom(ctx, folder, from, opt.Options); err != nil {
			return p, err
		}
	}
	if err := s.core.MakeFolder(); err != nil {
		return p, err
	}
	err = s.core.Locked(func() error {
		promoted, err := s.over.OpenForPromotion(ctx, from)
		if err == nil && promoted {
			err = core.BadState("%s is the primary of epoch %d already", s.core.Dir(), s.core.Keys.Epoch)
		}
		if err != nil {
			return err
		}
		p, err = s.epochs.Promote(ctx, opt.how(), opt.Asked.Into(s.core.LedgerOptions()))
		return err
	})
	return p, err
}

// askBeforeFrom asks, before a backup is promoted, what the other targets have seen, which its index names.
func askBeforeFrom(ctx context.Context, folder string, from From, opt Options) (*Asked, error) {
	if opt.OpenTarget == nil {
		return nil, nil
	}
	from.NoFill, opt.noBackground = true, true
	s, err := OpenFrom(ctx, folder, from, opt)
	if err != nil {
		return nil, err
	}
	return s.epochs.AskTargets(ctx), s.Close()
}
