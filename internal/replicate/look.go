package replicate

import (
	"context"
	"errors"
	"time"
)

// ErrSilent: the target gives no answer, and no error either: a server that hangs, a network file system whose server is gone.
var ErrSilent = errors.New("the target doesn't answer")

const (
	// lookEvery is how often a target is looked at while there is nothing to ship. It costs one small listing.
	lookEvery = time.Minute
	// lookWait is how long a look may take.
	lookWait = 20 * time.Second
	// silentAfter is for how long a look may have gone on before Status calls the target silent; openSilentAfter is the same for opening and comparing it, which takes its time where there are many files.
	silentAfter     = 2 * time.Second
	openSilentAfter = time.Minute
)

// awaiting is what a Shipper waits for a target's answer to, and since when. Shipper.mu guards it.
type awaiting struct {
	since    time.Time // zero: it waits for nothing that tells whether the target is there
	patience time.Duration
	busy     bool // Run is at work, and takes no requests to look
}

// Look has the target looked at now, and returns when Status says what was seen, or when ctx ends. A target that is being shipped to or listed is not looked at besides: that tells as much.
// One with an error is tried again at once. Run must be running, or ctx ends it.
func (s *Shipper) Look(ctx context.Context) {
	s.mu.Lock()
	busy := s.awaiting.busy
	s.mu.Unlock()
	if busy {
		return
	}
	done := make(chan struct{})
	select {
	case s.looks <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// answer tells those who asked for a look that Status has what was seen.
func (s *Shipper) answer() {
	for _, done := range s.askers {
		close(done)
	}
	s.askers = nil
}

func (s *Shipper) setBusy(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaiting.busy = busy
}

// await notes that nothing is known of the target until it answers; with 0, that it has.
func (s *Shipper) await(patience time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaiting.since, s.awaiting.patience = time.Time{}, patience
	if patience > 0 {
		s.awaiting.since = s.opt.Clock.Now()
	}
}

// silent has a status say that the target gives no answer, where it should have by now. mu is held.
func (s *Shipper) silent(st *Status) {
	if a := &s.awaiting; st.Err == nil && !a.since.IsZero() && s.opt.Clock.Now().Sub(a.since) >= a.patience {
		st.Err, st.ErrSince, st.Connected = ErrSilent, a.since, false
	}
}

// look makes sure, with one small request, that the target is there and holds what was shipped last. moved: it doesn't, and has to be listed. A call that hangs in the operating system can't be ended:
// then Status and the log say so meanwhile.
func (s *Shipper) look(ctx context.Context, ses *session) (moved bool, err error) {
	s.await(silentAfter)
	defer s.await(0)
	hangs := time.AfterFunc(lookWait, func() { s.opt.Log.Error("a target doesn't answer", "target", s.opt.Name, "for", lookWait) })
	defer hangs.Stop()
	limited, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	err = ses.unchanged(limited)
	switch {
	case errors.Is(err, errMoved):
		return true, nil
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return false, ErrSilent
	case err == nil:
		s.glance = s.opt.Clock.After(lookEvery)
		s.answer()
	}
	return false, err
}
