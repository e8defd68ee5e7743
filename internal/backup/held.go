package backup

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
)

// heldBy is how many entries a target is known to have held; 0: none, or it was given up since.
func (s *Backups) heldBy(ctx context.Context, name string) (uint64, error) {
	held, err := s.newestOf(ctx, entry.BackupHeld, name)
	if err != nil {
		return 0, err
	}
	lost, err := s.newestOf(ctx, entry.BackupLost, name)
	if err != nil || lost.Index > held.Index {
		return lost.Private.Target, err
	}
	return held.Private.Target, nil
}

// newestOf is the newest entry of a type about a name; the zero Entry: there is none.
func (s *Backups) newestOf(ctx context.Context, t entry.Type, name string) (entry.Entry, error) {
	e, _, err := s.namedIn(ctx, index.LastOf(t, name))
	return e, err
}

// sealedBefore calls fn for each pack whose pack.seal entry is among the first size entries.
func (s *Backups) sealedBefore(size uint64, fn func(name string)) error {
	return s.core.Index.EachSealed(func(name string) error {
		at, ok, err := s.core.Index.SealedBy(name)
		if err == nil && ok && at < size {
			fn(name)
		}
		return err
	})
}

// listed takes note of what a listing of the target has shown. It runs on the shipper's goroutine, which waits for no entry: a full disk here must not keep anything from being shipped.
func (s *Backups) listed(ctx context.Context, r *shipping, size uint64, lost []string) error {
	r.mu.Lock()
	target := r.opened.Engine
	r.mu.Unlock()
	s.lookForSnapshot(ctx, r, target)
	r.mu.Lock()
	r.holds = size
	for _, name := range lost {
		if r.lost == nil {
			r.lost = map[string]bool{}
		}
		if !r.lost[name] {
			r.lost[name], r.toTell = true, true
		}
	}
	r.mu.Unlock()
	s.core.WakeHousekeeping()
	return nil
}

// shippedTo takes note that all is there which was to be shipped.
func (s *Backups) shippedTo(r *shipping) {
	size := r.shipper.Status().Size
	r.mu.Lock()
	r.holds = size
	if !r.toTell {
		r.lost = nil // a later loss of the same files is another one
	}
	r.mu.Unlock()
	s.core.WakeHousekeeping() // a snapshot may be due
}

// untold says whether a loss was found of which no entry tells yet.
func (r *shipping) untold() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.toTell
}

// AppendLosses writes a backup.lost entry for each target that was found to have lost files. A crash before the entry forgets the finding; the next listing, which every start begins with, finds it again.
func (s *Backups) AppendLosses(ctx context.Context) error {
	s.Shippers.telling.Lock()
	defer s.Shippers.telling.Unlock()
	for _, r := range s.shippings() {
		r.mu.Lock()
		tell, names, size := r.toTell, slices.Sorted(maps.Keys(r.lost)), r.holds
		r.mu.Unlock()
		if !tell {
			continue
		}
		data := map[string]string{"files": strconv.Itoa(len(names)), "first": names[0]}
		_, err := s.core.Record(ctx, core.Who{Key: core.ActorStele}, func(index.Reader, ledger.Slot) (ledger.Draft, error) {
			return ledger.Draft{Type: entry.BackupLost, Private: entry.Private{Name: r.spec.Name, Target: size, Data: data}}, nil
		})
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.toTell = len(r.lost) > len(names) // what was found meanwhile. Until the entry is there status tells of the loss by this, and shippedTo forgets no name
		r.mu.Unlock()
	}
	return nil
}

// AppendHeld writes a backup.held entry for each target of which nothing is known yet, or that holds twice as many entries as is known: so there are few of them.
func (s *Backups) AppendHeld(ctx context.Context) error {
	return s.appendHeldOf(ctx, func(*shipping) bool { return true })
}

// AppendFirstHeld is AppendHeld for the targets of which nothing is known yet. It doesn't wait for the next minute: if this process is killed before, nothing says that the place has held a copy.
func (s *Backups) AppendFirstHeld(ctx context.Context) error {
	return s.appendHeldOf(ctx, func(r *shipping) bool { return !r.isHeldKnown() })
}

func (s *Backups) appendHeldOf(ctx context.Context, these func(*shipping) bool) error {
	s.Shippers.telling.Lock()
	defer s.Shippers.telling.Unlock()
	for _, r := range s.shippings() {
		if !these(r) {
			continue
		}
		if err := s.tellHeld(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// tellHeld writes the entry for one target, if it is due. While a loss is to be told the target is left out: its entries may be among what it lost.
func (s *Backups) tellHeld(ctx context.Context, r *shipping) error {
	r.mu.Lock()
	size, tell := r.holds, r.toTell
	r.mu.Unlock()
	known, err := s.heldBy(ctx, r.spec.Name)
	if err != nil {
		return err
	}
	if size == 0 || tell || known > 0 && size < 2*known {
		r.setHeldKnown(known > 0)
		return nil
	}
	_, err = s.core.Record(ctx, core.Who{Key: core.ActorStele}, func(rd index.Reader, _ ledger.Slot) (ledger.Draft, error) {
		if _, ok, err := s.TargetIn(rd, r.spec.Name); err != nil || !ok {
			return ledger.Draft{}, cmp.Or(err, core.ErrNoChange) // removed meanwhile
		}
		return ledger.Draft{Type: entry.BackupHeld, Private: entry.Private{Name: r.spec.Name, Target: size}}, nil
	})
	if errors.Is(err, core.ErrNoChange) {
		return nil
	}
	r.setHeldKnown(err == nil)
	return err
}

// isHeldKnown reports whether the ledger says that the target holds something.
func (r *shipping) isHeldKnown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heldKnown
}

func (r *shipping) setHeldKnown(known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heldKnown = known
}

// giveUp notes that what a target held is no copy any more: it begins anew, or another place gets its name. From then on heldBy says 0, so that an empty place is no alarm.
func (s *Backups) giveUp(ctx context.Context, by core.Who, name, why string) error {
	_, err := s.core.Record(ctx, by, func(index.Reader, ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.BackupLost, Private: entry.Private{Name: name, Reason: why}}, nil
	})
	return err
}

// shippings are the shippers that run.
func (s *Backups) shippings() (all []*shipping) {
	s.Shippers.mu.Lock()
	defer s.Shippers.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.Shippers.running)) {
		all = append(all, s.Shippers.running[name])
	}
	return all
}

// stopTarget ends a shipper, and returns when it has ended; what it remembers of the target is gone.
func (s *Backups) stopTarget(name string) {
	s.Shippers.mu.Lock()
	r := s.Shippers.running[name]
	delete(s.Shippers.running, name)
	s.Shippers.mu.Unlock()
	if r != nil {
		r.cancel()
		<-r.done
	}
}

// held tells a shipper what is known of its target.
func (s *Backups) held(name string) func(context.Context) (uint64, error) {
	return func(ctx context.Context) (uint64, error) { return s.heldBy(ctx, name) }
}
