package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
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
	"stele/internal/s3api"
)

// Options tell a Server what it serves.
type Options struct {
	Store *stele.Store
	// Authenticate says whose signature is on the head of a request. An error is ErrWho or says what is malformed. It is not asked on the socket.
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
	// Body returns the request's body, once it was compared with the signature where that covers it; ErrWho: it is another one.
	Body func() (io.Reader, error)
}

// Server answers on the socket and on the admin port.
type Server struct {
	opt Options
}

// NewServer makes a server. It starts nothing.
func NewServer(opt Options) *Server {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.LeastRate == 0 {
		opt.LeastRate = guard.LeastRate
	}
	return &Server{opt}
}

// Socket serves everything to who can connect: the socket's mode is the check. The actor is "local:USER", by the credentials that the kernel gives of the other end.
func (s *Server) Socket() http.Handler {
	return s.routes(func(r *http.Request, _ access) (stele.Actor, io.Reader, error) {
		return localPeer(r.RemoteAddr), r.Body, nil
	})
}

// Port serves the admin port: health, metrics and the checkpoint to anyone, the rest to access keys of role admin, or auditor for what only reads.
func (s *Server) Port() http.Handler { return s.routes(s.admit) }

// access is what a call needs.
type access int

const (
	reads access = iota
	changes
)

// admitted says who asks, and gives the request's body.
type admitted func(r *http.Request, need access) (stele.Actor, io.Reader, error)

// admit lets in who has signed the request, its body included, and may do what it says. Role and scope come before the body, so that nobody has one read for nothing; and the body before the key
// counts as used, since whoever has seen a request can send its head again with another body.
func (s *Server) admit(r *http.Request, need access) (stele.Actor, io.Reader, error) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	by := stele.Actor{Address: host}
	unproven := func(err error) (stele.Actor, io.Reader, error) {
		by.Claimed = s3api.ClaimedKey(r)
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
	s.opt.Store.Used(by.Key)
	return by, body, nil
}

// mayCall tells whether a key may call what needs access.
func mayCall(key *entry.AccessKey, need access) error {
	switch {
	case len(key.Scope) > 0:
		return fmt.Errorf("%w: it is limited to %v and works at the S3 port only", ErrDenied, key.Scope)
	case key.Role == stele.RoleAdmin, key.Role == stele.RoleAuditor && need == reads:
		return nil
	}
	return fmt.Errorf("%w: its role is %s", ErrDenied, key.Role)
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
	mux.HandleFunc("GET /healthz/ready", s.ready)
	mux.HandleFunc("GET /healthz/write", func(w http.ResponseWriter, r *http.Request) { writeHealth(w, s.opt.Store.Writable()) })
	if s.opt.Metrics != nil {
		mux.Handle("GET /metrics", s.opt.Metrics.handler())
	}
	s.ledgerRoutes(mux, who)
	s.replicaRoutes(mux, who)
	if s.opt.Follower != nil {
		s.followerRoutes(mux, who)
	}
	if s.opt.Witness != nil {
		mux.Handle("POST /add-checkpoint", s.opt.Witness)
	}
	for name, m := range methods {
		who := who
		if m.anyone {
			who = anyone
		}
		mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
			s.call(name, m, who, w, r)
		})
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeReply[any](w, nil, fmt.Errorf("%w: it has no call %s. Use the same version of stele on both sides", ErrProtocol, r.URL.Path))
	})
}

// anyone lets everybody in: for what proves itself.
func anyone(r *http.Request, _ access) (stele.Actor, io.Reader, error) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return stele.Actor{Address: host}, r.Body, nil
}

// call lets a request in, serves it, and logs it under the id that its entry bears.
func (s *Server) call(name string, m method, who admitted, w http.ResponseWriter, r *http.Request) {
	quiet := m.need == reads
	s.serve(name, m.need, quiet, who, w, r, func(q request, w http.ResponseWriter) error {
		q.promote = s.opt.Promote
		m.serve(q, w)
		return nil
	})
}

// serve lets a request in, has it served, and logs it. One that only reads and is let in is logged at level debug if it is quiet. key is the access key that was proven, claimed_key what a request that
// was not let in says of itself.
func (s *Server) serve(name string, need access, quiet bool, who admitted, w http.ResponseWriter, r *http.Request, fn func(q request, w http.ResponseWriter) error) {
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

// request is a call that was let in.
type request struct {
	*http.Request
	store *stele.Store
	by    stele.Actor
	body  io.Reader

	promote func(ctx context.Context, by stele.Actor, reason string) (stele.Promotion, error)
}

// maxArgs bounds the arguments of a call, in bytes.
const maxArgs = 1 << 20

// method serves one call.
type method struct {
	need   access
	anyone bool // may call it, without a key: what it is given proves itself
	serve  func(q request, w http.ResponseWriter)
}

// call makes a method with one argument and one result, which may come with an error.
func call[A, R any](need access, fn func(ctx context.Context, q request, a A) (R, error)) method {
	return method{need: need, serve: func(q request, w http.ResponseWriter) {
		var a A
		if err := q.args(&a); err != nil {
			writeReply[any](w, nil, err)
			return
		}
		r, err := fn(q.Context(), q, a)
		writeReply(w, r, err)
	}}
}

// forAnyone lets a method be called without a key.
func forAnyone(m method) method {
	m.anyone = true
	return m
}

func (q *request) args(a any) error {
	b, err := io.ReadAll(io.LimitReader(q.body, maxArgs+1))
	if err != nil {
		return err
	}
	if len(b) > maxArgs {
		return fmt.Errorf("%w: more than %d bytes of arguments", stele.ErrTooLarge, maxArgs)
	}
	if err := json.Unmarshal(b, a); err != nil {
		return fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	return nil
}

func writeReply[R any](w http.ResponseWriter, r R, err error) {
	if counted, ok := w.(*replyStatus); ok {
		counted.err = err
	}
	b, merr := json.Marshal(reply[R]{V: 1, Result: r, Error: toWire(err)})
	if merr != nil {
		http.Error(w, merr.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(statusOf(err))
	}
	w.Write(append(b, '\n'))
}

// stream makes a method whose result is streamed. fn writes to out; an error before its first byte is an ordinary reply, a later one goes into the trailer.
func stream[A any](need access, fn func(ctx context.Context, q request, a A, out io.Writer) error) method {
	return method{need: need, serve: func(q request, w http.ResponseWriter) {
		var a A
		if err := q.args(&a); err != nil {
			writeReply[any](w, nil, err)
			return
		}
		out := &outStream{w: w}
		err := fn(q.Context(), q, a, out)
		if err != nil && !out.begun {
			writeReply[any](w, nil, err)
			return
		}
		out.begin()
		text, _ := json.Marshal(toWire(err)) // "null" where all is well: a stream without that ended early
		w.Header().Set(trailerError, escape(string(text)))
	}}
}

// outStream announces the trailer before the first byte.
type outStream struct {
	w     http.ResponseWriter
	begun bool
}

func (o *outStream) begin() {
	if !o.begun {
		o.begun = true
		o.w.Header().Set("Trailer", trailerError)
		o.w.Header().Set("Content-Type", "application/octet-stream")
		o.w.WriteHeader(http.StatusOK)
	}
}

func (o *outStream) Write(p []byte) (int, error) {
	o.begin()
	return o.w.Write(p)
}

// Flush sends what was written, for streams that tell of progress.
func (o *outStream) Flush() {
	if f, ok := o.w.(http.Flusher); ok {
		f.Flush()
	}
}
