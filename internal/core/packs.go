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
	if e.Private.Pack == nil || e.Private.Pack.Name != name { // the index decides nothing
		return entry.Pack{}, false, fmt.Errorf("%w: entry %d does not seal %s: delete the index folder, it will be rebuilt", ErrCorrupt, at, name)
	}
	return *e.Private.Pack, true, nil
}

// SealedPacks returns the names of all packs that an entry seals.
func (s *Store) SealedPacks() (names []string, err error) {
	err = s.Index.EachSealed(func(name string) error { names = append(names, name); return nil })
	return names, err
}
