package body

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

// streamLanes is how many large objects are written side by side before two share a pack.
const streamLanes = 4

// lanes are the open packs: one for small objects, which share its fsync, and some for streams.
type lanes struct {
	small  *lane
	stream [streamLanes]*lane
	mu     sync.Mutex // guards users of stream lanes
}

func (s *Store) newLanes() {
	s.lanes.small = &lane{s: s}
	for i := range s.lanes.stream {
		s.lanes.stream[i] = &lane{s: s, stream: true}
	}
}

func (l *lanes) all() []*lane { return append([]*lane{l.small}, l.stream[:]...) }

// take picks the stream lane with the fewest users.
func (l *lanes) take() *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	best := l.stream[0]
	for _, c := range l.stream[1:] {
		if c.users < best.users {
			best = c
		}
	}
	best.users++
	return best
}

func (l *lanes) give(c *lane) {
	l.mu.Lock()
	c.users--
	l.mu.Unlock()
}

// lane is a sequence of packs, one open at a time.
type lane struct {
	s      *Store
	stream bool
	users  int // guarded by lanes.mu

	mu  sync.Mutex
	cur *openPack

	// The next pack is begun when the current one is half full, so that a roll waits for no file to be made.
	spare  *openPack   // guarded by mu
	spared atomic.Bool // there is one, or it is being made
}

// append seals data into the lane's open pack.
func (l *lane) append(ctx context.Context, id *entry.ID, flags uint8, data []byte) (*openPack, pack.Chunk, error) {
	for {
		p, err := l.open(ctx)
		if err != nil {
			return nil, pack.Chunk{}, err
		}
		c, err := p.w.Append(id, flags, data, l.s.opt.PackBytes)
		switch {
		case err == nil:
			if c.Offset > l.s.opt.PackBytes/2 && !l.spared.Load() && l.spared.CompareAndSwap(false, true) {
				l.s.work.Go(l.prepare)
			}
			return p, c, nil
		case errors.Is(err, pack.ErrNoRoom), errors.Is(err, pack.ErrSealed):
			l.roll(p)
		default:
			l.abandon(p)
			l.s.fail(err)
			return nil, pack.Chunk{}, fmt.Errorf("couldn't append to pack %x: %w", p.name, err)
		}
	}
}

// open returns the lane's open pack, a new one if there is none.
func (l *lane) open(ctx context.Context) (*openPack, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A chunk is never put under a key older than the one that named it, or a verification could not name it again.
	key := l.s.opt.Keys.Current()
	if l.cur != nil && l.cur.keyID == key {
		return l.cur, nil
	}
	if l.cur != nil {
		l.sealAside(l.cur)
	}
	if err := l.s.writable(); err != nil {
		return nil, err
	}
	if l.cur = l.takeSpare(key); l.cur != nil {
		return l.cur, nil
	}
	p, err := l.s.newPack(ctx, l.stream, frame.NewFileID(), key)
	if err != nil {
		return nil, err
	}
	p.lane = l
	l.cur = p
	return p, nil
}

// prepare makes the spare pack. If it fails, nothing is noted: open then makes a pack itself, and meets the same error where a caller gets it.
func (l *lane) prepare() {
	p, err := l.s.newPack(l.s.ctx, l.stream, frame.NewFileID(), l.s.opt.Keys.Current())
	if err != nil {
		l.spared.Store(false)
		return
	}
	p.lane = l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare = p
}

// takeSpare returns the spare pack if there is one for that key. l.mu is held.
func (l *lane) takeSpare(key uint32) *openPack {
	p := l.spare
	if p == nil {
		return nil
	}
	l.spare = nil
	l.spared.Store(false)
	if p.keyID != key {
		l.s.discard(p)
		return nil
	}
	return p
}

// roll lets the next append begin a new pack, and seals this one in the background.
func (l *lane) roll(p *openPack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == p { // else another append was first
		l.sealAside(p)
	}
}

