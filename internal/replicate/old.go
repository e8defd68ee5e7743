package replicate

import (
	"context"

	"stele/internal/engine"
	"stele/internal/pack"
)

// supersedeOld lets the tail packs of an earlier session go, once a session, but for those that have a chunk which lies in no sound pack here: damage met it before it was shipped in one, and
// this may be the last copy of it. They stay until a later session finds all of their chunks.
func (s *session) supersedeOld(ctx context.Context) {
	for _, name := range s.old {
		if s.faults.dropOldTails || s.heldHere(ctx, name) {
			s.junk = append(s.junk, name)
		}
	}
	s.old = nil
}

// heldHere says whether every chunk of a tail pack lies in a pack that is here and not damaged. What can't be read is kept.
func (s *session) heldHere(ctx context.Context, name string) bool {
	f, err := s.target.Open(ctx, name)
	if err != nil {
		return false
	}
	defer f.Close()
	return s.allHeld(f)
}

func (s *session) allHeld(f engine.File) bool {
	chunks, err := pack.ReadIndex(f, f.Size())
	if err != nil {
		return false
	}
	for _, c := range chunks {
		in, ok, err := s.o.Body.PackOf(c.ID)
		if err != nil || !ok || s.lacking[pack.Name(in)] != nil {
			return false
		}
	}
	return true
}
