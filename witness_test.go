package stele

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/tree"
)

// testClock is a clock that only tests move. Wall and monotonic time agree.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func newTestClock() *testClock {
	return &testClock{now: time.Date(2026, 11, 22, 16, 0, 0, 123456000, time.UTC)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Monotonic() time.Duration { return c.Now().Sub(time.Unix(0, 0)) }

func (c *testClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// witnessed is what a client was told, and so what must be found after whatever happened.
type witnessed struct {
	mu      sync.Mutex
	clock   *testClock
	n       int
	changes map[string]*change // all that were asked for, by request
	acked   map[string]Committed
	refused map[string]error
	heads   map[uint64]tree.Hash
}

func newWitness() *witnessed {
	return &witnessed{clock: newTestClock(), changes: map[string]*change{}, acked: map[string]Committed{}, refused: map[string]error{}, heads: map[uint64]tree.Hash{}}
}

func (w *witnessed) copy() *witnessed {
	return &witnessed{clock: &testClock{now: w.clock.Now()}, n: w.n, changes: maps.Clone(w.changes), acked: maps.Clone(w.acked),
		refused: maps.Clone(w.refused), heads: maps.Clone(w.heads)}
}

// refusals are the errors by which a store says no, all others are failures.
var refusals = []error{core.ErrNoChange, ErrNoBucket, ErrNoKey, ErrNoVersion, ErrNoUpload, ErrBucketExists, ErrBucketNotEmpty, ErrMarker, ErrPrecondition,
	ErrOverwriteDenied, ErrInvalidPart, ErrPartOrder, ErrPartTooSmall, ErrBadState, ErrKeyRevoked, ErrNoAccessKey}

func isRefusal(err error) bool {
	if errors.As(err, new(*RetentionError)) {
		return true
	}
	for _, r := range refusals {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}

// do makes a change and notes what was told. It returns failures, and refusals not.
func (w *witnessed) do(s *Store, c change) (made string, err error) {
	_, made, err = w.ask(s, c)
	if isRefusal(err) {
		err = nil
	}
	return made, err
}

// ask makes a change, notes what was told, and returns it, with the change as it was noted.
func (w *witnessed) ask(s *Store, c change) (asked *change, made string, err error) {
	w.mu.Lock()
	w.n++
	c.request = fmt.Sprintf("r%d", w.n)
	w.changes[c.request] = &c
	w.mu.Unlock()
	w.clock.pass(time.Second)
	at, made, err := c.run(s)
	size, root := s.TreeHead()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil || isRefusal(err) {
		w.heads[size] = root
	}
	switch {
	case err == nil:
		w.acked[c.request] = at
	case isRefusal(err):
		w.refused[c.request] = err
	default:
		err = fmt.Errorf("%v: %w", &c, err)
	}
	return &c, made, err
}

// all makes changes one after the other, until one fails.
func (w *witnessed) all(s *Store, list ...change) error {
	for _, c := range list {
		if _, err := w.do(s, c); err != nil {
			return err
		}
	}
	return nil
}

// housekeeping are the types of entries that the store writes by itself and that change no view.
var housekeeping = map[entry.Type]bool{entry.StoreInit: true, entry.PackSeal: true, entry.VerifyRun: true, entry.DeniedSum: true, entry.TimeDrift: true, entry.ConfigSet: true}

// replay reads the whole ledger, holds it against what was told, and returns the reference at every size.
func (w *witnessed) replay(s *Store) ([]*reference, error) {
	m := newReference()
	states := []*reference{m.clone()}
	seen := map[string]uint64{}
	err := s.Log(ctx, LogQuery{}, func(e *entry.Entry) error {
		if e.Index != uint64(len(states)-1) {
			return fmt.Errorf("entry %d where %d should be", e.Index, len(states)-1)
		}
		if err := w.take(m, e, seen); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		m.size = e.Index + 1
		states = append(states, m.clone())
		return nil
	})
	if err != nil {
		return nil, err
	}
	for request, at := range w.acked {
		if found, ok := seen[request]; !ok {
			return nil, fmt.Errorf("%v was acknowledged and is lost, the ledger has %d entries", w.changes[request], s.Size())
		} else if !at.Time.IsZero() && found != at.Entry {
			return nil, fmt.Errorf("%v was acknowledged as entry %d and is entry %d", w.changes[request], at.Entry, found)
		}
	}
	for request, why := range w.refused {
		if c := w.changes[request]; errors.Is(why, ErrPrecondition) && c.cond.NoneMatch == "*" && len(m.changes[c.bucket+"/"+c.key]) == 0 {
			return nil, fmt.Errorf("%v was refused because of an entry that is lost", c)
		}
	}
	return states, nil
}

// take applies an entry to the reference.
func (w *witnessed) take(m *reference, e *entry.Entry, seen map[string]uint64) error {
	c := w.changes[e.Private.Request]
	switch {
	case e.Type == entry.DeniedLock && c != nil:
		if w.refused[c.request] == nil && w.acked[c.request] == (Committed{}) {
			return nil // the answer did not arrive
		}
		if !errors.As(w.refused[c.request], new(*RetentionError)) {
			return fmt.Errorf("%v is recorded as refused", c)
		}
		return nil
	case c == nil && housekeeping[e.Type] && e.Private.Request == "":
		return nil
	case c == nil:
		return fmt.Errorf("%s that nobody asked for: %+v", e.Type, e.Private)
	case w.refused[c.request] != nil:
		return fmt.Errorf("%v was refused (%v) and is there", c, w.refused[c.request])
	}
	if was, twice := seen[c.request]; twice {
		return fmt.Errorf("%v is there twice, also as entry %d", c, was)
	}
	seen[c.request] = e.Index
	c = c.named(e)
	apply, err := m.decide(c, e.Time)
	if err != nil {
		return fmt.Errorf("%v is there and should have been refused: %w", c, err)
	}
	apply(e.Index, e.Time)
	return nil
}

// named fills in what the store has made up.
func (c *change) named(e *entry.Entry) *change {
	n := *c
	switch c.do {
	case "create":
		n.upload = e.Private.Upload
	case "createKey":
		n.name = e.Private.Access.ID
	}
	return &n
}

// compare holds a store against what was told: entries, views, histories, roots, bytes.
func (w *witnessed) compare(s *Store) error {
	states, err := w.replay(s)
	if err != nil {
		return err
	}
	size := uint64(len(states) - 1)
	if size > s.Size() { // housekeeping may have added entries meanwhile
		return fmt.Errorf("the ledger has %d entries, the store says %d", size, s.Size())
	}
	told := 0
	durable, _ := s.TreeHead() // the index may be a batch behind
	for at, root := range w.heads {
		if at > durable {
			return fmt.Errorf("size %d was told, the ledger has %d", at, durable)
		}
		if told++; told > 8 && !full { // in random order
			continue
		}
		if now, err := s.core.Ledger().Root(ctx, at); err != nil || now != root {
			return fmt.Errorf("the root of size %d was %s and is %s (%w)", at, root, now, err)
		}
	}
	now := states[size]
	if err := sameText("now", s, View{}, now.render(true)); err != nil {
		return err
	}
	step := max(size/4, 1)
	if full {
		step = max(size/16, 1)
	}
	for at := size; at > 0 && at <= size; at -= step {
		if err := sameText(fmt.Sprintf("at size %d", at), s, View{at}, states[at].render(false)); err != nil {
			return err
		}
	}
	return compareHistory(s, now)
}

func sameText(what string, s *Store, at View, want string) error {
	got, err := show(s, at)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if got == want {
		return nil
	}
	return fmt.Errorf("%s the store does not show what it should:\n%s", what, diff(got, want))
}

// diff returns the lines that only one of two texts has.
func diff(got, want string) string {
	var b strings.Builder
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	in := func(list []string) map[string]bool {
		m := map[string]bool{}
		for _, l := range list {
			m[l] = true
		}
		return m
	}
	gs, ws := in(g), in(w)
	for _, l := range g {
		if !ws[l] {
			fmt.Fprintln(&b, "got  ", l)
		}
	}
	for _, l := range w {
		if !gs[l] {
			fmt.Fprintln(&b, "want ", l)
		}
	}
	return b.String()
}
