package hydrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/internal/segment"
)

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
	l, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: s.core.Engine, Keys: s.core.Keys, Clock: s.Opt.Clock})
	if err != nil {
		return err
	}
	return errors.Join(s.bringSegments(ctx, l, missing), l.Close())
}

// NotePromotion writes down, before the new epoch begins, that the folder is about to be its primary. It counts once the folder has a segment of that epoch. A folder without a mark, a store by itself,
// needs no such word.
func (s *Store) NotePromotion(next *keyring.Keyring) error {
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
	return s.WriteMark(m)
}

// IsPromoted reports whether the epoch that a mark names began in this folder.
func (m *Mark) IsPromoted(ctx context.Context, local *dir.Dir) (began bool, err error) {
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
func (s *Store) ownEpoch(m *Mark) error {
	vkeys, err := s.core.Keys.VKeys(m.Epoch)
	if err == nil && !slices.Contains(vkeys, m.VKey) {
		err = fmt.Errorf("%w: epoch %d of the target was begun by another primary than this folder. Begin anew in an empty folder", core.ErrSuperseded, m.Epoch)
	}
	return err
}

// DropMark takes the mark away from a folder that has everything and was promoted: it is a primary like any other.
func (s *Store) DropMark() error { return durable.Remove(s.core.FS, s.core.Path(core.FileFrom)) }

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
