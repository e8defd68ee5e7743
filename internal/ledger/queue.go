package ledger

import (
	"runtime"
	"sync"
	"sync/atomic"

	"stele/entry"
)

// proposal is one call of Append. Its result is written by the sequencer, then by the apply goroutine, and read after done is closed.
type proposal struct {
	decide Decide
	done   chan struct{}
	taken  atomic.Bool // by the sequencer, or by a caller who withdraws it

	entry entry.Entry
	err   error
}

// take is called by the sequencer; false if the proposal was withdrawn. Of take and withdraw exactly one succeeds, so that a caller who gave up knows for sure that no entry was made.
func (p *proposal) take() bool { return p.taken.CompareAndSwap(false, true) }

// withdraw is called by the proposal's caller; false if the proposal was taken.
func (p *proposal) withdraw() bool { return p.taken.CompareAndSwap(false, true) }

// queue holds the proposals that came in while the last batch was under way.
type queue struct {
	mu      sync.Mutex
	waiting []*proposal
	closed  bool
	wake    chan struct{} // holds one token while something waits
}

func (q *queue) init() { q.wake = make(chan struct{}, 1) }

func (q *queue) add(p *proposal) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.waiting = append(q.waiting, p)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// next waits for proposals and returns all there are; false when the queue is closed and empty. spare is reused.
func (q *queue) next(spare []*proposal) ([]*proposal, bool) {
	for {
		// The fsync of a pack wakes many writers at once, and the first of them wakes us. Yielding lets the others queue too, so that they share our next fsync.
		runtime.Gosched()
		q.mu.Lock()
		if len(q.waiting) > 0 {
			got := q.waiting
			q.waiting = spare[:0]
			q.mu.Unlock()
			return got, true
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil, false
		}
		<-q.wake
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
