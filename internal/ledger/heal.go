package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/keyring"
	"stele/internal/segment"
	"stele/tree"
)

// Healing. A sealed segment that is damaged or gone is fetched from a copy. It is believed once its leaves make every root that its commits sign, it continues the entries before
// it, and the entries behind it continue it. Only then does it take the place of the damaged file.

// damagedSegment is why the ledger can't be opened: the segment that begins at an entry.
type damagedSegment struct {
	name  string // "": it is missing, or its name is not known
	first uint64
	err   error
	least uint64 // entries that it proves itself; 0: what is known elsewhere counts
}

func (d *damagedSegment) Error() string { return d.err.Error() }
func (d *damagedSegment) Unwrap() error { return d.err }

// maxSegmentBytes bounds what is read into memory of a copy. A segment has about 16 MiB.
const maxSegmentBytes = 256 << 20

// raw marks the context of a read that wants what lies here, damaged or not, because it is part of a heal: such a read starts no heal of its own.
type raw struct{}

func (l *Ledger) copies() []engine.Copy {
	if l.opt.Copies == nil {
		return nil
	}
	return l.opt.Copies()
}

// mendable says whether an error may mean that the medium lost something.
func mendable(err error) bool {
	for _, not := range []error{context.Canceled, context.DeadlineExceeded, ErrClosed, ErrRange, frame.ErrVersion, keyring.ErrWrongKey} {
		if errors.Is(err, not) {
			return false
		}
	}
	return err != nil
}

// proof is what a copy of a segment was found to be.
type proof struct {
	sum       entry.Hash
	sizeBytes int64
	edge      tree.Frontier // behind its last entry
	marked    tree.Frontier // of the size that was asked for, if the segment has it
	roots     map[uint64]tree.Hash
}

// proveFile reads a segment whole and follows its leaves from edge, the tree before its first entry: every private part must be the one its leaf commits to, every commit's root the leaves',
// every signature ours (of our epoch), the footer that of the last commit. The tree of size mark, if it passes that, is
// where a later epoch may go another way.
func (l *Ledger) proveFile(ctx context.Context, e engine.Engine, name string, edge tree.Frontier, mark uint64) (proof, error) {
	f, err := e.Open(ctx, name)
	if err != nil {
		return proof{}, err
	}
	defer f.Close()
	if f.Size() > maxSegmentBytes {
		return proof{}, fmt.Errorf("%d bytes are too many for a segment: %w", f.Size(), frame.ErrCorrupt)
	}
	b := make([]byte, f.Size()) // what is proven is what is hashed, whatever the copy says the next time
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return proof{}, fmt.Errorf("couldn't read: %w", err)
	}
	epoch, first, _ := segment.ParseName(name)
	if first != edge.Size() {
		return proof{}, fmt.Errorf("begins at entry %d, should be %d: %w", first, edge.Size(), frame.ErrCorrupt)
	}
	s := segment.NewScanner(bytes.NewReader(b), int64(len(b)), first, l.opt.Keys.Sealer)
	p := proof{sum: sha256.Sum256(b), sizeBytes: int64(len(b)), edge: edge, roots: map[uint64]tree.Hash{}}
	var last segment.Commit
	p.marked, last, err = l.follow(s, epoch, &p.edge, mark, p.roots)
	if err != nil {
		return proof{}, err
	}
	if err := s.Whole(); err != nil {
		return proof{}, err
	}
	h, foot, err := segment.ReadFooter(bytes.NewReader(b), int64(len(b)))
	if err == nil && (h.Epoch != epoch || foot.Commit != last) {
		err = fmt.Errorf("the footer is another segment's: %w", frame.ErrCorrupt)
	}
	if err == nil {
		_, err = foot.Rows(first)
	}
	return p, err
}

// follow appends the leaves of a segment's batches to edge, verifies each commit and notes its root; without roots, of the first batch only. It returns the tree of size
// mark, if it passes that, and the last commit.
func (l *Ledger) follow(s *segment.Scanner, epoch uint32, edge *tree.Frontier, mark uint64, roots map[uint64]tree.Hash) (marked tree.Frontier, last segment.Commit, err error) {
	var scratch segment.Scratch
	for {
		c := checkedBatch{}
		if c.Batch, err = s.Next(); err == io.EOF {
			break
		} else if err != nil {
			return marked, last, err
		}
		if s.Header.StoreID != l.opt.Keys.StoreID || s.Header.Epoch != epoch {
			return marked, last, fmt.Errorf("it is of store %x, epoch %d: %w", s.Header.StoreID, s.Header.Epoch, frame.ErrCorrupt)
		}
		if err := c.check(&scratch); err != nil {
			return marked, last, err
		}
		for _, h := range c.hashes {
			if edge.Append(h); edge.Size() == mark {
				marked = *edge
			}
		}
		if root := edge.Root(); root != c.Commit.Root {
			return marked, last, fmt.Errorf("the entries up to %d have the root %s, not the one that is signed: %w", c.Commit.Size, root, frame.ErrCorrupt)
		}
		if _, err := l.verify(epoch, c.Commit); err != nil {
			return marked, last, err
		}
		last = c.Commit
		if roots == nil {
			break
		}
		roots[last.Size] = last.Root
	}
	return marked, last, nil
}

