package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stele/entry"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// Create makes a new ledger whose first entry is init, a store.init. ErrExist if there is one.
func Create(ctx context.Context, opt Options, init Draft) (*Ledger, error) {
	l, err := open(ctx, opt, false)
	if err != nil {
		return nil, err
	}
	if l.head.size > 0 {
		return nil, errors.Join(fmt.Errorf("couldn't create a ledger: %w, of %d entries", ErrExist, l.head.size), l.open.close())
	}
	l.seq.time.start(l.opt.Clock, l.opt.Keys.StoreID, time.Time{}, nil, 0)
	l.start()
	if _, err := l.Append(ctx, func(Slot) (Draft, error) { return init, nil }); err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't create a ledger: %w", err), l.Close())
	}
	return l, nil
}

// Open opens a ledger for reading and writing. It reads the footers of the sealed segments; if a crash left a tail, it copies what was committed
// there into a fresh segment, seals that, and only then removes the tail.
//
// Errors: ErrNone; ErrBehind (BehindError), ErrForked; frame.ErrCorrupt, frame.ErrVersion; keyring.ErrWrongKey.
func Open(ctx context.Context, opt Options) (*Ledger, error) {
	l, err := open(ctx, opt, false)
	if err != nil {
		return nil, err
	}
	if l.head.size == 0 {
		err = fmt.Errorf("couldn't open the ledger: %w", ErrNone)
	} else {
		err = l.compare(ctx)
	}
	if errors.Is(err, ErrBehind) && len(l.copies()) > 0 && l.healAtOpen(ctx, &damagedSegment{first: l.head.size, err: err}) == nil {
		if err := l.open.close(); err != nil {
			return nil, err
		}
		return Open(ctx, opt) // with more entries than before: the heal has fetched them
	}
	if err != nil {
		return nil, errors.Join(err, l.open.close())
	}
	if err := l.startClock(ctx, l); err != nil {
		return nil, errors.Join(err, l.open.close())
	}
	l.start()
	l.seq.next = l.begin(l.head.size)
	return l, nil
}

// OpenReadOnly opens a ledger for reading: any engine will do, nothing is written, and several processes may. ErrTail if a crash left a tail with entries that no sealed
// segment holds, unless Options.ReadTails is set. A ledger that is behind what was seen of it is opened all the same, for it is what is left when Open says ErrBehind; where a copy has what is missing, that is read there.
func OpenReadOnly(ctx context.Context, opt Options) (*Ledger, error) {
	l, err := open(ctx, opt, true)
	if err == nil && l.head.size == 0 {
		err = fmt.Errorf("couldn't open the ledger: %w", ErrNone)
	}
	if err != nil {
		return nil, err
	}
	if len(l.copies()) > 0 {
		if behind := l.compare(ctx); errors.Is(behind, ErrBehind) && l.healAtOpen(ctx, &damagedSegment{first: l.head.size, err: behind}) == nil {
			if err := l.open.close(); err != nil {
				return nil, err
			}
			return OpenReadOnly(ctx, l.opt) // with more than before: l.opt.Engine now reads from the copy what is missing here
		}
	}
	l.publish.newest = l.Checkpoint()
	return l, nil
}

// open opens what is there, after healing each segment that stands in the way. In read-only mode nothing is repaired: a damaged segment is read from a verified copy. Each segment is tried
// once, so that a copy which does not help ends the loop.
func open(ctx context.Context, opt Options, readOnly bool) (*Ledger, error) {
	if readOnly && (opt.Copies != nil || opt.ReadTails) {
		opt.Engine = withSubstitutes(opt.Engine)
	}
	for tried := map[uint64]bool{}; ; {
		l, opened, err := openOnce(ctx, opt, readOnly)
		var d *damagedSegment
		if err == nil || !errors.As(err, &d) || !mendable(err) || tried[d.first] || len(l.copies()) == 0 {
			return opened, err
		}
		tried[d.first] = true
		if why := l.healAtOpen(ctx, d); why != nil {
			return nil, fmt.Errorf("%w; %w", err, why)
		}
	}
}

// openOnce also returns what there was when it failed.
func openOnce(ctx context.Context, opt Options, readOnly bool) (l, opened *Ledger, err error) {
	if l, err = makeLedger(opt, readOnly); err != nil {
		return nil, nil, err
	}
	opened, err = l.load(ctx)
	return l, opened, err
}

func (l *Ledger) load(ctx context.Context) (*Ledger, error) {
	if err := l.loadSealed(ctx); err != nil {
		return nil, err
	}
	recover := l.recoverTails
	switch {
	case l.readOnly && l.opt.ReadTails:
		recover = l.readTails
	case l.readOnly:
		recover = l.refuseTails
	}
	if err := recover(ctx); err != nil {
		return nil, err
	}
	l.newestAt = l.head.size
	return l, nil
}

