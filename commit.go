package stele

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	actorRoot  = "root"
	actorLocal = "local"
	actorStele = "stele"
)

// Local is the actor of the command line on the machine itself, where nothing says which user of the operating system it is: the operator, who may end a legal hold.
func Local() Actor { return Actor{Key: actorLocal, EndHold: true, local: true} }

// LocalUser is the actor of the command line on the machine itself, run by a user of the operating system: "local:alice", at "uid 1000". The uid is what the kernel says; the name is what the
// machine's user list says of it, and is text from outside: it is bounded, and only what names usually consist of is kept. It may be empty.
func LocalUser(uid, name string) Actor {
	name = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-@+$", r)) {
			return r
		}
		return '_'
	}, name[:min(len(name), maxUserName)])
	if name == "" {
		name = uid
	}
	return Actor{Key: actorLocal + ":" + name, Address: "uid " + uid, EndHold: true, local: true}
}

// maxUserName bounds the name of a user of the operating system, in bytes. Linux has at most 32.
const maxUserName = 64

// isActor reports whether an entry's actor is the one that is asked for; "local" is the command line, whoever ran it.
func isActor(actor, asked string) bool {
	return actor == asked || asked == actorLocal && strings.HasPrefix(actor, actorLocal+":")
}

// errNoChange ends a decide function that found nothing to do: no entry, and no error for the caller, who has still waited for every entry that the answer depends on.
var errNoChange = errors.New("no change")

// decide judges a change in commit order. r shows every entry decided before it. It returns the entry's type and private part without actor, or a refusal.
type decide func(r index.Reader, at ledger.Slot) (ledger.Draft, error)

// commit is the one way by which anything changes. The ledger calls the function on the sequencer's goroutine, so that what it checks holds at the commit, and returns when
// the entry, or whatever the refusal rests on, is durable and applied.
func (s *Store) commit(ctx context.Context, by Actor, fn decide) (Committed, error) {
	if s.state == following {
		return Committed{}, ErrStandby
	}
	if s.opt.ReadOnly {
		return Committed{}, s.refusal()
	}
	if err := s.Failed(); err != nil {
		return Committed{}, err
	}
	e, err := s.led().Append(ctx, func(at ledger.Slot) (ledger.Draft, error) {
		r := s.index.Pending()
		if err := s.stillValid(r, by, at.Time); err != nil {
			return ledger.Draft{}, err
		}
		d, err := fn(r, at)
		if err != nil {
			return ledger.Draft{}, err
		}
		p := &d.Private
		p.Actor, p.Address, p.Request = by.Key, by.Address, by.Request
		if err := valid(p); err != nil {
			return ledger.Draft{}, err
		}
		e := entry.Entry{Index: at.Index, Time: at.Time, Type: d.Type, Private: *p}
		return d, s.index.Fold(&e)
	})
	if err != nil {
		return Committed{}, s.met(err)
	}
	return Committed{Entry: e.Index, Time: e.Time}, nil
}

// stillValid refuses a key that was revoked while its request was under way, and one that causes more entries than it may.
func (s *Store) stillValid(r index.Reader, by Actor, now time.Time) error {
	if by.local {
		return nil
	}
	switch by.Key {
	case "", actorRoot, actorLocal, actorStele, s.root.ID:
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

// bucketFor returns the bucket of a change.
func bucketFor(r index.Reader, name string) (*index.Bucket, error) {
	b, ok, err := r.Bucket(name)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s", ErrNoBucket, name)
	}
	return b, err
}

// versionID is the id that S3 shows: the entry and the epoch in which it was written, so that no id ever names two versions, and none changes with a promotion.
func versionID(epoch uint32, at uint64, null bool) string {
	if null {
		return "null"
	}
	var raw [12]byte
	binary.BigEndian.PutUint32(raw[:], epoch)
	binary.BigEndian.PutUint64(raw[4:], at)
	return hex.EncodeToString(raw[:])
}

// parseVersionID returns the entry in an id that is not "null".
func parseVersionID(id string) (uint64, bool) {
	if len(id) != 24 {
		return 0, false
	}
	var epoch uint32
	var at uint64
	if _, err := fmt.Sscanf(id, "%08x%016x", &epoch, &at); err != nil || versionID(epoch, at, false) != id {
		return 0, false
	}
	return at, true
}

func (s *Store) versionID(at uint64, null bool) string {
	return versionID(s.keys.EpochOf(at), at, null)
}

// translate adds this package's sentinel to an error from below, so that callers need not know the packages there.
func translate(err error) error {
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
	if s.opt.ReadOnly {
		return nil
	}
	err := translate(errors.Join(s.led().Err(), s.body.Failed(), s.index.Failed()))
	if err != nil && !errors.Is(err, ErrFailed) && !errors.Is(err, ErrSuperseded) {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return err
}

// Writable returns why the store takes no writes now, as a load balancer asks; nil: it takes them.
func (s *Store) Writable() error {
	switch {
	case s.state == following:
		return ErrStandby
	case s.opt.ReadOnly:
		return s.refusal()
	}
	return cmp.Or(s.Failed(), s.Room())
}

// now is the wall clock. What is compared with entry times at a commit uses the slot's time instead.
func (s *Store) now() time.Time {
	if s.opt.Clock != nil {
		return s.opt.Clock.Now()
	}
	return time.Now()
}
