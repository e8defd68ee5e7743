package stele

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/keyring"
)

// ShareOf is what each share of a split recovery kit says of its set. None of it is secret.
type ShareOf struct {
	Store     string // id of the store, 32 hex digits
	Set       string // id of the splitting, 16 hex digits
	Recipient string // age1…: whom the kit opens for
	VKey      string // the store's verifier key when the kit was made
	Shares    int
	Any       int // how many of them make the kit again
}

// ShareSet is a recovery kit that was split, as the ledger knows it.
type ShareSet struct {
	Set    string      // id of the splitting, 16 hex digits
	Noted  time.Time   // when the ledger heard of it first
	Any    int         // how many of the shares make the kit again
	Proven []time.Time // of each share, in order, when it was last proven to be whole; zero: never
	Opens  bool        // the store's present keyring. Else the set is of a kit before the last rotation, and opens the copies made until then
}

// The settings of split kits. The first is of a set, and of the splitting; the second of a share that was proven, so that a set is known by its first proof too.
const (
	configSet   = "kit.shares/" // and the id of the set
	configShare = "kit.share/"  // and the id of the set, a slash, the number of the share
)

// shareRow is the Value of both.
type shareRow struct {
	Any       int       `json:"any"`
	At        time.Time `json:"at"`
	Recipient string    `json:"recipient"`
	Shares    int       `json:"shares"`
	Verifiers []string  `json:"verifiers"` // keyring.ShareVerifier: of all shares of the set, or of the one that was proven
}

func (r *shareRow) fits(of *ShareOf) bool {
	return r.Any == of.Any && r.Shares == of.Shares && r.Recipient == of.Recipient
}

// NoteShares notes in the ledger that the recovery kit was split, and by which verifier (keyring.ShareVerifier) each share is known again. A set that is known already is not noted twice. ErrBadName: it is of another
// store, or of another key than those that the keyring is wrapped to.
func (k Keys) NoteShares(ctx context.Context, by Actor, of ShareOf, verifiers []string) error {
	if err := k.s.core.Enter(); err != nil {
		return err
	}
	defer k.s.core.Leave()
	if err := k.checkShares(&of, verifiers); err != nil {
		return err
	}
	if len(verifiers) != of.Shares {
		return core.BadValue("%d verifiers of %d shares", len(verifiers), of.Shares)
	}
	if _, known, err := k.s.core.Index.Reader().Config(configSet + of.Set); err != nil || known {
		return core.Translate(err)
	}
	return k.setShare(ctx, by, configSet+of.Set, &of, verifiers, func(index.Reader) error { return nil })
}

// ConfirmShare notes in the ledger that share number i was read back, by the proof (keyring.Share.Proof) that only its holder can say. The share itself never gets here. ErrBadName: it is of another store or key, or
// not the share of that number that was split, or proven before.
func (k Keys) ConfirmShare(ctx context.Context, by Actor, of ShareOf, i int, proof string) error {
	if err := k.s.core.Enter(); err != nil {
		return err
	}
	defer k.s.core.Leave()
	if err := k.checkShares(&of, []string{proof}); err != nil {
		return err
	}
	if i < 1 || i > of.Shares {
		return core.BadValue("there is no share %d of %d", i, of.Shares)
	}
	verifier, name := keyring.ShareVerifier(proof), configShare+of.Set+"/"+strconv.Itoa(i)
	return k.setShare(ctx, by, name, &of, []string{verifier}, func(r index.Reader) error {
		set, split, err := shareRowOf(r, configSet+of.Set)
		if err != nil {
			return err
		}
		before, proven, err := shareRowOf(r, name)
		if err != nil {
			return err
		}
		if split && (!set.fits(&of) || i > len(set.Verifiers) || set.Verifiers[i-1] != verifier) {
			return core.BadValue("this is not the share %d of set %s that was split. Look for that one, and split the kit anew if it is lost", i, of.Set)
		}
		if proven && (!before.fits(&of) || !slices.Equal(before.Verifiers, []string{verifier})) {
			return core.BadValue("this is not the share %d of set %s that was proven on %s. One of the two was not made by splitting the kit: split it anew", i, of.Set, before.At.UTC().Format(time.RFC3339))
		}
		return nil
	})
}

