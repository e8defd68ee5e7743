package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"

	"stele/internal/body"
)

// calls counts the calls that are under way, so that Close waits for them. Nobody enters a store that is being closed: index, ledger and packs need not
// stand calls after their end. A call inside another one may find the store closed and ends with ErrClosed; it does not wait, so that Close can't be held up by it.
type calls struct {
	n    atomic.Int64  // under way; negative: closed
	idle chan struct{} // holds a token when the last one has left a closed store
}

const closedAt = math.MinInt64 / 2

// Enter begins a call: Close waits until it has left. ErrClosed: Close was called.
func (s *Store) Enter() error {
	if s.calls.n.Add(1) < 0 {
		s.Leave()
		return ErrClosed
	}
	return nil
}

// Leave ends a call that Enter has begun.
func (s *Store) Leave() {
	if s.calls.n.Add(-1) == closedAt {
		select {
		case s.calls.idle <- struct{}{}:
		default:
		}
	}
}

// Closing reports whether Close was called: what goes on for long looks now and then.
func (s *Store) Closing() bool { return s.calls.n.Load() < 0 }

// Busy reports whether calls are under way: what can wait goes slower then.
func (s *Store) Busy() bool { return s.calls.n.Load() > 0 }

// Life is a context that ends when Close begins.
func (s *Store) Life() context.Context { return s.life }

// Stopping returns a channel that is closed when nobody is inside any more and what runs beside requests has to end.
func (s *Store) Stopping() <-chan struct{} { return s.stop }

// Beside runs work beside requests. Close waits for it: it is to end soon after Life has ended, or Stopping is closed.
func (s *Store) Beside(work func()) { s.background.Go(work) }

// UntilClosed returns a context for work that goes on for minutes: it ends when the store is closed.
func (s *Store) UntilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// GoOn returns what a long walk over the index asks now and then.
func (s *Store) GoOn(ctx context.Context) func() error {
	return func() error {
		if s.Closing() {
			return ErrClosed
		}
		return ctx.Err()
	}
}

// ClosedOr names the reason for a context that Close ended.
func (s *Store) ClosedOr(err error) error {
	if errors.Is(err, context.Canceled) && s.Closing() {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// shut lets nobody in any more and returns when everybody has left. Called once.
func (s *Store) shut() {
	n := s.calls.n.Add(closedAt)
	s.end()
	for ; n != closedAt; n = s.calls.n.Load() {
		<-s.calls.idle
	}
}

// fetchesAhead is from how many bytes on a body's reader may have a goroutine of its own that reads ahead.
const fetchesAhead = 64 << 10

// bodyReader is inside the store while it reads and not between, so that a reader which nobody closes doesn't hold up Close.
type bodyReader struct {
	s     *Store
	r     body.Reader
	ahead bool // it may fetch ahead, and so Close ends it

	mu sync.Mutex // if ahead: one reads or closes at a time
}

// Track keeps account of the readers that may fetch ahead: Close ends that before it closes what they read.
func (s *Store) Track(r body.Reader, n int64) *bodyReader {
	b := &bodyReader{s: s, r: r, ahead: n >= fetchesAhead}
	if b.ahead {
		s.readersMu.Lock()
		s.readers[b] = true
		s.readersMu.Unlock()
	}
	return b
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if err := b.s.Enter(); err != nil {
		return 0, err
	}
	defer b.s.Leave()
	if b.ahead {
		b.mu.Lock()
		defer b.mu.Unlock()
	}
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = Translate(err)
	}
	return n, err
}

// WriteTo implements io.WriterTo.
func (b *bodyReader) WriteTo(w io.Writer) (int64, error) {
	if err := b.s.Enter(); err != nil {
		return 0, err
	}
	defer b.s.Leave()
	if b.ahead {
		b.mu.Lock()
		defer b.mu.Unlock()
		w = untilClosed{w, b.s}
	}
	n, err := b.r.WriteTo(w)
	return n, Translate(err)
}

// untilClosed ends a long copy when the store is closed.
type untilClosed struct {
	w io.Writer
	s *Store
}

func (u untilClosed) Write(p []byte) (int, error) {
	if u.s.Closing() {
		return 0, ErrClosed
	}
	return u.w.Write(p)
}

// Close ends the reader first and its account then: the store's Close, which ends what is on the account, so waits for what this one still ends.
func (b *bodyReader) Close() error {
	if !b.ahead {
		return b.r.Close()
	}
	b.mu.Lock()
	err := b.r.Close()
	b.mu.Unlock()
	b.s.readersMu.Lock()
	delete(b.s.readers, b)
	b.s.readersMu.Unlock()
	return err
}

// endReaders ends what readers fetch ahead. Nobody is inside any more.
func (s *Store) endReaders() {
	s.readersMu.Lock()
	left := make([]*bodyReader, 0, len(s.readers))
	for b := range s.readers {
		left = append(left, b)
	}
	clear(s.readers)
	s.readersMu.Unlock()
	for _, b := range left {
		b.mu.Lock()
		b.r.Close()
		b.mu.Unlock()
	}
}
