package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/admin"
	"stele/internal/config"
	"stele/internal/node"
	"stele/internal/rpc"
	"stele/internal/rpc/client"
	"stele/internal/standby"
	"stele/internal/witness"
	"stele/tree"
)

var (
	errFrozen = errors.New("this standby is frozen: it was shown a history that it does not accept")
	errQuiet  = errors.New("this standby has heard nothing of its primary for a minute")
)

type standbyFollowCmd struct {
	From      string        `required:"" placeholder:"URL" help:"The primary's admin address. The access key (--access-key, --secret-key) is one of role auditor there."`
	VKey      string        `name:"vkey" placeholder:"KEY" help:"The primary's verifier key, or a file that holds it. Without it the key that the primary shows first is trusted, and kept."`
	AcceptCut uint64        `name:"accept-cut" placeholder:"SIZE" help:"Agree that a new epoch goes on with this many entries, though entries of more than ten minutes were accepted here beyond that; they stay as evidence."`
	Keyless   bool          `help:"Without keys: verify and cosign only. Such a standby reads no names and can't be promoted."`
	Advertise string        `placeholder:"URL" help:"This standby's admin address as the primary can reach it, so that a former primary that is started asks here whether it is one (from --admin)."`
	File      string        `name:"config" placeholder:"FILE" help:"YAML file; its keys are the names of the flags of stele serve."`
	Settings  config.Config `embed:""` // of the server that it is, and that it goes on as when it is promoted
}

// standbyServer is `stele standby` under way: a server whose store follows, until it is promoted.
type standbyServer struct {
	server
	cmd     *standbyFollowCmd
	follow  *standby.Standby
	s3h     swapped
	porth   swapped
	socketh swapped

	mu       sync.Mutex // one promotion at a time
	cancel   context.CancelFunc
	followed chan struct{} // closed when Follow has returned
	took     chan struct{} // closed by a promotion
	promoted atomic.Pointer[node.Node]
	primary  entry.AccessKey                 // with which the primary is asked
	witness  atomic.Pointer[witness.Witness] // of the epoch that is followed
}

// swapped is a handler that a promotion replaces.
type swapped struct{ h atomic.Pointer[http.Handler] }

func (s *swapped) set(h http.Handler) { s.h.Store(&h) }

func (s *swapped) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*s.h.Load()).ServeHTTP(w, r) }

