package body

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

// recoverTails copies what is valid of each tail into a sealed pack, then removes the tail. A crash in between leaves the
// tail, and perhaps some of its chunks twice, which costs room only.
//
// Where the medium has no room for the copies, tails are left as they are and their chunks are read there, so that a crash on a full disk is no outage for readers. RecoverLeft tries again.
func (s *Store) recoverTails(ctx context.Context) error {
	if s.app == nil {
		return nil // it has sealed files only
	}
	all, err := s.app.Tails(ctx)
	if err != nil {
		return fmt.Errorf("couldn't list the tails: %w", err)
	}
	var tails []tail
	for _, t := range all {
		if name, ok := pack.ParseName(t.Name); ok { // else a segment's
			tails = append(tails, tail{t, name})
		}
	}
	s.recovered.tails = len(tails)
	if s.opt.ReadOnly && !s.opt.ReadTails {
		return nil
	}
	if s.opt.ReadOnly {
		return s.readAllInPlace(tails)
	}
	full, err := s.clearTails(ctx, tails, max(2, runtime.GOMAXPROCS(0)))
	if err != nil || len(full) == 0 {
		return err
	}
	// The recovered tails have given back their room. Now the others give back what was reserved for them and never used: if that is what filled the disk, it is the room that their copies need. They are copied one after
	// the other, which needs the least room at once.
	for _, t := range full {
		if t.Release == nil {
			continue
		}
		if err := t.Release(); err != nil {
			return fmt.Errorf("couldn't give back what was reserved for tail %s: %w", t.Private, err)
		}
	}
	if full, err = s.clearTails(ctx, full, 1); err != nil {
		return err
	}
	return s.readAllInPlace(full)
}

func (s *Store) readAllInPlace(tails []tail) error {
	for _, t := range tails {
		if err := s.readInPlace(t); err != nil {
			return fmt.Errorf("couldn't read tail %s: %w", t.Private, err)
		}
	}
	return nil
}

// tail is a pack that was never sealed.
type tail struct {
	engine.Tail
	name [16]byte
}

// clearTails recovers tails, some at once, and returns those for which the medium has no room.
func (s *Store) clearTails(ctx context.Context, tails []tail, atOnce int) (full []tail, err error) {
	noRoom := make([]bool, len(tails))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, t := range tails {
		group.Go(func() error {
			err := s.clearTail(ctx, t)
			if errors.Is(err, engine.ErrFull) {
				noRoom[i] = true
				return nil
			}
			return err
		})
	}
	err = group.Wait()
	for i, t := range tails {
		if noRoom[i] {
			full = append(full, t)
		}
	}
	slices.SortFunc(full, func(a, b tail) int { return cmp.Compare(a.SizeBytes, b.SizeBytes) })
	return full, err
}

// readInPlace makes the chunks of a tail readable where they are. Each is authenticated when it is read, like any chunk. They are not sources for deduplication, because after a crash the page cache can show what the medium
// does not hold.
func (s *Store) readInPlace(t tail) error {
	f, err := t.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	chunks, err := scanChunks(f)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == nil {
		s.left, s.leftPlaces = map[[16]byte]tail{}, map[entry.ID]Place{}
	}
	s.left[t.name] = t
	s.anyLeft.Store(true)
	for _, c := range chunks {
		s.leftPlaces[c.ID] = Place{t.name, c.Offset, c.Length}
	}
	return nil
}

// LeftTails is how many tails wait for room: what is in them is readable, and in no sealed pack.
func (s *Store) LeftTails() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.left)
}

// RecoverLeft recovers the tails for which there was no room. engine.ErrFull if there still is none.
func (s *Store) RecoverLeft(ctx context.Context) error {
	s.recovering.Lock() // one at a time
	defer s.recovering.Unlock()
	s.mu.Lock()
	var tails []tail
	for _, t := range s.left {
		tails = append(tails, t)
	}
	s.mu.Unlock()
	for _, t := range tails {
		if err := s.clearTail(ctx, t); err != nil {
			return err
		}
		s.mu.Lock() // readers that have it open read on there; those that come find the copy
		delete(s.left, t.name)
		for id, at := range s.leftPlaces {
			if at.Pack == t.name {
				delete(s.leftPlaces, id)
			}
		}
		s.mu.Unlock()
		s.files.drop([][16]byte{t.name})
	}
	return nil
}

