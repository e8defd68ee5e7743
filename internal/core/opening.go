package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"

	"stele/entry"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/heal"
	"stele/internal/index"
	"stele/internal/ledger"
)

// State is what an open folder is: what may be written in it, and what runs beside requests.
type State uint8

const (
	Primary    State = iota // takes writes; housekeeping, shipping and cosigning run
	Reader                  // Options.ReadOnly: nothing is written in the folder, other readers may share it
	Copied                  // a full copy of a backup that waits for its promotion: only the index is kept up
	Serving                 // a folder over a backup that waits for its promotion: the index is kept up, and the folder is filled
	superseded              // another primary has taken over: it is recovered once, and not opened
	Following               // a standby's
)

// TakesWrites reports whether entries may be appended.
func (st State) TakesWrites() bool { return st == Primary }

// recovers reports whether what a crash left in the ledger's and the body's files is brought in order.
func (st State) recovers() bool { return st == Primary || st == superseded }

// Way is what differs between the ways in.
type Way struct {
	Over *Layer        // what lies beneath the folder; nil: the folder is all there is
	init *ledger.Draft // the first entry of a store that is being made; nil: the store exists
}

// Layer is a backup beneath a folder, as the opening needs it: what the folder has not got is read from there.
type Layer struct {
	OpenFolder  func(ctx context.Context) error           // locks the folder, and opens engine and keyring over both
	Promoted    func() bool                               // the folder is the primary of an epoch that began in it
	IndexStands func() bool                               // the index in the folder can be opened before the ledger: it is there and rests on no snapshot
	ReadAhead   func(ctx context.Context) (end func())    // reads the ends of segments before the ledger asks for them
	OpenIndex   func(ctx context.Context) error           // opens the index, or begins it from a snapshot
	Settle      func(ctx context.Context, st State) error // the parts are open: what is asked for beneath is told, and what is written from now on doesn't depend on it
	Fill        func()                                    // starts filling the folder
	Below       func() *index.Below                       // the tables that the index has beneath; nil: none
	Forget      func() error                              // the index rests on no snapshot any more
	Name        string                                    // for people
}

// Hooks are where the rooms above take part in the life of a store. All are set before the opening.
type Hooks struct {
	Check     func() error                                                  // refuses options that can't be met, before anything is opened
	Waits     func(ctx context.Context) (waits, promoted bool, err error)   // whether the folder is a full copy of a backup that waits for its promotion, or one that was promoted and is still marked
	Seen      func(ctx context.Context) []ledger.Seen                       // what others have seen of the ledger
	Followers func(ctx context.Context) (judge func(context.Context) error) // asks at once those who might have taken over; judge waits for the answers
	Copies    func() []engine.Copy                                          // verified copies, where something is damaged
	Fetch     func(ctx context.Context)                                     // gets the packs of entries that the ledger has just got back from a copy
	Prepare   func()                                                        // the index is open, and the body is opened next
	Rows      func(batch []entry.Entry) ([]entry.Entry, error)              // entries as the index is to have them
	Applied   func()                                                        // the ledger has grown
	Healed    func(h heal.Healed)                                           // a file was replaced
	Unhealed  func(name string, err error)                                  // a reader met damage that could not be healed
	Sound     func(name string)                                             // a pack is as it was sealed
	Damaged   func(name string, err error)                                  // the start met damage
	Begin     func() error                                                  // the store takes writes: starts what runs beside requests
	Stopped   func()                                                        // nothing runs beside requests any more, and nobody is inside
	Chores    Chores                                                        // housekeeping
	Leave     func() error                                                  // nothing more is appended
}

// Open opens s, or closes what was opened of it. The errors are the sentinels of this package: ErrLocked, ErrNotStore, ErrWrongKey, ErrVersion, ErrCorrupt, ErrBehind, ErrSuperseded and what the hooks return.
func (s *Store) Open(ctx context.Context, w Way) error {
	err := s.openAll(ctx, w)
	if err == nil {
		return nil
	}
	s.Close() // appends nothing: the store has not begun
	var behind *ledger.BehindError
	if errors.As(err, &behind) {
		err = BehindError(behind)
	}
	return Translate(err)
}

// StuckBy returns why a folder that could not be opened, err, may still be opened for reading: it takes no writes, because its disk is full or its file system is read-only, and that is no reason to refuse
// readers what is there. nil: err is another one.
func (s *Store) StuckBy(w Way, err error) error {
	if s.opt.ReadOnly || s.opt.NoBackground || w.init != nil || w.Over != nil || !noRoom(err) && !errors.Is(err, syscall.EROFS) {
		return nil
	}
	return s.unwritable(err)
}

// OpenStuck opens a folder that takes no writes, for reading; why is what StuckBy said. What a crash left is read where it lies. Nothing is written until a start finds the folder writable.
func (s *Store) OpenStuck(ctx context.Context, why error) error {
	s.stuck = why
	return s.Open(ctx, Way{})
}

