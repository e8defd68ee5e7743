package standby

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stele"
	"stele/internal/node"
	"stele/tree"
	"stele/verify"
)

// tailLimit is over how much time, by the entries' own clock, what was accepted beyond the cut of a new epoch may stretch to be let go of without a person's word: what a promoted standby lagged
// behind is seconds. So a thief of the old signing key, who can sign a handover, can take minutes out of view here and not years.
const tailLimit = 10 * time.Minute

// errEarlier: the primary is in an epoch that has ended.
var errEarlier = errors.New("the primary is in an epoch that has ended")

// turn goes over to the later epoch in which the primary says that it is, if that is proven: each signer has consented to the next one, and what was accepted here is what the new epoch goes
// on with, up to its cut. What was accepted beyond stays in sealed segments, as evidence. The one point is where the new key is pinned: a crash before it leaves a standby of the old
// epoch, which asks again, one after it a standby of the new one.
func (s *Standby) turn(ctx context.Context, st stele.ReplicaState) error {
	u, err := s.primary.Succession(ctx)
	if err != nil {
		return err
	}
	pin := s.store.Follow.Pin
	next, first, err := pin.Succeed(u)
	if err == nil && s.opt.VKey != "" && s.opt.VKey != next.VKey && !knows(&next, s.opt.VKey) {
		err = fmt.Errorf("epoch %d is signed by %s, which is not the key that was given", next.Epoch(), next.VKey)
	}
	if err == nil {
		err = signedAs(next.VKey, st)
	}
	if err != nil {
		return s.freeze("signature", st.Checkpoint, fmt.Errorf("the primary is in epoch %d, followed was epoch %d: %w", pin.EpochIn(st.Checkpoint), pin.Epoch(), err))
	}
	have, root, err := s.position(ctx)
	if err != nil {
		return local(err)
	}
	if err := s.goesOn(ctx, st, first, have, root); err != nil {
		return err
	}
	if err := s.keyringOf(ctx, &next); err != nil {
		return err
	}
	if have > first.Cut {
		if err := s.keepTail(ctx, st, u, first, have); err != nil {
			return err
		}
	}
	return s.turnTo(ctx, next, first, have)
}

// knows says whether a key is the pinned one or one of an epoch before.
func knows(p *stele.StandbyPin, vkey string) bool {
	if vkey == p.VKey {
		return true
	}
	for _, r := range p.Reigns {
		for _, k := range r.VKeys {
			if k == vkey {
				return true
			}
		}
	}
	return false
}

// signedAs checks that the primary's checkpoint is signed by a key and is of the size that it says.
func signedAs(vkey string, st stele.ReplicaState) error {
	c, err := tree.OpenCheckpoint(st.Checkpoint, vkey)
	if err != nil {
		return fmt.Errorf("the primary's checkpoint is not signed by the key %s: %w", vkey, err)
	}
	if c.Size != st.Size {
		return fmt.Errorf("the primary says size %d and signs size %d", st.Size, c.Size)
	}
	return nil
}

// goesOn checks that the new epoch goes on from what is here: from all of it, or from its first entries up to the cut.
func (s *Standby) goesOn(ctx context.Context, st stele.ReplicaState, first verify.Successor, have uint64, root tree.Hash) error {
	if have == 0 {
		return nil
	}
	if have < first.Cut {
		c, err := tree.ReadCheckpoint(st.Checkpoint)
		if err == nil {
			err = tree.CheckConsistency(st.Proof, have, root, c.Size, c.Root)
		}
		if err != nil {
			return s.freeze("fork", st.Checkpoint, fmt.Errorf("epoch %d does not go on from the %d entries that were accepted here: %w", first.Epoch, have, err))
		}
		return nil
	}
	if have > first.Cut {
		var err error
		if root, err = s.store.Follow.Root(ctx, first.Cut); err != nil {
			return local(err)
		}
	}
	if root != first.Root {
		return s.freeze("fork", st.Checkpoint, fmt.Errorf("epoch %d goes on with %d other entries than the ones that were accepted here: their root is %s, not %s", first.Epoch, first.Cut, first.Root, root))
	}
	return nil
}

// keyringOf fetches the keyring of the new epoch, which must be wrapped to this standby.
func (s *Standby) keyringOf(ctx context.Context, next *stele.StandbyPin) error {
	if next.Keyless {
		return nil
	}
	if err := s.fetchKeyrings(ctx); err != nil {
		return err
	}
	err := stele.OpensKeyring(ctx, s.opt.Folder, s.opt.Store, next.VKey)
	if !errors.Is(err, stele.ErrWrongKey) {
		return local(err)
	}
	recipient, err := stele.NewStandby(s.opt.Folder, s.opt.Store)
	if err != nil {
		return local(err)
	}
	if !s.told {
		s.told = true
		s.opt.Tell("the primary is in epoch %d, to which this standby was not admitted. Its recipient is\n\n    %s\n\nadmit it on the new primary: stele standby add NAME %s", next.Epoch(), recipient, recipient)
	}
	return fmt.Errorf("%w to epoch %d: on the new primary, stele standby add NAME %s", errNotAdmitted, next.Epoch(), recipient)
}

