package replicate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// handClock fires when the test says so.
type handClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting []alarm
	asked   chan time.Duration // each After
}

type alarm struct {
	at time.Time
	c  chan time.Time
}

func newHandClock() *handClock {
	return &handClock{now: time.Unix(1000, 0), asked: make(chan time.Duration, 1000)}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := alarm{c.now.Add(d), make(chan time.Time, 1)}
	c.waiting = append(c.waiting, a)
	c.asked <- d
	return a.c
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var rest []alarm
	for _, a := range c.waiting {
		if a.at.After(c.now) {
			rest = append(rest, a)
		} else {
			a.c <- c.now
		}
	}
	c.waiting = rest
}

// within waits until somebody waits for a time of at least d.
func (c *handClock) within(t testing.TB, d time.Duration) {
	t.Helper()
	for got := range c.asked {
		if got >= d {
			return
		}
	}
}

func runShipper(t testing.TB, s *Shipper) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// TestShipper: a target that can't be reached is tried again, later each time; what was waited for is shipped when it can be.
func TestShipper(t *testing.T) {
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	t.Cleanup(func() { p.mustClose(t) })
	p.mustPut(t, "a", random(100, 1))
	clock, target := newHandClock(), mem.New()
	var mu sync.Mutex
	dead := true
	s := NewShipper(p.origin(), Options{Name: "nas", Clock: clock, Open: func(context.Context) (engine.Engine, error) {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return nil, errors.New("no route to host")
		}
		return target, nil
	}})
	runShipper(t, s)
	var last time.Duration
	for i := range 3 {
		d := <-clock.asked
		if d < again.Wait(i+1)/2 || d < last/2 {
			t.Errorf("retry %d after %v", i, d)
		}
		last = d
		if st := s.Status(); st.Err == nil || st.Connected || st.Refused {
			t.Errorf("status = %+v", st)
		}
		clock.advance(2 * d)
	}
	<-clock.asked
	mu.Lock()
	dead = false
	mu.Unlock()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	st := s.Status()
	if st.Err != nil || !st.Connected || st.Size != p.led.Size() || st.Restorable.IsZero() || st.ShippedBytes == 0 {
		t.Errorf("status = %+v", st)
	}
	got, err := readStore(target2(target), p.keys)
	if err != nil || got.size != st.Size {
		t.Errorf("the target holds %d entries: %v", got.size, err)
	}

	// New entries go by themselves, after the wait for packs to be sealed.
	p.mustPut(t, "b", random(100, 2))
	s.Wake()
	clock.within(t, tailAfter)
	clock.advance(tailAfter)
	if err := s.Flush(ctx); err != nil { // behind the shipment that is under way
		t.Fatal(err)
	}
	if got := s.Status().Size; got != p.led.Size() {
		t.Errorf("%d entries shipped, want %d", got, p.led.Size())
	}
}

// TestShipperRefused: a target of another store is reported, and left.
func TestShipperRefused(t *testing.T) {
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	t.Cleanup(func() { p.mustClose(t) })
	target := mem.New()
	create(t, target, ownerFile([16]byte{1, 2, 3}), "copy")
	clock := newHandClock()
	s := NewShipper(p.origin(), Options{Name: "nas", Clock: clock, Open: func(context.Context) (engine.Engine, error) { return target, nil }})
	runShipper(t, s)
	<-clock.asked
	if st := s.Status(); !st.Refused || !errors.Is(st.Err, ErrForeign) {
		t.Errorf("status = %+v", st)
	}
	if got := snapshot(t, target); len(got) != 1 {
		t.Errorf("the target was touched: %d files", len(got))
	}
}

// BenchmarkIncrement ships 100 new small objects each time.
func BenchmarkIncrement(b *testing.B) {
	p, err := openPrimarySized(mustDir(b, vfs.Default, b.TempDir()), testKeys(b), 16<<20, 64<<20)
	if err != nil {
		b.Fatal(err)
	}
	defer p.mustClose(b)
	target := mustDir(b, vfs.Default, b.TempDir())
	s := mustConnect(b, p, target)
	n := 0
	for b.Loop() {
		b.StopTimer()
		for range 100 {
			n++
			p.mustPut(b, fmt.Sprint(n), random(4096, uint64(n)))
		}
		b.StartTimer()
		if err := s.shipNow(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestShipperRelists: what a target has lost is shipped again once the target is listed anew, also while nothing is new: when that is asked for, and at each start.
func TestShipperRelists(t *testing.T) {
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	t.Cleanup(func() { p.mustClose(t) })
	p.mustPut(t, "a", random(100, 1))
	if err := errors.Join(p.body.Flush(ctx), p.flushSeals()); err != nil { // a pack that grows would be waited for
		t.Fatal(err)
	}
	for _, every := range []time.Duration{0, time.Hour} {
		clock, target, shipped := newHandClock(), mem.New(), make(chan struct{}, 100)
		opt := Options{Name: "nas", Clock: clock, Every: every, Shipped: func() { shipped <- struct{}{} },
			Open: func(context.Context) (engine.Engine, error) { return target, nil }}
		s := NewShipper(p.origin(), opt)
		life, end := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); s.Run(life) }()
		<-shipped
		lose := func() {
			t.Helper()
			packs := names(t, target, engine.Packs)
			if len(packs) == 0 {
				t.Fatal("no pack was shipped")
			}
			if err := target.Remove(ctx, packs[0]); err != nil {
				t.Fatal(err)
			}
		}
		whole := func(when string) {
			t.Helper()
			got, err := readStore(target2(target), p.keys)
			if err != nil || got.size != p.led.Size() {
				t.Errorf("every %v, %s: the target holds %d entries: %v", every, when, got.size, err)
			}
		}
		lose()
		s.Relist()
		<-shipped
		whole("when asked")
		if st := s.Status(); st.Err != nil {
			t.Errorf("listing a target anew is a failure: %v", st.Err)
		}
		end()
		<-done
		lose()
		runShipper(t, NewShipper(p.origin(), opt))
		<-shipped
		whole("at a start")
	}
}
