package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// recovery copies what was committed in tails into a fresh segment: after an I/O error the page cache can show what the disk does not hold, so
// no tail is trusted, and none is written to again (DESIGN invariant 6). The copy is an ordinary segment, written and sealed by the calls that write and seal
// every day.
type recovery struct {
	l    *Ledger
	into *engine.Memory  // holds the copy; nil: the ledger's engine does
	w    *segment.Writer // nil until there is something to copy
	last segment.Commit
	saw  uint64 // the largest size that any tail proves
	why  error  // what stood between
}

// recoverTails brings the ledger up to what its tails hold. A crash anywhere in it is harmless: until the copy is published the tails are still there, and
// after that they hold nothing that the copy lacks.
func (l *Ledger) recoverTails(ctx context.Context) error {
	app, ok := l.opt.Engine.(engine.Appender)
	if !ok {
		return errors.New("couldn't open the ledger: the engine can't append, open it read-only")
	}
	tails, err := segmentTails(ctx, app)
	if err != nil {
		return err
	}
	r := recovery{l: l}
	held, err := r.tails(tails)
	if err != nil {
		return errors.Join(err, r.close())
	}
	if bug.On(bug.RemoveTailFirst) {
		if err := removeTails(ctx, app, held); err != nil {
			return errors.Join(err, r.close())
		}
		held = nil
	}
	if err := r.publish(); err != nil {
		return errors.Join(fmt.Errorf("couldn't recover: %w", err), r.close())
	}
	if err := r.close(); err != nil {
		return fmt.Errorf("couldn't recover: %w", err)
	}
	return removeTails(ctx, app, held) // last: only now a sealed segment holds all that they hold
}

// tails copies the batches that the ledger lacks. It returns the tails that may be removed once the copy is published: those that hold nothing beyond ledger and copy, or nothing of this ledger.
func (r *recovery) tails(tails []engine.Tail) (held []engine.Tail, err error) {
	l := r.l
	frontier, groups := l.seq.frontier, len(l.groups)
	for _, t := range tails {
		goes := true
		epoch, _, _ := segment.ParseName(t.Name)
		if epoch == l.opt.Keys.Epoch {
			err = r.tail(t)
		} else {
			goes, err = l.notOurs(t, epoch)
		}
		if err != nil {
			return nil, fmt.Errorf("couldn't recover tail %s: %w", t.Private, err)
		}
		if goes {
			held = append(held, t)
		}
	}
	if size := l.seq.frontier.Size(); r.saw > size {
		l.seq.frontier, l.groups = frontier, l.groups[:groups] // what heals this from a copy starts from the sealed segments
		err := fmt.Errorf("couldn't recover: a tail is damaged behind its first %d entries (%v), and proves that there were %d: copy it back from a backup: %w", size, r.why, r.saw, frame.ErrCorrupt)
		return nil, &damagedSegment{first: l.head.size, err: err, least: r.saw}
	}
	return held, nil
}

func removeTails(ctx context.Context, app engine.Appender, tails []engine.Tail) error {
	for _, t := range tails {
		if err := app.RemoveTail(ctx, t); err != nil {
			return fmt.Errorf("couldn't remove tail %s: %w", t.Private, err)
		}
	}
	return nil
}

// segmentTails lists the tails of segments in the order of their entries.
func segmentTails(ctx context.Context, e interface {
	Tails(context.Context) ([]engine.Tail, error)
}) ([]engine.Tail, error) {
	all, err := e.Tails(ctx)
	if err != nil {
		return nil, fmt.Errorf("couldn't look for tails: %w", err)
	}
	all = slices.DeleteFunc(all, func(t engine.Tail) bool { _, _, ok := segment.ParseName(t.Name); return !ok })
	slices.SortFunc(all, func(a, b engine.Tail) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Private, b.Private))
	})
	return all, nil
}

