package stele

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"stele/entry"
	"stele/internal/index"
	"stele/internal/ledger"
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

var agoPattern = regexp.MustCompile(`^([0-9]+)([smhdw])$`)

// ViewAt parses a moment: RFC 3339 (or its date, or date and time in UTC), 20261120t100000z as names of buckets have it (that second included), 7d (ago: s, m, h, d, w), @123456 (a ledger size), or a pinned view's name.
// Times are the ledger's: where somebody has set the wall clock, a moment is counted by the clock that entries have. ErrFuture for what has not happened, ErrBadName for what is no moment.
func (s *Store) ViewAt(ctx context.Context, when string) (View, error) {
	if err := s.enter(); err != nil {
		return View{}, err
	}
	defer s.leave()
	if when == "" || when == "now" {
		return View{}, nil
	}
	if strings.HasPrefix(when, "@") {
		n, err := strconv.ParseUint(when[1:], 10, 64)
		if err != nil || n == 0 {
			return View{}, fmt.Errorf("%w: %q is not @ and a ledger size", ErrBadName, when)
		}
		return s.viewOfSize(n)
	}
	if m := agoPattern.FindStringSubmatch(when); m != nil {
		unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n > int64(math.MaxInt64/unit) {
			return View{}, fmt.Errorf("%w: %q is too long ago", ErrBadName, when)
		}
		return s.viewOfTime(ctx, s.led().Now().Add(-time.Duration(n)*unit))
	}
	if secondPattern.MatchString(when) {
		return s.viewOfSecond(ctx, when)
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, when); err == nil {
			return s.viewOfTime(ctx, t)
		}
	}
	pin, ok, err := s.index.Reader().Pin(when)
	if err != nil {
		return View{}, err
	}
	if ok {
		return View{Size: pin.Size}, nil
	}
	return View{}, fmt.Errorf("%w: %q is no moment. Write 2026-11-20T10:00:00Z, 7d (ago), @123456 (ledger size) or a pinned view's name", ErrBadName, when)
}

func (s *Store) viewOfSize(n uint64) (View, error) {
	return View{Size: n}, s.reached(View{Size: n})
}

// reached refuses a view beyond the ledger: it would show the present and change.
func (s *Store) reached(at View) error {
	if size := s.Size(); at.Size > size {
		return fmt.Errorf("%w: the ledger has %d entries", ErrFuture, size)
	}
	return nil
}

func (s *Store) viewOfTime(ctx context.Context, t time.Time) (View, error) {
	if now := s.led().Now(); t.After(now) {
		return View{}, fmt.Errorf("%w: %s, and it is %s", ErrFuture, t.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	n, err := s.led().SizeAt(ctx, t)
	if err != nil {
		return View{}, translate(err)
	}
	if n == 0 {
		return View{}, fmt.Errorf("%w: the store did not exist at %s. Name a later moment: `stele log` begins with the first one", ErrBadName, t.UTC().Format(time.RFC3339))
	}
	return View{Size: min(n, s.Size())}, nil
}

var viewName = regexp.MustCompile(`^(.+)--at-(?:([0-9]{8}t[0-9]{6}z)|e([0-9]+)|([a-z0-9]+))$`)

// ParseBucket splits the name of a bucket as of a time, NAME--at-20261120t100000z (entries up to that second, included), NAME--at-e123456 (ledger size) or NAME--at-PIN, into the bucket's name and the view. An ordinary name is
// returned as it is, with the present.
func (s *Store) ParseBucket(ctx context.Context, name string) (string, View, error) {
	if err := s.enter(); err != nil {
		return "", View{}, err
	}
	defer s.leave()
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
			return "", View{}, fmt.Errorf("%w: %s is no ledger size", ErrBadName, m[3])
		}
		v, err = s.viewOfSize(n)
	default:
		pin, ok, perr := s.index.Reader().Pin(m[4])
		if perr != nil || !ok {
			return "", View{}, orErr(perr, fmt.Errorf("%w: no pinned view %s", ErrNoBucket, m[4]))
		}
		v = View{Size: pin.Size}
	}
	return m[1], v, err
}

var secondPattern = regexp.MustCompile(`^[0-9]{8}t[0-9]{6}z$`)

// viewOfSecond is the view after a second as names of buckets write it: 20261120t100000z.
func (s *Store) viewOfSecond(ctx context.Context, second string) (View, error) {
	t, err := time.Parse("20060102t150405z", second)
	if err != nil {
		return View{}, fmt.Errorf("%w: %s is no time", ErrBadName, second)
	}
	now := s.led().Now()
	if t.After(now) {
		return View{}, fmt.Errorf("%w: %s", ErrFuture, second)
	}
	return s.viewOfTime(ctx, minTime(t.Add(time.Second-time.Microsecond), now))
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

var pinName = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)

// Pin names a view. The name stands in bucket names, so it is a letter and up to 15 letters or digits, all lower-case. ErrBadState if the name is taken, ErrFuture for a size
// that the ledger has not reached.
func (s *Store) Pin(ctx context.Context, by Actor, name string, at View) (Pinned, error) {
	if err := s.enter(); err != nil {
		return Pinned{}, err
	}
	defer s.leave()
	if !pinName.MatchString(name) || regexp.MustCompile(`^e[0-9]+$`).MatchString(name) {
		return Pinned{}, fmt.Errorf("%w: a view's name is a letter and up to 15 lower-case letters or digits, and not e and a number", ErrBadName)
	}
	p := entry.Private{Name: name}
	c, err := s.commit(ctx, by, func(r index.Reader, slot ledger.Slot) (ledger.Draft, error) {
		if _, ok, err := r.Pin(name); err != nil || ok {
			return ledger.Draft{}, orErr(err, fmt.Errorf("%w: view %s is pinned already", ErrBadState, name))
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
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	pins, err := s.index.Pins()
	out := make([]Pinned, 0, len(pins))
	for _, p := range pins {
		out = append(out, Pinned{p.Name, p.Size, p.Created})
	}
	return out, err
}
