package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"filippo.io/age"

	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// OpenKeys loads the keyring of the folder's epoch, by the identity that was given or the folder's own. ErrWrongKey: it does not open it.
func (s *Store) OpenKeys(ctx context.Context) error {
	id, err := s.Identity()
	if err != nil {
		return err
	}
	return s.LoadKeys(ctx, id)
}

// OpenRoot gets the root access key.
func (s *Store) OpenRoot() error {
	if s.opt.Root != nil {
		return s.giveRoot()
	}
	return s.LoadRoot()
}

// Identity is what opens the keyring: the one given, or the folder's own.
func (s *Store) Identity() (age.Identity, error) {
	if s.opt.Identity != "" {
		id, err := age.ParseX25519Identity(s.opt.Identity)
		if err != nil {
			return nil, fmt.Errorf("%w: what was given as the recovery key is not an age identity: %v", ErrWrongKey, err)
		}
		return id, nil
	}
	id, err := s.readIdentity()
	if err != nil && !errors.Is(err, ErrWrongKey) {
		err = fmt.Errorf("%w: couldn't read %s (%v)", ErrWrongKey, s.Path(FileIdentity), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w. Put the file back, or open the store with --recovery-key and the key from its recovery kit", err)
	}
	return id, nil
}

// readIdentity reads the folder's own identity. ErrWrongKey: the file holds something else.
func (s *Store) readIdentity() (*age.X25519Identity, error) {
	b, err := ReadFile(s.FS, s.Path(FileIdentity))
	if err != nil {
		return nil, err
	}
	id, err := age.ParseX25519Identity(string(bytes.TrimSpace(b)))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not an age identity: %v", ErrWrongKey, s.Path(FileIdentity), err)
	}
	return id, nil
}

// HasIdentity reports whether the folder has an identity of its own.
func (s *Store) HasIdentity() bool {
	_, err := s.FS.Stat(s.Path(FileIdentity))
	return err == nil
}

// LoadKeys loads the keyring of the epoch that the ledger is in.
func (s *Store) LoadKeys(ctx context.Context, id age.Identity) error {
	epoch, err := NewestEpoch(ctx, s.Engine, id)
	if epoch == 0 { // nothing is sealed yet
		epoch = math.MaxUint32
	}
	if err == nil {
		s.Keys, err = keyring.LoadEpoch(ctx, s.Engine, epoch, id)
	}
	return err
}

// NewestKeyring is the newest keyring that opens; nil: none does, which whoever loads that of an epoch says better.
func NewestKeyring(ctx context.Context, e engine.Engine, id age.Identity) (*keyring.Keyring, error) {
	newest, err := keyring.Newest(ctx, e, id)
	if errors.Is(err, keyring.ErrNone) || errors.Is(err, keyring.ErrWrongKey) || errors.Is(err, frame.ErrCorrupt) {
		return nil, nil
	}
	return newest, err
}

// NewestEpoch is the newest epoch that the segments and the keyrings in e prove to have begun; 0: nothing is sealed yet.
func NewestEpoch(ctx context.Context, e engine.Engine, id age.Identity) (uint32, error) {
	newest, err := NewestKeyring(ctx, e, id)
	if err != nil {
		return 0, err
	}
	return ledger.NewestEpoch(ctx, e, newest)
}

// MachineIdentity returns the folder's own identity, by which this machine opens the keyring: a primary's or a standby's. Where there is none it is made, durably. ErrWrongKey: the file holds something else.
func (s *Store) MachineIdentity() (*age.X25519Identity, error) {
	id, err := s.readIdentity()
	switch {
	case err == nil || errors.Is(err, ErrWrongKey):
		return id, err
	case !IsNotExist(err):
		return nil, fmt.Errorf("couldn't read %s: %w", s.Path(FileIdentity), err)
	}
	if id, err = age.GenerateX25519Identity(); err != nil {
		return nil, fmt.Errorf("couldn't make this machine's identity: %w", err)
	}
	if err := durable.WriteFile(s.FS, s.Path(FileIdentity), []byte(id.String()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("couldn't write %s: %w", FileIdentity, err)
	}
	return id, nil
}

// SaveKeysHere wraps a keyring, the present one or that of a next epoch, to this machine's identity, which is made if there is none, in place of the old server's, and to all others to whom the present one is
// wrapped, the recovery key first. The identity is made durable before the keyring that it opens: a crash between the two leaves an identity that opens nothing yet, and the next call takes that one.
func (s *Store) SaveKeysHere(ctx context.Context, k *keyring.Keyring) error {
	server, err := s.MachineIdentity()
	if errors.Is(err, ErrWrongKey) {
		return fmt.Errorf("%w. Move it away, and a new one is made", err)
	}
	if err != nil {
		return err
	}
	to := []string{server.Recipient().String()}
	for i, r := range s.Keys.Recipients {
		if i > 0 && r != to[0] {
			to = append(to, r)
		}
	}
	return keyring.SaveTo(ctx, s.Engine, k, to)
}