func makeLedger(opt Options, readOnly bool) (*Ledger, error) {
	if opt.Clock == nil {
		opt.Clock = SystemClock{}
	}
	if opt.SegmentBytes <= 0 {
		opt.SegmentBytes = defaultSegmentBytes
	}
	if opt.PublishEvery <= 0 {
		opt.PublishEvery = defaultPublishEvery
	}
	signer, err := opt.signer()
	if err != nil {
		return nil, fmt.Errorf("couldn't open the ledger: %w", err)
	}
	keys, err := opt.verifiers(signer.Verifier)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the ledger: %w", err)
	}
	l := &Ledger{opt: opt, signer: signer, readOnly: readOnly, keys: keys,
		apply: make(chan applied, applyQueue), sealing: make(chan sealing, 1)}
	l.turns.Now = opt.Clock.Monotonic
	l.head.root = l.seq.frontier.Root()
	l.queue.init()
	l.publish.init()
	return l, nil
}

// signer is the keyring's, or for a follower without keys one that can only verify.
func (o *Options) signer() (*tree.Signer, error) {
	if o.VKey != "" {
		v, err := tree.NewVerifier(o.VKey)
		return &tree.Signer{Verifier: v}, err
	}
	key, err := o.Keys.SigningKey()
	if err != nil {
		return nil, err
	}
	return tree.NewSigner(o.Keys.Origin(), key)
}

