package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/admin"
	"stele/internal/config"
	"stele/internal/guard"
	"stele/internal/lifecycle"
	"stele/internal/node"
	"stele/internal/s3api"
)

type serveCmd struct {
	File     string        `name:"config" placeholder:"FILE" help:"YAML file; its keys are the names of these flags."`
	Settings config.Config `embed:""`
	Begin    config.Begin  `embed:""`
	Promote  bool          `help:"With --from: make it the primary of a new epoch at once, which takes writes. At a later start it changes nothing."`
}

// server is `stele serve` under way.
type server struct {
	app     *app
	cfg     config.Config
	log     *slog.Logger
	store   *node.Node
	created bool
	certs   *certificates // nil: plain HTTP
	metrics *admin.Metrics

	hangup   chan os.Signal // SIGHUP, from the first moment on
	requests guard.Requests // under way, on all listeners
	bounds   []*guard.Connections

	s3, port net.Listener // port is nil if it is off
	noDoor   bool         // a standby without keys has nothing to show to S3 clients: s3 is nil
	socket   *admin.Socket
	running  []*http.Server

	// Of a server that serves from a backup.
	promote    bool
	house      *house          // nil: nothing is exchanged while the server runs
	promoting  sync.Mutex      // one promotion at a time
	background context.Context // ends with the serving
}

func (c *serveCmd) Run(ctx context.Context, a *app) (err error) {
	s := &server{app: a, promote: c.Promote}
	if s.cfg, err = c.settings(a); err != nil {
		return usage{err}
	}
	s.log = logTo(a.stderr, &s.cfg)
	defer s.takeHangups()()
	if err := s.listen(); err != nil { // before a store is made, so that a taken port leaves nothing behind
		return err
	}
	defer s.closeListeners()
	if err := s.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.secure(); err != nil {
		return err
	}
	if err := s.listenSocket(); err != nil {
		return err
	}
	s.banner()
	return s.serve(ctx)
}

// settings merges flags and environment, the file, and the defaults.
func (c *serveCmd) settings(a *app) (config.Config, error) {
	flags := c.Settings
	flags.Begin = c.Begin
	cfg, err := a.merged(flags, c.File)
	if err != nil {
		return cfg, err
	}
	if c.Promote && cfg.From == "" {
		return cfg, errors.New("--promote goes with --from; `stele promote` is for a folder that no server holds")
	}
	return cfg, cfg.Check()
}

// merged is what flags and environment say, then a file, if one is named, then the defaults.
func (a *app) merged(flags config.Config, path string) (cfg config.Config, err error) {
	flags.Data = a.cli.Data
	var file config.Config
	if path != "" {
		if file, err = config.Load(path); err != nil {
			return file, err
		}
	}
	return config.Merge(config.Merge(flags, file), config.Default), nil
}

func (s *server) listen() (err error) {
	if !s.noDoor {
		if s.s3, err = listenOn("listen", s.cfg.Listen); err != nil {
			return err
		}
	}
	if s.cfg.Admin == config.Off {
		return nil
	}
	if s.port, err = listenOn("admin", s.cfg.Admin); err != nil {
		s.closeListeners()
	}
	return err
}

func listenOn(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		var oe *net.OpError
		if errors.As(err, &oe) {
			err = oe.Err
		}
		return nil, withHint(fmt.Errorf("couldn't listen on %s: %w", address, err), "another program listens there, perhaps a stele that runs already: end that, or name another address with --%s", flag)
	}
	return l, nil
}

func (s *server) closeListeners() {
	for _, l := range []net.Listener{s.s3, s.port} {
		if l != nil {
			l.Close()
		}
	}
}

// storeOptions are those of the store that is served.
func (s *server) storeOptions() (stele.Options, error) {
	opt, err := s.app.options()
	if err != nil {
		return opt, err
	}
	opt.Log, opt.Kit, opt.ScrubDays = s.log, s.cfg.Kit, *s.cfg.ScrubDays
	opt.MaxRetentionDays = *s.cfg.MaxRetentionDays
	opt.OpenTarget, opt.ListTargets = targetsOf(s.cfg.Data), s.cfg.ListTargets
	if opt.Witnesses, err = s.app.witnesses(s.cfg.Witness); err != nil {
		return opt, usage{err}
	}
	if opt.Witnesses == nil {
		opt.Witnesses = []stele.Witness{} // those of an earlier start are not asked any more
	}
	opt.RequireWitnesses = s.cfg.RequireWitness
	id, secret, err := s.cfg.Root()
	if err != nil {
		return opt, usage{err}
	}
	if id != "" {
		opt.Root = &entry.AccessKey{ID: id, Role: stele.RoleAdmin, Secret: secret}
	}
	return opt, nil
}

func (s *server) open(ctx context.Context) error {
	opt, err := s.storeOptions()
	if err != nil {
		return err
	}
	start := time.Now()
	if s.cfg.From != "" {
		err = s.openFrom(ctx, opt)
	} else {
		s.store, s.created, err = node.OpenOrCreate(ctx, s.cfg.Data, opt)
	}
	if err == nil {
		s.log.Info("store open", "data", s.cfg.Data, "store", s.store.ID(), "size", s.store.Ledger().Size(), "took", time.Since(start).Round(time.Millisecond))
		s.metrics = s.newMetrics(s.store)
	}
	return err
}

