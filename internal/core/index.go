package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/durable"
	"stele/internal/index"
	"stele/internal/ledger"
)

const indexOnDisk = "keeping it on the disk"

// OpenIndex opens the index, or makes it anew where it is missing, of another format or damaged: it is derived.
func (s *Store) OpenIndex() (err error) {
	at := s.Path(DirIndex)
	opt := index.Options{FS: durable.Private(s.FS), ReadOnly: s.onlyReads(), Below: s.belowIndex(), NoSync: s.state == Serving}
	if s.Index, err = index.Open(at, opt); err == nil {
		if !s.onlyReads() {
			s.OutcomeOf(workIndex, indexOnDisk, nil)
		}
		return nil
	}
	if s.onlyReads() {
		return s.memoryIndex()
	}
	if noRoom(err) { // it is whole, and would not be made anew either: what can be read is served from memory, and the next start with room brings it up
		s.OutcomeOf(workIndex, indexOnDisk, fmt.Errorf("no room: it is kept in memory until a start with room on the disk: %w", err))
		return s.memoryIndex()
	}
	if NotAsked(err) {
		return fmt.Errorf("couldn't open the index %s: %w", at, err)
	}
	s.Log.Warn("rebuilding the index", "reason", err)
	// A crash from here on leaves no index, or one that is behind: the next start folds what it lacks.
	if err := s.FS.RemoveAll(at); err != nil {
		return fmt.Errorf("couldn't remove the damaged index %s: %w", at, err)
	}
	if err := s.forgetSnapshot(); err != nil {
		return err
	}
	opt.Below = nil
	s.Index, err = index.Open(at, opt)
	return err
}

// onlyReads reports whether nothing may be written in the folder, the index included. It may while a backup is served, though the store takes no writes.
func (s *Store) onlyReads() bool { return s.state == Reader }

// memoryIndex gives a reader an index of its own, folded from the ledger, where the one on disk cannot be used and must not be touched.
func (s *Store) memoryIndex() (err error) {
	if s.Index != nil {
		s.Index.Close()
	}
	s.Index, err = index.Open(DirIndex, index.Options{FS: vfs.NewMem()})
	return err
}

// apply derives what is derived from a durable batch, and tells those who follow. The index may have been made anew since Open.
func (s *Store) apply(batch []entry.Entry) error {
	s.Hooks.Applied()
	for i := range batch {
		if e := &batch[i]; e.Type == entry.TimeDrift {
			s.Log.Warn("the ledger's clock and this machine's have "+e.Private.Data["state"], "entry", e.Index, "ledger", e.Time, "wall", e.Private.Wall)
		}
	}
	return s.ApplyRows(batch)
}

// OwnIndex makes the index anew if its rows are not of this ledger: copied from another store, or from another course of this one.
func (s *Store) OwnIndex(ctx context.Context, l *ledger.Ledger) error {
	size := s.Index.Size()
	if size == 0 || size > l.Size() && s.state != Serving {
		return nil // a primary's index that is ahead is a guard (neverBehind), and no cache to be made anew
	}
	if size > l.Size() { // an older backup is served than before, or the target lost what it had
		return s.RenewIndex(fmt.Errorf("it has rows of %d entries, and the backup that is served now has %d", size, l.Size()))
	}
	last, _, _, err := l.Entry(ctx, size-1)
	if err != nil {
		return nil // damage in the ledger is for Verify to tell, and what can be read is read
	}
	salt, err := s.Index.LastSalt()
	if err == nil && salt == last.Salt {
		return nil
	}
	if s.onlyReads() {
		return s.memoryIndex()
	}
	return s.RenewIndex(cmp.Or(err, errors.New("its rows are not of this ledger")))
}

// RenewIndex closes the index and opens an empty one, into which the ledger is folded again. A crash leaves no index, or a part of the new one: the next start goes on from there.
func (s *Store) RenewIndex(reason error) error {
	s.Log.Warn("rebuilding the index", "reason", reason)
	old := s.Index
	s.Index = nil // nobody closes it twice if what follows fails
	if err := old.Close(); err != nil {
		return err
	}
	if err := s.FS.RemoveAll(s.Path(DirIndex)); err != nil {
		return fmt.Errorf("couldn't remove the index of another ledger %s: %w", s.Path(DirIndex), err)
	}
	if err := s.forgetSnapshot(); err != nil {
		return err
	}
	return s.OpenIndex()
}

// replayBatch is the number of entries that recovery applies at once.
const replayBatch = 4096

// Replay applies to the index what it has not seen, by the same Apply that runs every day.
func (s *Store) Replay(ctx context.Context, l *ledger.Ledger) error {
	from, to := s.Index.Size(), l.Size()
	if from == to || from > to && s.state == Primary { // the guard that comes next says that the ledger is behind
		return nil
	}
	if s.onlyReads() { // behind: a crash came; ahead: the ledger was rolled back, and what the rows say beyond it is not proven
		if err := s.memoryIndex(); err != nil {
			return err
		}
		from = 0
	}
	s.Log.Info("bringing the index up to the ledger", "from", from, "to", to)
	batch := make([]entry.Entry, 0, replayBatch)
	flush := func() error {
		err := s.ApplyRows(batch)
		batch = batch[:0]
		return err
	}
	err := l.Entries(ctx, from, to, func(e *entry.Entry) error {
		if batch = append(batch, *e); len(batch) == cap(batch) {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return err
}

// FlushIndex makes the index's rows durable. A failure is kept as failing work: the rows can be folded again.
func (s *Store) FlushIndex() {
	s.OutcomeOf(workIndex, "flushing it", s.Index.Flush())
}

// belowIndex is the tables that the index has beneath the folder; nil: none.
func (s *Store) belowIndex() *index.Below {
	if s.over == nil {
		return nil
	}
	return s.over.Below()
}

// forgetSnapshot notes that the index does not rest on a snapshot any more.
func (s *Store) forgetSnapshot() error {
	if s.over == nil {
		return nil
	}
	return s.over.Forget()
}

// ApplyRows is the one way of entries into the index.
func (s *Store) ApplyRows(batch []entry.Entry) error {
	rows, err := s.Hooks.Rows(batch)
	if err != nil {
		return err
	}
	return s.Index.Apply(rows)
}
