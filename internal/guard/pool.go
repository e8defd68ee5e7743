package guard

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Pool is a number of places that owners share: access keys, or, of those who have not signed, addresses. Whoever holds places already may take one more only while at
// least a third as many are free: one owner alone gets three quarters of them, and there is always one left for an owner who has none. So nobody's requests, however slow, keep out another's.
type Pool struct {
	size int

	mu      sync.Mutex
	used    int
	by      map[string]int // places held, by owner
	waiting []*waiter      // in order of arrival
}

// waiter is whoever waits for a place. in is closed, with p.mu held, once it has one.
type waiter struct {
	owner string
	in    chan struct{}
}

// NewPool makes a pool of size places.
func NewPool(size int) *Pool { return &Pool{size: size, by: map[string]int{}} }

// Size is the number of places.
func (p *Pool) Size() int { return p.size }

// Seat is a place taken. The zero Seat is none.
type Seat struct {
	in    *Pool
	owner string
}

// Leave gives the place back, once.
func (h *Seat) Leave() {
	if h.in != nil {
		h.in.leave(h.owner)
		h.in = nil
	}
}

// Enter takes a place at once, or none.
func (p *Pool) Enter(owner string) (Seat, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.take(owner) {
		return Seat{}, false
	}
	return Seat{p, owner}, true
}

// take takes a place for an owner who may have one. p.mu is held.
func (p *Pool) take(owner string) bool {
	if free := p.size - p.used; p.by[owner] >= perFree*free {
		return false
	}
	p.used++
	p.by[owner]++
	return true
}

// Wait takes a place, when there is one within the time that patience sends after. ok is false when it does, or when ctx ends.
func (p *Pool) Wait(ctx context.Context, owner string, patience <-chan time.Time) (_ Seat, ok bool) {
	p.mu.Lock()
	if p.take(owner) {
		p.mu.Unlock()
		return Seat{p, owner}, true
	}
	w := &waiter{owner, make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	select {
	case <-w.in:
		return Seat{p, owner}, true
	case <-patience:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return Seat{}, false
	}
	return Seat{p, owner}, true // it came at the same moment
}

// leave gives a place back, and lets in whoever waits and may have one, the first comer first.
func (p *Pool) leave(owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	if p.by[owner]--; p.by[owner] == 0 {
		delete(p.by, owner)
	}
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool {
		if !p.take(w.owner) {
			return false
		}
		close(w.in)
		return true
	})
}