// keepTail keeps what shows that entries were accepted which the new epoch has not, and asks for a person's word if they are more than a standby lags behind.
func (s *Standby) keepTail(ctx context.Context, st stele.ReplicaState, u stele.Succession, first verify.Successor, have uint64) error {
	from, err := s.store.Follow.TimeOf(ctx, first.Cut)
	if err != nil {
		return local(err)
	}
	to, err := s.store.Follow.TimeOf(ctx, have-1)
	if err != nil {
		return local(err)
	}
	span := to.Sub(from)
	if span > tailLimit && s.opt.AcceptCut != first.Cut {
		return s.freeze("cut", st.Checkpoint, fmt.Errorf("epoch %d goes on with %d entries and leaves out %d that were accepted here, written over %v. If that is what was meant, start this standby with --accept-cut %d; if not, promote it with `stele promote`",
			first.Epoch, first.Cut, have-first.Cut, span.Round(time.Second), first.Cut))
	}
	why := fmt.Sprintf("epoch %d of the store goes on with %d entries. %d that were accepted here before it began, entries %d to %d, are not among them.\nThey stay in the segments of epoch %d, from entry %d on: stele dump epochs, stele dump segments/…\n",
		first.Epoch, first.Cut, have-first.Cut, first.Cut, have-1, s.store.Follow.Pin.Epoch(), first.Cut)
	files := map[string][]byte{"reason.txt": []byte(why)}
	for i, r := range u.Receipts {
		files[fmt.Sprintf("handover-%d.receipt", i+1)] = r
	}
	_, err = s.evidence(fmt.Sprintf("epoch-%d", first.Epoch), st.Checkpoint, files)
	return local(err)
}

// turnTo pins the new epoch and opens the folder again as its standby.
func (s *Standby) turnTo(ctx context.Context, next stele.StandbyPin, first verify.Successor, have uint64) error {
	next.From = s.opt.From
	if end := next.EndOf(s.store.Follow.Pin.Epoch()); have >= end {
		if err := s.store.Follow.SealTail(); err != nil {
			return local(err)
		}
	}
	if err := stele.SetPin(s.opt.Folder, s.opt.Store, next); err != nil {
		return local(fmt.Errorf("couldn't pin the key of epoch %d: %w", next.Epoch(), err))
	}
	if err := s.reopen(ctx); err != nil {
		return local(fmt.Errorf("couldn't go on as a standby of epoch %d, start it again: %w", next.Epoch(), err))
	}
	lost := max(have, first.Cut) - first.Cut
	s.opt.Log.Warn("following a new epoch", "epoch", next.Epoch(), "cut", first.Cut, "accepted_before", have, "evidence_entries", lost, "vkey", next.VKey)
	s.opt.Tell("this standby follows epoch %d now, whose key the signer before it has vouched for:\n\n    %s", next.Epoch(), next.VKey)
	if lost > 0 {
		s.opt.Tell("%d entries that were accepted here are not in the new epoch: they stay, as evidence (docs/STANDBY.md)", lost)
	}
	return nil
}

// reopen opens the folder as what is pinned by now, and tells who serves it.
func (s *Standby) reopen(ctx context.Context) error {
	if err := s.store.Close(); err != nil {
		s.opt.Log.Warn("closing what was followed", "err", err)
	}
	fresh, err := stele.OpenStandby(ctx, s.opt.Folder, s.opt.Store)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.store = fresh
	s.status.Accepted, s.status.Epoch = fresh.Follow.Here(), fresh.Follow.Pin.Epoch()
	s.mu.Unlock()
	s.listed, s.keyrings = false, -1
	return s.opt.Turned(fresh)
}

// tellFormer tells a primary whose epoch has ended that it has, by the entry that began the present one. What is followed is another one.
func (s *Standby) tellFormer(ctx context.Context, st stele.ReplicaState) error {
	pin := s.store.Follow.Pin
	err := fmt.Errorf("%w: %s is in epoch %d, followed is epoch %d. Name the present primary: stele standby --from URL", errEarlier, s.opt.From, pin.EpochIn(st.Checkpoint), pin.Epoch())
	if s.store.Store == nil {
		return err
	}
	at, data, herr := node.Of(s.store.Store).Handover(ctx)
	if herr != nil {
		return errors.Join(err, herr)
	}
	if lerr := s.primary.Learn(ctx, at, data); lerr != nil {
		return errors.Join(err, fmt.Errorf("it was told so and did not believe it: %w", lerr))
	}
	return fmt.Errorf("%w. It was told so, and takes no more writes", err)
}
