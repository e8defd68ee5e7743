// Package admin serves a store to other processes: the calls of the verbs (package rpc), health, metrics, and the public face of the ledger.
//
// It trusts a request on the socket as far as the socket's file mode lets processes in, and takes the user's name from the kernel. It trusts a request on the
// admin port by its signature, for the service "stele-admin", and by the role of its key.
package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/guard"
	"stele/internal/node"
	"stele/internal/rpc"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/wire"
)

// Options tell a Server what it serves.
type Options struct {
	Store *node.Node
	// Authenticate says whose signature is on the head of a request. An error is rpc.ErrWho or says what is malformed. It is not asked on the socket.
	Authenticate func(r *http.Request) (Signed, error)
	Metrics      *Metrics
	// Promote makes the primary of a store that is served from a backup; nil: it is none.
	Promote  func(ctx context.Context, by stele.Actor, reason string) (stele.Promotion, error)
	Follower Follower     // of a server that is a standby; else nil
	Witness  http.Handler // answers POST /add-checkpoint; nil: nothing is cosigned here
	Log      *slog.Logger // nil: nothing is logged
	// LeastRate is how slowly a body may come, in bytes a second. 0: 16 KiB; below 0: any rate will do.
	LeastRate int64
}

// Signed is a request whose head bears the right signature of a key. The key is proven only once its body is known to be the one that was signed.
type Signed struct {
	Key entry.AccessKey
	// Body returns the request's body, once it was compared with the signature where that covers it; rpc.ErrWho: it is another one.
	Body func() (io.Reader, error)
}

// Server answers on the socket and on the admin port.
type Server struct {
	opt           Options
	verifications verifications
}

// NewServer makes a server. It starts nothing.
func NewServer(opt Options) *Server {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.LeastRate == 0 {
		opt.LeastRate = guard.LeastRate
	}
	return &Server{opt: opt}
}

// Socket serves everything to who can connect: the socket's mode is the check. The actor is "local:USER", by the credentials that the kernel gives of the other end.
func (s *Server) Socket() http.Handler {
	return s.routes(func(r *http.Request, _ rpc.Access) (stele.Actor, io.Reader, error) {
		return localPeer(r.RemoteAddr), r.Body, nil
	})
}

// Port serves the admin port: health, metrics and the checkpoint to anyone, the rest to access keys of role admin, or auditor for what only reads.
func (s *Server) Port() http.Handler { return s.routes(s.admit) }

// admitted says who asks, and gives the request's body.
type admitted func(r *http.Request, need rpc.Access) (stele.Actor, io.Reader, error)

// admit lets in who has signed the request, its body included, and may do what it says. Role and scope come before the body, so that nobody has one read for nothing; and the body before the key
// counts as used, since whoever has seen a request can send its head again with another body.
func (s *Server) admit(r *http.Request, need rpc.Access) (stele.Actor, io.Reader, error) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	by := stele.Actor{Address: host}
	unproven := func(err error) (stele.Actor, io.Reader, error) {
		q, _ := wire.ParseQuery(r.URL.RawQuery) // what cannot be read names none
		by.Claimed = auth.ClaimedKey(r.Header, q, "")
		s.opt.Store.Denied(by, "admin.signature")
		return by, nil, err
	}
	signed, err := s.opt.Authenticate(r)
	if err != nil {
		return unproven(err)
	}
	if err := mayCall(&signed.Key, need); err != nil {
		by.Key = signed.Key.ID
		s.opt.Store.Denied(by, "admin")
		return by, nil, err
	}
	body, err := signed.Body()
	if err != nil {
		return unproven(err)
	}
	by.Key = signed.Key.ID
	s.opt.Store.Keys().Used(by.Key)
	return by, body, nil
}

// mayCall tells whether a key may call what needs access.
func mayCall(key *entry.AccessKey, need rpc.Access) error {
	switch {
	case len(key.Scope) > 0:
		return fmt.Errorf("%w: it is limited to %v and works at the S3 port only", rpc.ErrDenied, key.Scope)
	case key.Role == stele.RoleAdmin, key.Role == stele.RoleAuditor && need == rpc.Reads:
		return nil
	}
	return fmt.Errorf("%w: its role is %s", rpc.ErrDenied, key.Role)
}

// routeTable takes the routes: a mux, or in tests a list of them.
type routeTable interface {
	Handle(pattern string, h http.Handler)
	HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request))
}

func (s *Server) routes(who admitted) http.Handler {
	mux := http.NewServeMux()
	s.addRoutes(mux, who)
	return s.patient(mux)
}

func (s *Server) addRoutes(mux routeTable, who admitted) {
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET "+rpc.PathReady, s.ready)
	mux.HandleFunc("GET /healthz/write", func(w http.ResponseWriter, r *http.Request) { writeHealth(w, s.opt.Store.Writable()) })
	if s.opt.Metrics != nil {
		mux.Handle("GET /metrics", s.opt.Metrics.handler())
	}
	s.ledgerRoutes(mux, who)
	s.replicaRoutes(mux, who)
	if s.opt.Follower != nil {
		s.callRoutes(mux, who, followerMethods(s.opt.Follower))
	}
	if s.opt.Witness != nil {
		mux.Handle("POST /add-checkpoint", s.opt.Witness)
	}
	s.callRoutes(mux, who, methods)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeReply[any](w, nil, fmt.Errorf("%w: it has no call %s. Use the same version of stele on both sides", rpc.ErrProtocol, r.URL.Path))
	})
}

