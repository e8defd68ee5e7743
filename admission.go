package stele

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
)

// StandbyInfo is an admitted standby.
type StandbyInfo struct {
	Name      string
	Recipient string // age1…: to whom the keyring is wrapped
}

var standbyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// AddStandby admits a standby: the keyring is wrapped anew, to it as well as to everybody to whom it was. The entry comes first: nobody holds a key of which the ledger
// does not tell. What a crash in between leaves undone the next start does.
func (s *Store) AddStandby(ctx context.Context, by Actor, name, recipient string) (Committed, error) {
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	if !standbyName.MatchString(name) {
		return Committed{}, core.BadValue("%q is no name for a standby: up to 63 letters, digits, dots, dashes and underscores", name)
	}
	if _, err := age.ParseX25519Recipient(recipient); err != nil {
		return Committed{}, core.BadValue("%q is not an age recipient; `stele standby` prints its own when it starts: %v", recipient, err)
	}
	c, err := s.commit(ctx, by, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
		was, ok, err := r.Config(index.NamedBy(entry.StandbyAdmit, name))
		switch {
		case err != nil:
			return ledgerDraft{}, err
		case ok && was.Value != recipient:
			return ledgerDraft{}, core.BadState("there is a standby %s with another recipient. Remove it first: stele standby rm %s", name, name)
		case ok:
			return ledgerDraft{}, core.ErrNoChange
		}
		return ledgerDraft{Type: entry.StandbyAdmit, Private: entry.Private{Name: name, Value: recipient}}, nil
	})
	if err != nil && !errors.Is(err, core.ErrNoChange) {
		return Committed{}, err
	}
	return c, s.wrapKeys(ctx)
}

// RemoveStandby wraps the keyring anew, without a standby. What it has copied it can still read: the data keys are the same until they are rotated.
func (s *Store) RemoveStandby(ctx context.Context, by Actor, name string) (Committed, error) {
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	c, err := s.commit(ctx, by, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
		if _, ok, err := r.Config(index.NamedBy(entry.StandbyAdmit, name)); err != nil || !ok {
			return ledgerDraft{}, errors.Join(err, fmt.Errorf("%w: %s. `stele standby list` names those that are admitted", ErrNoStandby, name))
		}
		return ledgerDraft{Type: entry.StandbyAdmit, Private: entry.Private{Name: name}}, nil
	})
	if err != nil {
		return Committed{}, err
	}
	return c, s.wrapKeys(ctx)
}

// Standbys lists the admitted standbys, in order of name.
func (s *Store) Standbys(ctx context.Context) ([]StandbyInfo, error) {
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

// wrapKeys stores a keyring that is wrapped to the server, the recovery key and all admitted standbys, unless the newest one is.
func (s *Store) wrapKeys(ctx context.Context) error {
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
		return fmt.Errorf("%w: the keyring names %d recipients, where server and recovery key should be", ErrCorrupt, len(s.recipients))
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
	var to []age.Recipient
	for _, w := range want {
		r, err := age.ParseX25519Recipient(w)
		if err != nil {
			return fmt.Errorf("couldn't wrap the keyring to %q: %w", w, err)
		}
		to = append(to, r)
	}
	k := *s.core.Keys
	if err := keyring.Save(ctx, s.core.Engine, &k, to...); errors.Is(err, engine.ErrFull) {
		return fmt.Errorf("%w: the standby is admitted, its keyring will be written at the next start: %w", ErrFull, err)
	} else if err != nil {
		return core.Translate(err)
	}
	s.recipients = k.Recipients
	s.changed.tell(1)
	return nil
}
