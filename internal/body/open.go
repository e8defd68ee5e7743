package body

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

// recovered is what Open found.
type recovered struct {
	tails     int
	tailsLeft int // tails that hold something that did not open
	chunks    int // copied out of tails
}

// Open opens the bodies of a store: it makes known what sealed packs the index does not know, and makes sealed packs of
// what a crash left. Errors: frame.ErrVersion (a pack of a newer program), the engine's, those of Places.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.PackBytes <= 0 {
		opt.PackBytes = 64 << 20
	}
	app, _ := opt.Engine.(engine.Appender)
	if app == nil && !opt.ReadOnly {
		return nil, errors.New("couldn't open the bodies: the engine can't append, open them read-only")
	}
	s := &Store{opt: opt, app: app, filter: newFilter(), lists: newListCache(), packs: map[[16]byte]*packState{}, grown: map[*openPack]struct{}{}}
	s.files = newFileCache(s)
	if s.turns.Now = opt.Monotonic; s.turns.Now == nil {
		start := time.Now()
		s.turns.Now = func() time.Duration { return time.Since(start) }
	}
	s.newLanes()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if opt.ReadOnly && !opt.Learn {
		s.extra = map[entry.ID]Place{}
	}
	if bug.On(bug.DedupUnsynced) {
		s.pending = map[entry.ID]Place{}
	}
	err := s.learnPacks(ctx)
	if err == nil {
		err = s.recoverTails(ctx)
	}
	if err != nil {
		s.cancel()
		s.closeOpen()
		return nil, err
	}
	return s, nil
}

// learners is how many packs' indexes are read at once: mostly it is waiting, for a disk or a server.
const learners = 8

