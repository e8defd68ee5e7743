// Package shares splits a recovery kit into shares of which enough make it again (Shamir's scheme), and writes them.
//
// The scheme runs over the scalars of P-384, by Cloudflare's circl: a field of one prime, large enough for the 58 letters of the kit's key in one piece (docs/FORMAT.md, docs/adr/016). Fewer shares than are needed
// tell nothing, whatever computer looks at them. Splitting takes a time that depends on the key; it runs once, on its owner's machine.
package shares

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"stele/internal/keyring"
)

var (
	// ErrCount: so many shares, or so few to open with, are not made.
	ErrCount = errors.New("a kit can't be split so")
	// ErrApart: these shares don't make a kit: too few, of several sets, one twice.
	ErrApart = errors.New("these shares don't make a kit")
)

const (
	keyPrefix  = "AGE-SECRET-KEY-1"
	keyLetters = 58              // behind keyPrefix: 52 of the key, 6 of its checksum
	keyPad     = 64 - keyLetters // letters of value 0, so that 5 bits each fill whole bytes
	keyBytes   = 64 * 5 / 8      // 40
	bech32     = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
	zeroes     = "QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ" // bech32's digit 0
)

// letters reads the digits of bech32, five bits each.
var letters = base32.NewEncoding(bech32).WithPadding(base32.NoPadding)

var field = group.P384

// Split makes n shares of a kit, any of which so many as anyOf make it again.
func Split(kit *keyring.Kit, n, anyOf int) ([]keyring.Share, error) {
	if err := checkCount(n, anyOf); err != nil {
		return nil, err
	}
	id, err := age.ParseX25519Identity(kit.RecoveryIdentity)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", keyring.ErrKit, err)
	}
	secret, err := scalarOf(id.String())
	if err != nil {
		return nil, err
	}
	of := keyring.Share{StoreID: kit.StoreID, Shares: n, Any: anyOf, Created: kit.Created, VKey: kit.VKey, Recipient: id.Recipient().String()}
	rand.Read(of.Set[:]) //nolint:errcheck // never fails
	out := make([]keyring.Share, 0, n)
	for i, part := range secretsharing.New(rand.Reader, uint(anyOf-1), secret).Share(uint(n)) {
		share := of
		share.Index = i + 1
		b, err := part.Value.MarshalBinary()
		if err != nil {
			return nil, err
		}
		copy(share.Value[:], b)
		out = append(out, share)
	}
	// What was split is put together once before anybody relies on it.
	again, err := keyOf(out[n-anyOf:])
	if err != nil || again != id.String() {
		return nil, fmt.Errorf("the shares don't make the key again: %w", errors.Join(err, keyring.ErrKit))
	}
	return out, nil
}

func checkCount(n, anyOf int) error {
	switch {
	case n > keyring.MaxShares:
		return fmt.Errorf("%w: %d shares are more than the %d that a set may have. Take fewer", ErrCount, n, keyring.MaxShares)
	case n < 1 || anyOf < 1:
		return fmt.Errorf("%w: %d shares with a threshold of %d. Take %d shares or more, and a threshold of %d or more", ErrCount, n, anyOf, keyring.MinAny, keyring.MinAny)
	case anyOf > n && n >= keyring.MinAny:
		return fmt.Errorf("%w: a threshold of %d is above the %d shares, so that they would never open. Take a threshold of %d or less", ErrCount, anyOf, n, n)
	case anyOf < keyring.MinAny || n < keyring.MinAny:
		return fmt.Errorf("%w: with a threshold of 1 each share is the whole kit. Take %d shares or more and a threshold of %d or more, or copy the kit itself", ErrCount, keyring.MinAny, keyring.MinAny)
	}
	return nil
}

func scalarOf(key string) (group.Scalar, error) {
	rest, ok := strings.CutPrefix(key, keyPrefix)
	if !ok || len(rest) != keyLetters {
		return nil, fmt.Errorf("%w: its key has another form", keyring.ErrKit)
	}
	b, err := letters.DecodeString(rest + zeroes[:keyPad])
	if err != nil {
		return nil, fmt.Errorf("%w: its key: %v", keyring.ErrKit, err)
	}
	return scalar(b)
}

// scalar reads a number below the order of the field, big-endian.
func scalar(b []byte) (group.Scalar, error) {
	full := make([]byte, field.Params().ScalarLength)
	copy(full[len(full)-len(b):], b)
	s := field.NewScalar()
	return s, s.UnmarshalBinary(full)
}

// keyOf returns the key that the shares make, if it has the form of one. There are as many as are needed, each of another index.
func keyOf(of []keyring.Share) (string, error) {
	parts := make([]secretsharing.Share, len(of))
	for i := range of {
		value, err := scalar(of[i].Value[:])
		if err != nil {
			return "", fmt.Errorf("%w: the number of share %d is above the field: %v", keyring.ErrShare, of[i].Index, err)
		}
		parts[i] = secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(of[i].Index)), Value: value}
	}
	secret, err := secretsharing.Recover(uint(len(of)-1), parts)
	if err != nil {
		return "", err
	}
	b, err := secret.MarshalBinary()
	if err != nil {
		return "", err
	}
	head, tail := b[:len(b)-keyBytes], b[len(b)-keyBytes:]
	digits := letters.EncodeToString(tail)
	if slices.ContainsFunc(head, func(c byte) bool { return c != 0 }) || digits[keyLetters:] != zeroes[:keyPad] {
		return "", errors.New("they make no key")
	}
	return keyPrefix + digits[:keyLetters], nil
}
