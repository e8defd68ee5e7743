package backup

import (
	"cmp"
	"context"
	"slices"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/ledger"
	"stele/internal/replicate"
)

// Targets says how every target stands, in order of name. The secret keys are left out. A target to which nothing is being shipped is looked at first: what is said of it is of now. One that doesn't answer
// within 3 s is said not to.
func (s *Backups) Targets(ctx context.Context) ([]TargetStatus, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	s.lookAtTargets(ctx)
	out, err := s.targetsKnown(ctx)
	if err == nil && !s.core.TakesWrites() {
		s.askTargets(ctx, out)
	}
	return out, err
}

// TargetsKnown is Targets without a look at any of them: a target that is shipped to from here is looked at every minute by itself.
func (s *Backups) TargetsKnown(ctx context.Context) ([]TargetStatus, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	return s.targetsKnown(ctx)
}

// lookAtTargets has all targets that are shipped to looked at, side by side.
func (s *Backups) lookAtTargets(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, SeenWait)
	defer cancel()
	all := s.shippings()
	done := make(chan struct{}, len(all))
	for _, r := range all {
		go func() { r.shipper.Look(ctx); done <- struct{}{} }()
	}
	for range all {
		<-done // at the latest when ctx ends
	}
}

// targetsKnown is what this process and the ledger know of each target.
func (s *Backups) targetsKnown(ctx context.Context) ([]TargetStatus, error) {
	specs, err := s.Specs()
	if err != nil {
		return nil, err
	}
	out := make([]TargetStatus, len(specs))
	for i, spec := range specs {
		st := &out[i]
		spec.SecretKey = ""
		st.TargetSpec, st.Behind = spec, s.core.Size()
		if st.LastDrill, st.Drill, err = s.drills(ctx, spec.Name); err != nil {
			return nil, err
		}
		s.Shippers.mu.Lock()
		r := s.Shippers.running[spec.Name]
		s.Shippers.mu.Unlock()
		untold := r != nil && r.untold() // before the entry is looked for: a loss that gets its entry in between is seen in one or in both
		if st.LastLoss, err = s.lastOf(ctx, entry.BackupLost, spec.Name); err != nil {
			return nil, err
		}
		if untold {
			st.LastLoss = s.core.Now()
		}
		if r != nil {
			r.status(st, s.core.Size())
		}
		if err := s.recall(ctx, st); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// recall says of a target that was not reached in this process what was last known of it.
func (s *Backups) recall(ctx context.Context, st *TargetStatus) error {
	if st.Connected || !st.Listed.IsZero() {
		return nil
	}
	held, err := s.heldBy(ctx, st.Name)
	if err != nil {
		return err
	}
	known := s.lastKnown(st.TargetSpec)
	st.Size = min(max(held, known.Size), s.core.Size())
	if st.Size == known.Size {
		st.Restorable = known.Restorable
	} else if st.Size > 0 {
		if e, _, _, err := s.core.Ledger().Entry(ctx, st.Size-1); err == nil {
			st.Restorable = e.Time
		}
	}
	st.Behind = s.core.Size() - st.Size
	if !known.ErrorSince.IsZero() && st.Ships && st.Error == "" {
		st.Error, st.ErrorSince = "it was not reached before the last start, and not yet since", known.ErrorSince
	}
	if !known.ErrorSince.IsZero() && st.Error != "" && known.ErrorSince.Before(st.ErrorSince) {
		st.ErrorSince = known.ErrorSince
	}
	return nil
}

// askTargets asks targets to which nobody ships now how much they hold.
func (s *Backups) askTargets(ctx context.Context, all []TargetStatus) {
	if s.Opt.OpenTarget == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, SeenWait) // the answers are compared with the ledger by ctx, which goes on
	defer cancel()
	specs := make([]TargetSpec, len(all))
	for i, st := range all {
		specs[i] = st.TargetSpec
		if full, ok, err := s.TargetIn(s.core.Index.Reader(), st.Name); err == nil && ok {
			specs[i].SecretKey = full.SecretKey
		}
		specs[i].ReadOnly, all[i].Asked = true, true
	}
	answers, _ := askAll(asking, len(specs), func(i int) targetAnswer { return s.askTarget(asking, specs[i]) })
	for i, a := range answers {
		if a == nil {
			all[i].Error = replicate.ErrSilent.Error()
			continue
		}
		s.takeAnswer(ctx, &all[i], *a)
	}
}

// targetAnswer is what a target that was asked has said of itself.
type targetAnswer struct {
	opened OpenedTarget
	lock   time.Duration
	seen   ledger.Seen
	err    error
}

// askTarget asks a target, and touches nothing of the store but its keys: it may go on when nobody waits any more.
func (s *Backups) askTarget(ctx context.Context, spec TargetSpec) (a targetAnswer) {
	if a.opened, a.err = s.Opt.OpenTarget(ctx, spec); a.err != nil {
		return a
	}
	defer closeEngine(a.opened.Engine)
	if a.lock, a.err = locksFor(ctx, a.opened.Engine); a.err == nil {
		a.seen, a.err = replicate.Head(ctx, a.opened.Engine, s.core.Keys)
		a.seen.By = "target " + spec.Name
	}
	return a
}

// takeAnswer takes a target's answer into its status.
func (s *Backups) takeAnswer(ctx context.Context, st *TargetStatus, a targetAnswer) {
	st.NoCopy, st.Disks, st.Server, st.LockFor = a.opened.NoCopy, a.opened.Disks, a.opened.Server, a.lock
	seen, err := a.seen, a.err
	if err == nil {
		err = s.compareSeen(ctx, st, seen)
	}
	if err == nil && seen.Size == 0 {
		if held, herr := s.heldBy(ctx, st.Name); herr != nil || held > 0 {
			err = cmp.Or[error](herr, &replicate.EmptiedError{Held: held})
		}
	}
	if err != nil {
		st.Error, st.Refused = err.Error(), replicate.Refused(err) // since when, nobody knows
		return
	}
	st.Connected, st.Size, st.Behind = true, min(seen.Size, s.core.Size()), s.core.Size()-min(seen.Size, s.core.Size())
	if st.Restorable = (time.Time{}); st.Size > 0 {
		if e, _, _, err := s.core.Ledger().Entry(ctx, st.Size-1); err == nil {
			st.Restorable = e.Time
		}
	}
}

// compareSeen compares the ledger with what a target has seen of it. Where a backup is served it is no fault that a target has more: the backup is an older one, and nothing was rolled back.
func (s *Backups) compareSeen(ctx context.Context, st *TargetStatus, seen ledger.Seen) error {
	if size := s.core.Size(); (s.core.State() == core.Serving || s.core.State() == core.Copied) && seen.Epoch <= s.core.Keys.Epoch && seen.Size > size {
		st.Newer = seen.Size - size
		return nil
	}
	if end, ok := s.core.Keys.EndOf(seen.Epoch); ok && seen.Size > end {
		st.Beyond = seen.Size - end
	}
	return s.core.Ledger().Compare(ctx, seen)
}

// status says how shipping to the target stands in this process; size is that of the ledger.
func (r *shipping) status(st *TargetStatus, size uint64) {
	now := r.shipper.Status()
	st.Size, st.Restorable, st.Shipped, st.Bytes, st.Connected, st.Refused, st.Lacking = now.Size, now.Restorable, now.Shipped, now.ShippedBytes, now.Connected, now.Refused, now.Lacking
	st.Lost, st.Foreign, st.Listed, st.Beyond, st.Ships = now.Lost, now.Foreign, now.Listed, now.Beyond, true
	st.Behind = size - min(size, now.Size)
	if now.Err != nil {
		st.Error, st.ErrorSince = now.Err.Error(), now.ErrSince
	}
	slices.Sort(st.Lacking)
	r.mu.Lock()
	defer r.mu.Unlock()
	st.NoCopy, st.Disks, st.Server, st.LockFor = r.opened.NoCopy, r.opened.Disks, r.opened.Server, r.lock
}
