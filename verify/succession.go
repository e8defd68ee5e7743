package verify

import (
	"errors"
	"fmt"

	"stele/entry"
	"stele/tree"
)

// Succession goes from epoch to epoch, offline: vkey is the verifier key that somebody has pinned, receipts are those of the epoch.begin entries since, in order, all made in the newest
// epoch. It checks that each signer has handed over to the next, and that all of this stands in one tree which the last one has signed, and returns the last one's
// verifier key: the one to pin from now on. The errors are ErrFailed.
func Succession(vkey string, receipts ...[]byte) (string, error) {
	steps, err := Successors(vkey, receipts...)
	if err != nil || len(steps) == 0 {
		return vkey, err
	}
	return steps[len(steps)-1].VKey, nil
}

// Successor is an epoch to which the one before it has handed over.
type Successor struct {
	Epoch uint32
	VKey  string    // verifier key of its signer
	Cut   uint64    // the number of entries with which it goes on
	Root  tree.Hash // of those entries
}

// Successors is Succession, and returns each epoch on the way.
func Successors(vkey string, receipts ...[]byte) ([]Successor, error) {
	pinned, err := tree.NewVerifier(vkey)
	if err != nil {
		return nil, badKey(err)
	}
	parsed := make([]*tree.Receipt, len(receipts))
	handovers := make([]tree.Handover, len(receipts))
	for i, b := range receipts {
		if parsed[i], err = tree.ParseReceipt(b); err == nil {
			handovers[i], err = handoverOf(parsed[i])
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFailed, err)
		}
		vkey = handovers[i].VKey
	}
	last, err := tree.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	steps := make([]Successor, len(receipts))
	for i, r := range parsed {
		h := &handovers[i]
		root, err := rootBefore(r, last)
		if err == nil {
			err = h.Check(root, pinned)
		}
		if err == nil {
			pinned, err = tree.NewVerifier(h.VKey)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: epoch %d: %w", ErrFailed, h.Epoch, err)
		}
		steps[i] = Successor{h.Epoch, h.VKey, h.Cut, root}
	}
	return steps, nil
}

// handoverOf reads what a receipt says of a handover, without belief.
func handoverOf(r *tree.Receipt) (tree.Handover, error) {
	leaf, err := entry.ParseLeaf(r.Leaf)
	p, err2 := entry.ParsePrivate(r.Private)
	if err := errors.Join(err, err2); err != nil {
		return tree.Handover{}, err
	}
	return tree.ParseHandover(r.Index, leaf.Type, p.Data)
}

// rootBefore verifies a receipt and returns the root of the tree before its entry.
func rootBefore(r *tree.Receipt, by *tree.Verifier) (tree.Hash, error) {
	if _, err := r.Verify(by.String()); err != nil {
		return tree.Hash{}, err
	}
	head, err := by.Open(r.Checkpoint)
	if err != nil {
		return tree.Hash{}, err
	}
	return tree.RootBefore(r.Proof, r.Index, head.Size)
}
