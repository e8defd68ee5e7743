package replicate

import (
	"context"
	"errors"
	"fmt"

	"stele/internal/engine"
)

// errMoved: the target is not any more what this session has listed. The next session lists it anew and compares it with the ledger, before anything is written.
var errMoved = errors.New("the target is not as it was left")

// newest is the last file of entries that this session knows to be on the target; empty: none.
func (s *session) newest() string {
	if n := len(s.tails); n > 0 {
		return tailSegment(s.o.Keys.Epoch, s.tails[n-1].first, s.tails[n-1].end)
	}
	for _, f := range s.o.Ledger.Segments() {
		if _, ok := s.have[f.Name]; ok && f.End == s.at {
			return f.Name
		}
	}
	return ""
}

// unchanged makes sure that the newest file of entries is there before anything that continues it is shipped. Another disk may have been mounted in the target's place, or an old state
// of it brought back. It costs one small listing. If the credentials don't allow listing, nothing is checked.
func (s *session) unchanged(ctx context.Context) error {
	name := s.newest()
	if name == "" {
		return nil
	}
	found := false
	err := s.target.List(ctx, name, func(i engine.Info) error { found = found || i.Name == name; return nil })
	switch {
	case errors.Is(err, engine.ErrDenied):
		return nil
	case err != nil:
		return fmt.Errorf("couldn't look at the target: %w", err)
	case !found:
		return fmt.Errorf("%w: %s is gone", errMoved, name)
	}
	return nil
}
