package hydrate

import (
	"context"
	"slices"

	"stele/internal/engine"
)

// What the tests of package hydrate_test see of the inside.

// FillOneByOne has packs brought one after the other until undo is called.
func FillOneByOne() (undo func()) {
	was := parallelFills
	parallelFills = 1
	return func() { parallelFills = was }
}

// Missing lists the files of a folder that lie beneath only.
func (s *Store) Missing(ctx context.Context, folder string) ([]engine.Info, error) {
	return s.missing(ctx, folder)
}

// FillEnded returns a channel that is closed when nothing is brought any more, for whatever reason; nil for a store that is not served from a backup.
func (s *Store) FillEnded() <-chan struct{} {
	if s.from == nil {
		return nil
	}
	return s.from.fill.ended
}

// AskedFor returns the packs that were read beneath the folder and not brought yet, oldest first, and how many lie there.
func (s *Store) AskedFor() (asked []string, packs int) {
	f := &s.from.fill
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked), len(s.from.lower.infos(engine.Packs))
}

// RestsOnSnapshot reports whether tables of the index are read from a snapshot on the backup.
func (s *Store) RestsOnSnapshot() bool {
	return s.from != nil && s.from.snapshot != nil && s.from.Mark.Snapshot != ""
}
