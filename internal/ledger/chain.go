package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/segment"
	"stele/tree"
)

// Link is a segment and how far the ledger goes through it.
type Link struct {
	Name  string
	Epoch uint32
	First uint64
	Limit uint64 // entries from here on are of a later epoch: what the segment holds beyond is evidence, and not of the ledger. math.MaxUint64: none
}

// Chain sorts segments, given by their names, into those that make the ledger, in the order of their entries, and those that are evidence only: segments of an epoch that begin
// where a later epoch had gone another way. An epoch counts up to where the segments of a later one begin. Only the names of the segments say so, and no other file: so whoever adds to an
// old epoch, even with its key, adds evidence.
func Chain(names []string) (chain, evidence []Link, err error) {
	for _, name := range names {
		epoch, first, ok := segment.ParseName(name)
		if !ok {
			return nil, nil, fmt.Errorf("%s is not the name of a segment", name) // SegmentNames lists none
		}
		chain = append(chain, Link{name, epoch, first, math.MaxUint64})
	}
	slices.SortFunc(chain, func(a, b Link) int { return strings.Compare(a.Name, b.Name) }) // by epoch, then by first entry
	limit, next := uint64(math.MaxUint64), uint64(math.MaxUint64)                          // of the epoch at hand; of the epoch before it
	for i := len(chain) - 1; i >= 0; i-- {
		if i+1 < len(chain) && chain[i].Epoch != chain[i+1].Epoch {
			limit = next
		}
		chain[i].Limit, next = limit, min(next, chain[i].First)
	}
	whole := chain
	chain = nil
	for _, k := range whole {
		if k.First < k.Limit {
			chain = append(chain, k)
		} else {
			evidence = append(evidence, k)
		}
	}
	return chain, evidence, nil
}

// NewestEpoch is the newest epoch of which the engine has a segment, 0 if it has none: the epoch whose keyring opens the ledger. newest is the newest keyring that opens, nil: none does. See SegmentNames.
func NewestEpoch(ctx context.Context, e engine.Engine, newest *keyring.Keyring) (epoch uint32, err error) {
	names, _, err := SegmentNames(ctx, e, newest)
	for _, name := range names {
		of, _, _ := segment.ParseName(name)
		epoch = max(epoch, of)
	}
	return epoch, err
}