// setShare writes the row of a set or a share, if may says nothing against it when its turn has come.
func (k Keys) setShare(ctx context.Context, by Actor, name string, of *ShareOf, verifiers []string, may func(index.Reader) error) error {
	_, err := k.s.commit(ctx, by, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
		if err := may(r); err != nil {
			return ledgerDraft{}, err
		}
		row, err := json.Marshal(shareRow{Any: of.Any, At: at.Time.UTC().Truncate(time.Second), Recipient: of.Recipient, Shares: of.Shares, Verifiers: verifiers})
		return ledgerDraft{Type: entry.ConfigSet, Private: entry.Private{Name: name, Value: string(row)}}, err
	})
	return err
}

// checkShares refuses a set that is not of this store, and what is no digest.
func (k Keys) checkShares(of *ShareOf, digests []string) error {
	var store [16]byte
	if !unhex(store[:], of.Store) || !unhex(make([]byte, 8), of.Set) {
		return core.BadValue("%.40q, %.40q: the id of a store is 32 hex digits, that of a set 16", of.Store, of.Set)
	}
	if of.Any < keyring.MinAny || of.Any > of.Shares || of.Shares > keyring.MaxShares {
		return core.BadValue("a set of %d shares, any %d of which open: there are %d to %d shares", of.Shares, of.Any, keyring.MinAny, keyring.MaxShares)
	}
	for _, d := range digests {
		if !unhex(make([]byte, 16), d) {
			return core.BadValue("%.40q: a digest of a share is 32 hex digits", d)
		}
	}
	if err := k.s.core.Keys.ConfirmKey("share", store, of.Recipient, of.VKey); err != nil {
		return core.OfKind(core.Translate(err), ErrBadName)
	}
	return nil
}

// unhex reads lower-case hex of one length.
func unhex(dst []byte, s string) bool {
	if len(s) != hex.EncodedLen(len(dst)) || s != strings.ToLower(s) {
		return false
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

func shareRowOf(r index.Reader, name string) (row shareRow, ok bool, err error) {
	set, ok, err := r.Config(name)
	if err != nil || !ok {
		return row, false, err
	}
	return row, true, json.Unmarshal([]byte(set.Value), &row)
}

// ShareSets returns the split recovery kits that the ledger knows, the newest first.
func (k Keys) ShareSets() ([]ShareSet, error) {
	if err := k.s.core.Enter(); err != nil {
		return nil, err
	}
	defer k.s.core.Leave()
	sets := make(map[string]*ShareSet)
	for _, prefix := range []string{configSet, configShare} {
		rows, err := k.s.core.Index.Settings(prefix)
		if err != nil {
			return nil, core.Translate(err)
		}
		for _, r := range rows {
			if err := k.addShareRow(sets, r.Name, r.Value); err != nil {
				return nil, fmt.Errorf("couldn't read what the ledger says of the shares %s: %w", r.Name, err)
			}
		}
	}
	out := make([]ShareSet, 0, len(sets))
	for _, set := range sets {
		out = append(out, *set)
	}
	slices.SortFunc(out, func(a, b ShareSet) int {
		if c := b.Noted.Compare(a.Noted); c != 0 {
			return c
		}
		return strings.Compare(a.Set, b.Set)
	})
	return out, nil
}

func (k Keys) addShareRow(sets map[string]*ShareSet, name, value string) error {
	var row shareRow
	if err := json.Unmarshal([]byte(value), &row); err != nil {
		return err
	}
	id, number, proven := strings.Cut(name, "/")
	set := sets[id]
	if set == nil {
		set = &ShareSet{Set: id, Noted: row.At, Any: row.Any, Proven: make([]time.Time, row.Shares), Opens: slices.Contains(k.s.core.Keys.Recipients, row.Recipient)}
		sets[id] = set
	}
	if row.At.Before(set.Noted) { // of a set that is known by its proofs alone
		set.Noted = row.At
	}
	if i, err := strconv.Atoi(number); proven && err == nil && i >= 1 && i <= len(set.Proven) {
		set.Proven[i-1] = row.At
	}
	return nil
}
