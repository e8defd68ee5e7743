package heal

import (
	"context"
	"errors"
	"sync"
	"time"
)

// RetryAfter is how long what could not be healed is left alone, so that damage met by every read does not become a storm of requests to the copies.
const RetryAfter = time.Minute

// Turns lets one heal of a thing run at a time: who comes meanwhile waits for it and shares its outcome. What failed is not tried again for RetryAfter. The zero Turns
// is ready once Now is set. Safe for concurrent use.
type Turns struct {
	Now func() time.Duration // a monotonic clock

	mu     sync.Mutex
	under  map[string]*turn
	failed map[string]failure
}

type turn struct {
	done chan struct{}
	err  error
}

type failure struct {
	at  time.Duration
	err error
}

// Do runs fn for name, or waits for the one that runs. ctx ends the waiting, and what fn makes of it.
func (t *Turns) Do(ctx context.Context, name string, fn func() error) error {
	for {
		t.mu.Lock()
		if f, ok := t.failed[name]; ok && t.Now()-f.at < RetryAfter {
			t.mu.Unlock()
			return f.err
		}
		running := t.under[name]
		if running == nil {
			break
		}
		t.mu.Unlock()
		select {
		case <-running.done:
			if running.err == nil || !ended(running.err) {
				return running.err
			} // whoever ran it was called off: our turn
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	mine := &turn{done: make(chan struct{})}
	if t.under == nil {
		t.under, t.failed = map[string]*turn{}, map[string]failure{}
	}
	t.under[name] = mine
	t.mu.Unlock()
	mine.err = fn()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.under, name)
	delete(t.failed, name)
	if mine.err != nil && !ended(mine.err) {
		t.forget()
		t.failed[name] = failure{t.Now(), mine.err}
	}
	close(mine.done)
	return mine.err
}

// forget drops failures that no longer hold anybody back. mu is held.
func (t *Turns) forget() {
	for name, f := range t.failed {
		if t.Now()-f.at >= RetryAfter {
			delete(t.failed, name)
		}
	}
}

// Busy reports whether a heal of name runs, or failed too recently to be tried again.
func (t *Turns) Busy(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, failed := t.failed[name]
	return t.under[name] != nil || failed && t.Now()-f.at < RetryAfter
}

// ended says whether an error is only that of a caller who went away.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
