// Package retry says how long to wait until something that failed is tried again: twice as long after each failure, between two bounds. The one who waits brings the clock.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is how the waits grow.
type Backoff struct {
	First time.Duration // after the first failure; above 0
	Most  time.Duration // no wait is longer; at least First
}

// Wait is how long to wait after so many failures in a row; 0 after none.
func (b Backoff) Wait(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	d := b.First
	for range failures - 1 {
		if d >= b.Most-d { // written so that it can't overflow
			return b.Most
		}
		d *= 2
	}
	return min(d, b.Most)
}

// Jittered is between half of Wait and all of it, at random: many that failed at the same moment do not come back at the same moment.
func (b Backoff) Jittered(failures int) time.Duration {
	d := b.Wait(failures)
	if d < 2 {
		return d
	}
	return d/2 + rand.N(d-d/2)
}

// Sleep waits by the system's clock, until ctx ends; then its error is returned.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
