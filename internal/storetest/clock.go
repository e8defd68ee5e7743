package storetest

import (
	"context"
	"stele/internal/ledger"
	"sync"
	"time"

	"stele"
)

// PartedClock is a clock whose wall time anyone may set.
type PartedClock struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

// NewPartedClock begins at an afternoon of 2026.
func NewPartedClock() *PartedClock {
	return &PartedClock{wall: time.Date(2026, 11, 22, 16, 0, 0, 123456000, time.UTC)}
}

// Now is the wall clock.
func (c *PartedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// Monotonic is the clock that nobody sets.
func (c *PartedClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mono
}

// Pass lets time go by.
func (c *PartedClock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(d), c.mono+d
}

// Set moves the wall clock alone.
func (c *PartedClock) Set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// Boot names the run of the machine, so that entries carry the longest state of the clock.
func (c *PartedClock) Boot() string { return "run" }

// Later is a clock three weeks on, of another run of the machine.
type Later struct{ stele.Clock }

// Now is three weeks later than the clock says.
func (l Later) Now() time.Time { return l.Clock.Now().Add(21 * 24 * time.Hour) }

// Waiting is a clock whose waits a test decides.
type Waiting struct {
	stele.Clock
	Wait func(ctx context.Context, d time.Duration) error
}

// Boot is that of the clock: embedding the interface hides it.
func (w Waiting) Boot() string {
	if b, ok := w.Clock.(ledger.Booter); ok {
		return b.Boot()
	}
	return ""
}

// Sleep makes the clock a core.Sleeper.
func (w Waiting) Sleep(ctx context.Context, d time.Duration) error { return w.Wait(ctx, d) }

// UntilDone is how a scrub rests that never waits within a round: the channel is told once it waits for the next one.
func UntilDone() (rest func(context.Context, time.Duration) error, done chan struct{}) {
	done = make(chan struct{}, 1)
	return func(ctx context.Context, d time.Duration) error {
		if d < time.Hour {
			return ctx.Err()
		}
		select {
		case done <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	}, done
}

// ManualClock is a clock that only tests move. Wall and monotonic time agree.
type ManualClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock begins at an afternoon of 2026.
func NewClock() *ManualClock {
	return &ManualClock{now: time.Date(2026, 11, 22, 16, 0, 0, 123456000, time.UTC)}
}

// Now is the time to which the test has moved the clock.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Monotonic moves as Now does.
func (c *ManualClock) Monotonic() time.Duration { return c.Now().Sub(time.Unix(0, 0)) }

// Pass lets time go by.
func (c *ManualClock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