func (c *standbyFollowCmd) Run(ctx context.Context, a *app) (err error) {
	s := &standbyServer{server: server{app: a, noDoor: c.Keyless}, cmd: c, followed: make(chan struct{}), took: make(chan struct{})}
	if s.cfg, err = c.settings(a); err != nil {
		return usage{err}
	}
	s.log = logTo(a.stderr, &s.cfg)
	defer s.takeHangups()()
	if err := s.credentials(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	defer s.closeListeners()
	if err := s.openStandby(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.secure(); err != nil {
		return err
	}
	if s.socket, err = admin.ListenSocket(s.cfg.Data); err != nil {
		return err
	}
	s.handlers()
	if !c.Keyless {
		s.banner()
	}
	return s.serveStandby(ctx)
}

// settings are those of a server, which the standby is when it is promoted.
func (c *standbyFollowCmd) settings(a *app) (config.Config, error) {
	cfg, err := a.merged(c.Settings, c.File)
	if err != nil {
		return cfg, err
	}
	if cfg.Begin != (config.Begin{}) {
		return cfg, fmt.Errorf("%s says how a folder begins (from, without, hydrate-rate, accept-lacking, kit): a standby's begins with its primary. Take those keys out", c.File)
	}
	return cfg, cfg.Check()
}

func (s *standbyServer) credentials() error {
	g := s.app.cli
	secret, err := secretOf(g.SecretKey, g.SecretKeyFile)
	if err != nil {
		return err
	}
	if g.AccessKey == "" || secret == "" {
		return usage{errors.New("a standby wants an access key of role auditor on the primary: set STELE_ACCESS_KEY and STELE_SECRET_KEY, or STELE_SECRET_KEY_FILE")}
	}
	s.primary = entry.AccessKey{ID: g.AccessKey, Secret: secret}
	return nil
}

func (s *standbyServer) dial(ctx context.Context) (standby.Primary, error) {
	tr, err := s.app.transport()
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(ctx, s.cmd.From, s.primary, tr)
	if err != nil {
		return nil, err
	}
	c.Me = func() (address, proof string) {
		address = s.advertised()
		if b := s.follow.Store(); b != nil && b.Store != nil {
			proof = node.Of(b.Store).FollowerProof(address)
		}
		return address, proof
	}
	return c, nil
}

// advertised is the standby's admin address as the primary can reach it; empty: it has none.
func (s *standbyServer) advertised() string {
	if s.cmd.Advertise != "" || s.port == nil {
		return s.cmd.Advertise
	}
	scheme := "http"
	if s.cfg.TLS != "" && s.cfg.TLS != config.Off || s.cfg.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.port.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip != nil {
		switch from, _ := url.Parse(s.cmd.From); {
		case ip.IsUnspecified():
			host, err = os.Hostname()
		case ip.IsLoopback() && from != nil && from.Hostname() != "localhost" && !net.ParseIP(from.Hostname()).IsLoopback():
			return "" // another machine would ask itself
		}
	}
	if err != nil {
		return ""
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

func (s *standbyServer) openStandby(ctx context.Context) error {
	opt, err := s.storeOptions()
	if err != nil {
		return err
	}
	vkey := ""
	if s.cmd.VKey != "" {
		if vkey, err = keyOf(s.cmd.VKey); err != nil {
			return err
		}
	}
	s.follow = standby.New(standby.Options{Folder: s.cfg.Data, Store: opt, From: s.cmd.From, VKey: vkey, Keyless: s.cmd.Keyless, AcceptCut: s.cmd.AcceptCut,
		Dial: s.dial, Turned: s.turned, Log: s.log, Tell: s.app.say})
	if err := s.follow.Open(ctx); err != nil {
		return err
	}
	if err := s.stand(s.follow.Store()); err != nil {
		return errors.Join(err, s.follow.Close())
	}
	return nil
}

// stand takes the store that follows from now on, and makes a witness for its epoch. What was cosigned of an epoch before is cosigned no further.
func (s *standbyServer) stand(b *stele.Standby) (err error) {
	s.store = node.Of(b.Store)
	w, err := witness.Open(witness.Options{Key: filepath.Join(s.cfg.Data, "witness.key"), Folder: filepath.Join(s.cfg.Data, "witness"), Logs: []string{b.Follow.Pin.VKey}})
	if err != nil {
		return fmt.Errorf("couldn't open the witness: %w", err)
	}
	s.witness.Store(w)
	return nil
}

// turned goes on with the store of a new epoch, on the same addresses.
func (s *standbyServer) turned(b *stele.Standby) error {
	if err := s.stand(b); err != nil {
		return err
	}
	if s.store != nil {
		s.metrics.Moved(s.store)
	}
	s.answerStandby()
	return nil
}

// handlers answers as a standby.
func (s *standbyServer) handlers() {
	if s.store != nil {
		s.metrics = s.newMetrics(s.store)
		s.metrics.Follow(s)
	}
	s.answerStandby()
}

// answerStandby makes the handlers of a standby's present store.
func (s *standbyServer) answerStandby() {
	cosigns := admin.Witness(s.witness.Load(), s.vouch, s.log)
	if s.store != nil {
		s.answer(s, cosigns)
		return
	}
	s.s3h.set(http.NotFoundHandler())
	s.porth.set(admin.Keyless(s, false, cosigns))
	s.socketh.set(admin.Keyless(s, true, nil))
}

// vouchWait is how long a witness' client is kept waiting for entries that are still to be accepted.
const vouchWait = 10 * time.Second

// vouch lets the witness cosign only what this standby has accepted, entries and bytes.
func (s *standbyServer) vouch(ctx context.Context, c tree.Checkpoint) error {
	ctx, cancel := context.WithTimeout(ctx, vouchWait)
	defer cancel()
	err := s.follow.Vouch(ctx, c)
	if errors.Is(err, standby.ErrOther) {
		return fmt.Errorf("%w: %w", witness.ErrProof, err)
	}
	return err
}

// answer makes the handlers of the present store.
func (s *standbyServer) answer(f admin.Follower, cosigns http.Handler) {
	api := admin.NewServer(admin.Options{Store: s.store, Authenticate: authenticator(s.store), Metrics: s.metrics, Log: s.log, LeastRate: s.leastRate(), Follower: f, Witness: cosigns})
	s.s3h.set(s.door())
	s.porth.set(api.Port())
	s.socketh.set(api.Socket())
}

// serveStandby answers and follows until ctx ends. A standby that froze goes on answering: what it has accepted is true.
func (s *standbyServer) serveStandby(ctx context.Context) error {
	failed := make(chan error, 4)
	background, stop := context.WithCancel(ctx)
	defer stop()
	following, cancel := context.WithCancel(background)
	s.cancel = cancel // before anybody can ask to promote
	if s.store != nil {
		s.start(failed, s.s3, s.certs != nil, &s.s3h)
	}
	if s.port != nil {
		s.start(failed, s.port, s.certs != nil, &s.porth)
	}
	s.start(failed, s.socket, false, &s.socketh)
	go s.onHangup(background)
	var frozen error
	go func() {
		defer close(s.followed)
		err := s.follow.Follow(following)
		var f *standby.FrozenError
		if errors.As(err, &f) {
			frozen = errFrozen
		} else if err != nil {
			failed <- err
		}
	}()
	go s.afterPromotion(background)
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("couldn't go on: %w", err)
	case <-ctx.Done():
		s.log.Info("stopping", "limit", s.cfg.StopTimeout)
	}
	s.stop()
	cancel()
	<-s.followed
	if err == nil && s.promoted.Load() == nil {
		err = frozen
	}
	return err
}

func (s *standbyServer) end() error {
	if s.socket != nil {
		s.socket.Close()
	}
	if p := s.promoted.Load(); p != nil {
		return p.Close()
	}
	return s.follow.Close()
}

// Following implements admin.Follower.
func (s *standbyServer) Following() rpc.FollowState {
	st := s.follow.Status()
	return rpc.FollowState{From: s.cmd.From, Keyless: s.cmd.Keyless, Epoch: st.Epoch, Accepted: st.Accepted, Primary: st.Primary, LastAccepted: st.LastAccepted,
		LastContact: st.LastContact, Frozen: st.Frozen, Err: st.Err, Witness: s.witness.Load().VKey()}
}

// Promote implements admin.Follower: following ends, the folder becomes the store of a new epoch, and the same addresses take writes. A promotion that fails leaves a standby
// that has to be started again.
func (s *standbyServer) Promote(ctx context.Context, by stele.Actor, reason string) (stele.Promotion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.promoted.Load() != nil {
		return stele.Promotion{}, badState("this standby was promoted already")
	}
	if s.cmd.Keyless {
		return stele.Promotion{}, fmt.Errorf("%w: it follows without keys and can't serve what it can't read", stele.ErrWrongKey)
	}
	start := time.Now()
	s.cancel()
	<-s.followed
	opt, err := s.storeOptions()
	if err != nil {
		return stele.Promotion{}, err
	}
	cut := time.AfterFunc(grace, s.requests.Cut) // closing waits for who reads
	err = s.follow.Close()
	cut.Stop()
	if err != nil {
		s.log.Warn("couldn't close the copy that was followed", "err", err)
	}
	p, err := stele.Promote(ctx, s.cfg.Data, stele.PromoteOptions{Options: opt, Reason: reason, By: by})
	if err != nil {
		return p, fmt.Errorf("couldn't promote, start this standby again: %w", err)
	}
	store, err := node.Open(ctx, s.cfg.Data, opt)
	if err != nil {
		return p, fmt.Errorf("promoted, but couldn't open the store, run `stele serve`: %w", err)
	}
	s.store, s.metrics = store, s.newMetrics(store)
	s.promoted.Store(store)
	s.answer(nil, nil) // the former epoch is over: nothing of it is cosigned any more
	close(s.took)
	s.log.Info("promoted", "epoch", p.To, "cut", p.Cut, "took", time.Since(start).Round(time.Millisecond))
	return p, nil
}

// afterPromotion does what a primary does beside answering, and tells the former one until it knows.
func (s *standbyServer) afterPromotion(ctx context.Context) {
	select {
	case <-s.took:
	case <-ctx.Done():
		return
	}
	store := s.promoted.Load()
	go s.lifecycle(ctx, store)
	go s.drills(ctx, store)
	go s.watchCertificate(ctx, store)
	s.tellFormer(ctx, store)
}

// following asks the running standby that holds the folder.
func (a *app) following(ctx context.Context) (rpc.FollowState, error) {
	c, err := client.ConnectFollower(ctx, a.data())
	if err == nil && c == nil {
		if server, cerr := client.Connect(ctx, a.data()); cerr == nil && server != nil {
			server.Close()
			return rpc.FollowState{}, withHint(fmt.Errorf("the server on %s follows nobody: it is a primary, perhaps promoted since", a.data()), "`stele status` shows how it is; `stele standby list` who follows it")
		}
		err = withHint(fmt.Errorf("no standby runs on %s", a.data()), "start it: stele standby --from URL --data %s", a.data())
	}
	if err != nil {
		return rpc.FollowState{}, err
	}
	defer c.Close()
	return c.Follows(ctx)
}
