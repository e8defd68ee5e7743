package backup

import (
	"cmp"
	"context"
	"time"

	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/replicate"
	"stele/internal/snapshot"
)

// A snapshot of the index is due when the ledger has grown by this much since the last one: whoever serves from a backup folds what came after it, at 15 to 35 us an entry. What a
// snapshot ships is what was written to tables since the last one, a MB for 5,000 entries and some tens where tables were merged.
const (
	SnapshotEntries = 5_000
	SnapshotShare   = 200 // a two-hundredth of the ledger, in large ones
	// snapshotRest is how many times as long as a snapshot took the store goes without the next one, however much it grows, but not longer than snapshotRestMost: the first one to a slow target
	// takes long, and those after it ship little.
	snapshotRest     = 50
	snapshotRestMost = 10 * time.Minute
	// snapshotRetry is how long it goes without one after a failure.
	snapshotRetry = time.Minute
)

// outgrown reports whether the ledger has grown enough since a snapshot of that size for another one.
func (s *Backups) outgrown(last uint64) bool {
	size := s.core.Size()
	return size-min(last, size) >= max(cmp.Or(s.Snapshots.Every, SnapshotEntries), size/SnapshotShare)
}

// snapshotOn is the ledger size of the newest snapshot that is whole on a target; 0: none. A target that was added, or was away, when the last one was taken has an older one or none, and one that lost a
// pack of it can't serve it.
func (s *Backups) snapshotOn(ctx context.Context, target engine.Engine) uint64 {
	opt := s.SnapshotOptions()
	opt.Passed = nil // a target without one gets one: nothing is wrong
	found, err := snapshot.Find(ctx, target, opt)
	if err != nil || found == nil {
		return 0 // or it can't be listed: then nobody can serve from it either
	}
	return found.Size
}

// SnapshotTargets brings a snapshot of the index to the targets that are well and for which one is due. One at a time goes on beside the housekeeping, and seldom enough to take no more than a
// fiftieth of the time.
func (s *Backups) SnapshotTargets(ctx context.Context) error {
	if !s.core.TakesWrites() || len(s.core.Index.Missing()) > 0 || int64(s.core.Monotonic()) < s.Snapshots.rest.Load() {
		return nil
	}
	if !s.Shippers.Snapshotting.CompareAndSwap(false, true) {
		return nil
	}
	due := s.dueTargets() // asked only now: one that just ended has told its targets
	if len(due) == 0 {
		s.Shippers.Snapshotting.Store(false)
		s.core.OutcomeOf(core.WorkSnapshot, "", nil) // all who are reached have one; who is not says so itself
		return nil
	}
	s.core.Beside(func() {
		s.shipSnapshots(ctx, due)
		s.Shippers.Snapshotting.Store(false)
		if s.Snapshots.Taken != nil {
			s.Snapshots.Taken()
		}
	})
	return nil
}

// shipSnapshots brings a snapshot to targets, and sets for how long that was it.
func (s *Backups) shipSnapshots(ctx context.Context, due []*shipping) {
	start, rest := s.core.Monotonic(), time.Duration(0)
	engines := make([]engine.Engine, len(due))
	for i, r := range due {
		engines[i] = r.engine()
	}
	_, err := s.SnapshotIndex(ctx, engines...)
	if ctx.Err() == nil {
		s.core.OutcomeOf(core.WorkSnapshot, "", err)
	}
	if err != nil {
		rest = snapshotRetry
	}
	for i, r := range due {
		r.tookSnapshot(s.snapshotOn(ctx, engines[i]))
	}
	now := s.core.Monotonic()
	s.Snapshots.rest.Store(int64(now + max(rest, min(snapshotRest*(now-start), snapshotRestMost))))
}

// dueTargets are the targets that are well and whose snapshot the ledger has outgrown.
func (s *Backups) dueTargets() (due []*shipping) {
	s.Shippers.mu.Lock()
	defer s.Shippers.mu.Unlock()
	for _, r := range s.Shippers.running {
		if !r.shipper.Status().Connected {
			continue
		}
		r.mu.Lock()
		if s.outgrown(r.snapshotAt) {
			due = append(due, r)
		}
		r.mu.Unlock()
	}
	return due
}

// engine is the target, at its rate.
func (r *shipping) engine() engine.Engine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return replicate.Paced(r.opened.Engine, r.limit)
}

func (r *shipping) tookSnapshot(size uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshotAt = size
	r.snapshots++
}

// lookForSnapshot asks a target which snapshot it holds. If one was brought there meanwhile, the answer may be older than that and is dropped.
func (s *Backups) lookForSnapshot(ctx context.Context, r *shipping, target engine.Engine) {
	r.mu.Lock()
	before := r.snapshots
	r.mu.Unlock()
	size := s.snapshotOn(ctx, target)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.snapshots == before {
		r.snapshotAt = size
	}
}
