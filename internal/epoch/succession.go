package epoch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stele/internal/core"
	"stele/internal/keyring"
	"stele/internal/segment"
	"stele/tree"
	"stele/verify"
)

// Reign is an epoch that has ended, as one that follows the store has to know it.
type Reign struct {
	Epoch uint32   `json:"epoch"`
	End   uint64   `json:"end"`  // the number of entries with which the next one goes on; 0: none of its entries count
	Next  uint64   `json:"next"` // the first entry of the next one's first segment: up to there this one's segments count
	VKeys []string `json:"vkeys"`
}

// Succession is what a store has to show of the epochs that it went through. It proves itself: see Pin.Succeed.
type Succession struct {
	Reigns   []Reign  `json:"reigns"` // of the epochs whose entries count, but for the present one, in order
	VKey     string   `json:"vkey"`   // of the present one
	Receipts [][]byte `json:"receipts"`
}

// First is the verifier key of the first epoch.
func (u *Succession) First() string {
	if len(u.Reigns) == 0 || len(u.Reigns[0].VKeys) == 0 {
		return u.VKey
	}
	return u.Reigns[0].VKeys[len(u.Reigns[0].VKeys)-1]
}

// Succession returns the epochs of the store, with the receipts, made now, of the entries that began them.
func (s *Epochs) Succession(ctx context.Context) (Succession, error) {
	if err := s.core.Enter(); err != nil {
		return Succession{}, err
	}
	defer s.core.Leave()
	vkey, err := s.core.Keys.VKey()
	if err != nil {
		return Succession{}, err
	}
	u := Succession{VKey: vkey}
	if u.Reigns, err = s.reigns(); err != nil {
		return u, err
	}
	for _, r := range u.Reigns {
		receipt, err := s.core.Ledger().Receipt(ctx, r.End)
		if err != nil {
			return u, core.Translate(err)
		}
		u.Receipts = append(u.Receipts, receipt)
	}
	return u, nil
}

// reigns are the epochs before the present one whose entries count, in order.
func (s *Epochs) reigns() (all []Reign, err error) {
	epochs := s.Epochs()
	for i, e := range epochs[:len(epochs)-1] {
		vkeys, err := s.core.Keys.VKeys(e.Epoch)
		if err != nil {
			return nil, err
		}
		all = append(all, Reign{Epoch: e.Epoch, End: epochs[i+1].First, Next: s.firstOf(epochs[i+1].Epoch), VKeys: vkeys})
	}
	return all, nil
}

// firstOf is the first entry of the first segment of an epoch.
func (s *Epochs) firstOf(epoch uint32) uint64 {
	for _, f := range s.core.Ledger().Segments() {
		if of, first, _ := segment.ParseName(f.Name); of == epoch {
			return first
		}
	}
	return 0
}

// ErrSuccession: a store does not prove that its epoch is a rightful successor of the one that is pinned.
var ErrSuccession = errors.New("the new epoch is not proven")

// Epoch is the epoch of the pinned key, 0 if that is no key.
func (p *Pin) Epoch() uint32 { return epochOf(p.VKey) }

func epochOf(vkey string) uint32 {
	v, err := tree.NewVerifier(vkey)
	if err != nil {
		return 0
	}
	_, epoch := SplitOrigin(v.Origin())
	return epoch
}

// SplitOrigin splits the origin of a checkpoint into store id and epoch, 0 if it has none.
func SplitOrigin(origin string) (store string, epoch uint32) {
	store, number, _ := strings.Cut(origin, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return store, 0
	}
	return store, uint32(n)
}

// EpochIn reads, without belief, of which epoch of the store a checkpoint says that it is; 0: of none.
func (p *Pin) EpochIn(note []byte) uint32 {
	c, err := tree.ReadCheckpoint(note)
	if err != nil {
		return 0
	}
	store, epoch := SplitOrigin(c.Origin)
	if store != p.Store {
		return 0
	}
	return epoch
}