// verifiers reads the verifier keys of all epochs.
func verifiers(keys *keyring.Keyring) (map[uint32][]*tree.Verifier, error) {
	all := make(map[uint32][]*tree.Verifier)
	for epoch := uint32(1); epoch <= keys.Epoch; epoch++ {
		vkeys, err := keys.VKeys(epoch)
		if err != nil {
			return nil, err
		}
		if err := addVerifiers(all, epoch, vkeys); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func addVerifiers(all map[uint32][]*tree.Verifier, epoch uint32, vkeys []string) error {
	for _, vkey := range vkeys {
		v, err := tree.NewVerifier(vkey)
		if err != nil {
			return fmt.Errorf("couldn't read a verifier key of epoch %d: %w", epoch, err)
		}
		all[epoch] = append(all[epoch], v)
	}
	return nil
}

// takePart takes the entries of a segment that come before the next epoch. Its footer is of the whole, and has been proven.
func (l *Ledger) takePart(ctx context.Context, k Link, f *segment.Footer, groups *tree.Frontier) error {
	for _, g := range f.Groups[:k.Limit/tree.GroupSize-f.Group] {
		if err := groups.AppendGroup(g); err != nil {
			return err
		}
		l.groups = append(l.groups, g)
	}
	l.blocks = tree.BlockHashes(l.blocks, l.groups)
	part := &file{name: k.Name, first: k.First, end: k.Limit, limit: k.Limit, firstTime: f.FirstTime, sealed: true}
	l.segments = append(l.segments, part)
	l.head = head{size: k.Limit} // the segment behind it has root and signature
	err := l.eachLeaf(ctx, k.Limit-1, k.Limit, func(b []byte) error {
		leaf, err := entry.ParseLeaf(b)
		if err != nil {
			return fmt.Errorf("entry %d: %v: %w", k.Limit-1, err, frame.ErrCorrupt)
		}
		part.lastTime = micros(leaf.Time)
		return nil
	})
	l.head.commit.Time = part.lastTime
	return err
}

// checkBegins checks that each epoch goes on from where its parent handed over (tree.Handover).
func (l *Ledger) checkBegins(ctx context.Context) error {
	if bug.On(bug.SkipParent) || l.opt.VKey != "" {
		return nil
	}
	for epoch, first := range l.opt.Keys.Begins() {
		if first == 0 || l.opt.Ends != nil && first >= l.head.size {
			continue // one that is followed has not come there yet
		}
		if err := l.checkBegin(ctx, epoch, first); err != nil {
			return fmt.Errorf("epoch %d: %w: %w", epoch, err, frame.ErrCorrupt)
		}
	}
	return nil
}

func (l *Ledger) checkBegin(ctx context.Context, epoch uint32, first uint64) error {
	f, err := l.find(first)
	if err != nil {
		return err
	}
	if of, _, _ := segment.ParseName(f.name); of != epoch {
		return fmt.Errorf("it should begin at entry %d, where %s is", first, f.name)
	}
	e, _, _, err := l.Entry(ctx, first)
	if err != nil {
		return err
	}
	root, err := l.Root(ctx, first)
	if err != nil {
		return err
	}
	return CheckBegin(&e, epoch, root, l.opt.Keys)
}

// CheckBegin checks that e, the first entry of an epoch, is a rightful handover, by the keys that a keyring knows. root is that of the entries before it.
func CheckBegin(e *entry.Entry, epoch uint32, root tree.Hash, keys *keyring.Keyring) error {
	h, err := tree.ParseHandover(e.Index, e.Type, e.Private.Data)
	if err != nil {
		return err
	}
	all, err := verifiers(keys)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(all[epoch], func(v *tree.Verifier) bool { return v.String() == h.VKey })
	if h.Epoch != epoch || !known {
		return fmt.Errorf("%w: entry %d begins epoch %d with a key that the keyring doesn't know", tree.ErrHandover, e.Index, h.Epoch)
	}
	var parents []*tree.Verifier
	for of := uint32(1); of < epoch; of++ {
		parents = append(parents, all[of]...)
	}
	return h.Check(root, parents...)
}

// notOurs says what to do with a tail of another epoch. One of an earlier epoch is evidence and stays. One of a later epoch can only be what a crash left of the
// making of that epoch: nothing was acknowledged in it, and it may go.
func (l *Ledger) notOurs(t engine.Tail, epoch uint32) (goes bool, err error) {
	if epoch < l.opt.Keys.Epoch {
		return false, nil
	}
	_, first, _ := segment.ParseName(t.Name)
	f, err := t.Open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	s := segment.NewScanner(f, f.Size(), first, nil)
	b, err := s.Next()
	switch {
	case err == io.EOF:
		if _, saw, err := s.Broken(); err != nil || saw == 0 {
			return err == nil, err
		}
	case err != nil:
		return false, err
	case Begins(&b):
		return true, nil
	}
	return false, fmt.Errorf("it is of epoch %d, of which the segments before it are missing: copy them back from a backup: %w", epoch, frame.ErrCorrupt)
}

// Begins says whether a batch holds the first entry of an epoch.
func Begins(b *segment.Batch) bool {
	for i := range b.Pairs {
		leaves, err := b.Pairs[i].Leaves()
		if err != nil {
			return false
		}
		for _, raw := range leaves {
			if leaf, err := entry.ParseLeaf(raw); err == nil && leaf.Type == entry.EpochBegin {
				return true
			}
		}
	}
	return false
}

var errEpoch = errors.New("the keyring is of another epoch than the ledger")

// checkEpoch compares the newest segments' epoch with the keyring's.
func (l *Ledger) checkEpoch(chain []Link) error {
	if len(chain) == 0 {
		return nil
	}
	if newest := chain[len(chain)-1].Epoch; newest != l.opt.Keys.Epoch {
		return fmt.Errorf("%w: the newest segment is of epoch %d, the keyring of epoch %d. Copy the newest keyring and the newest segments back: %w", errEpoch, newest, l.opt.Keys.Epoch, frame.ErrCorrupt)
	}
	return nil
}
