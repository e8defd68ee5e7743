package heal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stele/internal/retry"
)

// RetryAfter is how long what could not be healed is left alone, so that damage met by every read does not become a storm of requests to the copies.
const RetryAfter = time.Minute

// Turns lets one heal of a thing run at a time: who comes meanwhile waits for it and shares its outcome. What failed is not tried again for RetryAfter, and what
// is damaged again after it was replaced is not replaced again for longer each time. The zero Turns
// is ready once Now is set. Safe for concurrent use.
type Turns struct {
	Now func() time.Duration // a monotonic clock

	mu     sync.Mutex
	under  map[string]*turn
	failed map[string]failure
	mended map[string]mended
}

// mended is a file that was replaced.
type mended struct {
	at    time.Duration
	times int // in a row, each within twice the wait since the one before
}

// A file that is damaged again soon after it was replaced by a proven copy lies on a medium that fails. Replacing it at each read would wear that out, fill the ledger with heals, and help nobody, for
// readers are served from the copy: the wait until it is replaced again doubles.
var again = retry.Backoff{First: 5 * time.Minute, Most: 24 * time.Hour}

func (m *mended) wait() time.Duration { return again.Wait(m.times) }

// AgainError: a file was replaced by a proven copy a short time ago, and is damaged again.
type AgainError struct {
	Times int           // replaced in a row
	Ago   time.Duration // since the last of them
	In    time.Duration // it is replaced again
}

// Error implements error.
func (e *AgainError) Error() string {
	times := "once"
	if e.Times > 1 {
		times = fmt.Sprintf("%d times, the last time", e.Times)
	}
	return fmt.Sprintf("it was replaced by a proven copy %s %s ago and is damaged again: the disk is failing. Move the store to another disk. Readers are served from the copies; it is replaced again in %s at the earliest",
		times, e.Ago.Round(time.Second), e.In.Round(time.Second))
}

type atOnce struct{}

// AtOnce marks the context of somebody who asked for a heal: no wait after an earlier one keeps it from being tried.
func AtOnce(ctx context.Context) context.Context { return context.WithValue(ctx, atOnce{}, true) }

// Replaced notes that name was replaced by a proven copy. What Do calls says it.
func (t *Turns) Replaced(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mended == nil {
		t.mended = map[string]mended{}
	}
	now := t.Now()
	for n, m := range t.mended {
		if now-m.at > 2*m.wait() {
			delete(t.mended, n)
		}
	}
	t.mended[name] = mended{now, t.mended[name].times + 1}
}

// Again says why name, which is damaged, is not replaced now (*AgainError); nil: it may be. What Do calls asks it before it replaces anything.
func (t *Turns) Again(ctx context.Context, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.mended[name]
	if now := t.Now(); ok && now-m.at < m.wait() && ctx.Value(atOnce{}) == nil {
		return &AgainError{Times: m.times, Ago: now - m.at, In: m.at + m.wait() - now}
	}
	return nil
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
		if f, ok := t.failed[name]; ok && t.Now()-f.at < RetryAfter && ctx.Value(atOnce{}) == nil {
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