// tail copies the batches of one tail that the ledger has not. Reading and decoding are one batch or more ahead of hashing and writing.
func (r *recovery) tail(t engine.Tail) error {
	_, first, _ := segment.ParseName(t.Name)
	f, err := t.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	s := segment.NewScanner(f, f.Size(), first, r.l.opt.Keys.Sealer)
	checked, quit := make(chan checkedBatch, 8), make(chan struct{})
	defer func() { // the goroutine uses the scanner until checked is closed: wait for that before f is closed
		close(quit)
		for range checked {
		}
	}()
	go scanChecked(s, r.l.opt.Keys.StoreID, checked, quit)
	for b := range checked {
		if b.err != nil {
			return b.err
		}
		if err := r.batch(b); err != nil {
			return err
		}
	}
	why, saw, err := s.Broken()
	if err != nil {
		return err
	}
	if saw > r.saw {
		r.saw, r.why = saw, why
	}
	return nil
}

// checkedBatch is a batch whose leaves and private parts belong together.
type checkedBatch struct {
	segment.Batch
	file      frame.FileID
	firstTime int64
	hashes    []tree.Hash
	err       error
}

func scanChecked(s *segment.Scanner, store [16]byte, out chan<- checkedBatch, quit <-chan struct{}) {
	defer close(out)
	var scratch segment.Scratch
	for {
		var c checkedBatch
		c.Batch, c.err = s.Next()
		if c.err == io.EOF {
			return
		}
		if c.err == nil && s.Header.StoreID != store {
			c.err = fmt.Errorf("it is of store %x: move it away", s.Header.StoreID)
		}
		if c.err == nil {
			c.file, c.err = s.Header.FileID, c.check(&scratch)
		}
		select {
		case out <- c:
		case <-quit:
			return
		}
		if c.err != nil {
			return
		}
	}
}

// check checks each entry against its leaf, hashes the leaves and fills in the times of the pairs.
func (c *checkedBatch) check(scratch *segment.Scratch) error {
	var last int64
	for i := range c.Pairs {
		p := &c.Pairs[i]
		items, err := p.ItemsIn(scratch)
		if err != nil {
			return err
		}
		for j := range items {
			index := p.First + uint64(j)
			leaf, err := parseLeaf(&items[j], index)
			if err != nil {
				return err
			}
			t := micros(leaf.Time)
			if len(c.hashes) == 0 {
				c.firstTime = t
			} else if t < last {
				return fmt.Errorf("entry %d is older than the one before: %w", index, frame.ErrCorrupt)
			}
			last = t
			c.hashes = append(c.hashes, entry.LeafHash(items[j].Leaf))
		}
		p.LastTime = last
	}
	if c.Commit.Time != last {
		return fmt.Errorf("commit of size %d has another time than its last entry: %w", c.Commit.Size, frame.ErrCorrupt)
	}
	return nil
}

// batch copies one batch, if it is the next, once its root is verified. The signature is verified once, at the end: the last root covers all.
func (r *recovery) batch(b checkedBatch) error {
	l, c := r.l, b.Commit
	size := l.seq.frontier.Size()
	if c.Size <= size { // a sealed segment has it, or another tail, because an earlier recovery was cut short
		if root := l.seq.frontier.Root(); c.Size == size && c.Root != root {
			return fmt.Errorf("at size %d its root differs from the ledger's: %w", size, frame.ErrCorrupt)
		}
		return nil
	}
	if c.First != size {
		return &damagedSegment{first: size, err: fmt.Errorf("it goes on at entry %d where %d is missing: %w", c.First, size, frame.ErrCorrupt)}
	}
	if last := max(l.head.commit.Time, r.last.Time); size > 0 && b.firstTime < last {
		return fmt.Errorf("entry %d is older than the one before: %w", size, frame.ErrCorrupt)
	}
	l.groups = l.seq.frontier.AppendMany(l.groups, b.hashes...)
	if root := l.seq.frontier.Root(); root != c.Root {
		return fmt.Errorf("the entries up to %d have the root %s, not the one that is signed: %w", c.Size, root, frame.ErrCorrupt)
	}
	if r.w == nil {
		id := frame.NewFileID()
		if bug.On(bug.ReuseFileID) {
			id = b.file
		}
		w, err := l.createIn(r.into, size, id, recoveryBuffer)
		if err != nil {
			return err
		}
		r.w = w
	}
	if err := r.w.Append(b.Batch, b.firstTime); err != nil {
		return err
	}
	r.last = c
	return nil
}