// learnPacks lists the sealed packs and reads the index of each that Places does not know. A crash in between leaves less
// to do for the next Open.
func (s *Store) learnPacks(ctx context.Context) error {
	var unknown [][16]byte
	err := s.opt.Engine.List(ctx, engine.Packs, func(i engine.Info) error {
		name, ok := pack.ParseName(i.Name)
		if !ok {
			return nil // not ours to judge
		}
		s.mu.Lock()
		if s.packs[name] == nil {
			s.packs[name] = &packState{}
			s.order = append(s.order, name)
		}
		s.mu.Unlock()
		known, err := s.opt.Places.KnowsPack(name)
		if err == nil && !known {
			unknown = append(unknown, name)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("couldn't list the packs: %w", err)
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(learners)
	for _, name := range unknown {
		group.Go(func() error {
			if err := s.learn(gctx, name); err != nil {
				return fmt.Errorf("couldn't read the index of pack %x: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// learn makes the chunks of a sealed pack known.
func (s *Store) learn(ctx context.Context, name [16]byte) error {
	f, err := s.opt.Engine.Open(ctx, pack.Name(name))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := pack.ReadHeader(f, name); err != nil && !errors.Is(err, frame.ErrCorrupt) && !errors.Is(err, frame.ErrTorn) {
		return err // a newer format, or no luck with the medium
	} // a damaged header is dealt with when a chunk is read
	chunks, err := pack.ReadIndex(f, f.Size())
	whole := err == nil
	if errors.Is(err, frame.ErrCorrupt) && len(s.copies()) > 0 && !s.opt.ReadOnly && s.Heal(ctx, pack.Name(name), err) == nil {
		return nil // Heal has also learned it
	}
	if errors.Is(err, frame.ErrCorrupt) {
		// The index of the pack is damaged, so the places come from its frames. That is safe: a place is only a claim, which GCM checks at each read. The pack is not marked known, so that the next Open tries again.
		s.mu.Lock()
		s.damagedIndexes++
		s.mu.Unlock()
		chunks, err = scanChunks(f)
	}
	if err != nil {
		return err
	}
	if s.extra != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range chunks {
			s.extra[c.ID] = Place{name, c.Offset, c.Length}
		}
		return nil
	}
	if err := s.addPlaces(name, chunks); err != nil || !whole {
		return err
	}
	return s.opt.Places.KnowPack(name)
}

func scanChunks(f engine.File) (chunks []pack.Chunk, err error) {
	_, _, why := pack.Scan(f, f.Size(), func(c pack.Scanned) error {
		chunks = append(chunks, c.Chunk)
		return nil
	})
	if why != nil && !errors.Is(why, frame.ErrCorrupt) && !errors.Is(why, frame.ErrTorn) && !errors.Is(why, frame.ErrEnd) {
		return nil, why
	}
	return chunks, nil
}

// blank says whether a file's header was never written.
func blank(f engine.File) (bool, error) {
	var b [frame.HeaderSize]byte
	if err := readFull(f, b[:], 0); err != nil {
		return false, err
	}
	return b == [frame.HeaderSize]byte{}, nil
}

// copier moves a tail's chunks into fresh packs, under their own key and numbers.
type copier struct {
	s      *Store
	ctx    context.Context
	from   *frame.Sealer
	header frame.Header
	to     *openPack
	room   int64 // bytes that a copy of the tail needs
	whole  bool
	seen   map[entry.ID]bool // that were found whole
}

func (c *copier) copy(in pack.Scanned) error {
	data, flags, err := pack.OpenChunk(c.from, in.Frame, &in.ID)
	if err != nil {
		// The CRC holds and the seal does not: no torn write. It is not copied, and not thrown away.
		c.whole = false
		return nil
	}
	c.seen[in.ID] = true
	if p, ok, err := c.s.lookup(&in.ID); err == nil && ok && c.s.sealedThere(p.Pack) {
		return nil // an earlier Open was cut short after it had sealed a copy
	}
	return c.append(&in.ID, flags, data)
}

// fill copies what copies have of the tail, in pieces that were shipped while it grew, and the tail does not yield any more. Only what was durable is ever shipped.
func (c *copier) fill(name [16]byte) error {
	p := c.s.gather(c.ctx, name, c.s.copies())
	defer p.close()
	for id := range p.pieces {
		if at, ok, err := c.s.lookup(&id); c.seen[id] || err == nil && ok && c.s.sealedThere(at.Pack) {
			continue
		}
		flags, stored, _, err := p.chunk(&id, -1)
		if err != nil {
			c.whole = false
			continue
		}
		if err := c.append(&id, flags, stored); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) append(id *entry.ID, flags uint8, data []byte) (err error) {
	for {
		if c.to == nil {
			file := frame.NewFileID()
			if bug.On(bug.ReuseNonce) {
				file = c.header.FileID
			}
			if c.to, err = c.s.newPackOf(c.ctx, min(c.room, c.s.opt.PackBytes), false, file, c.header.KeyID); err != nil {
				return err
			}
		}
		_, err := c.to.w.Append(id, flags, data, c.s.opt.PackBytes)
		if !errors.Is(err, pack.ErrNoRoom) {
			return err
		}
		if err := c.end(); err != nil {
			return err
		}
	}
}

func (c *copier) end() error {
	if c.to == nil {
		return nil
	}
	p := c.to
	c.to = nil
	c.s.mu.Lock()
	c.s.recovered.chunks += p.w.Chunks()
	c.s.mu.Unlock()
	if bug.On(bug.ReuseNonce) {
		chunks, err := p.w.Sync()
		c.s.lanes.small.cur = p
		return p.settle(chunks, err)
	}
	return p.seal()
}

// sealedThere says whether a sealed pack of that name is there.
func (s *Store) sealedThere(name [16]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.packs[name]
	return st != nil && st.open == nil
}

// fillFilter puts every durable chunk into the filter. Those that become durable meanwhile put themselves in.
func (s *Store) fillFilter() {
	n := 0
	err := s.opt.Places.ForEach(func(id entry.ID, _ Place) error {
		s.filter.add(&id)
		if n++; n%4096 == 0 {
			return s.ctx.Err()
		}
		return nil
	})
	if err == nil { // after an error the index goes on being asked for every chunk
		s.filter.ready.Store(true)
	}
}

// Flush seals all open packs, so that they can be copied. Writers go on in new ones.
func (s *Store) Flush(ctx context.Context) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.sealAll()
}

// sealAll seals every pack that holds something, or waits until whoever seals it is done. A pack that met a full medium
// can't be sealed: the next Open sees to it.
func (s *Store) sealAll() error {
	s.mu.Lock()
	var open []*openPack
	for _, st := range s.packs {
		if st.open != nil {
			open = append(open, st.open)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, p := range open {
		if p.failed() != nil || p.w.Chunks() == 0 {
			continue
		}
		if p.lane != nil {
			p.lane.abandon(p)
		}
		errs = append(errs, p.seal())
	}
	return errors.Join(errs...)
}

// discardSpares removes the packs that were begun ahead and are blank. What a failed store leaves is removed by the next Open.
func (s *Store) discardSpares() error {
	blank := map[string]bool{}
	for _, l := range s.lanes.all() {
		if p := l.spare; p != nil {
			l.spare = nil
			s.discard(p)
			blank[pack.Name(p.name)] = true
		}
	}
	if len(blank) == 0 || s.failure.Load() != nil {
		return nil
	}
	tails, err := s.app.Tails(context.Background())
	if err != nil {
		return fmt.Errorf("couldn't list the tails: %w", err)
	}
	for _, t := range tails {
		if blank[t.Name] {
			if err := s.app.RemoveTail(context.Background(), t); err != nil {
				return fmt.Errorf("couldn't remove a blank pack: %w", err)
			}
		}
	}
	return nil
}

// Close seals the open packs and ends all work. Nobody may be in Write, Sync or a Reader any more.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.cancel()
	var err error
	if !s.opt.ReadOnly && s.failure.Load() == nil {
		err = s.sealAll()
	}
	s.work.Wait()
	err = errors.Join(err, s.discardSpares())
	s.files.clear()
	s.closeOpen()
	return err
}

// closeOpen lets go of packs that could not be sealed: they stay as tails.
func (s *Store) closeOpen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.packs {
		if st.open != nil {
			_ = st.open.grow.Close()
			delete(s.grown, st.open)
			st.open = nil
		}
	}
}
