package stele

import "stele/internal/hydrate"

// Hydration returns how far the folder is filled; false for a store that is not served from a backup.
func (s *Store) Hydration() (hydrate.Hydration, bool) { return s.over.Hydration() }

// Hydrated returns a channel that is closed when the folder has everything; nil for a store that is not served from a backup.
func (s *Store) Hydrated() <-chan struct{} { return s.over.Hydrated() }
