package epoch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/tree"
)

// promoteStandby makes a standby's folder a store, and that the primary of a new epoch. The tails that following left are recovered as those of a crash. Until the mark that
// says standby is removed, after the commit point, the folder is opened by nobody else: a crash in between is brought to its end by promoting again.
func (s *Epochs) promoteStandby(ctx context.Context, opt PromoteOptions, pin Pin) (Promotion, error) {
	of := s.core.LedgerOptions()
	accepted, epoch, err := s.acceptedBefore(pin)
	if err != nil {
		return Promotion{}, err
	}
	if opt.At == 0 || opt.At >= accepted.Size { // what was accepted and is not here any more is given up by a cut alone
		of.Seen = append(of.Seen, ledger.Seen{By: "the checkpoint that this standby accepted", Size: accepted.Size, Epoch: epoch, Root: accepted.Root})
	}
	p := Promotion{Store: s.core.ID(), From: epoch, To: s.core.Keys.Epoch}
	if s.core.Keys.Epoch > epoch { // a crash came behind the commit point
		p.VKey, err = s.core.Keys.VKey()
		p.Cut, _ = s.core.Keys.EndOf(epoch)
	} else {
		p, err = s.Promote(ctx, opt, of)
	}
	if err != nil {
		return p, err
	}
	// After the commit point. The format file makes the folder a store once the mark of the standby is gone; until then Open refuses it, and promoting again comes here again.
	err = s.core.Engine.Create(ctx, core.FileFormat, int64(len(core.FormatText)), strings.NewReader(core.FormatText))
	if err != nil && !errors.Is(err, engine.ErrExist) {
		return p, fmt.Errorf("couldn't write %s: %w", core.FileFormat, err)
	}
	if pin.From != "" { // it is written before the mark, which has the address too, is removed: after that nothing else says whom to tell
		if err := s.savePeers(core.FileFormer, withPeer(s.loadPeers(core.FileFormer), pin.From)); err != nil {
			return p, err
		}
	}
	if err := durable.Remove(s.core.FS, s.core.Path(core.FileStandby)); err != nil {
		return p, fmt.Errorf("couldn't make the standby a store: %w", err)
	}
	return p, nil
}

// acceptedBefore reads the checkpoint that the standby accepted last, and the epoch that it followed.
func (s *Epochs) acceptedBefore(pin Pin) (c tree.Checkpoint, epoch uint32, err error) {
	note, err := core.ReadFile(s.core.FS, s.core.Path(core.FileAccepted))
	if core.IsNotExist(err) {
		return c, 0, fmt.Errorf("%w: nothing was accepted by this standby yet", core.ErrNotStore)
	}
	if err == nil {
		c, epoch, err = pin.Open(note)
	}
	if err != nil {
		return c, 0, fmt.Errorf("%w: %s: %v", core.ErrCorrupt, s.core.Path(core.FileAccepted), err)
	}
	if epoch < pin.Epoch() {
		return c, 0, fmt.Errorf("%w: this standby follows epoch %d and has accepted nothing of it yet. Start it again, so that it goes on, or promote another one", core.ErrBehind, pin.Epoch())
	}
	return c, epoch, nil
}

// standbyKeys loads the keyring of the epoch that a standby follows, or of the one that a promotion, which a crash cut short, has begun in its folder.
func (s *Epochs) standbyKeys(ctx context.Context, pin Pin, id age.Identity) error {
	newest, err := core.NewestEpoch(ctx, s.core.Engine, id)
	if err != nil {
		return err
	}
	if newest > pin.Epoch() {
		return s.core.LoadKeys(ctx, id)
	}
	s.core.Keys, err = keyring.LoadSigner(ctx, s.core.Engine, pin.VKey, id)
	return err
}

// Handover returns the entry by which the present epoch began: what an old primary has to be shown. core.ErrNoKey in the first epoch.
func (s *Epochs) Handover(ctx context.Context) (at uint64, data map[string]string, err error) {
	if err := s.core.Enter(); err != nil {
		return 0, nil, err
	}
	defer s.core.Leave()
	epochs := s.Epochs()
	first := epochs[len(epochs)-1].First
	if len(epochs) == 1 {
		return 0, nil, fmt.Errorf("%w: the store is in its first epoch", core.ErrNoKey)
	}
	e, _, _, err := s.core.Ledger().Entry(ctx, first)
	if err != nil {
		return 0, nil, core.Translate(err)
	}
	return first, e.Private.Data, nil
}

// Learn is told of the entry by which a later epoch began elsewhere. If the signer of this epoch has consented to just that, which proves it, this store takes no more writes: see
// core's Supersede. Nobody's word is believed: tree.ErrHandover.
func (s *Epochs) Learn(ctx context.Context, at uint64, data map[string]string, by string) error {
	epoch, err := s.provenHandover(ctx, at, data)
	if err != nil {
		return err
	}
	return s.core.Supersede(epoch, by)
}

// wouldLearn is Learn for who only reads: ErrSuperseded if the entry ends this store.
func (s *Epochs) wouldLearn(ctx context.Context, at uint64, data map[string]string, _ string) error {
	epoch, err := s.provenHandover(ctx, at, data)
	if err != nil || epoch <= s.core.Keys.Epoch {
		return err
	}
	return core.SupersededError(s.core.Dir(), epoch, s.core.Keys.Epoch)
}

// provenHandover is the epoch that an entry begins, if the signer of this one has consented to it.
func (s *Epochs) provenHandover(ctx context.Context, at uint64, data map[string]string) (epoch uint32, err error) {
	h, err := tree.ParseHandover(at, entry.EpochBegin, data)
	if err != nil {
		return 0, err
	}
	vkeys, err := s.core.Keys.VKeys(s.core.Keys.Epoch)
	if err != nil {
		return 0, err
	}
	var keys []*tree.Verifier
	for _, k := range vkeys {
		v, err := tree.NewVerifier(k)
		if err != nil {
			return 0, err
		}
		keys = append(keys, v)
	}
	root, err := s.rootForHandover(ctx, &h, keys)
	if err != nil {
		return 0, err
	}
	return h.Epoch, h.Check(root, keys...)
}

// rootForHandover is our own root where the later epoch goes on. A store that was rolled back behind that takes the root that its own signer signed.
func (s *Epochs) rootForHandover(ctx context.Context, h *tree.Handover, keys []*tree.Verifier) (root tree.Hash, err error) {
	if size, _ := s.core.Ledger().Head(); h.Cut <= size {
		root, err = s.core.Ledger().Root(ctx, h.Cut)
		return root, core.Translate(err)
	}
	err = tree.ErrHandover
	for _, v := range keys {
		if c, verr := v.Open(h.Parent); verr == nil && c.Size == h.Cut {
			return c.Root, nil
		}
	}
	return root, errors.Join(err, core.ErrBehind)
}
