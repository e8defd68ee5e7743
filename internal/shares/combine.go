package shares

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"

	"stele/internal/keyring"
)

// Named is a share and where it was read.
type Named struct {
	Name string
	keyring.Share
}

// Combine makes the kit again. Nothing is believed of the result that was not proven: its key is the one whose public half all of the shares name. ErrApart says which share does not belong to the others, or which
// ones would make enough.
func Combine(given []Named) (keyring.Kit, error) {
	if len(given) == 0 {
		return keyring.Kit{}, fmt.Errorf("%w: there is none", ErrApart)
	}
	if err := together(given); err != nil {
		return keyring.Kit{}, err
	}
	first := &given[0].Share
	if len(given) < first.Any {
		return keyring.Kit{}, tooFew(given)
	}
	parts := make([]keyring.Share, first.Any)
	for i := range parts {
		parts[i] = given[i].Share
	}
	key, err := keyOf(parts)
	if err == nil {
		err = proves(key, first.Recipient)
	}
	if err != nil {
		return keyring.Kit{}, fmt.Errorf("%w: each of %s is whole, and yet they don't make the key that they name (%v). At least one is not what was split: try with another one of set %s in place of each", ErrApart,
			names(given[:first.Any]), err, first.SetID())
	}
	return keyring.Kit{StoreID: first.StoreID, RecoveryIdentity: key, VKey: first.VKey, Created: first.Created}, nil
}

func proves(key, recipient string) error {
	id, err := age.ParseX25519Identity(key)
	if err != nil {
		return err
	}
	if is := id.Recipient().String(); is != recipient {
		return fmt.Errorf("it opens for %s", is)
	}
	return nil
}

// together finds the share that does not belong to the first one.
func together(given []Named) error {
	first := &given[0]
	seen := make(map[int]*Named)
	for i := range given {
		s := &given[i]
		switch before := seen[s.Index]; {
		case s.StoreID != first.StoreID:
			return fmt.Errorf("%w: %s is of store %s, %s of store %s. Take shares of one store", ErrApart, first.Name, hex.EncodeToString(first.StoreID[:]), s.Name, hex.EncodeToString(s.StoreID[:]))
		case s.Set != first.Set:
			return fmt.Errorf("%w: %s is of set %s, %s of set %s: the kit was split more than once, and each set opens by itself. Take shares of one set", ErrApart, first.Name, first.SetID(), s.Name, s.SetID())
		case s.Shares != first.Shares || s.Any != first.Any || s.Recipient != first.Recipient || s.VKey != first.VKey || !s.Created.Equal(first.Created):
			return fmt.Errorf("%w: %s and %s name the same set and tell other things of it: one of them is not what was split. Try others of set %s", ErrApart, first.Name, s.Name, s.SetID())
		case before != nil && before.Value != s.Value:
			return fmt.Errorf("%w: %s and %s both say that they are share %d, and differ: one of them is not what was split. Try each by itself", ErrApart, before.Name, s.Name, s.Index)
		case before != nil:
			return fmt.Errorf("%w: %s and %s are the same share, number %d. Take another one of set %s", ErrApart, before.Name, s.Name, s.Index, s.SetID())
		}
		seen[s.Index] = s
	}
	return nil
}

func tooFew(given []Named) error {
	first := &given[0].Share
	var have, lack []int
	for i := 1; i <= first.Shares; i++ {
		if slices.ContainsFunc(given, func(s Named) bool { return s.Index == i }) {
			have = append(have, i)
		} else {
			lack = append(lack, i)
		}
	}
	return fmt.Errorf("%w: %d of the %d that are needed: %s of set %s. Bring %d more of these: %s", ErrApart, len(given), first.Any, Numbers(have), first.SetID(), first.Any-len(given), Numbers(lack))
}

func names(of []Named) string {
	var all []string
	for i := range of {
		all = append(all, of[i].Name)
	}
	return strings.Join(all, ", ")
}

// Numbers writes ascending numbers as people do: 1, 3-5.
func Numbers(of []int) string {
	var all []string
	for i := 0; i < len(of); {
		j := i
		for j+1 < len(of) && of[j+1] == of[j]+1 {
			j++
		}
		text := strconv.Itoa(of[i])
		switch {
		case j == i+1:
			text += ", " + strconv.Itoa(of[j])
		case j > i:
			text += "-" + strconv.Itoa(of[j])
		}
		all, i = append(all, text), j+1
	}
	return strings.Join(all, ", ")
}
