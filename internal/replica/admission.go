package replica

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"filippo.io/age"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// StandbyInfo is an admitted standby.
type StandbyInfo struct {
	Name      string
	Recipient string // age1…: to whom the keyring is wrapped
}

// ErrNoStandby: no standby of that name is admitted.
var ErrNoStandby = errors.New("no such standby")

// standbyName is what a standby may be called.
var standbyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// AddStandby admits a standby: the keyring is wrapped anew, to it as well as to everybody to whom it was. The entry comes first: nobody holds a key of which the ledger
// does not tell. A crash between the two leaves an admitted standby without a key; the next start wraps the keyring (WrapKeys). core.ErrBadName: the name or the recipient is none. core.ErrBadState: the
// name is taken.
func (s *Replica) AddStandby(ctx context.Context, by core.Who, name, recipient string) (core.Committed, error) {
	if err := s.core.Enter(); err != nil {
		return core.Committed{}, err
	}
	defer s.core.Leave()
	if !standbyName.MatchString(name) {
		return core.Committed{}, core.BadValue("%q is no name for a standby: up to 63 letters, digits, dots, dashes and underscores", name)
	}
	if _, err := age.ParseX25519Recipient(recipient); err != nil {
		return core.Committed{}, core.BadValue("%q is not an age recipient; `stele standby` prints its own when it starts: %v", recipient, err)
	}
	c, err := s.core.Record(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		was, ok, err := r.Config(index.NamedBy(entry.StandbyAdmit, name))
		switch {
		case err != nil:
			return ledger.Draft{}, err
		case ok && was.Value != recipient:
			return ledger.Draft{}, core.BadState("there is a standby %s with another recipient. Remove it first: stele standby rm %s", name, name)
		case ok:
			return ledger.Draft{}, core.ErrNoChange
		}
		return ledger.Draft{Type: entry.StandbyAdmit, Private: entry.Private{Name: name, Value: recipient}}, nil
	})
	if err != nil && !errors.Is(err, core.ErrNoChange) {
		return core.Committed{}, err
	}
	return c, s.WrapKeys(ctx)
}

// RemoveStandby wraps the keyring anew, without a standby. What it has copied it can still read: the data keys are the same until they are rotated. The entry comes first, as in AddStandby. ErrNoStandby.
func (s *Replica) RemoveStandby(ctx context.Context, by core.Who, name string) (core.Committed, error) {
	if err := s.core.Enter(); err != nil {
		return core.Committed{}, err
	}
	defer s.core.Leave()
	c, err := s.core.Record(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		if _, ok, err := r.Config(index.NamedBy(entry.StandbyAdmit, name)); err != nil || !ok {
			return ledger.Draft{}, errors.Join(err, fmt.Errorf("%w: %s. `stele standby list` names those that are admitted", ErrNoStandby, name))
		}
		return ledger.Draft{Type: entry.StandbyAdmit, Private: entry.Private{Name: name}}, nil
	})
	if err != nil {
		return core.Committed{}, err
	}
	return c, s.WrapKeys(ctx)
}

// Standbys lists the admitted standbys, in order of name.
func (s *Replica) Standbys(ctx context.Context) ([]StandbyInfo, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	named, err := s.core.Index.Named(entry.StandbyAdmit)
	out := make([]StandbyInfo, len(named))
	for i, n := range named {
		out[i] = StandbyInfo{n.Name, n.Value}
	}
	return out, core.Translate(err)
}

// ownRecipients is how many recipients, the first ones, are the store's own: the server and the recovery key.
const ownRecipients = 2

// WrapKeys stores a keyring that is wrapped to the server, the recovery key and all admitted standbys, unless the newest one is. A start calls it for what a crash or a full disk left undone.
func (s *Replica) WrapKeys(ctx context.Context) error {
	s.wrapping.Lock()
	defer s.wrapping.Unlock()
	if s.recipients == nil {
		s.recipients = s.core.Keys.Recipients
	}
	named, err := s.core.Index.Named(entry.StandbyAdmit)
	if err != nil {
		return core.Translate(err)
	}
	if len(s.recipients) < ownRecipients {
		if len(named) == 0 {
			return nil // a store of another make; nobody is to be let in
		}
		return fmt.Errorf("%w: the keyring names %d recipients, where server and recovery key should be", core.ErrCorrupt, len(s.recipients))
	}
	want := slices.Clone(s.recipients[:ownRecipients])
	for _, n := range named {
		if !slices.Contains(want, n.Value) { // a standby that was promoted is the server now
			want = append(want, n.Value)
		}
	}
	if slices.Equal(want, s.recipients) {
		return nil
	}
	k := *s.core.Keys
	if err := keyring.SaveTo(ctx, s.core.Engine, &k, want); errors.Is(err, engine.ErrFull) {
		return fmt.Errorf("%w: the standby is admitted, its keyring will be written at the next start: %w", core.ErrFull, err)
	} else if err != nil {
		return core.Translate(err)
	}
	s.recipients = want
	s.Changed.Tell(1)
	return nil
}
