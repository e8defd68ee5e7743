package fsck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/segment"
	"stele/tree"
)

// branch is a tree and whose signatures it has.
type branch struct {
	edge  tree.Frontier
	epoch uint32
	last  time.Time
}

// chain is the tree built so far.
type chain struct {
	branch
	keys     *keyring.Keyring
	signers  map[uint32][]*tree.Verifier
	limit    uint64             // of the segment at hand
	begins   map[uint32]uint64  // where the epochs that the keyring knows begin, until that was seen
	tails    map[uint32]*branch // where the tree of an epoch has gone on beyond its end, or stopped at it
	evidence map[uint32]*Evidence
}

func newChain(keys *keyring.Keyring) (*chain, error) {
	c := &chain{keys: keys, signers: map[uint32][]*tree.Verifier{}, begins: map[uint32]uint64{}, tails: map[uint32]*branch{}, evidence: map[uint32]*Evidence{}}
	for epoch := uint32(1); epoch <= keys.Epoch; epoch++ {
		vkeys, err := keys.VKeys(epoch)
		if err != nil {
			return nil, err
		}
		for _, vkey := range vkeys {
			v, err := tree.NewVerifier(vkey)
			if err != nil {
				return nil, err
			}
			c.signers[epoch] = append(c.signers[epoch], v)
		}
	}
	for epoch, first := range keys.Begins() {
		if first > 0 {
			c.begins[epoch] = first
		}
	}
	return c, nil
}

// signed checks that b is the tree that a commit of its epoch signs.
func (c *chain) signed(b *branch, k *segment.Commit) error {
	if err := b.committed(k); err != nil {
		return err
	}
	return c.signature(b.epoch, k)
}

func (b *branch) committed(k *segment.Commit) error {
	if b.edge.Size() != k.Size || b.edge.Root() != tree.Hash(k.Root) {
		return fmt.Errorf("the entries do not make the committed root: %w", frame.ErrCorrupt)
	}
	return nil
}

// signature checks that a key of that epoch has signed the commit.
func (c *chain) signature(epoch uint32, k *segment.Commit) error {
	for _, v := range c.signers[epoch] {
		if v.KeyHash() != k.KeyHash {
			continue
		}
		if err := v.Verify(k.Size, k.Root, tree.Signature(k.Signature)); err != nil {
			return fmt.Errorf("signature: %w", err)
		}
		return nil
	}
	return fmt.Errorf("signed by another key than those of epoch %d: %w", epoch, frame.ErrCorrupt)
}

// ledger reads every segment in the order of the entries, and at the end the one that is growing, and builds the tree anew; then it looks through what is evidence only.
func (j *job) ledger(ctx context.Context) error {
	names, _, err := ledger.SegmentNames(ctx, j.Engine, j.Keys)
	if err != nil {
		return err
	}
	links, evidence, err := ledger.Chain(names)
	if err != nil {
		return err
	}
	chain, err := newChain(j.Keys)
	if err != nil {
		return err
	}
	for _, k := range links {
		if chain.edge.Size() >= j.Size {
			break
		}
		if err := j.link(ctx, chain, k); err != nil {
			return err
		}
	}
	if err := j.growing(ctx, chain); err != nil {
		return err
	}
	j.report.Size, j.report.Root = chain.edge.Size(), chain.edge.Root()
	if j.report.Size < j.Size {
		j.problem("ledger", "%d entries can be verified, %d should be there", j.report.Size, j.Size)
	}
	for epoch, first := range chain.begins {
		if first < j.report.Size {
			j.problem("ledger", "epoch %d should begin at entry %d, and doesn't", epoch, first)
		}
	}
	return j.evidence(ctx, chain, evidence)
}

func (j *job) link(ctx context.Context, c *chain, k ledger.Link) error {
	if k.Epoch != c.epoch && c.epoch > 0 && c.tails[c.epoch] == nil {
		end := c.branch
		c.tails[c.epoch] = &end
	}
	c.epoch, c.limit = k.Epoch, k.Limit
	f, err := j.Engine.Open(ctx, k.Name)
	if errors.Is(err, engine.ErrNotExist) {
		return j.superseded(ctx, c, k, err)
	}
	if err != nil {
		return fmt.Errorf("couldn't open %s: %w", k.Name, err)
	}
	defer f.Close()
	if err = j.segment(ctx, c, k.Name, f); errors.Is(err, engine.ErrNotExist) { // of a server each read is a request by its name
		return j.superseded(ctx, c, k, err)
	}
	return err
}

