package replicate

import (
	"context"
	"time"

	"stele/internal/engine"
)

// What a Shipper does next.
const (
	shipNow = iota
	listAnew
	lookAtIt
)

// next waits until there is something to do, and says what; with shipNow, up to where.
func (s *Shipper) next(ctx context.Context, ses *session, waiting *[]chan<- error) (m mark, todo int, err error) {
	if s.listNow() {
		return m, listAnew, nil
	}
	if len(ses.lost) > 0 || ses.retry { // also where nothing is new
		return s.o.markNow(), shipNow, nil
	}
	if s.opt.Every > 0 && len(*waiting) == 0 {
		if ses.begun { // the first shipment of a session does not wait: what was written before it is late already
			if todo, err = s.schedule(ctx, waiting); err != nil || todo != shipNow {
				return m, todo, err
			}
		}
		s.round = nil
		return s.o.markNow(), shipNow, nil
	}
	var daily <-chan time.Time // locks are renewed also while nothing is new
	if _, ok := ses.target.(engine.Locker); ok {
		daily = s.opt.Clock.After(renewEvery)
	}
	// A target that was just listed is shipped to also while nothing is new: it may lack a file that was there.
	for ses.begun && s.o.Ledger.Size() == ses.at && len(*waiting) == 0 {
		select {
		case <-daily:
			return s.o.markNow(), shipNow, nil
		case <-s.due:
			return m, listAnew, nil
		case <-s.list:
			return m, listAnew, nil
		case <-s.glance:
			return m, lookAtIt, nil
		case done := <-s.looks:
			s.askers = append(s.askers, done)
			return m, lookAtIt, nil
		case <-ctx.Done():
			return m, shipNow, ctx.Err()
		case <-s.wake:
		case w := <-s.flush:
			*waiting = append(*waiting, w)
		}
	}
	s.setBusy(true)
	m, err = s.settle(ctx, ses, waiting)
	return m, shipNow, err
}

// schedule waits for the next time. A listing between does not put it off.
func (s *Shipper) schedule(ctx context.Context, waiting *[]chan<- error) (todo int, err error) {
	if s.round == nil {
		s.round = s.opt.Clock.After(s.opt.Every)
	}
	select {
	case <-s.round:
	case <-s.due:
		return listAnew, nil
	case <-s.list:
		return listAnew, nil
	case <-s.glance:
		return lookAtIt, nil
	case done := <-s.looks:
		s.askers = append(s.askers, done)
		return lookAtIt, nil
	case w := <-s.flush:
		*waiting = append(*waiting, w)
	case <-ctx.Done():
		return shipNow, ctx.Err()
	}
	return shipNow, nil
}

// listNow says whether the target is to be listed anew: its time has come, or somebody asked.
func (s *Shipper) listNow() bool {
	select {
	case <-s.due:
		return true
	case <-s.list:
		return true
	default:
		return false
	}
}

// settle waits for the packs that grow now to be sealed, for tailAfter at most. After that it takes a new mark, and what still grows is shipped as tails.
func (s *Shipper) settle(ctx context.Context, ses *session, waiting *[]chan<- error) (mark, error) {
	m, late := s.o.markNow(), s.opt.Clock.After(tailAfter)
	for len(*waiting) == 0 && !ses.settled(m) {
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-late:
			return s.o.markNow(), nil
		case <-s.opt.Clock.After(growthEvery):
		case w := <-s.flush:
			*waiting = append(*waiting, w)
		}
	}
	if len(*waiting) > 0 {
		m = s.o.markNow()
	}
	return m, nil
}

// settled says whether what grew at a mark is sealed or shipped.
func (s *session) settled(m mark) bool {
	for _, g := range m.growing {
		if q := s.packs[g.Name]; (q == nil || q.end < g.Chunks) && s.o.Body.Grows(g.Name) {
			return false
		}
	}
	return true
}