// sealAside seals the current pack in the background. l.mu is held.
func (l *lane) sealAside(p *openPack) {
	l.cur = nil
	l.s.work.Go(func() { _ = p.seal() }) // the error is not lost: seal has noted it in the store, and those who wait for the pack get it
}

// abandon takes a pack that failed, or is to be sealed, out of its lane, so that the next append begins another. What was synced in a pack that failed stays readable; the next
// Open makes a sealed pack of it.
func (l *lane) abandon(p *openPack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == p {
		l.cur = nil
	}
}

// openPack is a pack that grows.
type openPack struct {
	s      *Store
	lane   *lane // nil: recovery's
	name   pack.Name16
	keyID  uint32
	grow   engine.Growing
	sealer *frame.Sealer
	w      *pack.Writer

	io sync.Mutex // held while the pack is synced or sealed: an fsync and a seal at once could disagree on what is durable. Taken before mu

	mu      sync.Mutex
	durable int64  // chunks that end here are durable and in Places
	next    *group // gathers who waits for the next fsync
	leading bool   // somebody runs groups
	sealed  bool
	err     error // sticky

	damaged atomic.Bool // a chunk had to be read from a copy

	refs    int  // readers; guarded by s.mu
	closing bool // sealed: the last reader closes the file; guarded by s.mu
}

// newPack starts a growing file, with room for a whole pack, and registers it.
func (s *Store) newPack(ctx context.Context, stream bool, id frame.FileID, keyID uint32) (*openPack, error) {
	return s.newPackOf(ctx, s.opt.PackBytes, stream, id, keyID)
}

// newPackOf reserves room for so many bytes.
func (s *Store) newPackOf(ctx context.Context, roomBytes int64, stream bool, id frame.FileID, keyID uint32) (*openPack, error) {
	name := pack.Short(id)
	sealer, err := s.opt.Keys.Sealer(keyID, id)
	if err != nil {
		return nil, fmt.Errorf("couldn't get the key of a new pack: %w", err)
	}
	// The file outlives the request that happens to begin it.
	g, err := s.app.Append(context.WithoutCancel(ctx), pack.Name(name), engine.AppendOptions{PreallocateBytes: roomBytes, Stream: stream})
	if err != nil {
		return nil, fmt.Errorf("couldn't begin a pack: %w", err) // nothing was begun: the engine itself knows if it failed for good
	}
	p := &openPack{s: s, name: name, keyID: keyID, grow: g, sealer: sealer}
	file := g
	if bug.On(bug.SkipPackSync) {
		file = unsynced{g}
	}
	p.w = pack.NewWriter(file, frame.Header{KeyID: keyID, FileID: id, Epoch: s.opt.Epoch, StoreID: s.opt.StoreID}, sealer)
	s.mu.Lock()
	s.packs[name] = &packState{open: p, header: p.w.Header()}
	s.grown[p] = struct{}{}
	s.mu.Unlock()
	return p, nil
}

// unsynced is bug.SkipPackSync.
type unsynced struct{ engine.Growing }

func (unsynced) Sync() error { return nil }

// discard lets go of a pack in which nothing was written. Its file stays as a blank tail.
func (s *Store) discard(p *openPack) {
	_ = p.grow.Close()
	s.mu.Lock()
	delete(s.packs, p.name)
	delete(s.grown, p)
	s.mu.Unlock()
}

// group is those who wait for one fsync.
type group struct {
	done chan struct{} // closed when it was run
	lead chan struct{} // holds a token when one of the group should run it
	err  error
}

