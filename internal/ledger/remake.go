package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/segment"
	"stele/tree"
)

// Remaking. A target can have a segment in pieces only: its tails, which were shipped while it grew. Its batches then come from whatever files of the copy hold them, each checked like one of a
// tail that is recovered and by its own signature, and make a segment of the same name and the same entries, under a file id of its own. A segment that still grows is not touched: what a copy
// has of it is laid over the damaged bytes in memory, it takes no more entries, and is healed once it is sealed.

// eachBatch calls fn for the batches of an epoch from entry from on, as far as a copy has them without a gap. A file that begins before from is entered where from begins a batch.
func (l *Ledger) eachBatch(ctx context.Context, e engine.Engine, epoch uint32, from uint64, fn func(segment.Batch) error) error {
	type piece struct {
		name  string
		first uint64
	}
	var pieces []piece
	err := e.List(ctx, engine.Segments, func(i engine.Info) error {
		if ep, first, ok := segment.ParseName(i.Name); ok && ep == epoch {
			pieces = append(pieces, piece{i.Name, first})
		}
		return nil
	})
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Compare(a.first, b.first) })
	begin, _ := slices.BinarySearchFunc(pieces, from+1, func(p piece, at uint64) int { return cmp.Compare(p.first, at) })
	if begin == 0 && err == nil {
		err = fmt.Errorf("the entries from %d on: %w", from, engine.ErrNotExist)
	}
	at := from
	for i := begin - 1; err == nil && i < len(pieces) && pieces[i].first <= at; i++ {
		if at, err = l.batchesOf(ctx, e, pieces[i].name, at, fn); err != nil {
			err = fmt.Errorf("%s: %w", pieces[i].name, err)
		}
	}
	return err
}

// errEnough ends eachBatch.
var errEnough = errors.New("that was the last one")

// batchesOf does the part of eachBatch that one file holds, and returns where that ends.
func (l *Ledger) batchesOf(ctx context.Context, e engine.Engine, name string, at uint64, fn func(segment.Batch) error) (uint64, error) {
	epoch, first, _ := segment.ParseName(name)
	f, err := openHeld(ctx, e, name, at+1)
	if err != nil {
		return at, err
	}
	defer f.Close()
	if f.Size() > maxSegmentBytes {
		return at, fmt.Errorf("%d bytes are too many for a segment: %w", f.Size(), frame.ErrCorrupt)
	}
	if h, _, err := segment.ReadFooter(f, f.Size()); err == nil {
		first = min(first, h.First) // of what took its place
	}
	s := segment.NewScanner(f, f.Size(), first, l.opt.Keys.Sealer)
	for {
		b, err := s.Next()
		if err == io.EOF {
			return at, nil // if it is damaged here the next file does not go on
		}
		switch {
		case err != nil:
		case s.Header.StoreID != l.opt.Keys.StoreID || s.Header.Epoch != epoch:
			err = fmt.Errorf("it is of store %x, epoch %d: %w", s.Header.StoreID, s.Header.Epoch, frame.ErrCorrupt)
		case b.Commit.Size <= at:
			continue
		case b.Commit.First != at:
			err = fmt.Errorf("no batch begins at entry %d: %w", at, heal.ErrUnproven)
		default:
			err = fn(b)
		}
		if err != nil {
			return at, err
		}
		at = b.Commit.Size
	}
}

// remade is a segment that is made again in memory. Its batches have the same lengths and numbers as before. Only the file id differs, because no key and nonce may ever seal two contents.
type remade struct {
	l   *Ledger
	to  uint64 // the last batch ends there at most
	w   *segment.Writer
	mem engine.Memory
	c   *checker
	why []error // what stood in the way, of each source

	roots map[uint64]tree.Hash // of its commits
}

// remake begins a segment of that file id, of the entries from first up to to at most.
func (l *Ledger) remake(ctx context.Context, epoch uint32, first, to uint64, key uint32, id frame.FileID) (*remade, error) {
	r := &remade{l: l, to: to, roots: map[uint64]tree.Hash{}}
	var err error
	if r.c, err = l.check(ctx, first); err != nil {
		return nil, err
	}
	sealer, err := l.opt.Keys.Sealer(key, id)
	if err != nil {
		return nil, err
	}
	r.w, err = segment.Create(ctx, &r.mem, segment.Options{StoreID: l.opt.Keys.StoreID, KeyID: key, Epoch: epoch, First: first, FileID: id, Sealer: sealer})
	return r, err
}

