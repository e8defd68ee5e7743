package ledger

import (
	"context"
	"errors"
	"fmt"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// upcoming is the next segment, made ahead of need so that no put waits for it.
type upcoming struct {
	done chan struct{}
	w    *segment.Writer
	err  error
}

func (u *upcoming) wait() (*segment.Writer, error) {
	<-u.done
	return u.w, u.err
}

// begin starts making the segment that begins with entry first.
func (l *Ledger) begin(first uint64) *upcoming {
	u := &upcoming{done: make(chan struct{})}
	go func() {
		defer close(u.done)
		u.w, u.err = l.create(first, frame.NewFileID(), 0)
	}()
	return u
}

func (l *Ledger) create(first uint64, id frame.FileID, bufferBytes int) (*segment.Writer, error) {
	return l.createIn(nil, first, id, bufferBytes)
}

// createIn starts one in memory, unless that is nil.
func (l *Ledger) createIn(memory *engine.Memory, first uint64, id frame.FileID, bufferBytes int) (*segment.Writer, error) {
	app, ok := l.opt.Engine.(engine.Appender)
	if memory != nil {
		app, ok = memory, true
	}
	if !ok {
		return nil, errors.New("the engine can't append: open the ledger read-only")
	}
	key := l.opt.Keys.Current()
	s, err := l.opt.Keys.Sealer(key.ID, id)
	if err != nil {
		return nil, err
	}
	room := l.opt.SegmentBytes + l.opt.SegmentBytes/4
	if bufferBytes > 0 {
		room = 0 // the copy of a tail needs only what the tail holds, and the disk may be full
	}
	return segment.Create(context.Background(), app, segment.Options{
		StoreID: l.opt.Keys.StoreID, KeyID: key.ID, Epoch: l.opt.Keys.Epoch, First: first, FileID: id, Sealer: s,
		PreallocateBytes: room, BufferBytes: bufferBytes,
	})
}

// prepare makes sure that there is an active segment. A lack of room, or of file descriptors, may pass, and nothing was promised yet: so the ledger has not failed, and the next proposal tries again.
func (s *sequencer) prepare(l *Ledger) error {
	if s.active != nil {
		return nil
	}
	if s.next == nil {
		s.next = l.begin(s.frontier.Size())
	}
	w, err := s.next.wait()
	s.next = nil
	if engine.Short(err) {
		return err
	}
	if err != nil {
		return l.fail(err)
	}
	s.active = w
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, &file{name: w.Name(), first: w.First(), end: w.First()})
	return nil
}

// rotate ends the active segment at its size. The place is fixed ahead, at three quarters, because the next segment is
// named by its first entry and is made before it is needed.
func (s *sequencer) rotate(l *Ledger) error {
	if s.active == nil {
		return nil
	}
	size, bytes, full := s.frontier.Size(), s.active.SizeBytes(), l.opt.SegmentBytes
	if s.rotateAt == 0 && size > s.active.First() && bytes >= full/4*3 {
		each := bytes/int64(size-s.active.First()) + 1
		s.rotateAt = size + uint64(max(1, (full-bytes)/each))
		s.next = l.begin(s.rotateAt)
	}
	spoilt := l.spoilt.Load() == s.active.First()+1 && size > s.active.First() && s.rotateAt != size
	if spoilt || s.rotateAt > size && bytes >= full+full/4 {
		// The segment is damaged, or entries have become much longer than those from which its end was estimated. It ends here. The segment that was made ahead is named by
		// another entry, so a new one is made while a put waits.
		if s.next != nil {
			l.discard(s.next)
		}
		s.next, s.rotateAt = nil, size
	}
	if s.rotateAt > 0 && size == s.rotateAt {
		// Sealing costs an fsync, which runs on its own goroutine while the next batch goes into the next segment.
		l.sealing <- sealing{s.active, l.segments[len(l.segments)-1], s.frontier}
		s.active, s.rotateAt = nil, 0
	}
	return l.failed()
}

// discard removes a segment that was made ahead and is not needed, on a goroutine of its own.
func (l *Ledger) discard(u *upcoming) {
	l.workers.Go(func() {
		w, err := u.wait()
		if err == nil {
			err = l.abandon(context.Background(), w)
		}
		if err != nil && !engine.Short(err) {
			l.fail(err)
		}
	})
}

// sealing is a segment that takes no more entries: all of them are durable, so that a crash before it is sealed costs a recovery
// and no entry.
type sealing struct {
	w        *segment.Writer
	file     *file
	frontier tree.Frontier // at its end
}

// runSeal is the goroutine that seals.
func (l *Ledger) runSeal() {
	defer l.workers.Done()
	for s := range l.sealing {
		if l.failed() != nil {
			continue // it stays a tail, which the next Open recovers
		}
		if err := l.seal(s); err != nil {
			l.fail(err)
			continue
		}
		if l.opt.Rotated != nil {
			l.opt.Rotated()
		}
	}
}

func (l *Ledger) seal(s sealing) error {
	first, end := s.w.First(), s.w.Next()
	l.mu.RLock()
	groups := l.groups[first/tree.GroupSize : end/tree.GroupSize]
	l.mu.RUnlock()
	if err := sealWriter(s.w, &s.frontier, groups); err != nil {
		return err
	}
	l.mu.Lock()
	s.file.sealed = true
	over := s.file.over
	l.mu.Unlock()
	if over != nil {
		_ = l.healLaid(s.file, s.w.View().Over(over)) // if this fails, the segment is sealed with its damage, and the next read of it, or the scrub, heals it
	}
	l.hide(s.file)
	if err := s.w.Close(); err != nil {
		return fmt.Errorf("couldn't close segment %s: %w", s.file.name, err)
	}
	return nil
}

func sealWriter(w *segment.Writer, f *tree.Frontier, groups []tree.Hash) error {
	edge, err := f.MarshalBinary()
	if err != nil {
		return err
	}
	var hashes [][32]byte
	for b := edge[8:]; len(b) > 0; b = b[32:] {
		hashes = append(hashes, [32]byte(b[:32]))
	}
	out := make([][32]byte, len(groups))
	for i := range groups {
		out[i] = groups[i]
	}
	return w.Seal(hashes, w.First()/tree.GroupSize, out)
}

// abandon closes a segment that is not to be sealed and that nobody reads. If it holds no entry, and nothing has failed, it is removed as well.
func (l *Ledger) abandon(ctx context.Context, w *segment.Writer) error {
	if err := w.Close(); err != nil {
		return fmt.Errorf("couldn't close segment %s: %w", w.Name(), err)
	}
	if w.Next() > w.First() || l.failed() != nil {
		return nil
	}
	return l.removeTail(ctx, w.Name())
}

// hide takes the view of the active segment away and waits for those who read in it, because the descriptor behind the view is closed next. Readers that come later find the sealed file.
func (l *Ledger) hide(f *file) {
	l.mu.Lock()
	f.view = nil
	l.mu.Unlock()
	f.users.Wait() // nobody new comes: view is gone
}

func (l *Ledger) removeTail(ctx context.Context, name string) error {
	app := l.opt.Engine.(engine.Appender) // createIn has checked that it is one
	tails, err := app.Tails(ctx)
	if err != nil {
		return fmt.Errorf("couldn't look for tails: %w", err)
	}
	for _, t := range tails {
		if t.Name == name {
			if err := app.RemoveTail(ctx, t); err != nil {
				return fmt.Errorf("couldn't remove an empty segment: %w", err)
			}
		}
	}
	return nil
}
