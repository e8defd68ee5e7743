package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"stele"
	"stele/internal/config"
	"stele/internal/node"
	"stele/internal/rpc"
	"stele/internal/target"
)

// from is what `serve --from` serves.
func (s *server) from(ctx context.Context) (f stele.From, err error) {
	f.Name = s.cfg.From // holds no key: OpenTarget refuses one
	f.AcceptLacking = s.cfg.AcceptLacking
	if f.RateBytes, err = config.Rate(s.cfg.HydrateRate); err != nil {
		return f, usage{fmt.Errorf("hydrate-rate: %w", err)}
	}
	f.Target, _, err = target.Open(ctx, s.cfg.From, target.Options{ReadOnly: true, Without: s.cfg.Without, Store: s.cfg.Data})
	return f, err
}

// openFrom opens the store over a backup, and makes it the primary first if that is asked for.
func (s *server) openFrom(ctx context.Context, opt stele.Options) error {
	if whole, err := stele.Whole(s.cfg.Data); err != nil || whole { // since an earlier start
		if err == nil {
			s.store, err = node.Open(ctx, s.cfg.Data, opt)
		}
		return err
	}
	f, err := s.from(ctx)
	if err != nil {
		return err
	}
	if s.promote {
		p, err := stele.PromoteFrom(ctx, s.cfg.Data, f, stele.PromoteOptions{Options: opt, Reason: "serve --from --promote", By: local})
		switch {
		case errors.Is(err, stele.ErrBadState): // at an earlier start
		case err != nil:
			return s.app.buried(err)
		default:
			s.log.Info("promoted", "epoch", p.To, "cut", p.Cut, "vkey", p.VKey)
		}
	}
	s.store, err = node.OpenFrom(ctx, s.cfg.Data, f, opt)
	return s.app.buried(err)
}

// progressEvery is how often the log tells how far the folder is filled.
const progressEvery = 5 * time.Second

// tellFilling tells how far the folder is filled, until it is full or ctx ends.
func (s *server) tellFilling(ctx context.Context, store *node.Node) {
	full := store.Hydrated()
	if full == nil {
		return
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-full:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
			h, _ := store.Hydration()
			s.log.Info("filling the folder", "from", h.From, "done", fmt.Sprintf("%d%%", 100*(h.Bytes-h.BytesLeft)/max(h.Bytes, 1)), "left", size(h.BytesLeft), "packs_left", h.PacksLeft)
		}
	}
}

// promoteRunning makes a store that is served from a backup the primary, and goes on with it on the same addresses. Requests wait meanwhile; those that take longer than a moment are cut.
func (s *server) promoteRunning(ctx context.Context, by stele.Actor, reason string) (p stele.Promotion, err error) {
	s.promoting.Lock()
	defer s.promoting.Unlock()
	if _, ok := s.store.Hydration(); !ok || !s.store.ReadOnly() {
		return p, badState("this server holds a primary already")
	}
	f, err := s.from(ctx)
	if err != nil {
		return p, err
	}
	opt, err := s.storeOptions()
	if err != nil {
		return p, err
	}
	start := time.Now()
	asked := s.store.AskTargets(ctx) // while it still answers
	err = s.house.exchange(func() (handlers, error) {
		if err := s.store.Close(); err != nil {
			return handlers{}, err
		}
		var perr error
		if p, perr = stele.PromoteFrom(ctx, s.cfg.Data, f, stele.PromoteOptions{Options: opt, Reason: reason, By: by, Asked: asked}); errors.Is(perr, stele.ErrBadState) {
			return handlers{}, perr
		}
		store, err := node.OpenFrom(ctx, s.cfg.Data, f, opt) // the old epoch's, if it was not promoted
		if err != nil {
			return handlers{}, errors.Join(perr, err)
		}
		s.store = store
		s.metrics.Moved(store)
		go s.tellFilling(s.background, store)
		if perr == nil {
			go s.lifecycle(s.background, store)
			go s.drills(s.background, store)
			go s.watchCertificate(s.background, store)
		}
		return s.handlers(), perr
	})
	if err == nil {
		s.log.Info("promoted", "epoch", p.To, "cut", p.Cut, "vkey", p.VKey, "took", time.Since(start).Round(time.Millisecond))
	}
	return p, err
}

// handlers answer on the server's addresses.
type handlers struct{ door, port, socket http.Handler }

// house answers by handlers that can be exchanged for others while it stands.
type house struct {
	mu     sync.Mutex
	free   sync.Cond // signals: closed or running changed
	h      handlers
	closed bool
	guests map[*http.ResponseController]func() // requests under way, and what cancels them
	broken error                               // the exchange failed and nothing answers any more
	cutOff func()                              // ends the connections of all requests under way but the one that promotes
}

func newHouse(h handlers, cutOff func()) *house {
	x := &house{h: h, cutOff: cutOff, guests: map[*http.ResponseController]func(){}}
	x.free.L = &x.mu
	return x
}

// at is the handler for one of the addresses. promotes says that one can promote there: not where S3 clients choose the path.
func (x *house) at(promotes bool, pick func(handlers) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if promotes && r.URL.Path == rpc.PromoteFrom.Row().Path() { // it has the others exchanged, and waits for none
			x.mu.Lock()
			h := pick(x.h)
			x.mu.Unlock()
			h.ServeHTTP(w, r)
			return
		}
		c := http.NewResponseController(w)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		h, err := x.enter(c, cancel)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer x.leave(c)
		pick(h).ServeHTTP(w, r.WithContext(ctx))
	})
}

func (x *house) enter(c *http.ResponseController, cancel func()) (handlers, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.closed && x.broken == nil {
		x.free.Wait()
	}
	if x.broken != nil {
		return handlers{}, x.broken
	}
	x.guests[c] = cancel
	return x.h, nil
}

func (x *house) leave(c *http.ResponseController) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.guests, c)
	x.free.Broadcast()
}

// grace is how long requests under way may take to end before an exchange cuts their connections.
const grace = 500 * time.Millisecond

// exchange lets nobody in, waits for those inside, and goes on with what next returns. next may return handlers and an error: the exchange was made, and its purpose was not reached.
func (x *house) exchange(next func() (handlers, error)) error {
	x.mu.Lock()
	x.closed = true
	cut := time.AfterFunc(grace, x.cut)
	for len(x.guests) > 0 {
		x.free.Wait()
	}
	cut.Stop()
	x.mu.Unlock()
	h, err := next()
	x.mu.Lock()
	defer x.mu.Unlock()
	if h.door == nil {
		x.broken = err
	} else {
		x.h = h
	}
	x.closed = false
	x.free.Broadcast()
	return err
}

// cut ends the connections of those who are still inside.
func (x *house) cut() {
	x.mu.Lock()
	for _, cancel := range x.guests {
		cancel()
	}
	x.mu.Unlock()
	x.cutOff()
}
