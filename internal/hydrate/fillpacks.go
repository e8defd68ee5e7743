package hydrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/pack"
	"stele/internal/replicate"
)

// parallelFills is how many packs are brought at once. Tests change it.
var parallelFills = 2

// bringPacks brings packs, those that were asked for first, the others in the order in which they were sealed. One that can't be brought keeps no other back.
func (s *Store) bringPacks(ctx context.Context, missing []engine.Info) error {
	queue, err := s.inOrder(missing)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(parallelFills)
	var mu sync.Mutex
	var failed []error
	for ctx.Err() == nil {
		next, ok := s.from.fill.next(&queue)
		if !ok {
			break
		}
		group.Go(func() error {
			if err := s.bringPack(ctx, next); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	if len(failed) > 0 {
		return lacks(failed)
	}
	return ctx.Err()
}

// queued is a pack to bring.
type queued struct {
	engine.Info
	sealed uint64 // its pack.seal entry; math.MaxUint64: none
}

// inOrder queues packs in the order of their seal entries; those without one come last.
func (s *Store) inOrder(missing []engine.Info) ([]queued, error) {
	queue := make([]queued, 0, len(missing))
	for _, i := range missing {
		at, ok, err := s.core.Index.SealedBy(i.Name)
		if err != nil {
			return nil, err
		}
		if !ok {
			at = math.MaxUint64
		}
		queue = append(queue, queued{i, at})
	}
	slices.SortFunc(queue, func(a, b queued) int {
		return cmp.Or(cmp.Compare(a.sealed, b.sealed), strings.Compare(a.Name, b.Name))
	})
	return queue, nil
}

// next takes the next pack out of the queue.
func (f *filling) next(queue *[]queued) (q queued, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.asked) > 0 {
		name := f.asked[0]
		f.asked = f.asked[1:]
		for i := range *queue {
			if (*queue)[i].Name == name {
				q = (*queue)[i]
				*queue = slices.Delete(*queue, i, i+1)
				return q, true
			}
		}
	}
	if len(*queue) == 0 {
		return q, false
	}
	q, *queue = (*queue)[0], (*queue)[1:]
	return q, true
}

// bringPack brings a pack, once its bytes hash to what its pack.seal entry says. One without an entry is proven frame by frame first. What this target has not got whole is sought on the others.
func (s *Store) bringPack(ctx context.Context, q queued) error {
	want, err := s.packSeal(ctx, q)
	if err == nil {
		err = s.bringFrom(ctx, s.from.lower.source, q.Name, want)
	}
	if err != nil && want.SHA256 != (entry.Hash{}) && ctx.Err() == nil && !errors.Is(err, engine.ErrFull) && !errors.Is(err, engine.ErrFailed) {
		err = s.bringElsewhere(ctx, q.Name, want, err)
	}
	if err != nil {
		return fmt.Errorf("%s could not be brought: %w", q.Name, err)
	}
	if name, ok := pack.ParseName(q.Name); ok {
		s.core.Body.Moved([][16]byte{name})
		s.core.Body.Unretire([][16]byte{name})
	}
	s.from.fill.note(func(h *Hydration) { h.PacksLeft-- })
	return nil
}

// bringFrom copies a pack into the folder.
func (s *Store) bringFrom(ctx context.Context, from engine.Engine, name string, want entry.Pack) error {
	f, err := from.Open(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Size() != want.Size && !bug.On(bug.FillUnproven) {
		return fmt.Errorf("it has %d bytes, its pack.seal entry says %d: %w", f.Size(), want.Size, frame.ErrCorrupt)
	}
	err = s.from.local.Create(ctx, name, f.Size(), s.proven(ctx, f, want.SHA256))
	if errors.Is(err, engine.ErrExist) {
		return nil
	}
	return err
}

// bringElsewhere brings a pack from another target than the one that is served, which has said why it doesn't.
func (s *Store) bringElsewhere(ctx context.Context, name string, want entry.Pack, why error) error {
	whys := []error{heal.OfCopy(s.from.Name, why)}
	for _, c := range s.Opt.Copies() {
		err := s.bringFrom(ctx, c.Engine, name, want)
		if err == nil {
			s.core.Log.Warn("the backup that is served hasn't got this pack whole; another target had a good copy, which was brought", "pack", name, "good_copy", c.Name, "reason", heal.Joined(whys))
			return nil
		}
		whys = append(whys, heal.OfCopy(c.Name, err))
		if errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrFailed) || ctx.Err() != nil {
			break
		}
	}
	return heal.Joined(whys)
}

// lacks is the error of packs that could not be brought.
func lacks(failed []error) error {
	next := "The filling goes on by itself once a target has them: repair that copy, or add a target that holds one. To end it without what lay in them: `stele serve --from … --accept-lacking`"
	for _, passing := range []error{engine.ErrFull, engine.ErrFailed} {
		if errors.Is(failed[0], passing) {
			return failed[0] // it is for the disk here, which says so
		}
	}
	if len(failed) == 1 {
		return fmt.Errorf("%w. %s", failed[0], strings.Replace(next, "has them", "has it", 1))
	}
	return fmt.Errorf("%d packs could not be brought; the first: %w. %s", len(failed), failed[0], next)
}

// bringLacking brings the packs that entries seal and that are neither here nor on the target: another target may have them.
func (s *Store) bringLacking(ctx context.Context) error {
	names, err := s.core.ExpectedPacks()
	if err != nil {
		return err
	}
	var failed []error
	lacking := s.core.Body.Missing(names)
	for _, name := range lacking {
		want, ok, err := s.core.SealOf(ctx, name)
		if err == nil && ok {
			err = s.bringElsewhere(ctx, name, want, engine.ErrNotExist)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s could not be brought: %w", name, err))
		}
	}
	if len(failed) < len(lacking) {
		if err := s.core.Body.LearnMore(ctx); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return lacks(failed)
	}
	return nil
}

// packSeal returns what is known of a pack's bytes.
func (s *Store) packSeal(ctx context.Context, q queued) (entry.Pack, error) {
	if p, ok, err := s.core.SealOf(ctx, q.Name); ok || err != nil {
		return p, err
	}
	r, err := s.core.Body.VerifyPack(ctx, q.Name)
	return r.Pack, err
}

// proven reads a pack beneath, and fails at its end unless its bytes hash to what they should.
func (s *Store) proven(ctx context.Context, f engine.File, want entry.Hash) io.Reader {
	fill := &s.from.fill
	check := &want
	if bug.On(bug.FillUnproven) {
		check = nil
	}
	if fill.limit == nil {
		return replicate.Proven(ctx, f, check, func(n int64) { fill.count(int(n)) })
	}
	return replicate.PacedReader(ctx, replicate.Proven(ctx, f, check, nil), fill.limit, fill.count)
}
