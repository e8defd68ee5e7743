package body

import (
	"context"

	"stele/entry"
	"stele/internal/bug"
)

// source finds the pack that holds a durable chunk and leases it, so that the pack is not erased before the entry that will name the chunk is committed. It says whether there is one.
func (s *Store) source(id *entry.ID) (Place, bool, error) {
	if bug.On(bug.DedupUnsynced) {
		s.mu.Lock()
		p, ok := s.pending[*id]
		s.mu.Unlock()
		if ok && s.lease(p.Pack) {
			return p, true, nil
		}
	}
	filtered := s.filter.ready.Load()
	if filtered && !s.filter.has(id) {
		return Place{}, false, nil
	}
	p, ok, err := s.lookup(id)
	if err != nil {
		return Place{}, false, err
	}
	if !ok {
		if filtered {
			s.stats.filterFalse.Add(1)
		} else if s.missed.Add(1) == missesBefore {
			s.work.Go(s.fillFilter)
		}
		return Place{}, false, nil
	}
	return p, s.lease(p.Pack), nil
}

// lease takes a lease of a pack; false if the pack is not there (a place can outlive its pack in the index, when a crash
// took a tail) or is about to be erased.
func (s *Store) lease(name [16]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.packs[name]
	if st == nil || st.retired {
		return false
	}
	st.leases++
	return true
}

func (s *Store) unlease(names [][16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if st := s.packs[name]; st != nil {
			st.leases--
		}
	}
}

// Retire ends the use of packs as sources for deduplication, as an erase.begin entry that names them demands, and
// returns those that are leased still: they must not be erased, or not yet. Growing packs can't be retired and count as leased.
func (s *Store) Retire(names [][16]byte) (leased [][16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		st := s.packs[name]
		if st == nil {
			continue
		}
		if st.open == nil {
			st.retired = true
		}
		if st.leases > 0 || st.open != nil {
			leased = append(leased, name)
		}
	}
	return leased
}

// Unretire takes Retire back.
func (s *Store) Unretire(names [][16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if st := s.packs[name]; st != nil {
			st.retired = false
		}
	}
}

// Forget drops what is kept in memory of packs that were removed from the engine.
func (s *Store) Forget(names [][16]byte) {
	s.mu.Lock()
	for _, name := range names {
		delete(s.packs, name)
	}
	s.mu.Unlock()
	s.files.drop(names)
}

// Moved closes what is open of packs that the engine reads from another place from now on, so that later reads open the new place.
func (s *Store) Moved(names [][16]byte) { s.files.drop(names) }

// LearnMore makes known the sealed packs that came to the engine since, as Open does.
func (s *Store) LearnMore(ctx context.Context) error { return s.learnPacks(ctx) }
