package keyring

import (
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// Reign is a former epoch: where it ended, and who signed in it. Its segments stay, also those beyond the end, and are verified with these keys.
type Reign struct {
	Epoch uint32
	End   uint64   // the entries from the End of the reign before up to this one are of this epoch; 0: a later epoch began before it, so that none of its entries count
	VKeys []string // verifier keys of its signers, oldest first
}

// Next makes the keyring of the epoch after k's, which goes on with the first cut entries: a fresh signer, the same data keys, and what it takes to verify the epochs so far.
func (k *Keyring) Next(cut uint64) (*Keyring, error) {
	if cut == 0 {
		return nil, errors.New("couldn't make the keyring of a new epoch: it must go on with the first entry at least")
	}
	vkey, err := k.VKey()
	if err != nil {
		return nil, err
	}
	n := &Keyring{StoreID: k.StoreID, Epoch: k.Epoch + 1, DataKeys: slices.Clone(k.DataKeys)}
	n.Reigns = Succeed(k.Reigns, Reign{k.Epoch, cut, append(slices.Clone(k.Former), vkey)})
	if n.Signer, _, err = note.GenerateKey(rand.Reader, n.Origin()); err != nil {
		return nil, fmt.Errorf("couldn't make a signing key: %w", err)
	}
	return n, nil
}

// Succeed are the former epochs of the one that ends last, whose own former epochs are reigns: it goes on with the first last.End entries. Those that begin behind that count no more (End 0).
func Succeed(reigns []Reign, last Reign) (all []Reign) {
	cut, begin := last.End, uint64(0)
	for _, r := range append(slices.Clone(reigns), last) {
		end := min(r.End, cut)
		if r.End > 0 && begin >= cut {
			end = 0
		}
		all = append(all, Reign{r.Epoch, end, r.VKeys})
		begin = max(begin, r.End)
	}
	return all
}

// Begins yields the epochs whose entries make the ledger, and the first entry of each, in order.
func (k *Keyring) Begins() iter.Seq2[uint32, uint64] {
	return func(yield func(uint32, uint64) bool) {
		first := uint64(0)
		for _, r := range k.Reigns {
			if r.End == 0 {
				continue
			}
			if !yield(r.Epoch, first) {
				return
			}
			first = r.End
		}
		yield(k.Epoch, first)
	}
}

// EpochOf is the epoch in which an entry was written.
func (k *Keyring) EpochOf(entry uint64) uint32 {
	for _, r := range k.Reigns {
		if entry < r.End {
			return r.Epoch
		}
	}
	return k.Epoch
}

// EndOf is the number of entries with which an epoch ended; false for the present one, and for one that the keyring doesn't know.
func (k *Keyring) EndOf(epoch uint32) (uint64, bool) {
	for _, r := range k.Reigns {
		if r.Epoch == epoch {
			return r.End, true
		}
	}
	return 0, false
}

// VKeys are the verifier keys of an epoch's signers, the newest last; none for an epoch that the keyring doesn't know.
func (k *Keyring) VKeys(epoch uint32) ([]string, error) {
	if epoch != k.Epoch {
		for _, r := range k.Reigns {
			if r.Epoch == epoch {
				return r.VKeys, nil
			}
		}
		return nil, nil
	}
	vkey, err := k.VKey()
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(k.Former), vkey), nil
}

// checkReigns says whether the former epochs can be those of k: all of them, in order, each key named by its epoch's origin.
func (k *Keyring) checkReigns() bool {
	last, end := uint32(0), uint64(0)
	for _, r := range k.Reigns {
		if r.Epoch <= last || r.Epoch >= k.Epoch || len(r.VKeys) == 0 || r.End > 0 && r.End <= end {
			return false
		}
		for _, vkey := range r.VKeys {
			if v, err := note.NewVerifier(vkey); err != nil || v.Name() != Origin(k.StoreID, r.Epoch) {
				return false
			}
		}
		last, end = r.Epoch, max(end, r.End)
	}
	return k.Epoch == 1 || end > 0
}
