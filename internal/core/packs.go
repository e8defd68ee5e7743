package core

import (
	"context"
	"fmt"

	"stele/entry"
)

// SealOf is what a pack's newest seal entry says of it, also one that is still to be written.
func (s *Store) SealOf(ctx context.Context, name string) (entry.Pack, bool, error) {
	s.seals.mu.Lock()
	for _, p := range s.seals.queue {
		if p.Name == name {
			s.seals.mu.Unlock()
			return p, true, nil
		}
	}
	s.seals.mu.Unlock()
	at, ok, err := s.Index.SealedBy(name)
	if err != nil || !ok {
		return entry.Pack{}, false, err
	}
	e, _, _, err := s.Ledger().Entry(ctx, at)
	if err != nil {
		return entry.Pack{}, false, fmt.Errorf("couldn't read the seal entry of %s: %w", name, err)
	}
	p, expected := e.ExpectedPack()
	if !expected || p.Name != name { // the index decides nothing
		return entry.Pack{}, false, fmt.Errorf("%w: entry %d does not seal %s: delete the index folder, it will be rebuilt", ErrCorrupt, at, name)
	}
	return p, true, nil
}

// ExpectedPacks returns the names of the packs that ought to exist: what heal, scrub and filling look for. See entry.ExpectedPack.
func (s *Store) ExpectedPacks() (names []string, err error) {
	err = s.Index.EachSealed(func(name string) error { names = append(names, name); return nil })
	return names, err
}
