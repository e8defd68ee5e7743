package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"stele/internal/frame"
)

// A sealed secret is what opens another door (the secret of an access key or of a target), kept in an entry so that no reader of the entry sees it. Frozen within a version, in base64:
//
//	0         1            5          37
//	├─version─┼─key id u32─┼─salt 32──┼─ciphertext ‖ tag 16 ─┤
//
// AES-256-GCM under HKDF-SHA256(data key, salt, info = "stele secret v0"). The salt is random, so that each key seals one secret and the nonce is zero.
// Associated data: the first 37 bytes ‖ the entry's type ‖ 0 ‖ the name of what the secret belongs to. So a secret moved to another name does not open.
const (
	secretVersion = 0
	secretInfo    = "stele secret v0"
	secretHead    = 1 + 4 + 32
)

// MaxSecret is the most bytes of a secret.
const MaxSecret = 1024

// ErrLongSecret: a secret is longer than MaxSecret.
var ErrLongSecret = fmt.Errorf("a secret of more than %d bytes", MaxSecret)

// SealSecret seals a secret that belongs to a name in entries of a type, under the current data key.
func (k *Keyring) SealSecret(secret, typ, name string) (string, error) {
	if len(secret) > MaxSecret {
		return "", ErrLongSecret
	}
	head := make([]byte, secretHead, secretHead+len(secret)+16)
	head[0] = secretVersion
	binary.BigEndian.PutUint32(head[1:], k.Current().ID)
	rand.Read(head[5:])
	aead, err := secretAEAD(k.Current(), head[5:])
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(aead.Seal(head, make([]byte, 12), []byte(secret), secretAD(head, typ, name))), nil
}

// OpenSecret opens what SealSecret sealed: frame.ErrVersion for a newer version, ErrWrongKey if the keyring lacks its data key, else frame.ErrCorrupt.
func (k *Keyring) OpenSecret(sealed, typ, name string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(b) < secretHead+16 {
		return "", fmt.Errorf("the sealed secret of %s %q: %w", typ, name, frame.ErrCorrupt)
	}
	if b[0] != secretVersion {
		return "", fmt.Errorf("the sealed secret of %s %q has version %d, this program reads %d: %w", typ, name, b[0], secretVersion, frame.ErrVersion)
	}
	id := binary.BigEndian.Uint32(b[1:])
	i := slices.IndexFunc(k.DataKeys, func(d DataKey) bool { return d.ID == id })
	if i < 0 {
		return "", fmt.Errorf("the keyring has no data key %d, under which the secret of %s %q is sealed: %w", id, typ, name, ErrWrongKey)
	}
	aead, err := secretAEAD(k.DataKeys[i], b[5:secretHead])
	if err != nil {
		return "", err
	}
	clear, err := aead.Open(nil, make([]byte, 12), b[secretHead:], secretAD(b[:secretHead], typ, name))
	if err != nil {
		return "", fmt.Errorf("the sealed secret of %s %q does not open: %w", typ, name, errors.Join(err, frame.ErrCorrupt))
	}
	return string(clear), nil
}

func secretAEAD(key DataKey, salt []byte) (cipher.AEAD, error) {
	one, err := hkdf.Key(sha256.New, key.Key[:], salt, secretInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("couldn't derive the key of a secret: %w", err)
	}
	block, err := aes.NewCipher(one)
	if err != nil {
		return nil, fmt.Errorf("couldn't use the key of a secret: %w", err)
	}
	return cipher.NewGCM(block)
}

func secretAD(head []byte, typ, name string) []byte {
	return append(append(append(slices.Clone(head), typ...), 0), name...)
}