// unwritable says why the folder takes no writes, and what helps.
func (s *Store) unwritable(err error) error {
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: the file system that holds the data folder takes no writes. Mount it read-write (after an I/O error, check the disk first), then start the server again; until then reads work", ErrReadOnly)
	}
	return &FullError{What: "the start found no room for what the store has to write before it takes writes", Helps: "Make room", Dir: s.dir, OnlyReads: true}
}

// Stuck returns why a store that would take writes is open for reading only, nil if it is not: its disk was full at the start, or takes no writes. Who opened it for reading only is told too that its file
// system takes none: no server in such a folder has a socket by which it could be asked.
func (s *Store) Stuck() error {
	if s.stuck == nil && s.state == Reader && s.onDisk() && mountedReadOnly(s.dir) {
		return s.unwritable(syscall.EROFS)
	}
	return s.stuck
}

// BehindError is an ErrBehind that says who has seen more, how much, and what to do.
func BehindError(b *ledger.BehindError) error {
	return fmt.Errorf("%w: %s has seen %d entries, the folder holds %d. Something was rolled back or lost. Nothing is built over that: the reading verbs show what is there; to go on, put the newer files back, or restore from a target into an empty folder", ErrBehind, b.By, b.Saw, b.Have)
}

// openAll is the opening: every way in, every guard, in this order. Until begin nothing is appended, shipped, cosigned or filled, so that a guard that refuses has let nothing out.
func (s *Store) openAll(ctx context.Context, w Way) error {
	if err := s.Hooks.Check(); err != nil {
		return err
	}
	if err := s.openFolder(ctx, w); err != nil {
		return err
	}
	fence := s.setState(w)
	if err := s.takeFailing(); err != nil {
		s.Log.Warn("what failed before the start is not known; it is known again when it fails again", "err", err)
	}
	followers := s.askFollowers(ctx)
	if err := s.openParts(ctx, w); err != nil {
		return err
	}
	if fence != nil {
		return fence
	}
	if err := s.neverBehind(ctx); err != nil {
		return err
	}
	if err := followers(ctx); err != nil {
		return err
	}
	return s.begin()
}

// openFolder locks the folder and opens what the ledger needs: the engine, the keyring of the folder's epoch, the root access key.
func (s *Store) openFolder(ctx context.Context, w Way) error {
	if w.Over != nil {
		if err := w.Over.OpenFolder(ctx); err != nil {
			return err
		}
		return s.OpenRoot()
	}
	waits, promoted, err := s.Hooks.Waits(ctx)
	if err != nil {
		return err
	}
	s.unpromoted = waits
	if err := s.CheckIsStore(); err != nil {
		return err
	}
	if err := s.LockFolder(); err != nil {
		return err
	}
	if err := s.Sweep(); err != nil {
		return err
	}
	if promoted && !s.opt.ReadOnly {
		// The folder is full and the primary of an epoch of its own, so it is a primary like any other. If a crash keeps the mark, the next start finds the same and removes it.
		if err := durable.Remove(s.FS, s.Path(FileFrom)); err != nil {
			return err
		}
	}
	if s.Engine, err = dir.Open(s.FS, s.dir, dir.Options{ReadOnly: s.opt.ReadOnly}); err != nil {
		return err
	}
	if err := s.OpenKeys(ctx); err != nil {
		return err
	}
	return s.OpenRoot()
}

// setState decides what the folder is, from its own files alone. It returns ErrSuperseded if another primary is known to have taken over: the folder is then brought in order as after a
// crash, so that readers find all that was acknowledged, and is not opened.
func (s *Store) setState(w Way) (fence error) {
	switch {
	case s.opt.ReadOnly:
		s.state = Reader
	case w.Over != nil && !w.Over.Promoted():
		s.state = Serving
	case s.unpromoted:
		s.state = Copied
	default:
		s.state = Primary
		if fence = s.RefuseSuperseded(); fence != nil {
			s.state = superseded
		}
	}
	s.over = w.Over
	return fence
}

// openParts opens ledger, index and body and brings them in step: the ledger applies to the index what it has not seen, and the body asks the index which packs it knows. Where the index
// stands by itself it comes first: it knows how much it has seen, and which targets may have a copy of what is damaged. Where it rests on a snapshot the ledger comes first: it has to confirm that.
func (s *Store) openParts(ctx context.Context, w Way) error {
	stands := w.Over == nil || w.Over.IndexStands()
	if stands {
		if err := s.OpenIndex(); err != nil {
			return err
		}
	}
	end := func() {}
	if w.Over != nil {
		end = w.Over.ReadAhead(ctx)
	}
	err := s.openLedger(ctx, w.init, s.SeenByIndex())
	end()
	if err != nil {
		return err
	}
	if !stands {
		if err := w.Over.OpenIndex(ctx); err != nil {
			return err
		}
	}
	s.Hooks.Fetch(ctx)
	if err := s.OwnIndex(ctx, s.Ledger()); err != nil {
		return err
	}
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	if w.Over != nil {
		return w.Over.Settle(ctx, s.state)
	}
	return nil
}