// verifiers are the verifier keys of all epochs.
func (o *Options) verifiers(signer *tree.Verifier) (map[uint32][]*tree.Verifier, error) {
	if o.VKey == "" {
		return verifiers(o.Keys)
	}
	all := map[uint32][]*tree.Verifier{o.Keys.Epoch: {signer}}
	for _, r := range o.Keys.Reigns {
		if err := addVerifiers(all, r.Epoch, r.VKeys); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// start begins to take entries.
func (l *Ledger) start() {
	l.workers.Add(3)
	go l.run()
	go l.runApply()
	go l.runSeal()
	l.publish.start(l)
}

// loadSealed reads the footers of the sealed segments and checks that they are one ledger.
func (l *Ledger) loadSealed(ctx context.Context) error {
	err := l.loadChain(ctx)
	l.newestAt = l.head.size // no leaf hash is in memory
	if err == nil && l.head.size > 0 {
		err = l.checkBegins(ctx)
	}
	if err != nil {
		return fmt.Errorf("couldn't open the ledger: %w", err)
	}
	return nil
}

func (l *Ledger) loadChain(ctx context.Context) error {
	names, foreign, err := l.segmentNames(ctx)
	if err != nil {
		return err
	}
	l.foreign = foreign
	chain, _, err := Chain(names)
	if chain = l.opt.upToEnds(chain); err == nil && l.opt.Ends == nil {
		err = l.checkEpoch(chain)
	}
	var groups tree.Frontier // by whole groups
	for i := 0; i < len(chain) && err == nil; i++ {
		err = l.loadLink(ctx, chain[i], &groups)
	}
	return err
}

// loadLink goes on with one segment.
func (l *Ledger) loadLink(ctx context.Context, k Link, groups *tree.Frontier) error {
	h, f, err := l.readFooter(ctx, k.Name)
	if err != nil {
		return segmentError(k.Name, err)
	}
	if h.StoreID != l.opt.Keys.StoreID || h.Epoch != k.Epoch || h.First != k.First {
		return &damagedSegment{name: k.Name, first: k.First, err: fmt.Errorf("segment %s is of store %x, epoch %d, entry %d: it was put here from elsewhere: %w", k.Name, h.StoreID, h.Epoch, h.First, frame.ErrCorrupt)}
	}
	if k.First != l.head.size {
		return &damagedSegment{first: l.head.size, err: fmt.Errorf("entries %d to %d are missing: copy their segments back from a backup: %w", l.head.size, int64(k.First)-1, frame.ErrCorrupt)}
	}
	p, err := l.prove(k.Epoch, f, *groups)
	if err == nil && f.Commit.Size > k.Limit {
		err = l.takePart(ctx, k, f, groups)
	} else if err == nil {
		l.take(f, p)
		*groups = p.groups
		l.segments = append(l.segments, &file{name: k.Name, first: k.First, end: f.Commit.Size, firstTime: f.FirstTime, lastTime: f.LastTime, sealed: true})
	}
	if err != nil {
		return segmentError(k.Name, err)
	}
	return nil
}

func segmentError(name string, err error) error {
	_, first, _ := segment.ParseName(name)
	if errors.Is(err, frame.ErrCorrupt) {
		return &damagedSegment{name: name, first: first, err: fmt.Errorf("segment %s is damaged, copy it back from a backup: %w", name, err)}
	}
	return &damagedSegment{name: name, first: first, err: fmt.Errorf("segment %s: %w", name, err)}
}

func (l *Ledger) readFooter(ctx context.Context, name string) (frame.Header, *segment.Footer, error) {
	f, err := l.opt.Engine.Open(ctx, name)
	if err != nil {
		return frame.Header{}, nil, err
	}
	h, foot, err := segment.ReadFooter(f, f.Size())
	return h, foot, errors.Join(err, f.Close())
}

// proven is what a footer has proven.
type proven struct {
	groups   tree.Frontier // by whole groups
	frontier tree.Frontier
	signer   *tree.Verifier
}

// prove checks a sealed segment's footer, which proves itself: its groups, behind those of the segments before it, and its edge must make one
// tree, and that tree's root must be the one that is signed.
func (l *Ledger) prove(epoch uint32, f *segment.Footer, groups tree.Frontier) (p proven, err error) {
	bad := fmt.Errorf("the footer's hashes are not those of the tree: %w", frame.ErrCorrupt)
	c := f.Commit
	if f.Group != uint64(len(l.groups)) || c.Size/tree.GroupSize != f.Group+uint64(len(f.Groups)) || f.FirstTime < l.head.commit.Time && l.head.size > 0 {
		return p, bad
	}
	p.groups = groups
	for _, g := range f.Groups {
		if err := p.groups.AppendGroup(g); err != nil {
			return p, err
		}
	}
	edge := appendSize(nil, c.Size)
	for i := range f.Edge {
		edge = append(edge, f.Edge[i][:]...)
	}
	if err := p.frontier.UnmarshalBinary(edge); err != nil {
		return p, bad
	}
	whole, err := p.groups.MarshalBinary()
	if err != nil || len(edge) < len(whole) || string(edge[8:len(whole)]) != string(whole[8:]) || p.frontier.Root() != c.Root {
		return p, bad
	}
	p.signer, err = l.verify(epoch, c)
	return p, err
}

// take moves the head on to the end of a sealed segment.
func (l *Ledger) take(f *segment.Footer, p proven) {
	for _, g := range f.Groups {
		l.groups = append(l.groups, g)
	}
	l.blocks = tree.BlockHashes(l.blocks, l.groups)
	l.seq.frontier = p.frontier
	l.head = head{f.Commit.Size, f.Commit.Root, f.Commit, p.signer}
}

// verify checks a commit's signature by the keys of its epoch, and returns the key that made it.
func (l *Ledger) verify(epoch uint32, c segment.Commit) (*tree.Verifier, error) {
	for _, v := range l.keys[epoch] {
		if v.KeyHash() != c.KeyHash {
			continue
		}
		if err := v.Verify(c.Size, c.Root, tree.Signature(c.Signature)); err != nil {
			return nil, fmt.Errorf("%w: %w", err, frame.ErrCorrupt)
		}
		return v, nil
	}
	return nil, fmt.Errorf("size %d is signed by key %08x, which the keyring doesn't know in epoch %d (is it of another store, or older than the ledger?): %w", c.Size, c.KeyHash, epoch, frame.ErrCorrupt)
}

func appendSize(dst []byte, n uint64) []byte {
	return append(dst, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// parseLeaf parses the leaf of an item and checks that it is entry index, and that the private part is the one it commits to.
func parseLeaf(it *segment.Item, index uint64) (entry.Leaf, error) {
	leaf, err := entry.ParseLeaf(it.Leaf)
	if err != nil {
		return entry.Leaf{}, fmt.Errorf("entry %d: %v: %w", index, err, frame.ErrCorrupt)
	}
	if leaf.Index != index {
		return entry.Leaf{}, fmt.Errorf("leaf of entry %d where %d should be: %w", leaf.Index, index, frame.ErrCorrupt)
	}
	if !it.Erased && entry.Commitment(it.Salt, it.Private) != leaf.C {
		return entry.Leaf{}, fmt.Errorf("entry %d: the private part is not the one that the leaf commits to: %w", index, frame.ErrCorrupt)
	}
	return leaf, nil
}

// decode makes an entry of an item.
func decode(it *segment.Item, index uint64) (entry.Entry, error) {
	leaf, err := parseLeaf(it, index)
	if err != nil {
		return entry.Entry{}, err
	}
	e := entry.Entry{Index: index, Time: leaf.Time, Type: leaf.Type, Salt: it.Salt}
	if it.Erased {
		return e, nil
	}
	if e.Private, err = entry.ParsePrivate(it.Private); err != nil {
		return entry.Entry{}, fmt.Errorf("entry %d: %v: %w", index, err, frame.ErrCorrupt)
	}
	return e, nil
}