// add appends a batch if it is the next, and proves itself: private parts, leaves, root, signature.
func (r *remade) add(b segment.Batch) error {
	if b.Commit.Size > r.to {
		return errEnough
	}
	frontier, groups, last, within := r.c.frontier, len(r.c.groups), r.c.last, r.c.within
	err := r.c.batch(b)
	if err == nil && !bug.On(bug.UnsignedPieces) {
		epoch, _, _ := segment.ParseName(r.w.Name())
		_, err = r.l.verify(epoch, b.Commit)
	}
	if err != nil {
		r.c.frontier, r.c.groups, r.c.last, r.c.within = frontier, r.c.groups[:groups], last, within
		return err
	}
	r.roots[b.Commit.Size] = b.Commit.Root
	return r.w.Append(b, r.c.firstTime)
}

// from takes batches from a source until the source has no more, and says whether there were any.
func (r *remade) from(name string, each func(at uint64, add func(segment.Batch) error) error) bool {
	at := r.w.Next()
	err := each(at, r.add)
	if r.w.Next() > at {
		return true
	}
	if err == nil {
		err = fmt.Errorf("no batch of entry %d", at)
	}
	r.why = append(r.why, fmt.Errorf("%s: %w", name, err))
	return false
}

// local is what lies here of a segment, sealed or not.
type local struct {
	h frame.Header
	f engine.File
}

// fromAll takes batches from what lies here and from the copies: each next batch from any of them that has it, as far as all of them together reach. It returns the copies that were used.
func (r *remade) fromAll(ctx context.Context, locals []local, copies []engine.Copy) (used []string) {
	for r.w.Next() < r.to && ctx.Err() == nil {
		went := false
		r.why = nil
		for _, k := range locals {
			if r.w.SizeBytes() >= k.f.Size() {
				continue
			}
			went = r.from("here", func(at uint64, add func(segment.Batch) error) error {
				s, err := segment.Resume(k.f, k.f.Size(), k.h, r.w.SizeBytes(), r.w.Number(), at, r.l.opt.Keys.Sealer)
				for err == nil {
					var b segment.Batch
					if b, err = s.Next(); err == nil {
						err = add(b)
					}
				}
				if err == io.EOF {
					err = nil
				}
				return err
			}) || went
		}
		for _, c := range copies {
			epoch, _, _ := segment.ParseName(r.w.Name())
			if r.from(c.Name, func(at uint64, add func(segment.Batch) error) error {
				return r.l.eachBatch(ctx, c.Engine, epoch, at, add)
			}) {
				if went = true; !slices.Contains(used, c.Name) {
					used = append(used, c.Name)
				}
				break // what lies here may go on
			}
		}
		if !went {
			break
		}
	}
	return used
}

// reached says whether a remade segment goes as far as it must, and is of this ledger.
func (r *remade) reached(ctx context.Context, least uint64) error {
	if size := r.w.Next(); size < least {
		return heal.Joined(append(r.why, fmt.Errorf("put together from what is left of all copies it holds the entries up to %d of %d: %w", size, least, heal.ErrUnproven)))
	}
	return r.l.sameGroups(ctx, r.w.First(), r.c)
}

// sameGroups says whether what was checked is of this ledger: the hashes of whole groups, and the root at the end as far as it can be had without the entries that are being healed.
func (l *Ledger) sameGroups(ctx context.Context, first uint64, c *checker) error {
	l.mu.RLock()
	known := l.groups[min(first/tree.GroupSize, uint64(len(l.groups))):]
	same := slices.Equal(c.groups[:min(len(c.groups), len(known))], known[:min(len(c.groups), len(known))])
	within := c.last.Size <= l.head.size
	l.mu.RUnlock()
	if same && within {
		root, err := l.Root(context.WithValue(ctx, raw{}, true), c.last.Size)
		same = err != nil || root == c.last.Root
	}
	if !same {
		return fmt.Errorf("the entries up to %d are not this ledger's: %w", c.last.Size, heal.ErrUnproven)
	}
	return nil
}

// seal makes the remade segment a sealed one.
func (r *remade) seal() (file engine.File, p proof, err error) {
	if err := sealWriter(r.w, &r.c.frontier, r.c.groups); err != nil {
		return nil, p, err
	}
	b := r.mem.Bytes()
	p = proof{sum: sha256.Sum256(b), sizeBytes: int64(len(b)), edge: r.c.frontier, marked: r.c.frontier, roots: r.roots}
	return engine.NewBytesFile(b), p, nil
}

