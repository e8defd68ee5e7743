package backup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/replicate"
)

// targets are the shippers that run, and what is remembered of their targets.
type targets struct {
	mu      sync.Mutex
	running map[string]*shipping
	stopped bool
	all     sync.WaitGroup // shippers, also those whose target was removed and that are about to end
	// notDrilled is when a drill could not be tried, by the monotonic clock.
	notDrilled map[string]time.Duration

	Snapshotting atomic.Bool // a snapshot of the index is being taken beside the housekeeping
	telling      sync.Mutex  // held while backup.held entries are written

	known recollection
}

// shipping is one target being shipped to.
type shipping struct {
	spec    TargetSpec
	shipper *replicate.Shipper
	limit   *rate.Limiter // nil: none
	cancel  context.CancelFunc
	done    chan struct{}

	mu         sync.Mutex
	opened     OpenedTarget
	lock       time.Duration
	snapshotAt uint64          // ledger size of the newest snapshot of the index there; 0: none
	snapshots  int             // how many were brought there
	holds      uint64          // entries, when it was last listed or shipped to
	lost       map[string]bool // files that it lost and that are not shipped again yet
	toTell     bool            // there is no entry yet of some of them
	heldKnown  bool            // the ledger says that it holds something
}

// origin is the store as replicate ships it.
func (s *Backups) origin() *replicate.Origin {
	return &replicate.Origin{Engine: s.core.Engine, Ledger: s.core.Ledger(), Body: s.core.Body, Keys: s.core.Keys, Format: core.FormatText, Sealed: s.core.SealOf, SealedBefore: s.sealedBefore, Heal: s.care.HealFor(care.ByShipping)}
}

// SyncTargets starts and ends shippers, so that they are those that the ledger says. It is called at each start and after each change: a crash between an entry and its shipper needs no mending.
func (s *Backups) SyncTargets() error {
	if !s.core.TakesWrites() || s.Opt.OpenTarget == nil {
		return nil
	}
	specs, err := s.Specs()
	if err != nil {
		return err
	}
	s.Shippers.mu.Lock()
	defer s.Shippers.mu.Unlock()
	if s.Shippers.stopped {
		return nil
	}
	want := map[string]TargetSpec{}
	for _, spec := range specs {
		spec.Removing = time.Time{} // it ships until then
		want[spec.Name] = spec
	}
	for name, r := range s.Shippers.running {
		if want[name] != r.spec {
			r.cancel()
			delete(s.Shippers.running, name)
		}
	}
	for name, spec := range want {
		if s.Shippers.running[name] == nil {
			s.startTarget(spec)
		}
	}
	return nil
}

// startTarget starts a shipper. s.Shippers.mu is held.
func (s *Backups) startTarget(spec TargetSpec) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &shipping{spec: spec, limit: replicate.Rate(spec.RateBytes), cancel: cancel, done: make(chan struct{})}
	r.shipper = replicate.NewShipper(s.origin(), replicate.Options{Name: spec.Name, Every: spec.Every, Limit: r.limit, Log: s.core.Log,
		Open: func(ctx context.Context) (engine.Engine, error) {
			opened, err := s.Opt.OpenTarget(ctx, spec)
			if err != nil {
				return nil, err
			}
			if err = r.note(ctx, opened); err == nil {
				s.lookForSnapshot(ctx, r, opened.Engine)
			}
			return opened.Engine, err
		},
		Shipped:   func() { s.shippedTo(r) },
		Fail:      func(err error) { s.targetFailed(spec.Name, err); s.core.WakeHousekeeping() },
		ListEvery: s.Opt.ListTargets,
		Held:      s.held(spec.Name),
		Listed:    func(ctx context.Context, size uint64, lost []string) error { return s.listed(ctx, r, size, lost) },
	})
	if s.Shippers.running == nil {
		s.Shippers.running = map[string]*shipping{}
	}
	s.Shippers.running[spec.Name] = r
	s.Shippers.all.Go(func() {
		defer close(r.done)
		r.shipper.Run(ctx)
	})
}

