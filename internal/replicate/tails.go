package replicate

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

const (
	// fanIn is how many tails of one tier are merged into one of the next: a month of shipping every two seconds is six tiers.
	fanIn = 16
	// tailBytes bounds a tail pack: it is made in memory.
	tailBytes = 16 << 20
	// sealFrom is how much of a pack may be on its way into tails: one that grew by more since the last shipment is sealed before it is full, and shipped once.
	sealFrom = tailBytes
	// wholeBytes is from what length on a tail pack is merged no further.
	wholeBytes = tailBytes / 2
)

// tailSeg is a tail segment on the target.
type tailSeg struct {
	first, end uint64
	tier       int
	bytes      int64 // 0: not known
}

// tierOf guesses the tier of a tail that an earlier session made.
func tierOf(entries uint64) int { return (bits.Len64(entries) - 1) / 4 }

// packSeq are the tails of one pack that grows: they follow one another, and hold its first chunks.
type packSeq struct {
	tails    []packPart
	end      int   // chunks
	endBytes int64 // where they end in the pack; 0: not known
}

// packPart is a tail pack with the chunks from to to-1 of the pack that grows.
type packPart struct {
	name     string
	from, to int
	bytes    int64
	tier     int
}

// shipTailPacks makes tails of what grows: durable chunks that the target has in no file.
func (s *session) shipTailPacks(ctx context.Context, growing []body.Growth) error {
	for _, g := range growing {
		err := s.sealLarge(g)
		if err == nil {
			err = s.shipTailPack(ctx, g)
		}
		switch {
		case errors.Is(err, body.ErrNotGrowing):
			err = s.shipPack(ctx, g.Name) // sealed meanwhile: the whole file instead
		case errors.As(err, new(*body.DamagedError)):
			s.lacking[pack.Name(g.Name)] = err // damaged before it was shipped: it is about to be sealed, and holds up nothing else
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sealLarge seals a pack that would be shipped for the greater part as tails and then again as a whole.
func (s *session) sealLarge(g body.Growth) error {
	shipped := int64(0)
	if q := s.packs[g.Name]; q != nil {
		shipped = q.endBytes
	}
	if g.EndBytes-shipped <= s.sealFrom {
		return nil
	}
	if err := s.o.Body.Seal(g.Name); err != nil {
		return nil // the store has failed, and what is durable is shipped all the same
	}
	return fmt.Errorf("pack %x: %w", g.Name, body.ErrNotGrowing)
}

func (s *session) shipTailPack(ctx context.Context, g body.Growth) error {
	q := s.packs[g.Name]
	if q == nil {
		q = &packSeq{}
		s.packs[g.Name] = q
	}
	for q.end < g.Chunks {
		p, err := s.makeTailPack(ctx, g.Name, q.end, g.Chunks, 0)
		if err != nil {
			return err
		}
		q.tails, q.end = append(q.tails, p), p.to
	}
	q.endBytes = g.EndBytes
	return s.mergePacks(ctx, g.Name, q)
}

// makeTailPack ships chunks of a growing pack from number from on, up to to or to what one tail holds, sealed under a file id of their own.
func (s *session) makeTailPack(ctx context.Context, of pack.Name16, from, to, tier int) (packPart, error) {
	key, id := s.o.Keys.Current(), frame.NewFileID()
	sealer, err := s.o.Keys.Sealer(key.ID, id)
	if err != nil {
		return packPart{}, err
	}
	var m engine.Memory
	w := pack.NewWriter(&m, frame.Header{KeyID: key.ID, FileID: id, Epoch: s.o.Keys.Epoch, StoreID: s.o.Keys.StoreID}, sealer)
	err = s.o.Body.GrowingChunks(ctx, of, from, to, func(id *entry.ID, flags uint8, data []byte) error {
		_, err := w.Append(id, flags, data, tailBytes)
		return err
	})
	if err != nil && !errors.Is(err, pack.ErrNoRoom) {
		return packPart{}, fmt.Errorf("couldn't read pack %x, which grows: %w", of, err)
	}
	p := packPart{name: tailPack(of, pack.Short(id)), from: from, to: from + w.Chunks(), tier: tier}
	if _, _, err := w.Seal(); err != nil {
		return packPart{}, err
	}
	p.bytes = int64(len(m.Bytes()))
	return p, s.create(ctx, p.name, m.Bytes())
}

// mergePacks merges the newest tails of a pack where fanIn of one tier have come together. The chunks are read from the pack itself.
func (s *session) mergePacks(ctx context.Context, of pack.Name16, q *packSeq) error {
	for {
		n := mergeable(s.fanIn, q.tails, func(p packPart) int { return p.tier }, func(p packPart) bool { return p.bytes < wholeBytes })
		if n == 0 {
			return nil
		}
		rest, last := q.tails[:len(q.tails)-n], q.tails[len(q.tails)-n:]
		from, to, tier := last[0].from, last[n-1].to, last[0].tier+1
		s.removeEarly(mapNames(last, func(p packPart) string { return p.name }))
		var merged []packPart
		for from < to {
			p, err := s.makeTailPack(ctx, of, from, to, tier)
			if err != nil {
				return err
			}
			merged, from = append(merged, p), p.to
		}
		for _, p := range last {
			s.junk = append(s.junk, p.name)
		}
		q.tails = append(rest, merged...)
	}
}

// mergeable returns how many of the last tails are to be merged: n of one tier, none of which is whole, or none.
func mergeable[T any](n int, tails []T, tier func(T) int, small func(T) bool) int {
	if len(tails) < n {
		return 0
	}
	last := tails[len(tails)-n:]
	for _, t := range last {
		if tier(t) != tier(last[0]) || !small(t) {
			return 0
		}
	}
	return n
}

func mapNames[T any](in []T, fn func(T) string) []string {
	out := make([]string, len(in))
	for i := range in {
		out[i] = fn(in[i])
	}
	return out
}

// removeEarly is bug.RemoveShippedFirst.
func (s *session) removeEarly(names []string) {
	if bug.On(bug.RemoveShippedFirst) {
		for _, name := range names {
			_ = s.target.Remove(context.Background(), name)
		}
	}
}

// shipTailSegment ships entries from s.at to to-1, which lie in one segment, and merges.
func (s *session) shipTailSegment(ctx context.Context, to uint64) error {
	t, err := s.makeTailSegment(ctx, s.at, to, 0)
	if err != nil {
		return err
	}
	s.tails, s.at = append(s.tails, t), to
	return nil
}

func (s *session) makeTailSegment(ctx context.Context, from, to uint64, tier int) (tailSeg, error) {
	t := tailSeg{from, to, tier, 0}
	b, err := s.o.Ledger.SegmentBytes(ctx, from, to)
	if err != nil {
		return t, err
	}
	name := tailSegment(s.o.Keys.Epoch, from, to)
	err = s.create(ctx, name, b)
	if !errors.Is(err, engine.ErrExist) {
		t.bytes = int64(len(b))
		return t, err
	}
	// Its own lost reply, or another session's: it may stand if it is of this history.
	c, err := s.headOf(ctx, &link{name: name, epoch: s.o.Keys.Epoch, first: from, end: to})
	if err != nil {
		return t, err
	}
	return t, s.sameRoot(ctx, c)
}

// mergeSegments merges the newest tail segments if they lie in the segment of entries first to end-1.
func (s *session) mergeSegments(ctx context.Context, first, end uint64) error {
	for {
		in := len(s.tails)
		if in > 0 && s.tails[in-1].end > end {
			return nil // that segment is full and about to be sealed
		}
		for in > 0 && s.tails[in-1].first >= first {
			in--
		}
		n := mergeable(s.fanIn, s.tails[in:], func(t tailSeg) int { return t.tier }, func(tailSeg) bool { return true })
		if n == 0 {
			return nil
		}
		rest, last := s.tails[:len(s.tails)-n], s.tails[len(s.tails)-n:]
		old := mapNames(last, func(t tailSeg) string { return tailSegment(s.o.Keys.Epoch, t.first, t.end) })
		s.removeEarly(old)
		merged, err := s.makeTailSegment(ctx, last[0].first, last[n-1].end, last[0].tier+1)
		if err != nil {
			return err
		}
		s.junk = append(s.junk, old...)
		s.tails = append(rest, merged)
	}
}