func (s *server) close() error {
	if s.socket != nil {
		s.socket.Close()
	}
	start := time.Now()
	err := s.store.Close()
	s.log.Info("store closed", "took", time.Since(start).Round(time.Millisecond))
	return err
}

// Timeouts of what comes before a request and between two. Bodies and replies have theirs in the S3 door.
const (
	headerTimeout  = 15 * time.Second
	idleTimeout    = 2 * time.Minute
	writeTimeout   = 5 * time.Minute // of what no handler sets a deadline for. Those that do set theirs before each write
	maxHeaderBytes = 64 << 10
)

// serve answers until ctx ends or a listener fails, then lets requests under way end.
func (s *server) serve(ctx context.Context) error {
	failed := make(chan error, 3)
	background, stop := context.WithCancel(ctx)
	defer stop()
	s.background = background
	h := s.handlers()
	if s.cfg.From != "" {
		s.house = newHouse(h, s.requests.Cut)
		h = handlers{s.house.at(false, func(h handlers) http.Handler { return h.door }), s.house.at(true, func(h handlers) http.Handler { return h.port }),
			s.house.at(true, func(h handlers) http.Handler { return h.socket })}
	}
	s.start(failed, s.s3, s.certs != nil, h.door)
	if s.port != nil {
		s.start(failed, s.port, s.certs != nil, h.port)
	}
	if s.socket != nil {
		s.start(failed, s.socket, false, h.socket)
	}
	go s.tellFilling(background, s.store)
	go s.watchCertificate(background, s.store)
	if !s.store.ReadOnly() {
		go s.lifecycle(background, s.store)
		go s.drills(background, s.store)
		go s.tellFormer(background, s.store)
	}
	go s.onHangup(background)
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("couldn't go on serving: %w", err)
	case <-ctx.Done():
		s.log.Info("stopping", "limit", s.cfg.StopTimeout)
	}
	s.stop()
	return err
}

// listenSocket opens the socket in the data folder. Where nothing can be written there, the server goes without: its ports serve readers, and the verbs of this machine read the folder themselves.
func (s *server) listenSocket() (err error) {
	s.socket, err = admin.ListenSocket(s.cfg.Data)
	for _, why := range []error{syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, why) {
			s.log.Error("no socket in the data folder: what changes the store needs --server and an access key, or a folder that takes writes", "err", err)
			s.socket = nil
			return nil
		}
	}
	return err
}

func (s *server) socketPath() string {
	if s.socket == nil {
		return ""
	}
	return s.socket.Path()
}

// handlers are those of the store.
func (s *server) handlers() handlers {
	api := admin.NewServer(admin.Options{Store: s.store, Authenticate: authenticator(s.store), Metrics: s.metrics, Log: s.log, LeastRate: s.leastRate(), Promote: s.promoteRunning})
	return handlers{s.door(), api.Port(), api.Socket()}
}

// start serves a listener.
func (s *server) start(failed chan<- error, l net.Listener, secure bool, h http.Handler) {
	bound := s.bound(l)
	l = bound.Listen(l)
	hs := &http.Server{Handler: s.requests.Handler(h), ConnState: bound.State, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), Protocols: new(http.Protocols)}
	hs.Protocols.SetHTTP1(true) // as AWS: what a client of S3 does on one connection stays what clients expect
	s.running = append(s.running, hs)
	go func() {
		var err error
		if secure {
			hs.TLSConfig = s.certs.config()
			err = hs.ServeTLS(l, "", "")
		} else {
			err = hs.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
}

// stop takes no more requests, waits for those under way, and ends at the limit those that are left.
func (s *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.StopTimeout)
	defer cancel()
	done := make(chan error, len(s.running))
	for _, hs := range s.running {
		go func() { done <- hs.Shutdown(ctx) }()
	}
	for range s.running {
		if err := <-done; err != nil {
			s.log.Warn("requests were cut off", "reason", err)
		}
	}
	for _, hs := range s.running {
		hs.Close()
	}
}

// door is the S3 handler.
func (s *server) door() http.Handler {
	h := s3api.NewHandler(s.store.Store, s3api.Options{Domain: s.cfg.Domain, Region: s.cfg.Region, MaxRequests: s.cfg.MaxRequests, MaxAnonymous: s.cfg.MaxAnonymous, LeastRate: s.leastRate(),
		Log: s.log, Answered: s.metrics.Answered, Capacity: func() (total, free int64) { return diskSpace(s.cfg.Data) }})
	return h
}

// lifecycleEvery is how often the buckets' lifecycle rules are applied. Their unit is the day.
const lifecycleEvery = time.Hour

func (s *server) lifecycle(ctx context.Context, store *node.Node) {
	tick := time.NewTicker(lifecycleEvery)
	defer tick.Stop()
	for {
		done, failed := lifecycle.Enforce(ctx, store.Store, time.Now())
		if ctx.Err() == nil {
			store.Outcomes(stele.WorkLifecycle, failed)
		}
		if done != (lifecycle.Enforced{}) {
			s.log.Info("lifecycle rules applied", "expired", done.Expired, "versions", done.Versions, "uploads", done.Aborted, "locked", done.Locked)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
