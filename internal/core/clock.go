package core

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"stele/internal/retry"
)

// Sleeper is a store's clock that also says when a wait is over, as a test's may. Waits by another one take as long as they are.
type Sleeper interface {
	Sleep(ctx context.Context, d time.Duration) error
}

// Sleep waits by the store's clock, also for no time at all, until ctx ends; then its error is returned.
func (s *Store) Sleep(ctx context.Context, d time.Duration) error {
	if c, ok := s.opt.Clock.(Sleeper); ok {
		return c.Sleep(ctx, d)
	}
	return retry.Sleep(ctx, d)
}

// released is a moment that lies before every start of this program. It moves with the releases; a build from a repository knows a later one.
var released = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// believable is for how long after it was built a program believes the clock.
const believable = 10 * 365 * 24 * time.Hour

// built is a moment before which this program did not exist: when its source was last changed, as far as the build knows.
func built() time.Time {
	at := released
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil && t.After(at) {
				at = t
			}
		}
	}
	return at
}

// ClockDoubt returns why the wall clock can't be right, nil if it may be: a program does not run before it was built, and hardly ten years after. It matters when a store is made, since the ledger's clock
// begins with the wall clock then, never goes back, and locks and keep periods are reckoned by it. A day is left for time zones that were mistaken for UTC.
func (s *Store) ClockDoubt() error {
	now, from := s.Now().UTC(), built()
	const next = "Locks and keep periods of a store count by the clock with which it was made, and that never goes back: set the clock, and make the store anew in another folder before anything is kept in this one"
	switch {
	case now.Before(from.Add(-24 * time.Hour)):
		return fmt.Errorf("the clock says %s, and this program was built after that, not before %s. %s", now.Format(time.DateTime), from.Format(time.DateOnly), next)
	case now.After(from.Add(believable)):
		return fmt.Errorf("the clock says %s, more than ten years after this program was built. %s", now.Format(time.DateTime), next)
	}
	return nil
}