// askFollowers asks those who follow a primary whether one of them has taken over.
func (s *Store) askFollowers(ctx context.Context) (judge func(context.Context) error) {
	if s.state != Primary {
		return func(context.Context) error { return nil }
	}
	return s.Hooks.Followers(ctx)
}

// openLedger opens the ledger, or makes it. What was seen of it by others it must have.
func (s *Store) openLedger(ctx context.Context, init *ledger.Draft, seen []ledger.Seen) error {
	opt := s.LedgerOptions()
	opt.Apply = s.apply
	opt.Rotated = func() { s.FlushIndex() }
	opt.Seen = seen
	var l *ledger.Ledger
	var err error
	switch {
	case init != nil:
		l, err = ledger.Create(ctx, opt, *init)
	case s.state == Serving:
		opt.Published, opt.Seen = nil, nil // the target's past, not ours: it may be rolled back, and is served as it is
		l, err = ledger.OpenReadOnly(ctx, opt)
	case !s.state.recovers():
		opt.ReadTails = s.stuck != nil
		l, err = ledger.OpenReadOnly(ctx, opt)
	default:
		l, err = ledger.Open(ctx, opt)
	}
	if err != nil {
		return err
	}
	s.ledgerNow.Store(l)
	if foreign := s.Foreign(); len(foreign) > 0 {
		s.Log.Warn("files lie among the store's that are not the store's: they are left alone and not read. Find out who put them there, and move them away", "folder", s.dir, "files", foreign)
	}
	return nil
}

// SeenByIndex is how much of the ledger the index has seen; none while it is not open.
func (s *Store) SeenByIndex() []ledger.Seen {
	if s.Index == nil {
		return nil
	}
	return []ledger.Seen{{By: "the index", Size: s.Index.Size()}}
}

// catchUp gives the index what it lacks: the rows of entries, and from the body the places of packs. The two know nothing of each other and run side by side, but for a reader: its replay may put
// another index in place of this one.
func (s *Store) catchUp(ctx context.Context) error {
	if s.state == Reader || s.state == Copied {
		if err := s.Replay(ctx, s.Ledger()); err != nil {
			return err
		}
		return s.openBody(ctx)
	}
	var both errgroup.Group
	both.Go(func() error { return s.Replay(ctx, s.Ledger()) })
	both.Go(func() error { return s.openBody(ctx) })
	return both.Wait()
}

// neverBehind compares the ledger with what the targets, which the index knows by now, have seen of it (DESIGN invariant 5). What a target has more of our own epoch is fetched and must
// fit; a target that shows a later epoch, or another history, keeps the store from opening.
func (s *Store) neverBehind(ctx context.Context) error {
	if s.state != Primary {
		return nil
	}
	seen := append(s.Hooks.Seen(ctx), s.SeenByIndex()...)
	var behind error
	for _, by := range seen {
		err := s.Ledger().Compare(ctx, by)
		if errors.Is(err, ledger.ErrBehind) {
			behind = err
		} else if err != nil {
			return fmt.Errorf("couldn't open the ledger: %w", err)
		}
	}
	if behind == nil {
		return nil
	}
	s.Log.Warn("the ledger lacks entries that others have seen; they are fetched from a copy", "reason", behind)
	// A crash from here on leaves whole segments only: the next start has more of what it lacks, asks again, and goes on.
	if err := s.Ledger().Close(); err != nil {
		return err
	}
	if err := s.openLedger(ctx, nil, seen); err != nil { // heals what it lacks, or says that it is behind
		return err
	}
	s.Hooks.Fetch(ctx)
	if err := s.Body.LearnMore(ctx); err != nil {
		return err
	}
	return s.Replay(ctx, s.Ledger())
}

// begin starts what runs beside requests. From here on entries are appended and leave this machine, so every guard has spoken before.
func (s *Store) begin() error {
	if s.opt.NoBackground {
		return nil
	}
	s.begun.Store(true)
	if s.over != nil {
		s.over.Fill()
	}
	if !s.TakesWrites() {
		return nil
	}
	s.Beside(s.housekeep)
	return s.Hooks.Begin()
}

// Foreign names what lay among the store's files when it was opened, and is not the store's.
func (s *Store) Foreign() []string {
	return slices.Concat(s.Keys.Passed, s.Ledger().Foreign())
}

// SetLedger gives a store its ledger, before any method can be called.
func (s *Store) SetLedger(l *ledger.Ledger) { s.ledgerNow.Store(l) }

// Begun reports whether the opening has ended, and what runs beside requests was started.
func (s *Store) Begun() bool { return s.begun.Load() }

// Follow makes an open folder a standby's, which takes no writes.
func (s *Store) Follow() {
	s.state = Following
	s.begun.Store(true)
}
