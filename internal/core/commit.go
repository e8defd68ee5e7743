package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// Actors that are no access keys.
const (
	ActorRoot  = "root"
	ActorLocal = "local"
	ActorStele = "stele"
)

// Decide judges a change in commit order. r shows every entry decided before it. It returns the entry's type and private part without actor, or a refusal.
type Decide func(r index.Reader, at ledger.Slot) (ledger.Draft, error)

// Who asks for a change; it goes into the entry's private part.
type Who struct {
	Key     string // access key id; "root", "local:USER" (the command line), "stele" (the store itself)
	Address string // client IP, without port; of the command line "uid N"
	Request string // request id
	Local   bool   // the command line on this machine
}

// Committed says where a change stands in the ledger.
type Committed struct {
	Entry uint64
	Time  time.Time
}

// Record is the one way by which anything changes. The ledger calls the function on the sequencer's goroutine, so that what it checks holds at the commit, and returns when
// the entry, or whatever the refusal rests on, is durable and applied.
func (s *Store) Record(ctx context.Context, by Who, fn Decide) (Committed, error) {
	if !s.TakesWrites() {
		return Committed{}, s.Refusal()
	}
	if err := s.Failed(); err != nil {
		return Committed{}, err
	}
	e, err := s.Ledger().Append(ctx, func(at ledger.Slot) (ledger.Draft, error) {
		r := s.Index.Pending()
		if err := s.stillValid(r, by, at.Time); err != nil {
			return ledger.Draft{}, err
		}
		d, err := fn(r, at)
		if err != nil {
			return ledger.Draft{}, err
		}
		p := &d.Private
		p.Actor, p.Address, p.Request = by.Key, by.Address, by.Request
		if err := Valid(p); err != nil {
			return ledger.Draft{}, err
		}
		e := entry.Entry{Index: at.Index, Time: at.Time, Type: d.Type, Private: *p}
		return d, s.Index.Fold(&e)
	})
	if err != nil {
		return Committed{}, s.Met(err)
	}
	return Committed{Entry: e.Index, Time: e.Time}, nil
}

// stillValid refuses a key that was revoked while its request was under way, and one that causes more entries than it may.
func (s *Store) stillValid(r index.Reader, by Who, now time.Time) error {
	if by.Local {
		return nil
	}
	switch by.Key {
	case "", ActorRoot, ActorLocal, ActorStele, s.root.ID:
		return nil
	}
	a, ok, err := r.Access(by.Key)
	if err != nil {
		return err
	}
	if !ok || a.Revoked {
		return fmt.Errorf("%w: %s", ErrKeyRevoked, by.Key)
	}
	if a.Rate > 0 && !s.rates.allow(by.Key, a.Rate, now) {
		return fmt.Errorf("%w: %s, %d a second", ErrRate, by.Key, a.Rate)
	}
	return nil
}

// Translate adds this package's sentinel to an error from below, so that callers need not know the packages there.
func Translate(err error) error {
	if err == nil {
		return nil
	}
	for _, t := range []struct{ below, above error }{
		{engine.ErrFull, ErrFull}, {engine.ErrFailed, ErrFailed}, {ledger.ErrFailed, ErrFailed}, {ledger.ErrBehind, ErrBehind}, {ledger.ErrSuperseded, ErrSuperseded},
		{body.ErrFailed, ErrFailed}, {durable.ErrSync, ErrFailed},
		{frame.ErrVersion, ErrVersion}, {frame.ErrCorrupt, ErrCorrupt}, {keyring.ErrWrongKey, ErrWrongKey},
		{durable.ErrLocked, ErrLocked}, {body.ErrErased, ErrErased}, {ledger.ErrRange, ErrFuture},
		{body.ErrReadOnly, ErrReadOnly}, {body.ErrClosed, ErrClosed}, {ledger.ErrClosed, ErrClosed}, {body.ErrRange, ErrBadRange}, {ledger.ErrForked, ErrCorrupt},
	} {
		if errors.Is(err, t.below) && !errors.Is(err, t.above) {
			return fmt.Errorf("%w: %w", t.above, err)
		}
	}
	return err
}

// Failed returns what ended writing (ErrFailed, ErrSuperseded), or nil. A failure anywhere ends it everywhere (DESIGN invariant 6). A store that is open for reading only has not failed.
func (s *Store) Failed() error {
	if !s.TakesWrites() {
		return nil
	}
	err := Translate(errors.Join(s.Ledger().Err(), s.Body.Failed(), s.Index.Failed()))
	if err != nil && !errors.Is(err, ErrFailed) && !errors.Is(err, ErrSuperseded) {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return err
}

// Writable returns why the store takes no writes now, as a load balancer asks; nil: it takes them.
func (s *Store) Writable() error {
	if !s.TakesWrites() {
		return s.Refusal()
	}
	return cmp.Or(s.Failed(), s.Room())
}

// Now is the wall clock. What is compared with entry times at a commit uses the slot's time instead.
func (s *Store) Now() time.Time {
	if s.opt.Clock != nil {
		return s.opt.Clock.Now()
	}
	return time.Now()
}

// Refusal is why this store takes no writes.
func (s *Store) Refusal() error {
	switch {
	case s.state == Following:
		return ErrStandby
	case s.unpromoted || s.state == Serving:
		return OfKind(fmt.Errorf("this store serves the backup %s, for reading only until it is promoted. `stele promote` makes it the primary", s.overName()), ErrUnpromoted)
	}
	return cmp.Or(s.stuck, ErrReadOnly)
}

// overName names the backup that is served.
func (s *Store) overName() string {
	if s.over == nil {
		return "that was copied here"
	}
	return s.over.Name
}

// ErrNoChange ends a decide function that found nothing to do: no entry, and no error for the caller, who has still waited for every entry that the answer depends on.
var ErrNoChange = errors.New("no change")