// note keeps what opening has shown.
func (r *shipping) note(ctx context.Context, opened OpenedTarget) error {
	lock, err := locksFor(ctx, opened.Engine)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened, r.lock = opened, lock
	return nil
}

// locksFor is for how long a target locks what it gets; 0: it doesn't.
func locksFor(ctx context.Context, target engine.Engine) (time.Duration, error) {
	if l, ok := target.(engine.Locker); ok {
		return l.LockFor(ctx)
	}
	return 0, nil
}

// targetFailed ends writing if a target proves that a later epoch has begun.
func (s *Backups) targetFailed(name string, err error) {
	var later *replicate.SupersededError
	if errors.As(err, &later) && later.Proven {
		if err := s.core.Supersede(later.Epoch, "target "+name); err != nil && !errors.Is(err, core.ErrClosed) {
			s.core.Log.Error("couldn't note that another primary has taken over", "err", err)
		}
	}
}

// relist has a target listed anew, so that what it lacks is shipped again.
func (s *Backups) relist(target string) {
	s.Shippers.mu.Lock()
	defer s.Shippers.mu.Unlock()
	if r := s.Shippers.running[target]; r != nil {
		r.shipper.Relist()
	}
}

// WakeTargets tells the shippers of new entries.
func (s *Backups) WakeTargets() {
	s.Shippers.mu.Lock()
	defer s.Shippers.mu.Unlock()
	for _, r := range s.Shippers.running {
		r.shipper.Wake()
	}
}

// lastShipment is how long Close waits for targets to take what came last.
const lastShipment = 5 * time.Second

// StopTargets ships what came last to the targets that are well, and ends all shippers.
func (s *Backups) StopTargets() {
	s.Shippers.mu.Lock()
	s.Shippers.stopped = true // none is started from here on: what is collected below is all
	var all []*shipping
	for _, r := range s.Shippers.running {
		all = append(all, r)
	}
	s.Shippers.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lastShipment)
	defer cancel()
	var wait sync.WaitGroup
	for _, r := range all {
		wait.Go(func() {
			if st := r.shipper.Status(); st.Err == nil && r.spec.Every == 0 && s.core.Ledger().Err() == nil {
				if err := r.shipper.Flush(ctx); err != nil {
					s.core.Log.Warn("a target did not take what came last; it will at the next start", "target", r.spec.Name, "err", err)
				}
			}
			r.cancel()
			<-r.done
		})
	}
	wait.Wait()
	s.Shippers.all.Wait()
}

// FlushTargets lists every target, ships all that is committed now and all that the target has lost, and returns when it can be restored from there, or why it can't. A store that takes no writes ships
// nothing: core.ErrReadOnly.
func (s *Backups) FlushTargets(ctx context.Context) error {
	if err := s.core.Enter(); err != nil {
		return err
	}
	defer s.core.Leave()
	ctx, cancel := s.core.UntilClosed(ctx)
	defer cancel()
	if !s.core.TakesWrites() {
		return fmt.Errorf("nothing is shipped from here: %w", s.core.Refusal())
	}
	all := s.shippings()
	first := false // of one of them the ledger does not say yet that it holds anything
	for _, r := range all {
		first = first || !r.isHeldKnown()
		r.shipper.Relist() // what was shipped once may be gone since, and who asks is told that it can be restored
	}
	err := flushAll(ctx, all)
	if err == nil && first { // the entry that says so belongs to what is there when this returns
		if err = s.AppendFirstHeld(ctx); err == nil {
			err = flushAll(ctx, all)
		}
	}
	return s.core.ClosedOr(core.Translate(err))
}

// flushAll ships to all of them, side by side.
func flushAll(ctx context.Context, all []*shipping) error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, r := range all {
		wait.Go(func() {
			if err := r.shipper.Flush(ctx); err != nil {
				errs[i] = fmt.Errorf("target %s: %w", r.spec.Name, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
