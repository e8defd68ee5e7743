package replicate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"stele/internal/body"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/internal/segment"
)

// mark is a moment of the origin: what must be on the target for it to be restorable to size.
type mark struct {
	size    uint64
	growing []body.Growth // every chunk of the first size entries is in these, or in a sealed pack
}

// markNow takes the ledger's size first: the chunks of what was committed are durable by then.
func (o *Origin) markNow() mark {
	size := o.Ledger.Size()
	_, _, growing := o.Body.Packs(1 << 62)
	return mark{size, growing}
}

// parallel is how many packs are copied at once.
const parallel = 4

// ship brings the target up to a mark. Each step may be the last one before a crash. So the order is fixed: keyrings, then packs, then the segments that name their chunks; and a file is removed only after the file
// that supersedes it is there.
func (s *session) ship(ctx context.Context, m mark) error {
	if s.begun { // the first shipment of a session comes right after its listing
		if err := s.unchanged(ctx); err != nil {
			return err
		}
	}
	if bug.On(bug.ShipSegmentsFirst) {
		if err := s.shipSegments(ctx, m.size); err != nil {
			return err
		}
	}
	if err := s.shipKeyrings(ctx); err != nil {
		return err
	}
	if err := s.shipPacks(ctx); err != nil {
		return err
	}
	if err := s.shipTailPacks(ctx, m.growing); err != nil {
		return err
	}
	if err := s.shipSegments(ctx, m.size); err != nil { // from here on the target can be restored to m.size
		return err
	}
	s.begun = true
	s.supersedeTails(ctx)
	s.sweep(ctx)
	return nil
}

// maxJunk bounds what is remembered of files that could not be removed; the next session finds the rest.
const maxJunk = 10_000

// sweep removes what is superseded. It is optional: the credentials may not allow it, or a lock may still hold. After a failure it pauses for 1,000 rounds, so that a target which always refuses is not asked in each.
func (s *session) sweep(ctx context.Context) {
	if s.rest > 0 {
		s.rest--
		s.junk = s.junk[:min(len(s.junk), maxJunk)]
		return
	}
	for i, name := range s.junk {
		if err := s.target.Remove(ctx, name); err != nil && !errors.Is(err, engine.ErrNotExist) {
			s.junk, s.rest = s.junk[i:], 1000
			return
		}
	}
	s.junk = nil
}

// shipKeyrings copies the keyrings that the target lacks. Another branch of the store, left behind by a failover, may have shipped one of the same number. Ours then goes under the
// next free number; only the order of the numbers has a meaning.
func (s *session) shipKeyrings(ctx context.Context) error {
	return s.o.Engine.List(ctx, engine.Keyrings, func(i engine.Info) error {
		number, ok := keyring.Number(i.Name)
		if s.rings[i.Name] || !ok {
			return nil
		}
		f, err := s.o.Engine.Open(ctx, i.Name)
		if err != nil {
			return err
		}
		defer f.Close()
		for ; ; number++ {
			name := keyring.FileName(number)
			if there, ok := s.have[name]; ok {
				if same, err := s.sameRing(ctx, name, there, f); err != nil {
					return err
				} else if !same {
					continue
				}
			} else if err := s.copyFile(ctx, name, f, nil); errors.Is(err, ErrForked) { // since the target was listed
				s.have[name] = -1
				continue
			} else if err != nil { // no digest is compared: whoever opens a keyring notices a damaged one, since age authenticates its content
				return err
			}
			s.have[name], s.rings[i.Name] = f.Size(), true
			return nil
		}
	})
}

// sameRing says whether a keyring on the target is the one in f. Where the target doesn't let us read, the lengths must do.
func (s *session) sameRing(ctx context.Context, name string, size int64, f engine.File) (bool, error) {
	if size != f.Size() {
		return false, nil
	}
	same, err := s.same(ctx, name, size, f)
	if errors.Is(err, engine.ErrDenied) {
		return true, nil
	}
	return same, err
}

