package stele

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
	"stele/internal/moment"
)

func commonPrefix(key, prefix, delimiter string) string {
	if delimiter == "" {
		return ""
	}
	if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
		return key[:len(prefix)+i+len(delimiter)]
	}
	return ""
}

// ViewAt finds the view that a moment names, as package moment reads it, or a pinned view by its name.
// Times are the ledger's: where somebody has set the wall clock, a moment is counted by the clock that entries have. ErrFuture for what has not happened, ErrBeforeStore for what was before the
// first entry, ErrBadMoment for what is no moment.
func (s *Store) ViewAt(ctx context.Context, when string) (View, error) {
	if err := s.core.Enter(); err != nil {
		return View{}, err
	}
	defer s.core.Leave()
	now := s.core.Ledger().Now()
	m, err := moment.Parse(when, now)
	switch {
	case err != nil:
		return View{}, core.OfKind(err, ErrBadName)
	case m.Size > 0:
		return s.viewOfSize(m.Size)
	case m.Name != "":
		return s.viewOfPin(m.Name)
	case m.Time.IsZero():
		return View{}, nil
	}
	return s.viewOfTime(ctx, m.Time)
}

func (s *Store) viewOfPin(name string) (View, error) {
	pin, ok, err := s.core.Index.Reader().Pin(name)
	if err != nil {
		return View{}, err
	}
	if !ok {
		return View{}, core.OfKind(moment.Unreadable(name), ErrBadName)
	}
	return View{Size: pin.Size}, nil
}

func (s *Store) viewOfSize(n uint64) (View, error) {
	return View{Size: n}, s.reached(View{Size: n})
}

// reached refuses a view beyond the ledger: it would show the present and change.
func (s *Store) reached(at View) error {
	if size := s.core.Size(); at.Size > size {
		return fmt.Errorf("%w: the ledger has %d entries", ErrFuture, size)
	}
	return nil
}

// viewOfTime is the view of all entries up to a time. A second that has begun counts as past, so that a script may write the time that its clock shows.
func (s *Store) viewOfTime(ctx context.Context, t time.Time) (View, error) {
	now := s.core.Ledger().Now()
	if begun := t.Truncate(time.Second); begun.After(now) {
		return View{}, fmt.Errorf("%w: %s, and it is %s (UTC)", ErrFuture, begun.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	}
	n, err := s.core.Ledger().SizeAt(ctx, minTime(t, now))
	if err != nil {
		return View{}, core.Translate(err)
	}
	if n == 0 {
		return View{}, core.OfKind(fmt.Errorf("%w at %s (UTC). Name a later moment: `stele log` begins with the first one", ErrBeforeStore, t.UTC().Format(time.DateTime)), ErrBadName)
	}
	return View{Size: min(n, s.core.Size())}, nil
}

var viewName = regexp.MustCompile(`^(.+)--at-(?:([0-9]{8}t[0-9]{6}z)|e([0-9]+)|([a-z0-9]+))$`)

// ParseBucket splits the name of a bucket as of a time, NAME--at-20261120t100000z (entries up to that second, included), NAME--at-e123456 (ledger size) or NAME--at-PIN, into the bucket's name and the view. An ordinary name is
// returned as it is, with the present.
func (s *Store) ParseBucket(ctx context.Context, name string) (string, View, error) {
	if err := s.core.Enter(); err != nil {
		return "", View{}, err
	}
	defer s.core.Leave()
	m := viewName.FindStringSubmatch(name)
	if m == nil {
		return name, View{}, nil
	}
	var v View
	var err error
	switch {
	case m[2] != "":
		v, err = s.viewOfSecond(ctx, m[2])
	case m[3] != "":
		n, perr := strconv.ParseUint(m[3], 10, 63)
		if perr != nil || n == 0 {
			return "", View{}, core.BadValue("%s is not a ledger size", m[3])
		}
		v, err = s.viewOfSize(n)
	default:
		pin, ok, perr := s.core.Index.Reader().Pin(m[4])
		if perr != nil || !ok {
			return "", View{}, orErr(perr, fmt.Errorf("%w: no pinned view %s", ErrNoBucket, m[4]))
		}
		v = View{Size: pin.Size}
	}
	return m[1], v, err
}

// viewOfSecond is the view after a second as names of buckets write it: 20261120t100000z.
func (s *Store) viewOfSecond(ctx context.Context, second string) (View, error) {
	t, err := moment.Second(second)
	if err != nil {
		return View{}, core.OfKind(err, ErrBadName)
	}
	return s.viewOfTime(ctx, t)
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Pinned is a named view that keeps its bytes from being erased.
type Pinned struct {
	Name    string
	Size    uint64
	Created time.Time
}

// Pin names a view. The name stands in bucket names, so it is a letter and up to 15 letters or digits, all lower-case; a word that is read as a moment, such as yesterday, can't be one. ErrBadState if the name is taken, ErrFuture for a size
// that the ledger has not reached.
func (s *Store) Pin(ctx context.Context, by Actor, name string, at View) (Pinned, error) {
	if err := s.core.Enter(); err != nil {
		return Pinned{}, err
	}
	defer s.core.Leave()
	if !moment.IsName(name) || moment.IsWord(name) || regexp.MustCompile(`^e[0-9]+$`).MatchString(name) {
		return Pinned{}, core.BadValue("a view can't be called %.40q. Take a letter and up to 15 lower-case letters or digits; e and a number, and words for a time such as yesterday, are taken", name)
	}
	p := entry.Private{Name: name}
	c, err := s.commit(ctx, by, func(r index.Reader, slot ledger.Slot) (ledger.Draft, error) {
		if _, ok, err := r.Pin(name); err != nil || ok {
			return ledger.Draft{}, orErr(err, core.BadState("view %s is pinned already", name))
		}
		if p.Target = at.Size; p.Target == 0 {
			p.Target = slot.Index
		}
		if p.Target > slot.Index {
			return ledger.Draft{}, fmt.Errorf("%w: the ledger has %d entries", ErrFuture, slot.Index)
		}
		return ledger.Draft{Type: entry.ViewPin, Private: p}, nil
	})
	return Pinned{Name: name, Size: p.Target, Created: c.Time}, err
}

// Views returns the pinned views, in order of name.
func (s *Store) Views(ctx context.Context) ([]Pinned, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	pins, err := s.core.Index.Pins()
	out := make([]Pinned, 0, len(pins))
	for _, p := range pins {
		out = append(out, Pinned{p.Name, p.Size, p.Created})
	}
	return out, err
}
