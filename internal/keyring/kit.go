package keyring

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// Kit is a recovery kit: what opens a store, and any backup of it, when the machine is gone. It is a text file to print.
type Kit struct {
	StoreID          [16]byte
	RecoveryIdentity string // AGE-SECRET-KEY-1…
	VKey             string // of the ledger's signer when the kit was made
	Created          time.Time
}

// ErrKit: the text is not a recovery kit.
var ErrKit = errors.New("this is not a Stele recovery kit, or it is damaged")

const kitTitle = "# Stele recovery kit, version 0"

// Text renders the kit. It is an age identity file too.
func (k *Kit) Text() []byte {
	return fmt.Appendf(nil, `%s
#
# Whoever holds this text can read everything in the store below and in every backup of it.
# Without it, and without the machine that ran the store, nobody can: there is no other way in.
#
#   1. Print it, or keep it on a stick, in two places where the store is not.
#   2. Prove that it reads back:     stele kit confirm FILE
#   3. When the machine is lost:     stele restore … --recovery-key FILE
#      (any verb that opens a store or a backup takes --recovery-key)
#   4. After "stele key rotate" keep this kit too: it opens the copies made before.
#
# The verifier key is no secret: with it anyone can check receipts and checkpoints of this store.
#
# store: %s
# created: %s
# verifier key: %s
%s
`, kitTitle, hex.EncodeToString(k.StoreID[:]), k.Created.UTC().Format(time.RFC3339), k.VKey, k.RecoveryIdentity)
}

// ParseKit parses a kit's text. It forgives blank lines, spaces at the ends of lines and Windows line ends, because it may have been typed in.
func ParseKit(text []byte) (Kit, error) {
	var k Kit
	seen := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, value := "", ""
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			name, value = "key", line
		} else if rest, ok := strings.CutPrefix(line, "#"); ok {
			name, value, _ = strings.Cut(strings.TrimSpace(rest), ":")
			value = strings.TrimSpace(value)
		} else if line != "" {
			return Kit{}, fmt.Errorf("%w: unexpected line %.20q", ErrKit, line)
		}
		if err := k.set(name, value, seen); err != nil {
			return Kit{}, err
		}
	}
	for _, name := range []string{"store", "created", "verifier key", "key"} {
		if !seen[name] {
			return Kit{}, fmt.Errorf("%w: it has no %s", ErrKit, name)
		}
	}
	return k, nil
}

func (k *Kit) set(name, value string, seen map[string]bool) (err error) {
	switch name {
	case "store":
		if !unhex(k.StoreID[:], value) {
			err = errors.New("its store id isn't 32 hex digits")
		}
	case "created":
		k.Created, err = time.Parse(time.RFC3339, value)
	case "verifier key":
		k.VKey = value
	case "key":
		k.RecoveryIdentity = value
		_, err = age.ParseX25519Identity(value)
	default:
		return nil
	}
	if err == nil && seen[name] {
		err = errors.New("given twice")
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %v", ErrKit, name, err)
	}
	seen[name] = true
	return nil
}

// Confirm checks that the kit opens the keyring's store. The caller has opened the newest keyring file with the kit's own identity, or
// passes one that it opened otherwise: then the kit's key must be among those to which it is wrapped.
func (k *Kit) Confirm(ring *Keyring) error {
	id, err := age.ParseX25519Identity(k.RecoveryIdentity)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrKit, err)
	}
	return ring.ConfirmKey("kit", k.StoreID, id.Recipient().String(), k.VKey)
}

// ConfirmKey checks that a kit, or a share of one, is of the keyring's store, by what is no secret of it: the recipient that it opens for, and the verifier key of when it was made. what is "kit" or "share".
func (ring *Keyring) ConfirmKey(what string, storeID [16]byte, recipient, vkey string) error {
	if storeID != ring.StoreID {
		return fmt.Errorf("the %s is of store %x, this is store %x: look for the %s that was made with this store", what, storeID, ring.StoreID, what)
	}
	if !slices.Contains(ring.Recipients, recipient) {
		return fmt.Errorf("%w: the keyring isn't wrapped to this %s's key. The %s is older than the last \"stele key rotate\": use the newer one", ErrWrongKey, what, what)
	}
	now, err := ring.VKey()
	if err != nil {
		return err
	}
	known := append(slices.Clone(ring.Former), now)
	for _, r := range ring.Reigns { // a kit outlives the epoch in which it was made
		known = append(known, r.VKeys...)
	}
	if !slices.Contains(known, vkey) {
		return fmt.Errorf("the %s's verifier key isn't the store's: %w", what, ErrKit)
	}
	return nil
}

// Identity returns the kit's age identity.
func (k *Kit) Identity() (age.Identity, error) { return age.ParseX25519Identity(k.RecoveryIdentity) }