// shipPacks copies the sealed packs that the target lacks.
func (s *session) shipPacks(ctx context.Context) error {
	names, next, _ := s.o.Body.Packs(s.next)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var mu sync.Mutex // guards have and lacking
	for _, name := range names {
		mu.Lock()
		_, ok := s.have[pack.Name(name)]
		mu.Unlock()
		if ok {
			continue
		}
		group.Go(func() error {
			size, err := s.copyPack(gctx, name)
			mu.Lock()
			defer mu.Unlock()
			return s.shipped(name, size, err)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.next = next // only after all were copied: after an error the next round lists the same packs again
	for _, name := range names {
		s.supersede(name)
	}
	return nil
}

// shipPack copies one pack that was sealed a moment ago.
func (s *session) shipPack(ctx context.Context, name pack.Name16) error {
	if _, ok := s.have[pack.Name(name)]; !ok {
		size, err := s.copyPack(ctx, name)
		if err := s.shipped(name, size, err); err != nil {
			return err
		}
	}
	s.supersede(name)
	return nil
}

// shipped notes the outcome of a copy. A pack that is damaged or missing here does not hold up the others: it is reported, and the next session tries it again.
func (s *session) shipped(name pack.Name16, size int64, err error) error {
	switch {
	case err == nil:
		s.have[pack.Name(name)] = size
		delete(s.lacking, pack.Name(name))
		return nil
	case errors.As(err, new(sourceError)):
		s.lacking[pack.Name(name)] = err
		return nil
	}
	return err
}

// supersede notes that the tails of a pack may be removed, once that pack is on the target.
func (s *session) supersede(name pack.Name16) {
	q := s.packs[name]
	if _, ok := s.have[pack.Name(name)]; !ok || q == nil {
		return
	}
	delete(s.packs, name)
	s.junk = append(s.junk, mapNames(q.tails, func(p packPart) string { return p.name })...)
}

// sourceError is an error of the origin, not of the target.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// copyPack copies a sealed pack. One that is damaged here is healed first, perhaps from what this very target has of it.
func (s *session) copyPack(ctx context.Context, short pack.Name16) (int64, error) {
	size, err := s.copyOnce(ctx, short)
	if errors.As(err, new(sourceError)) && s.o.Heal != nil && ctx.Err() == nil {
		if why := s.o.Heal(ctx, pack.Name(short), err); why != nil {
			return 0, sourceError{notHealed(err, why)}
		}
		size, err = s.copyOnce(ctx, short)
	}
	return size, err
}

// copyOnce copies a sealed pack, and proves it while it is copied.
func (s *session) copyOnce(ctx context.Context, short pack.Name16) (int64, error) {
	name := pack.Name(short)
	want, ok := s.o.Body.SealedInfo(short)
	if !ok {
		var err error
		if want, ok, err = s.o.Sealed(ctx, name); err != nil {
			return 0, sourceError{err}
		}
	}
	if !ok { // it has no pack.seal entry yet: a crash came between the two, and the next start writes the entry. Until then the pack's own frames prove it
		r, err := s.o.Body.VerifyPack(ctx, name)
		if err != nil {
			return 0, sourceError{fmt.Errorf("couldn't ship %s: %w", name, err)}
		}
		want = r.Pack
	}
	f, err := s.o.Engine.Open(ctx, name)
	if err != nil {
		return 0, sourceError{fmt.Errorf("couldn't ship %s: %w", name, err)}
	}
	defer f.Close()
	if f.Size() != want.Size && !bug.On(bug.ShipUnverified) {
		return 0, sourceError{fmt.Errorf("couldn't ship %s: it has %d bytes, its pack.seal entry says %d: %w", name, f.Size(), want.Size, frame.ErrCorrupt)}
	}
	err = s.copyFile(ctx, name, f, &want.SHA256)
	if errors.Is(err, frame.ErrCorrupt) {
		err = sourceError{err}
	}
	return f.Size(), err
}

// shipSegments copies sealed segments that end at or before size, and makes tails of the entries between.
func (s *session) shipSegments(ctx context.Context, size uint64) error {
	for _, f := range s.o.Ledger.Segments() {
		if f.First >= size {
			return nil
		}
		if f.Sealed && f.End <= size {
			if err := s.shipSegment(ctx, f); err != nil {
				return err
			}
			continue
		}
		to := min(size, f.End)
		if s.at < f.First {
			return fmt.Errorf("couldn't ship entry %d: the ledger's files do not go on there: %w", s.at, frame.ErrCorrupt)
		}
		if s.at < to {
			if err := s.shipTailSegment(ctx, to); err != nil {
				return err
			}
		}
		if err := s.mergeSegments(ctx, f.First, f.End); err != nil {
			return err
		}
	}
	return nil
}

// shipSegment copies a sealed segment after it was checked whole.
func (s *session) shipSegment(ctx context.Context, f ledger.SegmentInfo) error {
	if _, ok := s.have[f.Name]; ok {
		s.at = max(s.at, f.End)
		return nil
	}
	b, err := s.readSegment(ctx, f.Name)
	if err != nil && s.o.Heal != nil && ctx.Err() == nil {
		if why := s.o.Heal(ctx, f.Name, err); why != nil {
			err = notHealed(err, why)
		} else {
			b, err = s.readSegment(ctx, f.Name)
		}
	}
	if err != nil {
		return err
	}
	whole := bytesFile{b}
	s.removeEarly(s.within(f))
	if err := s.copyFile(ctx, f.Name, whole, nil); err != nil {
		return err
	}
	s.have[f.Name], s.at = whole.Size(), max(s.at, f.End)
	s.junk = append(s.junk, s.within(f)...)
	var rest []tailSeg
	for _, t := range s.tails {
		if t.first < f.First || t.end > f.End {
			rest = append(rest, t)
		}
	}
	s.tails = rest
	return nil
}

// readSegment reads a sealed segment into memory and checks it there, so that the bytes that are checked are the bytes that are shipped.
func (s *session) readSegment(ctx context.Context, name string) ([]byte, error) {
	file, err := s.o.Engine.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("couldn't ship %s: %w", name, err)
	}
	defer file.Close()
	b := make([]byte, file.Size())
	if _, err := newReader(ctx, file, file.Size(), nil, nil, nil).ReadFull(b); err != nil {
		return nil, fmt.Errorf("couldn't ship %s: %w", name, err)
	}
	if _, err := s.o.Ledger.CheckSegment(ctx, name, bytesFile{b}, int64(len(b))); err != nil {
		return nil, fmt.Errorf("couldn't ship: %w", err)
	}
	return b, nil
}

// within names the tails whose entries a sealed segment holds.
func (s *session) within(f ledger.SegmentInfo) (names []string) {
	epoch, _, _ := segment.ParseName(f.Name)
	for _, t := range s.tails {
		if epoch == s.o.Keys.Epoch && t.first >= f.First && t.end <= f.End {
			names = append(names, tailSegment(epoch, t.first, t.end))
		}
	}
	return names
}
