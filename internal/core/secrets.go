package core

import (
	"errors"

	"stele/entry"
	"stele/internal/keyring"
)

// Seal seals a secret that belongs to a name in entries of a type, as entries and the index hold it. An empty one stays empty. ErrBadName: it is too long.
func (s *Store) Seal(secret string, t entry.Type, name string) (string, error) {
	if secret == "" {
		return "", nil
	}
	sealed, err := s.Keys.SealSecret(secret, string(t), name)
	if errors.Is(err, keyring.ErrLongSecret) {
		return "", OfKind(err, ErrBadName)
	}
	return sealed, err
}

// Unseal opens what Seal made for the same type and name.
func (s *Store) Unseal(sealed string, t entry.Type, name string) (string, error) {
	clear, err := s.Keys.OpenSecret(sealed, string(t), name)
	return clear, Translate(err)
}