// replace puts a proven copy in the place of a file. A ledger that is opened read-only replaces nothing, and reads the copy instead of the file.
func (l *Ledger) replace(ctx context.Context, name string, c engine.Copy, p proof, why error) error {
	if a, ok := l.opt.Engine.(*substitutes); ok {
		a.substitute(name, c.Engine, p.sizeBytes)
		return nil
	}
	h := heal.Healed{Name: name, From: c.Name, What: why.Error(), Bytes: p.sizeBytes}
	var err error
	h.Difference, err = heal.Replace(ctx, l.opt.Engine, name, p.sizeBytes, c.Engine, func(sum entry.Hash) error {
		if sum != p.sum && !bug.On(bug.ReplaceUnproven) {
			return errors.New("it changed while it was copied")
		}
		return nil
	})
	if err == nil && l.opt.Healed != nil {
		l.opt.Healed(h)
	}
	return err
}

// heals bounds how often one read waits for a heal. A file can be damaged again while it is healed; a read must end all the same.
const heals = 3

// healing runs fn, which reads f, and again when what it met was healed, or laid over where f still grows.
func (l *Ledger) healing(ctx context.Context, f *file, fn func() error) error {
	moved := 0
	for try := 0; ; try++ {
		err := fn()
		for ; errors.Is(err, engine.ErrNotExist) && moved < heals; moved++ { // superseded since it was opened: of a server each read is a request by its name
			l.open.drop(f.name)
			err = fn()
		}
		if !mendable(err) || try == heals || ctx.Value(raw{}) != nil {
			return err
		}
		sealed := l.isSealed(f)
		if !sealed && len(l.copies()) == 0 {
			return err
		}
		heal := l.lay
		if sealed {
			heal = func(ctx context.Context, f *file) error { return l.healFile(ctx, f, err) }
		}
		if why := heal(ctx, f); why != nil {
			if errors.Is(why, errSealedNow) {
				continue // from now on the sealed file counts, and heals as one
			}
			if sealed && l.opt.Unhealed != nil && ctx.Err() == nil {
				l.opt.Unhealed(f.name, why)
			}
			if errors.As(why, new(*AgainError)) && l.readElsewhere(ctx, f) {
				continue
			}
			if errors.Is(why, err) { // it says what is wrong here
				return why
			}
			return fmt.Errorf("%w; %w", err, why)
		}
	}
}

func (l *Ledger) isSealed(f *file) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return f.sealed
}

// Heal replaces a sealed segment that is damaged or gone by the first copy that proves itself. If another goroutine is healing it already, Heal waits for that and shares its outcome. It also returns nil if nothing is wrong with the segment.
func (l *Ledger) Heal(ctx context.Context, name string, why error) error {
	f, err := l.named(name)
	if err != nil {
		return err
	}
	return l.healFile(ctx, f, why)
}

func (l *Ledger) healFile(ctx context.Context, f *file, why error) error {
	return l.turns.Do(ctx, f.name, func() error {
		edge, err := l.edgeAt(ctx, f.first)
		if err != nil {
			return fmt.Errorf("couldn't heal %s: %w", f.name, err)
		}
		defer l.open.drop(f.name)
		if p, err := l.proveFile(ctx, l.opt.Engine, f.name, edge, f.end); err == nil && l.fits(ctx, f, p) == nil {
			return nil // healed since it was opened
		}
		if err := l.turns.Again(ctx, f.name); err != nil {
			return err
		}
		var errs []error
		for _, c := range l.copies() {
			p, err := l.proveFile(ctx, c.Engine, f.name, edge, f.end)
			if err == nil {
				err = l.fits(ctx, f, p)
			}
			if err == nil {
				err = l.settle(ctx, f, c, p, why)
			}
			if err == nil {
				return nil
			}
			errs = append(errs, heal.OfCopy(c.Name, err))
		}
		if err := l.healFromPieces(ctx, f, why); err != nil && len(errs) == 0 {
			return fmt.Errorf("%s is damaged here, and there is no copy to heal it from: %w; what is wrong here: %w", f.name, err, why)
		} else if err != nil {
			return fmt.Errorf("%s is damaged here, and no copy is good: %w; what is wrong here: %w", f.name, heal.Joined(append(errs, err)), why)
		}
		return nil
	})
}

