package stele

import (
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

func (s *Store) openKeys(ctx context.Context) error {
	id, err := s.identity()
	if err != nil {
		return err
	}
	return s.loadKeys(ctx, id)
}

// openRoot gets the root access key.
func (s *Store) openRoot() error {
	if s.opt.Root != nil {
		return s.giveRoot()
	}
	return s.loadRoot()
}

// identity is what opens the keyring: the one given, or the folder's own.
func (s *Store) identity() (age.Identity, error) {
	identity, of := s.opt.Identity, "what was given as the recovery key"
	if identity == "" {
		of = s.path(fileIdentity)
		b, err := readFile(s.fs, s.path(fileIdentity))
		if err != nil {
			return nil, fmt.Errorf("%w: couldn't read %s (%v). Put the file back, or open the store with --recovery-key and the key from its recovery kit", ErrWrongKey, s.path(fileIdentity), err)
		}
		identity = string(trimSpace(b))
	}
	id, err := age.ParseX25519Identity(identity)
	if err != nil {
		err = fmt.Errorf("%w: %s is not an age identity: %v", ErrWrongKey, of, err)
		if s.opt.Identity == "" {
			err = fmt.Errorf("%w. Put the file back, or open the store with --recovery-key and the key from its recovery kit", err)
		}
		return nil, err
	}
	return id, nil
}

// loadKeys loads the keyring of the epoch that the ledger is in.
func (s *Store) loadKeys(ctx context.Context, id age.Identity) error {
	epoch, err := newestEpoch(ctx, s.eng, id)
	if epoch == 0 { // nothing is sealed yet
		epoch = math.MaxUint32
	}
	if err == nil {
		s.keys, err = keyring.LoadEpoch(ctx, s.eng, epoch, id)
	}
	return err
}

// newestKeyring is the newest keyring that opens; nil: none does, which whoever loads that of an epoch says better.
func newestKeyring(ctx context.Context, e engine.Engine, id age.Identity) (*keyring.Keyring, error) {
	newest, err := keyring.Newest(ctx, e, id)
	if errors.Is(err, keyring.ErrNone) || errors.Is(err, keyring.ErrWrongKey) || errors.Is(err, frame.ErrCorrupt) {
		return nil, nil
	}
	return newest, err
}

// newestEpoch is the newest epoch that the segments and the keyrings in e prove to have begun; 0: nothing is sealed yet.
func newestEpoch(ctx context.Context, e engine.Engine, id age.Identity) (uint32, error) {
	newest, err := newestKeyring(ctx, e, id)
	if err != nil {
		return 0, err
	}
	return ledger.NewestEpoch(ctx, e, newest)
}

// serverIdentity reads this machine's identity, or makes it.
func (s *Store) serverIdentity() (*age.X25519Identity, error) {
	b, err := readFile(s.fs, s.path(fileIdentity))
	if err == nil {
		id, err := age.ParseX25519Identity(string(trimSpace(b)))
		if err != nil {
			return nil, fmt.Errorf("%w: %s is not an age identity: %v. Move it away, and a new one is made", ErrWrongKey, s.path(fileIdentity), err)
		}
		return id, nil
	}
	if !isNotExist(err) {
		return nil, fmt.Errorf("couldn't read %s: %w", s.path(fileIdentity), err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("couldn't make the server's identity: %w", err)
	}
	if err := durable.WriteFile(s.fs, s.path(fileIdentity), []byte(id.String()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("couldn't write %s: %w", fileIdentity, err)
	}
	return id, nil
}