// healFromPieces replaces a sealed segment by one that is made again of what is left of it here and of the files in which copies have its entries.
func (l *Ledger) healFromPieces(ctx context.Context, f *file, why error) error {
	if f.limit > 0 {
		return errors.New("a later epoch goes another way in it")
	}
	epoch, first, _ := segment.ParseName(f.name)
	r, err := l.remake(ctx, epoch, first, f.end, l.opt.Keys.Current().ID, frame.NewFileID())
	if err != nil {
		return err
	}
	return l.healRemade(ctx, f, r, why)
}

// healRemade completes a segment that is being made again, from what is left of it here and from copies, and puts it in place.
func (l *Ledger) healRemade(ctx context.Context, f *file, r *remade, why error) error {
	l.mu.RLock()
	h := f.header
	l.mu.RUnlock()
	var locals []local
	if file, err := l.opt.Engine.Open(ctx, f.name); err == nil {
		defer file.Close()
		if k, err := localOf(h, file); err == nil {
			locals = append(locals, k)
		}
	}
	used := r.fromAll(ctx, locals, l.copies())
	if err := r.reached(ctx, f.end); err != nil {
		return err
	}
	return l.settleRemade(ctx, f, usedNames(used), r, why)
}

// localOf is a file with its header: the one that was written, if that is known, else the one that it begins with.
func localOf(h frame.Header, f engine.File) (local, error) {
	if h.Magic != "" {
		return local{h, f}, nil
	}
	var b [frame.HeaderSize]byte
	if n, err := f.ReadAt(b[:], 0); n < len(b) {
		return local{}, err
	}
	h, err := frame.ParseHeader(b[:], frame.MagicSegment)
	return local{h, f}, err
}

func usedNames(used []string) string {
	if len(used) == 0 {
		return "what is left of it"
	}
	return strings.Join(used, "+")
}

// settleRemade puts a remade segment in the place of f, or reads from it from now on where nothing can be written.
func (l *Ledger) settleRemade(ctx context.Context, f *file, from string, r *remade, why error) error {
	b, p, err := r.seal()
	if err == nil {
		err = l.fits(ctx, f, p)
	}
	if err != nil {
		return err
	}
	return l.settle(ctx, f, engine.Copy{Name: from, Engine: single{name: f.name, file: b}}, p, why)
}

// single is an engine of one file in memory.
type single struct {
	engine.Engine // nil
	name          string
	file          engine.File
}

// Open implements engine.Engine.
func (s single) Open(_ context.Context, name string) (engine.File, error) {
	if name != s.name {
		return nil, engine.ErrNotExist
	}
	return s.file, nil
}

// errSealedNow: the segment was sealed while a reader of it waited for its turn.
var errSealedNow = errors.New("the segment was sealed meanwhile")

// lay has the damaged bytes of a growing segment read from a copy. The file itself is not touched: it is still being written. errSealedNow if it isn't any more.
func (l *Ledger) lay(ctx context.Context, f *file) error {
	return l.turns.Do(ctx, f.name+", which grows", func() error {
		l.mu.RLock()
		v, end, had, sealed := f.view, f.end, len(f.over), f.sealed
		l.mu.RUnlock()
		switch {
		case v == nil && sealed:
			return errSealedNow
		case v == nil:
			return ErrClosed
		}
		var errs []error
		for _, c := range l.copies() {
			r, err := l.remake(ctx, v.Header.Epoch, f.first, end, v.Header.KeyID, v.Header.FileID)
			if err != nil {
				return err
			}
			r.from(c.Name, func(at uint64, add func(segment.Batch) error) error {
				return l.eachBatch(ctx, c.Engine, v.Header.Epoch, at, add)
			})
			if err = r.reached(ctx, f.first+1); err == nil && len(r.mem.Bytes()) <= had {
				return nil // somebody else was first, or there is no more: who asked reads again and sees
			}
			if err == nil {
				l.mu.Lock()
				f.over = bytes.Clone(r.mem.Bytes())
				l.mu.Unlock()
				l.spoilt.Store(f.first + 1)
				return nil
			}
			errs = append(errs, err)
		}
		return fmt.Errorf("couldn't read %s from a copy: %w", f.name, heal.Joined(errs))
	})
}

// healLaid replaces a segment that was sealed just now, and was damaged while it grew, by what its readers saw, as far as that goes.
func (l *Ledger) healLaid(f *file, v *segment.Reader) error {
	ctx := context.Background()
	why := errors.New("it was damaged while it grew")
	return l.turns.Do(ctx, f.name, func() error {
		defer l.open.drop(f.name)
		r, err := l.remake(ctx, v.Header.Epoch, f.first, f.end, l.opt.Keys.Current().ID, frame.NewFileID())
		if err != nil {
			return err
		}
		r.from("here", func(_ uint64, add func(segment.Batch) error) error { return v.Batches(f.first, f.end, add) })
		return l.healRemade(ctx, f, r, why)
	})
}

