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
	pinned, err := tree.NewVerifier(vkey)
	if err != nil {
		return "", fmt.Errorf("couldn't read the key, it should look like ORIGIN+HASH+KEY: %w", err)
	}
	parsed := make([]*tree.Receipt, len(receipts))
	handovers := make([]tree.Handover, len(receipts))
	for i, b := range receipts {
		if parsed[i], err = tree.ParseReceipt(b); err == nil {
			handovers[i], err = handoverOf(parsed[i])
		}
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrFailed, err)
		}
		vkey = handovers[i].VKey
	}
	last, err := tree.NewVerifier(vkey)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFailed, err)
	}
	for i, r := range parsed {
		root, err := rootBefore(r, last)
		if err == nil {
			err = handovers[i].Check(root, pinned)
		}
		if err == nil {
			pinned, err = tree.NewVerifier(handovers[i].VKey)
		}
		if err != nil {
			return "", fmt.Errorf("%w: epoch %d: %w", ErrFailed, handovers[i].Epoch, err)
		}
	}
	return vkey, nil
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