// settle replaces f. Where nothing can be written, it has f read from the copy from now on.
func (l *Ledger) settle(ctx context.Context, f *file, c engine.Copy, p proof, why error) error {
	err := ErrClosed
	if !l.readOnly {
		err = l.replace(ctx, f.name, c, p, why)
	}
	if err != nil && (l.readOnly || errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrFailed)) {
		l.mu.Lock()
		f.from = c.Engine
		l.mu.Unlock()
		return nil
	}
	if err == nil {
		l.turns.Replaced(f.name)
		l.mu.Lock()
		f.from = nil
		l.mu.Unlock()
	}
	return err
}

// AgainError: a segment was replaced a short time ago and is damaged again.
type AgainError = heal.AgainError

// readElsewhere has a segment read from the first copy that proves itself, while its replacement must wait (AgainError).
func (l *Ledger) readElsewhere(ctx context.Context, f *file) bool {
	edge, err := l.edgeAt(ctx, f.first)
	if err != nil {
		return false
	}
	for _, c := range l.copies() {
		p, err := l.proveFile(ctx, c.Engine, f.name, edge, f.end)
		if err == nil && l.fits(ctx, f, p) == nil {
			l.mu.Lock()
			f.from = c.Engine
			l.mu.Unlock()
			l.open.drop(f.name)
			return true
		}
	}
	return false
}

// edgeAt is the tree of the first entries, up to the beginning of a segment: by the hashes of whole groups, and the leaves before it in its own group.
func (l *Ledger) edgeAt(ctx context.Context, first uint64) (edge tree.Frontier, err error) {
	l.mu.RLock()
	groups := l.groups[:first/tree.GroupSize]
	l.mu.RUnlock()
	for _, g := range groups {
		if err := edge.AppendGroup(g); err != nil {
			return edge, err
		}
	}
	err = l.eachLeaf(ctx, edge.Size(), first, func(leaf []byte) error { // heals the segment before, if need be, and that the one before it
		edge.Append(entry.LeafHash(leaf))
		return nil
	})
	return edge, err
}

// fits says whether a proven copy is f as this ledger knows it: the same end, and the tree goes on from it to what is in memory.
func (l *Ledger) fits(ctx context.Context, f *file, p proof) error {
	if p.marked.Size() != f.end || f.limit == 0 && p.edge.Size() != f.end {
		return fmt.Errorf("holds the entries up to %d, should be %d: %w", p.edge.Size(), f.end, heal.ErrUnproven)
	}
	l.mu.RLock()
	end := min((f.end+tree.GroupSize-1)/tree.GroupSize*tree.GroupSize, l.head.size)
	want := l.head.root
	if end != l.head.size { // whole groups
		var whole tree.Frontier
		for _, g := range l.groups[:end/tree.GroupSize] {
			if err := whole.AppendGroup(g); err != nil {
				l.mu.RUnlock()
				return err
			}
		}
		want = whole.Root()
	}
	l.mu.RUnlock()
	edge := p.marked
	err := l.eachLeaf(context.WithValue(ctx, raw{}, true), f.end, end, func(leaf []byte) error {
		edge.Append(entry.LeafHash(leaf))
		return nil
	})
	if err != nil {
		return nil // the one behind is damaged as well; the commits' signatures have to do
	}
	if edge.Root() != want && want != (tree.Hash{}) { // none yet: Open is at the end of an epoch that another one cut off
		return fmt.Errorf("the entries behind it do not go on from it: %w", heal.ErrUnproven)
	}
	return nil
}

// Scrub reads a sealed segment whole, no faster than pace lets it, and returns how many bytes it read. An error says what is wrong with it: frames, leaves, private parts, roots,
// signatures, or that it is not the one between those before and behind it.
func (l *Ledger) Scrub(ctx context.Context, name string, pace func(int64) error) (int64, error) {
	f, err := l.named(name)
	if err != nil {
		return 0, err
	}
	edge, err := l.edgeAt(ctx, f.first)
	if err != nil {
		return 0, err
	}
	i, err := l.opt.Engine.Open(ctx, name)
	if err != nil {
		return 0, err
	}
	size := i.Size()
	if err := errors.Join(i.Close(), pace(size)); err != nil {
		return 0, err
	}
	p, err := l.proveFile(ctx, l.opt.Engine, name, edge, f.end)
	if err == nil {
		err = l.fits(ctx, f, p)
	}
	if err != nil {
		err = fmt.Errorf("segment %s: %w", name, err)
	}
	return size, err
}

// Sealed returns the names of the sealed segments, in order.
func (l *Ledger) Sealed() (names []string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, f := range l.segments {
		if f.sealed {
			names = append(names, f.name)
		}
	}
	return names
}

func (l *Ledger) named(name string) (*file, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, f := range l.segments {
		if f.sealed && f.name == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s is no sealed segment of the ledger: %w", name, engine.ErrNotExist)
}