// syncTo returns when what ends at end is durable and in Places. All callers that come while one fsync runs share the next one, because the running fsync may not cover what they have appended; one of them
// runs it. A caller whose ctx ends while it waits leaves the group; the fsync is then led by another.
func (p *openPack) syncTo(ctx context.Context, end int64) error {
	p.mu.Lock()
	if p.durable >= end || p.err != nil {
		defer p.mu.Unlock()
		if p.durable >= end {
			return nil
		}
		return p.err
	}
	if p.next == nil {
		p.next = &group{done: make(chan struct{}), lead: make(chan struct{}, 1)}
	}
	g := p.next
	lead := !p.leading
	p.leading = true
	p.mu.Unlock()
	if !lead {
		select {
		case <-g.done:
			return g.err
		case <-g.lead:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.run()
	return g.err
}

// run runs the group that gathers, and hands the lead on.
func (p *openPack) run() {
	p.io.Lock()
	runtime.Gosched() // lets goroutines that are about to append, or to wait, join this group and share its fsync
	p.mu.Lock()
	g := p.next
	p.next = nil // from here on a new group gathers
	p.mu.Unlock()
	g.err = p.sync()
	p.io.Unlock()
	close(g.done)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil {
		p.next.lead <- struct{}{} // never blocks: the channel holds one token, until one of the group takes it
	} else {
		p.leading = false
	}
}

// sync makes durable what was appended so far. p.io is held. A pack whose fsync failed once is never synced again (DESIGN invariant 6).
func (p *openPack) sync() error {
	p.mu.Lock()
	sealed, err := p.sealed, p.err
	p.mu.Unlock()
	if sealed || err != nil {
		return err
	}
	chunks, err := p.w.Sync()
	p.s.stats.packSyncs.Add(1)
	err = p.settle(chunks, err)
	if err != nil && p.lane != nil {
		p.lane.abandon(p)
	}
	return err
}

// settle notes the outcome of an fsync. Places come after the fsync, so that no chunk is a source for deduplication before it is durable (DESIGN invariant 12). A crash before the places are written leaves a tail, or a sealed pack that the
// index does not know: Open reads either.
func (p *openPack) settle(chunks []pack.Chunk, err error) error {
	if err == nil {
		err = p.s.addPlaces(p.name, chunks)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.s.fail(err)
		p.err = fmt.Errorf("couldn't make pack %x durable: %w", p.name, err)
		return p.err
	}
	if n := len(chunks); n > 0 {
		p.durable = chunks[n-1].Offset + int64(chunks[n-1].Length)
	}
	return nil
}

// seal closes the pack for good, or waits until another seal has. One in which damage was met is healed at once.
func (p *openPack) seal() error {
	err := p.sealOnce()
	if err == nil && p.damaged.Swap(false) {
		p.s.healSealed(pack.Name(p.name))
	}
	return err
}

func (p *openPack) sealOnce() error {
	p.io.Lock()
	defer p.io.Unlock() // held to the end: a second caller finds the pack sealed, known and published, or failed
	chunks, info, err := p.w.Seal()
	if errors.Is(err, pack.ErrSealed) {
		return p.failed()
	}
	if err = p.settle(chunks, err); err == nil {
		err = p.s.opt.Places.KnowPack(p.name)
	}
	if err != nil {
		p.s.fail(err)
		return err
	}
	p.mu.Lock()
	p.sealed = true
	p.mu.Unlock()
	p.s.stats.packsSealed.Add(1)
	p.s.publish(p, info)
	if p.s.opt.Sealed != nil {
		p.s.opt.Sealed(info)
	}
	return nil
}

func (p *openPack) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// publish lets readers find the sealed file instead of the growing one.
func (s *Store) publish(p *openPack, info entry.Pack) {
	s.mu.Lock()
	if st := s.packs[p.name]; st != nil && st.open == p {
		st.open, st.info = nil, &info
		s.order = append(s.order, p.name)
	}
	delete(s.grown, p)
	last := p.refs == 0
	p.closing = true
	s.mu.Unlock()
	if last {
		_ = p.grow.Close() // its error says nothing: Seal has made all of it durable
	}
}

// hold returns the growing pack of that name for reading, or nil.
func (s *Store) hold(name [16]byte) *openPack {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.packs[name]
	if st == nil || st.open == nil {
		return nil
	}
	st.open.refs++
	return st.open
}

func (s *Store) unhold(p *openPack) {
	s.mu.Lock()
	p.refs--
	last := p.refs == 0 && p.closing
	s.mu.Unlock()
	if last {
		_ = p.grow.Close()
	}
}
