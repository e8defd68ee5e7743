package replicate

import (
	"context"
	"errors"
	"fmt"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/ledger"
	"stele/internal/pack"
)

// supersedeTails marks the tail packs of an earlier session for removal, once a session. It keeps a tail pack if one of its chunks lies in no sound pack here: that chunk was damaged here before it was shipped in a sealed
// pack, and the tail may be the last copy of it. Such a tail stays until a later session finds all of its chunks.
func (s *session) supersedeTails(ctx context.Context) {
	for _, name := range s.oldTails {
		if bug.On(bug.DropOldTails) || s.heldHere(ctx, name) {
			s.junk = append(s.junk, name)
		}
	}
	s.oldTails = nil
}

// heldHere says whether every chunk of a tail pack lies in a pack that is here and not damaged. What can't be read is kept.
func (s *session) heldHere(ctx context.Context, name string) bool {
	f, err := s.target.Open(ctx, name)
	if err != nil {
		return false
	}
	defer f.Close()
	return s.allHere(f)
}

func (s *session) allHere(f engine.File) bool {
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

// shortHere says whether it is the file here that has another length than was shipped: damage, which is no fault of the target. It is healed, if it can be.
func (s *session) shortHere(ctx context.Context, here engine.Info, there int64) bool {
	why := fmt.Errorf("%s has %d bytes, and was shipped with %d: %w", here.Name, here.SizeBytes, there, frame.ErrCorrupt)
	if short, ok := pack.ParseName(here.Name); ok {
		if want, ok := s.sealed(ctx, short); ok && want.Size == there {
			if s.o.Heal != nil {
				_ = s.o.Heal(ctx, here.Name, why) // if this fails, a later read of the file or the scrub heals it
			}
			return true
		}
	}
	if s.o.Heal == nil {
		return false
	}
	if err := s.o.Heal(ctx, here.Name, why); errors.As(err, new(*ledger.AgainError)) {
		return true // the file here was found damaged, and is replaced again only later
	} else if err != nil {
		return false
	}
	f, err := s.o.Engine.Open(ctx, here.Name)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Size() == there
}

// sealed is what a pack's entry says, or will say.
func (s *session) sealed(ctx context.Context, short pack.Name16) (entry.Pack, bool) {
	want, ok := s.o.Body.SealedInfo(short)
	if ok || s.o.Sealed == nil {
		return want, ok
	}
	want, ok, err := s.o.Sealed(ctx, pack.Name(short))
	return want, ok && err == nil
}
