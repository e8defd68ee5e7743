package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"stele/internal/ledger"
	"stele/internal/segment"
)

// segmentsParallel is how many segments are checked at once. Each is in memory meanwhile.
const segmentsParallel = 2

// segments copies the ledger's files that into lacks.
func (r *restoring) segments(ctx context.Context, led *ledger.Ledger) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(segmentsParallel)
	r.firsts = r.firstsThere()
	at := uint64(0)
	for _, f := range led.Segments() {
		for at < f.End {
			next, err := r.goOn(gctx, group, led, f, at)
			if err != nil {
				return cmp.Or(group.Wait(), restoreError(f.Name, err))
			}
			at = next
		}
		r.report.Segments++
	}
	return group.Wait()
}

// goOn copies f, of which into has the entries up to at, and returns up to where it has them now. Where an earlier pass or an interrupted restore took a tail that the segment has superseded since, what
// is before it and what is behind it become segments of their own. What is copied whole is copied by group.
func (r *restoring) goOn(ctx context.Context, group *errgroup.Group, led *ledger.Ledger, f ledger.SegmentInfo, at uint64) (uint64, error) {
	epoch, _, _ := segment.ParseName(f.Name)
	name := segment.Name(epoch, max(at, f.First))
	size, there := r.there(name)
	whole := r.sizeOf(f.Name)
	next := r.nextThere(epoch, at, f.End)
	switch {
	case there && name == f.Name && size == whole:
		r.advance(whole)
		return f.End, nil
	case there:
		return r.reached(ctx, led, name)
	case name == f.Name && next == f.End:
		group.Go(func() error {
			if err := r.segment(ctx, led, f); err != nil {
				return restoreError(f.Name, err)
			}
			return nil
		})
		return f.End, nil
	default:
		err := led.WriteSegment(ctx, r.into, at, next)
		if err == nil {
			r.took(name, 0) // it is proven by its footer where it is met again
		}
		if next == f.End {
			r.advance(whole)
		}
		return next, err
	}
}

// nextThere is where the next segment begins that into has behind entry at; end, if there is none before it.
func (r *restoring) nextThere(epoch uint32, at, end uint64) uint64 {
	firsts := r.firsts[epoch]
	if i, _ := slices.BinarySearch(firsts, at+1); i < len(firsts) {
		end = min(end, firsts[i])
	}
	return end
}

// firstsThere are the first entries of the segments that into has, by epoch, ascending.
func (r *restoring) firstsThere() map[uint32][]uint64 {
	firsts := map[uint32][]uint64{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.have {
		if epoch, first, ok := segment.ParseName(name); ok {
			firsts[epoch] = append(firsts[epoch], first)
		}
	}
	for _, f := range firsts {
		slices.Sort(f)
	}
	return firsts
}

func (r *restoring) sizeOf(name string) int64 {
	for _, i := range r.source.segments() {
		if i.Name == name {
			return i.SizeBytes
		}
	}
	return 0
}

// reached is where a file ends that an interrupted restore left, and that must be of this history.
func (r *restoring) reached(ctx context.Context, led *ledger.Ledger, name string) (uint64, error) {
	f, err := r.into.Open(ctx, name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, foot, err := segment.ReadFooter(f, f.Size())
	if err != nil {
		return 0, err
	}
	if root, err := led.Root(ctx, foot.Commit.Size); err != nil || root != foot.Commit.Root {
		return 0, errors.Join(fmt.Errorf("%w by another history of this store. Restore into another, empty folder", ErrOccupied), err)
	}
	return foot.Commit.Size, nil
}

// segment copies one file of the ledger after it was checked whole.
func (r *restoring) segment(ctx context.Context, led *ledger.Ledger, info ledger.SegmentInfo) error {
	f, err := r.source.openExact(ctx, info.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, f.Size()) // what is checked is what is written
	if _, err := io.ReadFull(newReader(ctx, f, f.Size(), nil, nil, nil), b); err != nil {
		return err
	}
	whole := bytesFile{b}
	if _, err := led.CheckSegment(ctx, info.Name, whole, whole.Size()); err != nil {
		return err
	}
	err = r.into.Create(ctx, info.Name, whole.Size(), newReader(ctx, whole, whole.Size(), nil, nil, r.advance))
	if err == nil {
		r.took(info.Name, whole.Size())
	}
	return err
}
