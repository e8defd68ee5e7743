package guard

import (
	"context"
	"testing"
	"time"
)

// TestPoolShares: one owner gets three quarters, and whoever has nothing always finds a place.
func TestPoolShares(t *testing.T) {
	p := NewPool(64)
	count := func(owner string) (n int) {
		for {
			if _, ok := p.Enter(owner); !ok {
				return n
			}
			n++
		}
	}
	if n := count("greedy"); n != 48 {
		t.Errorf("one owner got %d of 64 places, want 48", n)
	}
	if n := count("second"); n != 12 {
		t.Errorf("the second got %d, want 12", n)
	}
	if _, ok := p.Enter("third"); !ok {
		t.Error("a third owner finds no place")
	}
}

// TestPoolWaits: a place that comes free goes to the first who may have it, and whoever gives up waiting is forgotten.
func TestPoolWaits(t *testing.T) {
	p := NewPool(2)
	var held []Seat
	for range 2 {
		h, ok := p.Enter("a")
		if !ok {
			t.Fatal("no place in an empty pool")
		}
		held = append(held, h)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := p.Wait(gone, "b", nil); ok {
		t.Error("a place where there is none")
	}
	over := make(chan time.Time, 1)
	over <- time.Time{}
	if _, ok := p.Wait(t.Context(), "b", over); ok {
		t.Error("a place where there is none")
	}
	if len(p.waiting) != 0 {
		t.Fatalf("%d who gave up still wait", len(p.waiting))
	}
	got := make(chan bool)
	go func() { _, ok := p.Wait(t.Context(), "b", nil); got <- ok }()
	for waits := 0; waits == 0; { // until it waits
		p.mu.Lock()
		waits = len(p.waiting)
		p.mu.Unlock()
	}
	held[0].Leave()
	if !<-got {
		t.Error("whoever waited got no place")
	}
	held[0].Leave() // a second time changes nothing
	if p.used != 2 {
		t.Errorf("%d places are taken, want 2", p.used)
	}
}