// Succeed checks that the epochs of u go on from the pinned one: each signer has consented to the next, and all of this stands in one tree that the newest one has signed. It returns the pin of the
// newest, and the first step on the way there, at whose Cut the ledger that was followed goes over, which must have its Root there. ErrSuccession if that is not proven.
func (p Pin) Succeed(u Succession) (next Pin, first verify.Successor, err error) {
	bad := func(why error) (Pin, verify.Successor, error) {
		return p, first, fmt.Errorf("%w: %w", ErrSuccession, why)
	}
	var receipts [][]byte
	var from []uint64 // where the first segment of each begins
	for i, receipt := range u.Receipts {
		of := epochOf(u.VKey)
		if i+1 < len(u.Reigns) {
			of = u.Reigns[i+1].Epoch
		}
		if of > p.Epoch() && i < len(u.Reigns) {
			receipts, from = append(receipts, receipt), append(from, u.Reigns[i].Next)
		}
	}
	steps, err := verify.Successors(p.VKey, receipts...)
	if err != nil {
		return bad(err)
	}
	if len(steps) == 0 || steps[len(steps)-1].VKey != u.VKey {
		return bad(fmt.Errorf("nothing that leads from epoch %d to %s is shown", p.Epoch(), u.VKey))
	}
	next = p
	for i, step := range steps {
		if err := next.succeed(step, from[i]); err != nil {
			return bad(err)
		}
	}
	return next, steps[0], nil
}

// succeed makes p the pin of the next epoch, whose first segment begins with entry from.
func (p *Pin) succeed(step verify.Successor, from uint64) error {
	// The first segment of an epoch begins at the cut, or with the batch in which the cut lies.
	if from == 0 || from > step.Cut || step.Cut-from > segment.BatchEntries || step.Epoch <= p.Epoch() {
		return fmt.Errorf("epoch %d goes on with %d entries and can't begin with a segment of entry %d", step.Epoch, step.Cut, from)
	}
	var former []keyring.Reign
	for _, r := range p.Reigns {
		former = append(former, keyring.Reign{Epoch: r.Epoch, End: r.End, VKeys: r.VKeys})
	}
	nexts, last := map[uint32]uint64{}, uint32(0)
	for _, r := range p.Reigns {
		nexts[r.Epoch] = r.Next
	}
	var reigns []Reign
	for _, r := range keyring.Succeed(former, keyring.Reign{Epoch: p.Epoch(), End: step.Cut, VKeys: []string{p.VKey}}) {
		if r.End > 0 {
			last = r.Epoch
		} else {
			nexts[r.Epoch] = 0
		}
		reigns = append(reigns, Reign{Epoch: r.Epoch, End: r.End, Next: nexts[r.Epoch], VKeys: r.VKeys})
	}
	for i := range reigns {
		if reigns[i].Epoch == last {
			reigns[i].Next = from
		}
	}
	p.VKey, p.Reigns = step.VKey, reigns
	return nil
}

// EndOf is up to where what was followed of an epoch counts.
func (p *Pin) EndOf(epoch uint32) uint64 {
	end := uint64(tree.MaxSize)
	for _, r := range p.Reigns {
		if r.Epoch <= epoch && r.End > 0 {
			end = r.Next
		}
	}
	if epoch == p.Epoch() {
		return tree.MaxSize
	}
	return end
}

// Ends are those of the epochs whose entries count, as ledger.Options has them; nil in a first epoch.
func (p *Pin) Ends() map[uint32]uint64 {
	if len(p.Reigns) == 0 {
		return nil
	}
	ends := map[uint32]uint64{}
	for _, r := range p.Reigns {
		if r.End > 0 {
			ends[r.Epoch] = r.Next
		}
	}
	return ends
}

// Open reads a checkpoint that the pinned key, or one of an epoch before, has signed.
func (p *Pin) Open(note []byte) (c tree.Checkpoint, epoch uint32, err error) {
	c, err = tree.OpenCheckpoint(note, p.VKey)
	if err == nil {
		return c, p.Epoch(), nil
	}
	for _, r := range p.Reigns {
		for _, vkey := range r.VKeys {
			if c, kerr := tree.OpenCheckpoint(note, vkey); kerr == nil {
				return c, r.Epoch, nil
			}
		}
	}
	return c, 0, err
}
