package storetest

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/tree"
)

// IsLocked reports whether a lock is why a store refused.
func IsLocked(err error) bool { return errors.As(err, new(*stele.RetentionError)) }

// Client is what a client was told, and so what must be found after whatever happened.
type Client struct {
	mu      sync.Mutex
	Clock   *ManualClock
	n       int
	Changes map[string]*Change // all that were asked for, by request
	Acked   map[string]stele.Committed
	Refused map[string]error
	Heads   map[uint64]tree.Hash
}

// NewClient is a client that was told nothing yet.
func NewClient() *Client {
	return &Client{Clock: NewClock(), Changes: map[string]*Change{}, Acked: map[string]stele.Committed{}, Refused: map[string]error{}, Heads: map[uint64]tree.Hash{}}
}

// Clone is a client that was told the same, with a clock of its own.
func (w *Client) Clone() *Client {
	return &Client{Clock: &ManualClock{now: w.Clock.Now()}, n: w.n, Changes: maps.Clone(w.Changes), Acked: maps.Clone(w.Acked),
		Refused: maps.Clone(w.Refused), Heads: maps.Clone(w.Heads)}
}

// refusals are the errors by which a store says no, all others are failures.
var refusals = []error{core.ErrNoChange, stele.ErrNoBucket, stele.ErrNoKey, stele.ErrNoVersion, stele.ErrNoUpload, stele.ErrBucketExists, stele.ErrBucketNotEmpty, stele.ErrMarker, stele.ErrPrecondition,
	stele.ErrOverwriteDenied, stele.ErrInvalidPart, stele.ErrPartOrder, stele.ErrPartTooSmall, stele.ErrBadState, stele.ErrKeyRevoked, stele.ErrNoAccessKey}