// remakeAtOpen makes the segment at which the ledger could not be opened of what lies here and of the files in which copies have its entries: up to least at the least, or exactly.
func (l *Ledger) remakeAtOpen(ctx context.Context, d *damagedSegment, next string, least uint64, exact bool) error {
	epoch, _, _ := segment.ParseName(cmp.Or(d.name, next))
	if epoch == 0 {
		epoch = l.opt.Keys.Epoch
	}
	to := ^uint64(0)
	if exact {
		to = least
	}
	r, err := l.remake(ctx, epoch, d.first, to, l.opt.Keys.Current().ID, frame.NewFileID())
	if err != nil {
		return err
	}
	locals, err := l.leftOf(ctx, d, epoch)
	for _, k := range locals {
		defer k.f.Close()
	}
	if err != nil {
		return err
	}
	used := r.fromAll(ctx, locals, l.copies())
	if err := r.reached(ctx, least); err != nil {
		return err
	}
	file, p, err := r.seal()
	if err == nil {
		err = l.wasPublished(p)
	}
	if err == nil {
		err = l.goesOn(ctx, next, p.edge)
	}
	if err != nil {
		return err
	}
	name := segment.Name(epoch, d.first)
	return l.replace(ctx, name, engine.Copy{Name: usedNames(used), Engine: single{name: name, file: file}}, p, d.err)
}

// leftOf opens what lies here of a segment: the damaged file, or the tails that begin where it did.
func (l *Ledger) leftOf(ctx context.Context, d *damagedSegment, epoch uint32) (left []local, err error) {
	name := segment.Name(epoch, d.first)
	open := []func() (engine.File, error){func() (engine.File, error) { return l.opt.Engine.Open(ctx, name) }}
	if e, ok := l.opt.Engine.(engine.Appender); ok {
		tails, err := segmentTails(ctx, e)
		if err != nil {
			return nil, err
		}
		for _, t := range tails {
			if t.Name == name {
				open = append(open, t.Open)
			}
		}
	}
	for _, fn := range open {
		f, err := fn()
		if err != nil {
			continue // what can't be read is of no use
		}
		if k, err := localOf(frame.Header{}, f); err == nil {
			left = append(left, k)
		} else {
			_ = f.Close()
		}
	}
	return left, nil
}

// SegmentBytes is WriteSegment into memory. What is damaged here comes from a copy.
func (l *Ledger) SegmentBytes(ctx context.Context, from, to uint64) ([]byte, error) {
	f, err := l.find(from)
	if err != nil {
		return nil, err
	}
	var b []byte
	err = l.healing(ctx, f, func() error {
		var m engine.Memory
		err := l.WriteSegment(ctx, &m, from, to)
		b = m.Bytes()
		return err
	})
	return b, err
}

// nameIn is what a missing segment is called: by the copy that has one which begins there.
func (l *Ledger) nameIn(ctx context.Context, e engine.Engine, d *damagedSegment, next string) (name string, err error) {
	if d.name != "" {
		return d.name, nil
	}
	most := l.opt.Keys.Epoch
	if next != "" {
		most, _, _ = segment.ParseName(next)
	}
	err = e.List(ctx, engine.Segments, func(i engine.Info) error {
		if epoch, first, ok := segment.ParseName(i.Name); ok && first == d.first && epoch <= most {
			name = i.Name
		}
		return nil
	})
	if err == nil && name == "" {
		err = fmt.Errorf("the segment of entry %d: %w", d.first, engine.ErrNotExist)
	}
	return name, err
}

// goesOn says whether the first batch of the file behind continues edge. If so, that batch's signed root covers the copy's entries. A file that can't be read is no objection.
func (l *Ledger) goesOn(ctx context.Context, next string, edge tree.Frontier) error {
	if next == "" {
		return nil
	}
	f, err := l.opt.Engine.Open(ctx, next)
	if err != nil {
		return nil
	}
	defer f.Close()
	epoch, first, _ := segment.ParseName(next)
	before := edge
	s := segment.NewScanner(f, f.Size(), first, l.opt.Keys.Sealer)
	if _, _, err := l.follow(s, epoch, &edge, 0, nil); err != nil && edge != before { // it holds a batch, and that goes on from other entries
		return fmt.Errorf("the entries behind it do not go on from it: %w: %w", err, heal.ErrUnproven)
	}
	return nil
}