const recoveryBuffer = 1 << 20 // bytes written at once

// publish seals the copy, once its last root has been found signed. From here on the copy is the ledger.
func (r *recovery) publish() error {
	if r.w == nil {
		return nil
	}
	l := r.l
	signer, err := l.verify(l.opt.Keys.Epoch, r.last)
	if err != nil {
		return err
	}
	w := r.w
	if err := sealWriter(w, &l.seq.frontier, l.groups[w.First()/tree.GroupSize:]); err != nil {
		return err
	}
	l.blocks = tree.BlockHashes(l.blocks, l.groups)
	l.head = head{r.last.Size, r.last.Root, r.last, signer}
	l.segments = append(l.segments, &file{name: w.Name(), first: w.First(), end: r.last.Size, firstTime: w.FirstTime(), lastTime: r.last.Time, sealed: true})
	return nil
}

func (r *recovery) close() error {
	if r.w == nil {
		return nil
	}
	return r.w.Close()
}

// readTails is recoverTails for a ledger that is opened read-only because its engine takes no writes (a full disk, say). The copy is made in memory and read there, and the tails stay. The copy holds
// one segment at most.
func (l *Ledger) readTails(ctx context.Context) error {
	e, ok := l.opt.Engine.(*substitutes)
	if !ok {
		return l.refuseTails(ctx)
	}
	tails, err := segmentTails(ctx, e)
	if err != nil {
		return err
	}
	r := recovery{l: l, into: new(engine.Memory)}
	if _, err = r.tails(tails); err == nil {
		err = r.publish()
	}
	if err = errors.Join(err, r.close()); err != nil {
		return fmt.Errorf("couldn't read the tails: %w", err)
	}
	if r.w != nil {
		b := r.into.Bytes()
		e.substitute(r.w.Name(), inMemory{b: b}, int64(len(b)))
	}
	return nil
}

// inMemory is an engine of one file.
type inMemory struct {
	engine.Engine
	b []byte
}

// Open implements engine.Engine.
func (m inMemory) Open(context.Context, string) (engine.File, error) {
	return engine.NewBytesFile(m.b), nil
}

// refuseTails is for a ledger that is opened read-only without Options.ReadTails. It refuses a tail that has entries which no sealed segment holds: showing the ledger without them would hide acknowledged entries.
func (l *Ledger) refuseTails(ctx context.Context) error {
	e, ok := l.opt.Engine.(interface {
		Tails(context.Context) ([]engine.Tail, error)
	})
	if !ok {
		return nil
	}
	tails, err := segmentTails(ctx, e)
	if err != nil {
		return err
	}
	for _, t := range tails {
		epoch, first, _ := segment.ParseName(t.Name)
		if epoch != l.opt.Keys.Epoch {
			if _, err := l.notOurs(t, epoch); err != nil {
				return fmt.Errorf("couldn't read tail %s: %w", t.Private, err)
			}
			continue
		}
		end, err := tailEnd(t, first)
		if err != nil {
			return fmt.Errorf("couldn't read tail %s: %w", t.Private, err)
		}
		if end > l.head.size {
			return fmt.Errorf("couldn't open the ledger read-only: %w: entries %d to %d stand in a tail. Run a verb that writes, or serve, once", ErrTail, l.head.size, end-1)
		}
	}
	return nil
}

// tailEnd returns the size that the last committed batch of a tail gives the ledger.
func tailEnd(t engine.Tail, first uint64) (uint64, error) {
	f, err := t.Open()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	s, end := segment.NewScanner(f, f.Size(), first, nil), first
	for {
		b, err := s.Next()
		if err == io.EOF {
			_, saw, err := s.Broken()
			return max(end, saw), err
		}
		if err != nil {
			return 0, err
		}
		end = b.Commit.Size
	}
}