// IsRefusal reports whether a store said no. Every other error is a failure.
func IsRefusal(err error) bool {
	if errors.As(err, new(*stele.RetentionError)) {
		return true
	}
	for _, r := range refusals {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}

// Do makes a change and notes what was told. It returns failures, and refusals not.
func (w *Client) Do(s *stele.Store, c Change) (made string, err error) {
	_, made, err = w.Ask(s, c)
	if IsRefusal(err) {
		err = nil
	}
	return made, err
}

// Ask makes a change, notes what was told, and returns it, with the change as it was noted.
func (w *Client) Ask(s *stele.Store, c Change) (asked *Change, made string, err error) {
	w.mu.Lock()
	w.n++
	c.Request = fmt.Sprintf("r%d", w.n)
	w.Changes[c.Request] = &c
	w.mu.Unlock()
	w.Clock.Pass(time.Second)
	at, made, err := c.run(s)
	size, root := s.Ledger().TreeHead()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil || IsRefusal(err) {
		w.Heads[size] = root
	}
	switch {
	case err == nil:
		w.Acked[c.Request] = at
	case IsRefusal(err):
		w.Refused[c.Request] = err
	default:
		err = fmt.Errorf("%v: %w", &c, err)
	}
	return &c, made, err
}

// All makes changes one after the other, until one fails.
func (w *Client) All(s *stele.Store, list ...Change) error {
	for _, c := range list {
		if _, err := w.Do(s, c); err != nil {
			return err
		}
	}
	return nil
}

// Housekeeping are the types of entries that the store writes by itself and that change no view.
var Housekeeping = map[entry.Type]bool{entry.StoreInit: true, entry.PackSeal: true, entry.VerifyRun: true, entry.DeniedSum: true, entry.TimeDrift: true, entry.ConfigSet: true}

// replay reads the whole ledger, holds it against what was told, and returns the reference at every size.
func (w *Client) replay(s *stele.Store) ([]*Reference, error) {
	m := NewReference()
	states := []*Reference{m.Clone()}
	seen := map[string]uint64{}
	err := s.Ledger().Log(ctx, stele.LogQuery{}, func(e *entry.Entry) error {
		if e.Index != uint64(len(states)-1) {
			return fmt.Errorf("entry %d where %d should be", e.Index, len(states)-1)
		}
		if err := w.take(m, e, seen); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		m.size = e.Index + 1
		states = append(states, m.Clone())
		return nil
	})
	if err != nil {
		return nil, err
	}
	for request, at := range w.Acked {
		if found, ok := seen[request]; !ok {
			return nil, fmt.Errorf("%v was acknowledged and is lost, the ledger has %d entries", w.Changes[request], s.Ledger().Size())
		} else if !at.Time.IsZero() && found != at.Entry {
			return nil, fmt.Errorf("%v was acknowledged as entry %d and is entry %d", w.Changes[request], at.Entry, found)
		}
	}
	for request, why := range w.Refused {
		if c := w.Changes[request]; errors.Is(why, stele.ErrPrecondition) && c.If.NoneMatch == "*" && len(m.changes[c.Bucket+"/"+c.Key]) == 0 {
			return nil, fmt.Errorf("%v was refused because of an entry that is lost", c)
		}
	}
	return states, nil
}

// take applies an entry to the reference.
func (w *Client) take(m *Reference, e *entry.Entry, seen map[string]uint64) error {
	c := w.Changes[e.Private.Request]
	switch {
	case e.Type == entry.DeniedLock && c != nil:
		if w.Refused[c.Request] == nil && w.Acked[c.Request] == (stele.Committed{}) {
			return nil // the answer did not arrive
		}
		if !errors.As(w.Refused[c.Request], new(*stele.RetentionError)) {
			return fmt.Errorf("%v is recorded as refused", c)
		}
		return nil
	case c == nil && Housekeeping[e.Type] && e.Private.Request == "":
		return nil
	case c == nil:
		return fmt.Errorf("%s that nobody asked for: %+v", e.Type, e.Private)
	case w.Refused[c.Request] != nil:
		return fmt.Errorf("%v was refused (%v) and is there", c, w.Refused[c.Request])
	}
	if was, twice := seen[c.Request]; twice {
		return fmt.Errorf("%v is there twice, also as entry %d", c, was)
	}
	seen[c.Request] = e.Index
	c = c.Named(e)
	apply, err := m.Decide(c, e.Time)
	if err != nil {
		return fmt.Errorf("%v is there and should have been refused: %w", c, err)
	}
	apply(e.Index, e.Time)
	return nil
}

// Named fills in what the store has made up.
func (c *Change) Named(e *entry.Entry) *Change {
	n := *c
	switch c.Do {
	case "create":
		n.Upload = e.Private.Upload
	case "createKey":
		n.Name = e.Private.Access.ID
	}
	return &n
}

// Compare holds a store against what was told: entries, views, histories, roots, bytes.
func (w *Client) Compare(s *stele.Store) error {
	states, err := w.replay(s)
	if err != nil {
		return err
	}
	size := uint64(len(states) - 1)
	if size > s.Ledger().Size() { // housekeeping may have added entries meanwhile
		return fmt.Errorf("the ledger has %d entries, the store says %d", size, s.Ledger().Size())
	}
	told := 0
	durable, _ := s.Ledger().TreeHead() // the index may be a batch behind
	for at, root := range w.Heads {
		if at > durable {
			return fmt.Errorf("size %d was told, the ledger has %d", at, durable)
		}
		if told++; told > 8 && !Full { // in random order
			continue
		}
		if now, err := s.Rooms().Core.Ledger().Root(ctx, at); err != nil || now != root {
			return fmt.Errorf("the root of size %d was %s and is %s (%w)", at, root, now, err)
		}
	}
	now := states[size]
	if err := SameText("now", s, stele.View{}, now.Render(true)); err != nil {
		return err
	}
	step := max(size/4, 1)
	if Full {
		step = max(size/16, 1)
	}
	for at := size; at > 0 && at <= size; at -= step {
		if err := SameText(fmt.Sprintf("at size %d", at), s, stele.View{Size: at}, states[at].Render(false)); err != nil {
			return err
		}
	}
	return compareHistory(s, now)
}

// SameText compares all that a store shows in a view with what it should show.
func SameText(what string, s *stele.Store, at stele.View, want string) error {
	got, err := Show(s, at)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if got == want {
		return nil
	}
	return fmt.Errorf("%s the store does not show what it should:\n%s", what, Diff(got, want))
}

// Diff returns the lines that only one of two texts has.
func Diff(got, want string) string {
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