// superseded goes on to the end of the ledger where a segment is gone from a copy to which somebody still ships: its entries, and those of the segments behind it, are verified as the ledger reads
// them out of what took their place. gone is the error if nothing did.
func (j *job) superseded(ctx context.Context, c *chain, k ledger.Link, gone error) error {
	gone = fmt.Errorf("couldn't open %s: %w", k.Name, gone)
	if j.Ledger == nil {
		return gone
	}
	for _, s := range j.Ledger.Segments() {
		at := c.edge.Size()
		if s.End <= at || !s.Sealed {
			continue
		}
		if epoch, _, _ := segment.ParseName(s.Name); epoch != k.Epoch {
			return gone
		}
		f, err := ledger.OpenHolder(ctx, j.Engine, k.Epoch, at, s.End)
		if short(err) {
			return err
		}
		if err != nil {
			return gone
		}
		_ = f.Close() // only to know that there is one: the ledger may still have the old file open
		b, err := j.Ledger.SegmentBytes(ctx, at, s.End)
		if err == nil {
			err = j.segment(ctx, c, s.Name, engine.NewBytesFile(b))
		}
		if err != nil || c.edge.Size() < s.End {
			return err
		}
	}
	return nil
}

// growing verifies the entries of the segment that a running store writes: leaves by the bundles, which must make the root that is signed, and private
// parts by the ledger's reading, which checks each against its leaf.
func (j *job) growing(ctx context.Context, c *chain) error {
	if j.Ledger == nil || c.edge.Size() >= j.Size {
		return nil
	}
	head, err := c.open(j.Ledger.Checkpoint())
	if err != nil {
		j.problem("checkpoint", "%v", err)
		return nil
	}
	from := c.edge.Size()
	for at := from; at < head.Size; {
		group := at / tile
		width := min(tile, head.Size-group*tile)
		bundle, err := j.Ledger.LeafBundle(ctx, int64(group), int(width))
		if short(err) {
			return fmt.Errorf("couldn't read the leaves from entry %d: %w", at, err)
		}
		if err != nil {
			j.problem("ledger", "leaves from entry %d: %v", at, err)
			return nil
		}
		leaves, err := tree.ParseBundle(bundle)
		if err != nil || uint64(len(leaves)) != width {
			return fmt.Errorf("couldn't parse entry bundle %d: %w", group, err)
		}
		for _, leaf := range leaves[at-group*tile:] {
			c.edge.Append(entry.LeafHash(leaf))
		}
		at = group*tile + width
	}
	if c.edge.Root() != head.Root {
		j.problem("ledger", "entries %d to %d do not make the signed root", from, head.Size-1)
		return nil
	}
	return j.Ledger.Entries(ctx, from, head.Size, func(e *entry.Entry) error {
		return j.note(ctx, entry.Leaf{Index: e.Index, Time: e.Time, Type: e.Type}, &e.Private)
	})
}

// open reads a checkpoint of the present epoch.
func (c *chain) open(note []byte) (head tree.Checkpoint, err error) {
	err = tree.ErrSignature
	for _, v := range c.signers[c.keys.Epoch] {
		if head, err = v.Open(note); err == nil {
			return head, nil
		}
	}
	return head, err
}

// tile is the number of entries in a bundle (C2SP tlog-tiles).
const tile = 256

// entry goes on with one entry of the ledger.
func (j *job) entry(ctx context.Context, c *chain, checked *checkedEntry) error {
	first, begins := c.begins[c.epoch]
	begins = begins && first == c.edge.Size()
	var before tree.Hash
	if begins {
		before = c.edge.Root()
	}
	leaf, p, err := c.append(checked)
	if err != nil {
		return err
	}
	if begins {
		delete(c.begins, c.epoch)
		e := entry.Entry{Index: leaf.Index, Time: leaf.Time, Type: leaf.Type}
		if p != nil {
			e.Private = *p
		}
		if err := ledger.CheckBegin(&e, c.epoch, before, c.keys); err != nil {
			j.problem(fmt.Sprintf("epoch %d", c.epoch), "%v", err)
		}
	}
	if p == nil {
		return nil
	}
	return j.note(ctx, leaf, p)
}

// leave begins the branch of an epoch that goes on beyond where a later one went another way.
func (c *chain) leave() *branch {
	tail := c.branch
	c.tails[c.epoch] = &tail
	c.evidence[c.epoch] = &Evidence{Epoch: c.epoch, From: tail.edge.Size(), To: tail.edge.Size()}
	return &tail
}

// add goes on with one entry: a leaf, and the private part that it commits to (nil: erased).
func (b *branch) add(it *segment.Item) (entry.Leaf, *entry.Private, error) {
	e := checkEntry(it)
	return b.append(&e)
}

func (b *branch) append(e *checkedEntry) (entry.Leaf, *entry.Private, error) {
	if e.err != nil {
		return e.leaf, nil, fmt.Errorf("entry %d: %w", b.edge.Size(), e.err)
	}
	if e.leaf.Index != b.edge.Size() || e.leaf.Time.Before(b.last) {
		return e.leaf, nil, fmt.Errorf("entry %d: index or time out of order: %w", b.edge.Size(), frame.ErrCorrupt)
	}
	b.last = e.leaf.Time
	b.edge.Append(e.hash)
	return e.leaf, e.private, nil
}
