package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// holed is a target from which files vanish.
type holed struct {
	engine.Engine
	mu   sync.Mutex
	gone map[string]bool
}

func (h *holed) vanish(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range names {
		h.gone[n] = true
	}
}

func (h *holed) missing(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone[name]
}

func (h *holed) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	return h.Engine.List(ctx, prefix, func(i engine.Info) error {
		if h.missing(i.Name) {
			return nil
		}
		return fn(i)
	})
}

func (h *holed) Open(ctx context.Context, name string) (engine.File, error) {
	if h.missing(name) {
		return nil, fmt.Errorf("%s: %w", name, engine.ErrNotExist)
	}
	return h.Engine.Open(ctx, name)
}

// Create brings a file back: the bytes are those that were there.
func (h *holed) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	h.mu.Lock()
	back := h.gone[name]
	delete(h.gone, name)
	h.mu.Unlock()
	if back {
		return nil
	}
	return h.Engine.Create(ctx, name, size, r)
}

func (h *holed) names(t testing.TB, folder string) (names []string) {
	t.Helper()
	if err := h.List(ctx, folder, func(i engine.Info) error { names = append(names, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return names
}

// listings collects what a shipper tells of its target.
type listings struct {
	told   chan []string
	failed chan error
}

func (l *listings) listed(_ context.Context, _ uint64, lost []string) error {
	l.told <- lost
	return nil
}

func (l *listings) fail(err error) { l.failed <- err }

func newListings() *listings { return &listings{make(chan []string, 100), make(chan error, 100)} }

// lossRig makes a store with sealed packs and segments on a target, and a shipper that has shipped all of it.
func lossRig(t *testing.T) (*primary, *holed, *Shipper, *handClock, *listings) {
	t.Helper()
	p, err := openPrimarySized(mustDir(t, vfs.NewMem(), "store"), testKeys(t), 4<<10, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.mustClose(t) })
	for i := range 60 {
		p.mustPut(t, fmt.Sprint(i), random(3000, uint64(i)))
	}
	target, clock, told := &holed{Engine: mem.New(), gone: map[string]bool{}}, newHandClock(), newListings()
	s := NewShipper(p.origin(), Options{Name: "nas", Clock: clock, Listed: told.listed, Fail: told.fail, Open: func(context.Context) (engine.Engine, error) { return target, nil }})
	runShipper(t, s)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if lost := <-told.told; len(lost) > 0 {
		t.Fatalf("a new target lost %v", lost)
	}
	return p, target, s, clock, told
}

func sourceOf(t testing.TB, e engine.Engine) *Source {
	t.Helper()
	s, err := OpenSource(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLostWhileIdle: nothing is written any more, and files vanish from the target. The hourly listing finds that out, says which, and they are there again.
func TestLostWhileIdle(t *testing.T) {
	for _, folder := range []string{engine.Packs, engine.Segments, engine.Tails, engine.Keyrings} {
		t.Run(strings.TrimSuffix(folder, "/"), func(t *testing.T) {
			p, target, s, clock, told := lossRig(t)
			names := target.names(t, folder)
			if len(names) == 0 {
				t.Fatalf("there is nothing in %s", folder)
			}
			target.vanish(names[0])
			clock.advance(DefaultListEvery)
			if lost := <-told.told; !slices.Contains(lost, names[0]) {
				t.Errorf("lost %q, want %s among them", lost, names[0])
			}
			if err := s.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			if st := s.Status(); len(st.Lost) > 0 || st.Err != nil || st.Size != p.led.Size() {
				t.Errorf("status = %+v", st)
			}
			if folder != engine.Tails && target.missing(names[0]) {
				t.Errorf("%s was not shipped again", names[0])
			}
			if got, err := readStore(sourceOf(t, target), p.keys); err != nil || got.size != p.led.Size() {
				t.Errorf("the target holds %d entries: %v", got.size, err)
			}
			clock.advance(DefaultListEvery)
			if lost := <-told.told; len(lost) > 0 {
				t.Errorf("the next listing misses %v", lost)
			}
		})
	}
}

// TestCutTails: a tail that lost its end since it was shipped is seen at the next listing, whichever of the tails it is.
func TestCutTails(t *testing.T) {
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	defer p.mustClose(t)
	target := mem.New()
	s := mustConnect(t, p, target)
	for i := range 3 {
		p.mustPut(t, fmt.Sprint(i), random(100, uint64(i)))
		if err := s.shipNow(); err != nil {
			t.Fatal(err)
		}
	}
	tails := names(t, target, engine.Tails)
	if len(tails) < 6 {
		t.Fatalf("%d tails, want three of the ledger and three of a pack", len(tails))
	}
	for _, cut := range tails {
		s.target = clone(t, target, func(name string, b []byte) []byte {
			if name == cut {
				return b[:len(b)-9]
			}
			return b
		})
		if _, err := s.again(ctx, 0); !errors.Is(err, ErrAltered) {
			t.Errorf("%s was cut: %v, want ErrAltered", cut, err)
		}
	}
	s.target = target
	if _, err := s.again(ctx, 0); err != nil {
		t.Errorf("nothing was cut: %v", err)
	}
}

// TestLostSinceLastTime: another process looks at the target, which remembers nothing: the ledger tells that a pack was shipped.
func TestLostSinceLastTime(t *testing.T) {
	p, target, _, _, _ := lossRig(t)
	name := target.names(t, engine.Packs)[0]
	target.vanish(name)
	o := p.origin()
	o.SealedBefore = func(size uint64, fn func(string)) error {
		for _, n := range names(t, target.Engine, engine.Packs) {
			fn(n)
		}
		return nil
	}
	s, err := connect(ctx, o, target, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.lost[name] || len(s.lost) != 1 {
		t.Errorf("lost %v, want %s", s.lostNames(), name)
	}
}

// TestRelist: who finds a copy wanting has the target listed at once.
func TestRelist(t *testing.T) {
	_, target, s, _, told := lossRig(t)
	name := target.names(t, engine.Packs)[0]
	target.vanish(name)
	s.Relist()
	if lost := <-told.told; !slices.Equal(lost, []string{name}) {
		t.Errorf("lost %v", lost)
	}
	if err := s.Flush(ctx); err != nil || target.missing(name) {
		t.Errorf("it was not shipped again: %v", err)
	}
}

// TestEmptied: a target that has held entries and holds none is refused, whatever is known comes from this process or from the ledger, and nothing is written there.
func TestEmptied(t *testing.T) {
	p, target, s, clock, told := lossRig(t)
	was := target.Engine
	target.Engine = mem.New()
	clock.advance(DefaultListEvery)
	<-told.failed
	st := s.Status()
	if !errors.Is(st.Err, ErrEmptied) || !st.Refused || !strings.Contains(st.Err.Error(), "--anew") {
		t.Errorf("status = %+v", st)
	}
	if err := s.Flush(ctx); !errors.Is(err, ErrEmptied) {
		t.Errorf("shipping to it: %v", err)
	}
	if err := Check(ctx, p.origin(), target, 17); !errors.Is(err, ErrEmptied) || !strings.Contains(err.Error(), "17 entries") {
		t.Errorf("what the ledger knows: %v", err)
	}
	if files := snapshot(t, target); len(files) > 0 {
		t.Errorf("%d files were written there", len(files))
	}
	target.Engine = was // the disk is mounted again
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Err != nil || len(st.Lost) > 0 {
		t.Errorf("once it is back: %+v", st)
	}
}

// TestScheduleBesideListings: listings, which come more often, do not put off a shipment that is due.
func TestScheduleBesideListings(t *testing.T) {
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	t.Cleanup(func() { p.mustClose(t) })
	p.mustPut(t, "a", random(100, 1))
	clock, target, told := newHandClock(), mem.New(), newListings()
	shipped := make(chan bool, 100)
	s := NewShipper(p.origin(), Options{Name: "nas", Every: 3 * time.Hour, ListEvery: time.Hour, Clock: clock, Listed: told.listed, Shipped: func() { shipped <- true },
		Open: func(context.Context) (engine.Engine, error) { return target, nil }})
	runShipper(t, s)
	<-told.told
	<-shipped
	clock.within(t, 3*time.Hour)
	p.mustPut(t, "b", random(100, 2))
	for range 3 {
		clock.advance(time.Hour)
		if len(shipped) > 0 {
			break
		}
		<-told.told
	}
	<-shipped
	if got := s.Status().Size; got != p.led.Size() {
		t.Errorf("%d entries shipped, want %d", got, p.led.Size())
	}
}
