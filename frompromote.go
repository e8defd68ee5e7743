package stele

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/internal/segment"
)

// PromoteFrom is Promote for a folder that is, or will be, filled from a backup: it need not be full. OpenFrom then opens a store that takes writes, and goes on filling the folder.
// ErrBadState: it was promoted already.
func PromoteFrom(ctx context.Context, folder string, from From, opt PromoteOptions) (_ Promotion, err error) {
	opt.ReadOnly = false
	s := newStore(folder, opt.Options)
	defer func() {
		err = core.Translate(err)
		if s.core.Lock != nil {
			err = errors.Join(err, s.core.Lock.Close())
		}
	}()
	if whole, err := s.isWhole(); err != nil || whole {
		return Promotion{}, errors.Join(err, badState("%s needs no target, it is a store of its own", s.core.Dir()))
	}
	if opt.Asked == nil {
		if opt.Asked, err = askBeforeFrom(ctx, folder, from, opt.Options); err != nil {
			return Promotion{}, err
		}
	}
	b := &backing{From: from}
	if err := s.openFolderOver(ctx, b); err != nil {
		return Promotion{}, err
	}
	if b.promoted {
		return Promotion{}, badState("%s is the primary of epoch %d already", s.core.Dir(), s.core.Keys.Epoch)
	}
	s.from = b
	if err := s.bringTails(ctx); err != nil {
		return Promotion{}, err
	}
	return s.promote(ctx, opt, opt.Asked.into(s.core.LedgerOptions()))
}

// promotedFrom is the backup from which the present epoch was begun, if no target of the store has its URL: the store it was made by may have known the same place by another one, from another machine or by
// another protocol. Nothing is shipped there then. Empty: it is a target, or the epoch began otherwise.
func (s *Store) promotedFrom(ctx context.Context) (string, error) {
	epochs := s.Epochs()
	if len(epochs) < 2 {
		return "", nil
	}
	e, _, _, err := s.core.Ledger().Entry(ctx, epochs[len(epochs)-1].First)
	if err != nil || e.Type != entry.EpochBegin || e.Private.Value == "" {
		return "", core.Translate(err)
	}
	specs, err := s.specs()
	if err != nil || slices.ContainsFunc(specs, func(t TargetSpec) bool { return t.URL == e.Private.Value }) {
		return "", err
	}
	return e.Private.Value, nil
}

// askBeforeFrom asks, before a backup is promoted, what the other targets have seen, which its index names.
func askBeforeFrom(ctx context.Context, folder string, from From, opt Options) (*Asked, error) {
	if opt.OpenTarget == nil {
		return nil, nil
	}
	from.Still, opt.still = true, true
	s, err := OpenFrom(ctx, folder, from, opt)
	if err != nil {
		return nil, err
	}
	return s.AskTargets(ctx), s.Close()
}

// bringTails brings the segments that the target holds as tails only: they would be superseded there by what the old epoch adds, if it lives on, and the new epoch rests on them.
func (s *Store) bringTails(ctx context.Context) error {
	sealed := map[string]int64{}
	if err := s.from.Target.List(ctx, engine.Segments, func(i engine.Info) error { sealed[i.Name] = i.SizeBytes; return nil }); err != nil {
		return fmt.Errorf("couldn't list the backup: %w", err)
	}
	missing, err := s.missing(ctx, engine.Segments)
	if err != nil {
		return err
	}
	missing = slices.DeleteFunc(missing, func(i engine.Info) bool { return sealed[i.Name] == i.SizeBytes })
	if len(missing) == 0 {
		return nil
	}
	l, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: s.core.Engine, Keys: s.core.Keys, Clock: s.opt.Clock})
	if err != nil {
		return err
	}
	return errors.Join(s.bringSegments(ctx, l, missing), l.Close())
}

// notePromotion writes down, before the new epoch begins, that the folder is about to be its primary. It counts once the folder has a segment of that epoch.
func (s *Store) notePromotion(next *keyring.Keyring) error {
	text, err := core.ReadFile(s.core.FS, s.core.Path(core.FileFrom))
	if core.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", s.core.Path(core.FileFrom), err)
	}
	m, err := parseMark(text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.core.Path(core.FileFrom), err)
	}
	m.Epoch = next.Epoch
	if m.VKey, err = next.VKey(); err != nil {
		return err
	}
	return s.writeMark(m)
}

// isPromoted reports whether the epoch that a mark names began in this folder.
func (m *fromMark) isPromoted(ctx context.Context, local *dir.Dir) (began bool, err error) {
	if m.Epoch == 0 {
		return false, nil
	}
	err = local.List(ctx, engine.Segments, func(i engine.Info) error {
		epoch, _, ok := segment.ParseName(i.Name)
		began = began || ok && epoch == m.Epoch
		return nil
	})
	return began, err
}

// ownEpoch makes sure that the epoch which the mark names is the one that was begun here, and not one of the same number that was begun elsewhere and shipped to the target.
func (s *Store) ownEpoch(m *fromMark) error {
	vkeys, err := s.core.Keys.VKeys(m.Epoch)
	if err == nil && !slices.Contains(vkeys, m.VKey) {
		err = fmt.Errorf("%w: epoch %d of the target was begun by another primary than this folder. Begin anew in an empty folder", ErrSuperseded, m.Epoch)
	}
	return err
}

// dropMark takes the mark away from a folder that has everything and was promoted: it is a primary like any other.
func (s *Store) dropMark() error { return durable.Remove(s.core.FS, s.core.Path(core.FileFrom)) }

// retireMissing keeps packs that are not here from being sources for deduplication: what is written from now on must not depend on the target.
func (s *Store) retireMissing(ctx context.Context) error {
	missing, err := s.missing(ctx, engine.Packs)
	if err != nil {
		return err
	}
	var names [][16]byte
	for _, i := range missing {
		if name, ok := pack.ParseName(i.Name); ok {
			names = append(names, name)
		}
	}
	s.core.Body.Retire(names)
	return nil
}