// anyone lets everybody in: for what proves itself.
func anyone(r *http.Request, _ rpc.Access) (stele.Actor, io.Reader, error) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return stele.Actor{Address: host}, r.Body, nil
}

// callRoutes adds a route for each method.
func (s *Server) callRoutes(mux routeTable, who admitted, methods []method) {
	for _, m := range methods {
		may, most := who, int64(rpc.MaxArgs)
		if m.of.Access == rpc.Proof {
			may, most = anyone, rpc.MaxProof
		}
		quiet := m.of.Access != rpc.Changes
		mux.HandleFunc("POST "+m.of.Path(), func(w http.ResponseWriter, r *http.Request) {
			s.serve(m.of.Name, m.of.Access, quiet, may, w, r, func(q request, w http.ResponseWriter) error {
				q.promote, q.most, q.verifications = s.opt.Promote, most, &s.verifications
				m.serve(q, w)
				return nil
			})
		})
	}
}

// serve lets a request in, has it served, and logs it. One that only reads and is let in is logged at level debug if it is quiet. key is the access key that was proven, claimed_key what a request that
// was not let in says of itself.
func (s *Server) serve(name string, need rpc.Access, quiet bool, who admitted, w http.ResponseWriter, r *http.Request, fn func(q request, w http.ResponseWriter) error) {
	start, id := time.Now(), newID()
	w.Header().Set("Stele-Request-Id", id)
	counted := &replyStatus{ResponseWriter: w}
	by, body, err := who(r, need)
	by.Request = id
	letIn := err == nil
	if letIn {
		err = fn(request{Request: r, store: s.opt.Store, by: by, body: body}, counted)
	}
	if err != nil && counted.status == 0 {
		writeReply[any](counted, nil, err)
	}
	level := slog.LevelInfo
	if quiet && letIn && counted.status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	attrs := []any{"id", id, "call", name, "key", by.Key, "from", by.Address, "let_in", letIn, "status", counted.status, "took", time.Since(start).Round(time.Microsecond)}
	if err := cmp.Or(err, counted.err); err != nil {
		attrs = append(attrs, "reason", err)
	}
	if by.Claimed != "" {
		attrs = append(attrs, "claimed_key", by.Claimed)
	}
	s.opt.Log.Log(r.Context(), level, "admin", attrs...)
}

// replyStatus remembers the status of a reply, 0: none was begun, and the error that it tells of, if it does.
type replyStatus struct {
	http.ResponseWriter
	status int
	err    error
}

// Unwrap is for http.ResponseController.
func (w *replyStatus) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *replyStatus) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *replyStatus) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (w *replyStatus) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush() // what can't be sent fails at the next write
}

// newID makes a request id like those of the S3 door: 16 hex digits.
func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%X", b)
}

// patience is how long a request may make no progress. Without it a client that stalls would hold a connection for ever.
var patience = time.Minute

// patient ends a request whose body, or whose answer, stands still, and one whose body comes too slowly.
func (s *Server) patient(h http.Handler) http.Handler { return patient(h, s.opt.LeastRate) }

func patient(h http.Handler, leastRate int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetWriteDeadline(time.Now().Add(patience)) // the connections of net/http have deadlines
		if r.ContentLength != 0 {
			q := *r
			q.Body = &patientBody{guard.NewBody(r.Body, c, patience, leastRate, guard.RateWindow), c}
			r = &q
		}
		h.ServeHTTP(&patientWriter{w, c}, r)
	})
}

type patientBody struct {
	*guard.Body
	c *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.Body.Read(p)
	_ = b.c.SetWriteDeadline(time.Now().Add(patience)) // the answer's time begins when the body has come
	return n, err
}

type patientWriter struct {
	http.ResponseWriter
	c *http.ResponseController
}

func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.c.SetWriteDeadline(time.Now().Add(patience))
	return w.ResponseWriter.Write(p)
}

func (w *patientWriter) Flush() { _ = w.c.Flush() } // what can't be sent fails at the next write

func (w *patientWriter) WriteHeader(code int) {
	_ = w.c.SetWriteDeadline(time.Now().Add(patience))
	w.ResponseWriter.WriteHeader(code)
}

// ready is false while the server does not do what it is there for: a primary that takes no writes, since it has failed, another primary has taken over, or the disk is full; a standby that is frozen.
// What only reads by its nature, a backup that is served or a standby, is ready when it reads; writable tells it from a primary.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	err := s.opt.Store.Failed()
	if err == nil && !s.opt.Store.ReadOnly() {
		err = s.opt.Store.Room()
	}
	err = cmp.Or(err, s.opt.Store.Stuck())
	if f := s.opt.Follower; err == nil && f != nil && f.Following().Frozen {
		err = errors.New(f.Following().Err)
	}
	writeHealth(w, err)
}

func writeHealth(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n")
}
