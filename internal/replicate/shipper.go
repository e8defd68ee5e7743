package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/retry"
)

// Clock is where a Shipper's time comes from.
type Clock interface {
	Now() time.Time                         // the wall clock
	After(d time.Duration) <-chan time.Time // receives the time once d has passed
}

// SystemClock is the machine's.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now() }

// After implements Clock.
func (SystemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Options say where to ship and how.
type Options struct {
	Name  string
	Open  func(ctx context.Context) (engine.Engine, error) // opens the target; one that is an io.Closer is closed after an error
	Every time.Duration                                    // 0: as it comes
	Limit *rate.Limiter                                    // bytes read for the target; nil: no limit
	Clock Clock                                            // nil: SystemClock
	Log   *slog.Logger                                     // nil: nothing is logged
	Fail  func(err error)                                  // told of each error, on Run's goroutine; may be nil
	// Shipped is told of each shipment that ended well, on Run's goroutine; may be nil.
	Shipped func()
	// ListEvery is how often the target is listed anew and compared with what was shipped; 0: DefaultListEvery, below 0: never but after errors and Relist.
	ListEvery time.Duration
	// Held returns how many entries the target is known to have held; nil: nothing is known.
	Held func(ctx context.Context) (uint64, error)
	// Listed is told, on Run's goroutine, how many entries the target holds when it was listed, and which files it lost since they were shipped. An error of it is one of the target: nothing is
	// shipped before it is told. May be nil.
	Listed func(ctx context.Context, size uint64, lost []string) error
}

// DefaultListEvery is how often a target is listed anew. It costs a request for each thousand files of it.
const DefaultListEvery = time.Hour

// Status is how a target stands.
type Status struct {
	Name         string
	Size         uint64    // entries that can be restored from it
	Restorable   time.Time // time of the newest of them; zero: none, or not known yet
	Shipped      time.Time // when the last shipment ended
	ShippedBytes int64     // since the start
	Connected    bool      // reached, and compared with the ledger. With an Err it takes no writes, or can't be shipped to for another reason
	Err          error     // nil while all is well: since the last error something was shipped, or there was none
	ErrSince     time.Time
	Refused      bool      // Err is not a matter of trying again
	Lacking      []string  // packs that could not be shipped because they are damaged here
	Lost         []string  // files that the target lost and that are not shipped again yet
	Foreign      []string  // files on the target that bear a segment's name and are not of this store: left alone
	Listed       time.Time // when it was last listed and compared
	Beyond       uint64    // entries of former epochs that it holds and the store goes on without: evidence
}

// waits of a Shipper.
const (
	// tailAfter is how long an entry waits for the growing packs to be sealed. At a high rate they fill up and are sealed by themselves, and a tail would ship the same bytes twice.
	tailAfter = 1200 * time.Millisecond
	// growthEvery is how often it looks whether they are.
	growthEvery = 100 * time.Millisecond
	// tellEvery is how often the log is told of the same error again.
	tellEvery = time.Hour
)

// again is when a target that failed is tried again.
var again = retry.Backoff{First: 2 * time.Second, Most: 5 * time.Minute}

// Shipper ships a store to one target for as long as Run runs. It blocks nobody: neither the store nor another target. Its methods may be called concurrently.
type Shipper struct {
	o   *Origin
	opt Options

	wake  chan struct{}      // there are new entries
	flush chan chan<- error  // somebody waits for a shipment
	list  chan struct{}      // somebody wants the target listed anew
	looks chan chan struct{} // somebody wants the target looked at

	// Of Run's goroutine:
	former *session         // what the last session knew of the target
	due    <-chan time.Time // fires when the target is to be listed anew
	round  <-chan time.Time // fires when a target on a schedule is to be shipped to
	glance <-chan time.Time // fires when the target is to be looked at
	askers []chan struct{}  // who waits for a look
	owing  bool             // the last shipment failed: that the target can be listed doesn't end its error

	mu       sync.Mutex
	status   Status
	fail     int       // errors in a row
	told     time.Time // when the log was told of the last error
	awaiting awaiting
}

// NewShipper makes a shipper; Run starts it.
func NewShipper(o *Origin, opt Options) *Shipper {
	if opt.Clock == nil {
		opt.Clock = SystemClock{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Shipper{o: o, opt: opt, wake: make(chan struct{}, 1), flush: make(chan chan<- error), list: make(chan struct{}, 1), looks: make(chan chan struct{}), status: Status{Name: opt.Name}}
}

// Wake tells of new entries. It never blocks.
func (s *Shipper) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Relist has the target listed anew at once, and compared with the ledger and with what was shipped: what it lacks is shipped again. It never blocks.
func (s *Shipper) Relist() {
	select {
	case s.list <- struct{}{}:
	default:
	}
}

// Status says how the target stands.
func (s *Shipper) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	s.silent(&st)
	return st
}

// Flush ships all that is committed now, and returns when it can be restored, or why it can't. Run must be running, or ctx ends it.
func (s *Shipper) Flush(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case s.flush <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run ships until ctx ends. After an error it begins anew, with a wait that grows.
func (s *Shipper) Run(ctx context.Context) {
	defer s.answer()
	var waiting []chan<- error // who waits for a shipment
	for ctx.Err() == nil {
		s.setBusy(true)
		s.await(openSilentAfter)
		err := s.connected(ctx, &waiting)
		s.setBusy(false) // before anybody is told of the error: who then has the target looked at has it tried again
		if ctx.Err() == nil {
			s.failed(err)
		}
		for _, w := range waiting {
			w <- err
		}
		waiting = nil
		s.answer()
		select {
		case <-ctx.Done():
		case <-s.opt.Clock.After(s.retryIn()):
		case <-s.list:
		case done := <-s.looks:
			s.askers = append(s.askers, done)
		case w := <-s.flush:
			waiting = append(waiting, w)
		}
	}
}

// retryIn is how long to wait after the last error.
func (s *Shipper) retryIn() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return again.Jittered(s.fail)
}

func (s *Shipper) failed(err error) {
	s.mu.Lock()
	s.fail++
	first := s.status.Err == nil || !durable.Alike(s.status.Err.Error(), err.Error())
	if s.status.Err == nil {
		s.status.ErrSince = s.opt.Clock.Now()
	}
	s.status.Err, s.status.Connected, s.status.Refused = err, errors.Is(err, ErrUnwritable) && !s.status.Listed.IsZero(), Refused(err)
	s.awaiting.since = time.Time{}
	if first = first || s.opt.Clock.Now().Sub(s.told) >= tellEvery; first {
		s.told = s.opt.Clock.Now()
	}
	s.mu.Unlock()
	if s.opt.Fail != nil {
		s.opt.Fail(err)
	}
	if first {
		s.opt.Log.Error("couldn't ship to a target", "target", s.opt.Name, "err", err)
	}
}

// connected opens the target, compares it with the ledger, and ships until the first error. Its errors don't name the target: status, log and Flush's callers do.
func (s *Shipper) connected(ctx context.Context, waiting *[]chan<- error) error {
	target, err := s.opt.Open(ctx)
	if err != nil {
		return unwritable(err) // a bucket is written to on trial, and a folder may lack some of its own
	}
	if c, ok := target.(io.Closer); ok {
		defer c.Close()
	}
	ses, err := s.begin(ctx, target)
	if err != nil {
		return err
	}
	for {
		m, todo, err := s.next(ctx, ses, waiting)
		if err != nil {
			return err
		}
		s.setBusy(true)
		if todo == lookAtIt {
			moved, err := s.look(ctx, ses)
			if err != nil {
				return err
			}
			if !moved {
				s.setBusy(false)
				continue
			}
			todo = listAnew
		}
		if todo == listAnew || s.listNow() { // before a shipment: who asked for both has what the target lacks shipped too
			if ses, err = s.compare(ctx, ses); err != nil {
				return err
			}
			if todo == listAnew {
				s.setBusy(false)
				continue
			}
			m = s.o.markNow()
		}
		if err := s.shipOnce(ctx, ses, m); err != nil {
			return err
		}
		s.setBusy(false)
		for _, w := range *waiting {
			w <- nil
		}
		*waiting = nil
	}
}

// begin lists the target and compares it, also with what an earlier session knew of it.
func (s *Shipper) begin(ctx context.Context, target engine.Engine) (*session, error) {
	held, err := s.held(ctx)
	if err != nil {
		return nil, err
	}
	if s.former != nil {
		held = max(held, s.former.at)
	}
	ses, err := connect(ctx, s.o, target, held, s.former)
	if err != nil {
		return nil, err
	}
	ses.limit = s.opt.Limit
	ses.bytes = s.counted
	return ses, s.listed(ctx, ses)
}

// compare lists the target of a session anew.
func (s *Shipper) compare(ctx context.Context, ses *session) (*session, error) {
	held, err := s.held(ctx)
	if err != nil {
		return nil, err
	}
	if ses, err = ses.again(ctx, held); err != nil {
		return nil, err
	}
	if err := ses.renew(ctx, s.opt.Clock.Now()); err != nil {
		return nil, fmt.Errorf("couldn't renew locks: %w", err)
	}
	return ses, s.listed(ctx, ses)
}

func (s *Shipper) held(ctx context.Context) (uint64, error) {
	if s.opt.Held == nil {
		return 0, nil
	}
	return s.opt.Held(ctx)
}

// listed tells what a listing showed, and sets when the next one is due.
func (s *Shipper) listed(ctx context.Context, ses *session) error {
	select { // who asked for a listing until now has it
	case <-s.list:
	default:
	}
	if lost := ses.lostNames(); len(lost) > 0 {
		s.opt.Log.Error("a target lost files that were shipped to it; they are shipped again", "target", s.opt.Name, "files", len(lost), "first", lost[0])
	}
	if alien := ses.alienNames(); len(alien) > 0 && (s.former == nil || !slices.Equal(alien, s.former.alienNames())) {
		s.opt.Log.Warn("files on a target bear names of segments and are not of this store: they are left alone and not read. Find out who put them there", "target", s.opt.Name, "files", alien)
	}
	if s.opt.Listed != nil {
		if err := s.opt.Listed(ctx, ses.at, ses.lostNames()); err != nil {
			return err
		}
	}
	s.former, s.due = ses, nil
	if s.opt.ListEvery >= 0 {
		s.due = s.opt.Clock.After(cmp.Or(s.opt.ListEvery, DefaultListEvery))
	}
	s.well(ctx, ses, false)
	s.await(0)
	s.answer()
	return nil
}

func (s *Shipper) shipOnce(ctx context.Context, ses *session, m mark) error {
	if err := ses.ship(ctx, m); err != nil {
		s.owing = true
		return err
	}
	came, err := ses.supersededMeanwhile(ctx, s.opt.Clock.Now())
	if err == nil && came { // the comparison decides what that means, and its outcome is what those who wait are told
		_, err = s.compare(ctx, ses)
	}
	if err != nil {
		return err
	}
	if err := ses.renew(ctx, s.opt.Clock.Now()); err != nil {
		return fmt.Errorf("couldn't renew locks: %w", err)
	}
	ses.lost, ses.retry = map[string]bool{}, false
	s.well(ctx, ses, true)
	if s.opt.Shipped != nil {
		s.opt.Shipped()
	}
	return nil
}

func (s *Shipper) counted(n int64) {
	s.mu.Lock()
	s.status.ShippedBytes += n
	s.mu.Unlock()
}

// well notes how far the target is.
func (s *Shipper) well(ctx context.Context, ses *session, shipped bool) {
	s.glance = s.opt.Clock.After(lookEvery)
	s.owing = s.owing && !shipped
	var at time.Time
	if ses.at > 0 {
		if e, _, _, err := s.o.Ledger.Entry(ctx, ses.at-1); err == nil {
			at = e.Time
		}
	}
	var lacking []string
	for name := range ses.lacking {
		lacking = append(lacking, name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.status
	recovered := st.Err != nil && !s.owing
	st.Size, st.Restorable, st.Connected, st.Refused, st.Lacking, st.Lost = ses.at, at, true, false, lacking, ses.lostNames()
	if !s.owing {
		st.Err = nil
	}
	st.Foreign = ses.alienNames()
	st.Beyond = ses.beyond
	if !shipped {
		st.Listed = s.opt.Clock.Now()
	} else {
		st.Shipped, s.fail = s.opt.Clock.Now(), 0
	}
	if recovered {
		s.opt.Log.Info("a target is reached again", "target", s.opt.Name, "entries", ses.at)
	}
}