// openLeft opens a tail that is read in its place; err if there is none of that name.
func (s *Store) openLeft(name [16]byte, err error) (engine.File, error) {
	s.mu.Lock()
	t, ok := s.left[name]
	s.mu.Unlock()
	if !ok {
		return nil, err
	}
	return t.Open()
}

// clearTail recovers a tail and removes it.
func (s *Store) clearTail(ctx context.Context, t tail) error {
	whole, err := s.recoverTail(ctx, t)
	if err != nil {
		return fmt.Errorf("couldn't recover tail %s: %w", t.Private, err)
	}
	if !whole {
		s.mu.Lock()
		s.recovered.tailsLeft++ // evidence, and perhaps curable by a key or a copy
		s.mu.Unlock()
		return nil
	}
	if err := s.app.RemoveTail(ctx, t.Tail); err != nil {
		return fmt.Errorf("couldn't remove tail %s: %w", t.Private, err)
	}
	return nil
}

// recoverTail returns true if all that was ever synced in the tail is held by sealed packs now.
func (s *Store) recoverTail(ctx context.Context, t tail) (bool, error) {
	f, err := t.Open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	h, err := pack.ReadHeader(f, t.name)
	switch {
	case errors.Is(err, frame.ErrTorn):
		return true, nil // the header goes out with the first frames: nothing was ever synced
	case errors.Is(err, frame.ErrCorrupt):
		empty, err := blank(f)
		if err != nil || empty {
			return empty, err
		}
		c := &copier{s: s, ctx: ctx, header: frame.Header{KeyID: s.opt.Keys.Current()}, seen: map[entry.ID]bool{}}
		return false, c.finish(c.fill(t.name)) // it stays, as evidence
	case err != nil:
		return false, err
	case h.StoreID != s.opt.StoreID:
		return false, nil
	}
	sealer, err := s.opt.Keys.Sealer(h.KeyID, h.FileID)
	if err != nil {
		return false, err
	}
	c := &copier{s: s, ctx: ctx, from: sealer, header: h, whole: true, seen: map[entry.ID]bool{}}
	if c.room, err = roomFor(f); err != nil {
		return false, err
	}
	lost, err := pack.Salvage(f, f.Size(), c.copy)
	if err == nil && (lost > 0 || !c.whole) { // torn, or damaged: a copy tells
		err = c.fill(t.name)
	}
	return c.whole, c.finish(err)
}

// roomFor is the room that a copy of a tail takes: of what was written, which may be a small part of what was reserved. It is reserved before anything is written, so that a full medium is met
// while nothing has been begun.
func roomFor(f engine.File) (int64, error) {
	room := int64(1 << 16)
	_, err := pack.Salvage(f, f.Size(), func(c pack.Scanned) error {
		room += int64(len(c.Frame)) + 128 // and its row in the footer
		return nil
	})
	return room, err
}

// finish seals what was copied. On a full medium it removes the copy that was begun, which would take the room that the next try needs.
func (c *copier) finish(err error) error {
	if !errors.Is(err, engine.ErrFull) {
		return errors.Join(err, c.end())
	}
	if c.to == nil {
		return err
	}
	p := c.to
	c.to = nil
	c.s.discard(p)
	return errors.Join(err, c.s.removeTail(c.ctx, pack.Name(p.name)))
}

// removeTail removes the growing file of that name, which is closed and holds nothing that counts.
func (s *Store) removeTail(ctx context.Context, name string) error {
	tails, err := s.app.Tails(ctx)
	if err != nil {
		return fmt.Errorf("couldn't list the tails: %w", err)
	}
	for _, t := range tails {
		if t.Name == name {
			return s.app.RemoveTail(ctx, t)
		}
	}
	return nil
}
