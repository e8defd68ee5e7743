package stele

// The one way into a store. [Open], [OpenFrom] and [Create] differ in what they pass to it; the guards that keep two histories apart, and the waking of those who wait, are here and
// nowhere else, so that no way in can forget one.

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sync/errgroup"

	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/ledger"
)

// state is what an open folder is: what may be written in it, and what runs beside requests.
type state uint8

const (
	primary    state = iota // takes writes; housekeeping, shipping and cosigning run
	reader                  // Options.ReadOnly: nothing is written in the folder, other readers may share it
	copied                  // a full copy of a backup that waits for its promotion: only the index is kept up
	serving                 // a folder over a backup that waits for its promotion: the index is kept up, and the folder is filled
	superseded              // another primary has taken over: it is recovered once, and not opened
	following               // a standby's
)

// takesWrites reports whether entries may be appended.
func (st state) takesWrites() bool { return st == primary }

// way is what differs between the ways in.
type way struct {
	from *backing      // the backup beneath the folder; nil: the folder is all there is
	init *ledger.Draft // the first entry of a store that is being made; nil: the store exists
}

// opened opens s, or closes what was opened of it.
func (s *Store) opened(ctx context.Context, w way) (*Store, error) {
	asked := s.opt
	err := s.open(ctx, w)
	if err == nil {
		return s, nil
	}
	s.Close() // appends nothing: the store has not begun
	if r := s.openedToRead(ctx, w, asked, err); r != nil {
		return r, nil
	}
	var behind *ledger.BehindError
	if errors.As(err, &behind) {
		err = behindError(behind)
	}
	return nil, translate(err)
}

// openedToRead opens a store for reading whose folder takes no writes, because its disk is full or its file system is read-only: that is no reason to refuse readers what is there. What a crash left is read
// where it lies. Nothing is written until a start finds the folder writable. nil: err is another one, or the folder can't be read either.
func (s *Store) openedToRead(ctx context.Context, w way, asked Options, err error) *Store {
	if asked.ReadOnly || asked.still || w.init != nil || w.from != nil || !noRoom(err) && !errors.Is(err, syscall.EROFS) {
		return nil
	}
	asked.ReadOnly = true
	r := newStore(s.dir, asked)
	if r.stuck = s.unwritable(err); r.open(ctx, way{}) != nil {
		r.Close()
		return nil
	}
	s.log.Error("the folder takes no writes: the store is open for reading only, until a start that can write", "folder", s.dir, "err", err)
	return r
}

// unwritable says why the folder takes no writes, and what helps.
func (s *Store) unwritable(err error) error {
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: the file system that holds the data folder takes no writes. Mount it read-write (after an I/O error, check the disk first), then start the server again; until then reads work", ErrReadOnly)
	}
	return &FullError{What: "the start found no room for what the store has to write before it takes writes", Helps: "Make room", Dir: s.dir, OnlyReads: true}
}

// Stuck returns why a store that would take writes is open for reading only, nil if it is not: its disk was full at the start, or takes no writes.
func (s *Store) Stuck() error { return s.stuck }

func behindError(b *ledger.BehindError) error {
	return fmt.Errorf("%w: %s has seen %d entries, the folder holds %d. Something was rolled back or lost. Nothing is built over that: the reading verbs show what is there; to go on, put the newer files back, or restore from a target into an empty folder", ErrBehind, b.By, b.Saw, b.Have)
}

