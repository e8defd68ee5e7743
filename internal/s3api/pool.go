package s3api

import (
	"context"
	"slices"
	"sync"
	"time"
)

// pool is a number of places that owners share: access keys, or, of those who have not signed, addresses. Whoever holds places already may take one more only while at
// least a third as many are free: one owner alone gets three quarters of them, and there is always one left for an owner who has none. So nobody's requests, however slow, keep out another's.
type pool struct {
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

// perFree is how many places an owner may hold for each that is free.
const perFree = 3

func newPool(size int) *pool { return &pool{size: size, by: map[string]int{}} }

// seat is a place taken.
type seat struct {
	in    *pool
	owner string
}

// leave gives the place back. The zero seat is none.
func (h *seat) leave() {
	if h.in != nil {
		h.in.leave(h.owner)
		h.in = nil
	}
}

// enter takes a place at once, or none.
func (p *pool) enter(owner string) (seat, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.take(owner) {
		return seat{}, false
	}
	return seat{p, owner}, true
}

// take takes a place for an owner who may have one. p.mu is held.
func (p *pool) take(owner string) bool {
	if free := p.size - p.used; p.by[owner] >= perFree*free {
		return false
	}
	p.used++
	p.by[owner]++
	return true
}

// wait takes a place, when there is one within the time that patience sends after. ok is false when it does, or when ctx ends.
func (p *pool) wait(ctx context.Context, owner string, patience <-chan time.Time) (_ seat, ok bool) {
	p.mu.Lock()
	if p.take(owner) {
		p.mu.Unlock()
		return seat{p, owner}, true
	}
	w := &waiter{owner, make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	select {
	case <-w.in:
		return seat{p, owner}, true
	case <-patience:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		return seat{}, false
	}
	return seat{p, owner}, true // it came at the same moment
}

// leave gives a place back, and lets in whoever waits and may have one, the first comer first.
func (p *pool) leave(owner string) {
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
