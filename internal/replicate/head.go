package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/segment"
	"stele/tree"
)

// Head reads how much of a ledger a target has seen: its newest tree head. The signature is checked where keys know the epoch's signer; the claim of a later epoch is returned without a root.
// Size 0: nothing. It reads two listings and one footer.
func Head(ctx context.Context, target engine.Engine, keys *keyring.Keyring) (seen ledger.Seen, err error) {
	for range refreshes {
		if seen, err = headOnce(ctx, target, keys); !errors.Is(err, engine.ErrNotExist) { // else its newest tail was superseded since it was listed
			break
		}
	}
	return seen, err
}

func headOnce(ctx context.Context, target engine.Engine, keys *keyring.Keyring) (ledger.Seen, error) {
	src := &Source{target: target, keys: keys}
	if err := src.Refresh(ctx); err != nil || len(src.links) == 0 {
		return ledger.Seen{}, err
	}
	last := src.links[len(src.links)-1]
	s := &session{o: &Origin{Keys: keys}, target: target}
	c, err := s.headOf(ctx, &last)
	if err != nil {
		return ledger.Seen{}, err
	}
	if last.epoch > keys.Epoch {
		begin := slices.IndexFunc(src.links, func(l link) bool { return l.epoch == last.epoch }) // the epoch may have several segments by now
		if !s.provenBegin(ctx, &src.links[begin]) {
			return ledger.Seen{}, fmt.Errorf("%w: the target claims epoch %d and proves nothing", ErrAltered, last.epoch)
		}
		return ledger.Seen{Size: c.Size, Epoch: last.epoch}, nil
	}
	return ledger.Seen{Size: c.Size, Epoch: last.epoch, Root: c.Root}, verifyHead(keys, last.epoch, c)
}

func verifyHead(keys *keyring.Keyring, epoch uint32, c segment.Commit) error {
	vkeys, err := keys.VKeys(epoch)
	if err != nil {
		return err
	}
	for _, vkey := range vkeys {
		v, err := tree.NewVerifier(vkey)
		if err != nil {
			return err
		}
		if v.KeyHash() == c.KeyHash {
			if err := v.Verify(c.Size, c.Root, tree.Signature(c.Signature)); err != nil {
				return fmt.Errorf("%w: %w", ErrAltered, err)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: size %d of epoch %d is signed by a key that the keyring does not know: %w", ErrAltered, c.Size, epoch, frame.ErrCorrupt)
}