// open is the opening: every way in, every guard, in this order. Until begin nothing is appended, shipped, cosigned or filled, so that a guard that refuses has let nothing out.
func (s *Store) open(ctx context.Context, w way) error {
	if err := s.opt.checkWitnesses(); err != nil {
		return err
	}
	if err := s.openFolder(ctx, w); err != nil {
		return err
	}
	fence := s.setState(w)
	if err := s.takeFailing(); err != nil {
		s.log.Warn("what failed before the start is not known; it is known again when it fails again", "err", err)
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
func (s *Store) openFolder(ctx context.Context, w way) error {
	if w.from != nil {
		if err := s.openFolderOver(ctx, w.from); err != nil {
			return err
		}
		return s.openRoot()
	}
	promoted, err := s.checkFrom(ctx)
	if err != nil {
		return err
	}
	if err := s.checkIsStore(); err != nil {
		return err
	}
	if err := s.lockFolder(); err != nil {
		return err
	}
	if err := s.sweep(); err != nil {
		return err
	}
	if promoted && !s.opt.ReadOnly {
		if err := s.dropMark(); err != nil {
			return err
		}
	}
	if s.eng, err = dir.Open(s.fs, s.dir, dir.Options{ReadOnly: s.opt.ReadOnly}); err != nil {
		return err
	}
	if err := s.openKeys(ctx); err != nil {
		return err
	}
	return s.openRoot()
}

// setState decides what the folder is, from its own files alone. It returns ErrSuperseded if another primary is known to have taken over: the folder is then brought in order as after a
// crash, so that readers find all that was acknowledged, and is not opened.
func (s *Store) setState(w way) (fence error) {
	switch {
	case s.opt.ReadOnly:
		s.state = reader
	case w.from != nil && !w.from.promoted:
		s.state = serving
	case s.unpromoted:
		s.state = copied
	default:
		s.state = primary
		if fence = s.refuseSuperseded(); fence != nil {
			s.state = superseded
		}
	}
	s.from = w.from
	s.opt.ReadOnly = s.state != primary && s.state != superseded
	return fence
}

// openParts opens ledger, index and body and brings them in step: the ledger applies to the index what it has not seen, and the body asks the index which packs it knows. Where the index
// stands by itself it comes first: it knows how much it has seen, and which targets may have a copy of what is damaged. Where it rests on a snapshot the ledger comes first: it has to confirm that.
func (s *Store) openParts(ctx context.Context, w way) error {
	stands := w.from == nil || w.from.indexStands(s)
	if stands {
		if err := s.openIndex(); err != nil {
			return err
		}
	}
	end := s.readAheadOver(ctx)
	err := s.openLedger(ctx, w.init, s.seenByIndex())
	end()
	if err != nil {
		return err
	}
	if !stands {
		if err := s.openIndexOver(ctx); err != nil {
			return err
		}
	}
	s.fetchPacks(ctx)
	if err := s.ownIndex(ctx, s.led()); err != nil {
		return err
	}
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	return s.settleOver(ctx)
}

// openLedger opens the ledger, or makes it. What was seen of it by others it must have.
func (s *Store) openLedger(ctx context.Context, init *ledger.Draft, seen []ledger.Seen) error {
	opt := s.ledgerOptions()
	opt.Apply = s.apply
	opt.Rotated = func() { s.flushIndex() }
	opt.Seen = seen
	var l *ledger.Ledger
	var err error
	switch {
	case init != nil:
		l, err = ledger.Create(ctx, opt, *init)
	case s.state == serving:
		opt.Published, opt.Seen = nil, nil // the target's past, not ours: it may be rolled back, and is served as it is
		l, err = ledger.OpenReadOnly(ctx, opt)
	case s.opt.ReadOnly:
		opt.ReadTails = s.stuck != nil
		l, err = ledger.OpenReadOnly(ctx, opt)
	default:
		l, err = ledger.Open(ctx, opt)
	}
	if err != nil {
		return err
	}
	s.ledger.Store(l)
	if foreign := s.foreign(); len(foreign) > 0 {
		s.log.Warn("files lie among the store's that are not the store's: they are left alone and not read. Find out who put them there, and move them away", "folder", s.dir, "files", foreign)
	}
	return nil
}

// seenByIndex is how much of the ledger the index has seen; none while it is not open.
func (s *Store) seenByIndex() []ledger.Seen {
	if s.index == nil {
		return nil
	}
	return []ledger.Seen{{By: "the index", Size: s.index.Size()}}
}

// catchUp gives the index what it lacks: the rows of entries, and from the body the places of packs. The two know nothing of each other and run side by side, but for a reader: its replay may put
// another index in place of this one.
func (s *Store) catchUp(ctx context.Context) error {
	if s.state == reader || s.state == copied {
		if err := s.replay(ctx, s.led()); err != nil {
			return err
		}
		return s.openBody(ctx)
	}
	var both errgroup.Group
	both.Go(func() error { return s.replay(ctx, s.led()) })
	both.Go(func() error { return s.openBody(ctx) })
	return both.Wait()
}

// neverBehind compares the ledger with what the targets, which the index knows by now, have seen of it (DESIGN invariant 5). What a target has more of our own epoch is fetched and must
// fit; a target that shows a later epoch, or another history, keeps the store from opening.
func (s *Store) neverBehind(ctx context.Context) error {
	if s.state != primary {
		return nil
	}
	seen := append(s.seenByTargets(ctx), s.seenByIndex()...)
	var behind error
	for _, by := range seen {
		err := s.led().Compare(ctx, by)
		if errors.Is(err, ledger.ErrBehind) {
			behind = err
		} else if err != nil {
			return fmt.Errorf("couldn't open the ledger: %w", err)
		}
	}
	if behind == nil {
		return nil
	}
	s.log.Warn("the ledger lacks entries that others have seen; they are fetched from a copy", "reason", behind)
	if err := s.led().Close(); err != nil {
		return err
	}
	if err := s.openLedger(ctx, nil, seen); err != nil { // heals what it lacks, or says that it is behind
		return err
	}
	s.fetchPacks(ctx)
	if err := s.body.LearnMore(ctx); err != nil {
		return err
	}
	return s.replay(ctx, s.led())
}

// begin starts what runs beside requests. From here on entries are appended and leave this machine.
func (s *Store) begin() error {
	if s.opt.still {
		return nil
	}
	s.begun = true
	if s.from != nil {
		s.startFilling()
	}
	if !s.state.takesWrites() {
		return nil
	}
	s.knowWitnesses()
	s.done.Add(1)
	go s.housekeep()
	if len(s.opt.Witnesses) > 0 {
		s.done.Add(1)
		go s.keepCosigned()
	}
	return s.syncTargets()
}

// readAheadOver reads the ends of the segments that lie beneath the folder before the ledger asks for them, until the function that it returns is called.
func (s *Store) readAheadOver(ctx context.Context) (end func()) {
	if s.from == nil {
		return func() {}
	}
	segments, err := s.missing(ctx, engine.Segments)
	if err != nil {
		return func() {} // the ledger meets the same error, and says so
	}
	return s.from.beneath.readAhead(ctx, segments)
}

// settleOver lets a folder over a backup know what is asked for, and keeps what is written from now on from depending on the backup.
func (s *Store) settleOver(ctx context.Context) error {
	if s.from == nil {
		return nil
	}
	s.from.beneath.tell(s.from.fill.ask, s.learnMoved)
	if s.state == serving {
		return nil
	}
	return s.retireMissing(ctx)
}
