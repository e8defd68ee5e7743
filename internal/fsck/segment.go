package fsck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/segment"
	"stele/tree"
)

// checked is a batch on its way: what can be said of it alone is found out by one of several goroutines, what depends on the entries
// before it by the one that builds the tree.
type checked struct {
	segment.Batch
	end       int64 // of the batch in its file
	entries   []checkedEntry
	err       error // why there are no more than these entries
	signature error
	done      chan struct{}
}

type checkedEntry struct {
	leaf    entry.Leaf
	hash    tree.Hash
	private *entry.Private // nil: lawfully erased
	err     error
}

// batchesAhead bounds the batches that are checked and not yet in the tree: some 12 MB each at most.
const batchesAhead = 8

// segment verifies one file: its frames (by the scanner), each leaf, each private part against its leaf, and each commit's root and signature. What is wrong behind the place where a later
// epoch went another way is wrong with the evidence.
func (j *job) segment(ctx context.Context, c *chain, name string, f engine.File) error {
	j.report.Segments++
	here := &c.branch
	wrong := func(format string, args ...any) {
		if here == &c.branch {
			j.problem(name, format, args...)
		} else if !j.passedOver(name, args) {
			c.evidence[c.epoch].broken(name, format, args...)
		}
	}
	sc := segment.NewScanner(f, f.Size(), c.edge.Size(), j.Keys.Sealer)
	at := int64(0)
	ended, err := scan(ctx, c, sc, func(b *checked) (err error) {
		if here, err = j.batch(ctx, c, here, b); err != nil {
			wrong("entries %d to %d: %v", b.Commit.First, b.Commit.Size-1, err)
			return err
		}
		j.advance(b.end - at)
		at = b.end
		return nil
	})
	switch {
	case short(err):
		return err // the entries behind are not missing
	case short(ended):
		return fmt.Errorf("couldn't read %s: %w", name, ended)
	case ctx.Err() != nil || errors.Is(ended, frame.ErrVersion) || errors.Is(ended, keyring.ErrWrongKey) || errors.Is(ended, engine.ErrNotExist):
		return errors.Join(ctx.Err(), ended)
	case err != nil:
		return nil // the tree cannot be followed beyond this
	case ended != nil:
		wrong("%v", ended)
		return nil
	}
	j.advance(f.Size() - at)
	if why, saw, err := sc.Broken(); err != nil {
		return err
	} else if short(why) {
		return fmt.Errorf("couldn't read %s: %w", name, why)
	} else if saw > here.edge.Size() || sc.Footer() == nil {
		wrong("damaged behind entry %d: %v", here.edge.Size(), why)
	}
	// Readers and a clean start rely on what the footer claims.
	if k := sc.Footer(); k != nil && (k.Commit.Size != here.edge.Size() || k.Commit.Root != [32]byte(here.edge.Root())) {
		wrong("the footer's tree head is not that of its entries")
	}
	return nil
}

// scan calls fn for the batches of a file in order, each checked on one of several goroutines, until fn's first error, which is err. ended is what ended the scanner; nil: it came to the end.
// When it returns nobody uses the scanner any more.
func scan(ctx context.Context, c *chain, sc *segment.Scanner, fn func(*checked) error) (ended, err error) {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	order, work := make(chan *checked, batchesAhead), make(chan *checked)
	running.Go(func() {
		ended = hand(ctx, sc, order, work)
		close(order)
		close(work)
	})
	epoch := c.epoch
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for b := range work {
				b.check(c, epoch)
				close(b.done)
			}
		})
	}
	for b := range order {
		if <-b.done; err == nil {
			if err = fn(b); err != nil {
				stop()
			}
		}
	}
	running.Wait()
	if stop(); err != nil {
		ended = nil
	}
	return ended, err
}

// hand reads the batches, hands them out to be checked, and queues them in order.
func hand(ctx context.Context, sc *segment.Scanner, order, work chan<- *checked) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := sc.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		next := &checked{Batch: b, end: sc.SizeBytes(), done: make(chan struct{})}
		work <- next // whoever checks waits for nobody
		order <- next
	}
}

// check finds out what can be said of the batch alone. Of the chain it reads the signers only.
func (b *checked) check(c *chain, epoch uint32) {
	b.entries = make([]checkedEntry, 0, min(b.Commit.Size-b.Commit.First, segment.BatchEntries))
	for i := range b.Pairs {
		items, err := b.Pairs[i].Items()
		if err != nil {
			b.err = err
			return
		}
		for k := range items {
			b.entries = append(b.entries, checkEntry(&items[k]))
		}
	}
	b.signature = c.signature(epoch, &b.Commit)
}

func checkEntry(it *segment.Item) (e checkedEntry) {
	if e.leaf, e.err = entry.ParseLeaf(it.Leaf); e.err != nil {
		return e
	}
	e.hash = entry.LeafHash(it.Leaf)
	if it.Erased {
		return e
	}
	if entry.Commitment(it.Salt, it.Private) != e.leaf.C {
		e.err = fmt.Errorf("the private part is not the one its leaf commits to: %w", frame.ErrCorrupt)
		return e
	}
	p, err := entry.ParsePrivate(it.Private)
	e.private, e.err = &p, err
	return e
}

// batch goes on with one batch, and returns the tree that it goes on with: that of the ledger, or from the segment's limit on that of the evidence.
func (j *job) batch(ctx context.Context, c *chain, here *branch, b *checked) (*branch, error) {
	if b.Commit.First != here.edge.Size() {
		return here, fmt.Errorf("begins at entry %d, should be %d: %w", b.Commit.First, here.edge.Size(), frame.ErrCorrupt)
	}
	for i := range b.entries {
		if here == &c.branch && here.edge.Size() == c.limit {
			here = c.leave()
		}
		var err error
		if here != &c.branch {
			_, _, err = here.append(&b.entries[i])
		} else {
			err = j.entry(ctx, c, &b.entries[i])
		}
		if err != nil {
			return here, err
		}
	}
	if b.err != nil {
		return here, b.err
	}
	if err := here.committed(&b.Commit); err != nil {
		return here, err
	}
	if b.signature != nil {
		return here, b.signature
	}
	if here != &c.branch {
		c.evidence[c.epoch].To = here.edge.Size()
	}
	return here, nil
}
