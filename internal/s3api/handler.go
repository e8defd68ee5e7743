package s3api

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/guard"
	"stele/internal/lifecycle"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/policy"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// Options say how the door is set up. Zero values are the defaults.
type Options struct {
	Domain string       // suffix of virtual-host style names; empty: path style only
	Region string       // us-east-1 where empty
	Log    *slog.Logger // one line a request at level Info; nil: none
	// Answered is called after each request, when its line was logged; nil: nobody is told. It is called by many requests at once and holds up the connection.
	Answered func(Answer)
	Clock    func() time.Time // the wall clock, for signatures and relative dates; nil: the system's
	// MaxRequests is how many requests of access keys are worked on at once; one more is 503 SlowDown, and so is one of a key that has more than its share (pool). 0: 1,024.
	MaxRequests int
	// MaxAnonymous is the same for those who have not signed, or have not yet: the fields of a form say who sent it. Their shares are by address. 0: an eighth of MaxRequests.
	MaxAnonymous int
	// MaxBodies is how many bodies over 1 MiB come in at once, since each has buffers; one more waits for StallTimeout, then it is 503 SlowDown. 0: 64. Those who have not signed have a quarter as many
	// besides, of bodies as of reads.
	MaxBodies int
	// MaxReads is how many replies over 1 MiB go out at once, since each has up to three MiB fetched ahead, and as much again where they are compressed; one more waits like a body. 0: 256.
	MaxReads int
	// StallTimeout ends a request whose body, or whose reply, makes no progress. 0: one minute.
	StallTimeout time.Duration
	// LeastRate is how slowly a body may come, in bytes a second over RateWindow. 0: 16 KiB; below 0: there is no least rate.
	LeastRate int64
	// RateWindow is 30 seconds where it is 0.
	RateWindow time.Duration
	// Capacity returns the size of the file system that holds the store and what is free on it, in bytes, for Veeam's SOSAPI; nil: not told.
	Capacity func() (total, free int64)
}

// server is the S3 face of one store.
type server struct {
	store     *stele.Store
	opt       Options
	log       *slog.Logger
	repeats   guard.Repeats // lines of log that one request after the other may cause
	now       func() time.Time
	verifier  *auth.Verifier
	requests  *guard.Pool
	strangers *guard.Pool // requests of those who have not signed
	bodies    places
	reads     places
	documents places
	policies  textCache[*policy.Policy]
	corsets   textCache[[]CORSRule]
	rules     textCache[*lifecycle.Configuration]
	heads     headCache

	afterJudging func() // nil, but in tests: when the tags of a version have judged a request

	hostID   []string // x-amz-id-2: the store's id; nobody writes to it
	idPrefix [4]byte  // random, of this process
	idCount  atomic.Uint32
}

// NewHandler returns the S3 face of a store. The http.Server around it sets the timeouts of headers and idle connections; bodies and replies have theirs here.
func NewHandler(store *stele.Store, opt Options) http.Handler {
	if opt.Region == "" {
		opt.Region = "us-east-1"
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.MaxRequests == 0 {
		opt.MaxRequests = 1024
	}
	if opt.MaxBodies == 0 {
		opt.MaxBodies = 64
	}
	if opt.MaxReads == 0 {
		opt.MaxReads = 256
	}
	if opt.StallTimeout == 0 {
		opt.StallTimeout = time.Minute
	}
	if opt.MaxAnonymous == 0 {
		opt.MaxAnonymous = max(1, opt.MaxRequests/8)
	}
	if opt.LeastRate == 0 {
		opt.LeastRate = guard.LeastRate
	}
	if opt.RateWindow == 0 {
		opt.RateWindow = guard.RateWindow
	}
	s := &server{store: store, opt: opt, hostID: []string{store.ID()}, log: opt.Log, now: opt.Clock, requests: guard.NewPool(opt.MaxRequests), strangers: guard.NewPool(opt.MaxAnonymous),
		bodies: newPlaces(opt.MaxBodies), reads: newPlaces(opt.MaxReads), documents: newPlaces(maxDocuments)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.repeats.Log = s.log
	s.verifier = auth.NewVerifier(auth.Service, opt.Region, s.secret, opt.Clock)
	rand.Read(s.idPrefix[:]) //nolint:errcheck // never fails (crypto/rand)
	return s
}

// places are what access keys share, and a quarter as many for those who have not signed: a policy may let anybody in, which is no reason to give him the places of those who have a key.
type places struct{ keys, strangers *guard.Pool }

func newPlaces(n int) places { return places{guard.NewPool(n), guard.NewPool(max(1, n/4))} }

// operations is what is done for each operation. One that is not here is NotImplemented.
var operations = [opCount]func(*call) error{
	OpListBuckets: (*call).listBuckets,

	OpCreateBucket:      (*call).createBucket,
	OpHeadBucket:        (*call).headBucket,
	OpDeleteBucket:      (*call).deleteBucket,
	OpGetBucketLocation: (*call).getBucketLocation,

	OpListObjects:        (*call).listObjects,
	OpListObjectsV2:      (*call).listObjectsV2,
	OpListObjectVersions: (*call).listObjectVersions,

	OpPutObject:           (*call).putObject,
	OpGetObject:           (*call).getObject,
	OpHeadObject:          (*call).getObject,
	OpCopyObject:          (*call).copyObject,
	OpDeleteObject:        (*call).deleteObject,
	OpDeleteObjects:       (*call).deleteObjects,
	OpGetObjectAttributes: (*call).getObjectAttributes,
	OpPostObject:          (*call).postObject,

	OpCreateMultipartUpload:   (*call).createMultipartUpload,
	OpUploadPart:              (*call).uploadPart,
	OpUploadPartCopy:          (*call).uploadPartCopy,
	OpCompleteMultipartUpload: (*call).completeMultipartUpload,
	OpAbortMultipartUpload:    (*call).abortMultipartUpload,
	OpListParts:               (*call).listParts,
	OpListMultipartUploads:    (*call).listMultipartUploads,

	OpGetObjectTagging:    (*call).getObjectTagging,
	OpPutObjectTagging:    (*call).putObjectTagging,
	OpDeleteObjectTagging: (*call).deleteObjectTagging,
	OpGetObjectAcl:        (*call).getACL,
	OpPutObjectAcl:        (*call).putACL,

	OpGetObjectLockConfiguration: (*call).getObjectLockConfiguration,
	OpPutObjectLockConfiguration: (*call).putObjectLockConfiguration,
	OpGetObjectRetention:         (*call).getObjectRetention,
	OpPutObjectRetention:         (*call).putObjectRetention,
	OpGetObjectLegalHold:         (*call).getObjectLegalHold,
	OpPutObjectLegalHold:         (*call).putObjectLegalHold,

	OpGetBucketVersioning: (*call).getBucketVersioning,
	OpPutBucketVersioning: (*call).putBucketVersioning,
	OpGetBucketAcl:        (*call).getACL,
	OpPutBucketAcl:        (*call).putACL,

	OpGetBucketTagging:    (*call).getBucketTagging,
	OpPutBucketTagging:    (*call).putBucketTagging,
	OpDeleteBucketTagging: (*call).deleteBucketTagging,

	OpGetBucketPolicy:       (*call).getBucketPolicy,
	OpPutBucketPolicy:       (*call).putBucketPolicy,
	OpDeleteBucketPolicy:    (*call).deleteBucketPolicy,
	OpGetBucketPolicyStatus: (*call).getBucketPolicyStatus,

	OpGetBucketCors:    (*call).getBucketCors,
	OpPutBucketCors:    (*call).putBucketCors,
	OpDeleteBucketCors: (*call).deleteBucketCors,

	OpGetBucketLifecycleConfiguration: (*call).getBucketLifecycle,
	OpPutBucketLifecycleConfiguration: (*call).putBucketLifecycle,
	OpDeleteBucketLifecycle:           (*call).deleteBucketLifecycle,

	OpGetBucketEncryption:           (*call).getBucketEncryption,
	OpPutBucketEncryption:           (*call).putBucketEncryption,
	OpDeleteBucketEncryption:        (*call).deleteBucketEncryption,
	OpGetBucketOwnershipControls:    (*call).getOwnershipControls,
	OpPutBucketOwnershipControls:    (*call).putOwnershipControls,
	OpDeleteBucketOwnershipControls: (*call).deleteOwnershipControls,
	OpGetPublicAccessBlock:          (*call).getPublicAccessBlock,
	OpPutPublicAccessBlock:          (*call).putPublicAccessBlock,
	OpDeletePublicAccessBlock:       (*call).deletePublicAccessBlock,
	OpGetBucketRequestPayment:       (*call).getBucketRequestPayment,
}

// call is one request on its way.
type call struct {
	*server
	w   http.ResponseWriter
	r   *http.Request
	ctx context.Context
	id  string // request id

	q    Request
	auth *auth.Identity
	key  entry.AccessKey // who asks, proven; zero: nobody, or nobody yet
	by   stele.Actor

	name string     // the bucket's name without --at-…
	at   stele.View // as of when
	b    stele.Bucket

	claim  claim        // the access key of which the secret was asked for
	failed *s3err.Error // what the reply says, if it is an error

	status int        // of the reply, once it has begun
	sent   int64      // bytes of the reply's body
	seat   guard.Seat // among requests or strangers
	taken  guard.Seat // among bodies, reads or documents, if it has one

	formTags []tagging.Tag // of a form's field "tagging"
	judged   []looked      // the versions by which the request was judged
	learned  *learned      // nil: nothing yet
}

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	goAhead(w, r)
	c := &call{server: s, w: w, r: r, ctx: r.Context(), id: s.newID()}
	h := w.Header()
	h["X-Amz-Request-Id"], h["X-Amz-Id-2"] = []string{c.id}, s.hostID
	defer func() { // also of a reply that was cut off, which is a panic
		c.taken.Leave()
		c.seat.Leave()
		took := time.Since(start)
		if s.log.Enabled(c.ctx, slog.LevelInfo) {
			c.logLine(took)
		}
		if s.opt.Answered != nil {
			s.opt.Answered(Answer{c.q.Op.String(), c.status, took, c.sent})
		}
	}()
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

// owner is whose places the request takes: its access key's, or else its address'.
func (c *call) owner() string {
	if c.auth == nil || c.auth.Kind == auth.Anonymous {
		return "from " + guard.Neighbours(c.by.Address) // no access key has a space in it
	}
	return c.key.ID
}

// enter takes the request's place among those of access keys, or of strangers. One that had a place among strangers gives it back.
func (c *call) enter() error {
	among, whose := c.requests, "this access key"
	if c.auth == nil || c.auth.Kind == auth.Anonymous {
		among, whose = c.strangers, "requests without a signature from this address"
	}
	c.seat.Leave()
	var ok bool
	if c.seat, ok = among.Enter(c.owner()); !ok {
		return s3err.ErrSlowDown.Msg("Please reduce your request rate: %s has its share of the %d that are worked on at once, or all of them are taken.", whose, among.Size())
	}
	return nil
}

// goAhead says 100 Continue to a client that asks for it before it sends nothing, as S3 does; net/http says it only where there is a body to read.
// botocore takes a final status in its place for good: it waits a minute for the reply to its next request on that connection, and sends that one again.
func goAhead(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 && r.ProtoMajor == 1 && r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.WriteHeader(http.StatusContinue)
	}
}

// serve is the way of a request: what is asked, who asks, of which bucket as of when, may they; then the operation itself.
func (c *call) serve() (err error) {
	if err := checkHead(c.r); err != nil {
		return err
	}
	if c.q, err = Parse(c.r, c.opt.Domain); err != nil {
		return err
	}
	if done, err := c.minio(); done {
		return err
	}
	if c.q.Op == OpPreflight {
		c.by = stele.Actor{Address: clientAddress(c.r), Request: c.id}
		if err := c.enter(); err != nil {
			return err
		}
		return c.preflight()
	}
	if err := c.identify(); err != nil {
		return err
	}
	if err := c.enter(); err != nil {
		return err
	}
	do := operations[c.q.Op]
	if c.q.Op == OpPostObject {
		return do(c) // the form itself says who asks
	}
	if err := c.openBucket(); err != nil {
		return c.unlessDenied(err, c.authorize)
	}
	if err := c.authorize(); err != nil {
		return err
	}
	if err := c.checkOneTag(); err != nil {
		return err
	}
	if do == nil {
		return s3err.ErrNotImplemented.Msg("Stele does not have the operation %s. docs/S3.md lists what it has.", c.q.Op).With("Operation", c.q.Op.String())
	}
	if c.q.Bucket != "" {
		if err := c.setCORS(); err != nil {
			return err
		}
	}
	if c.sosapi() {
		return c.serveSOSAPI()
	}
	switch c.q.Op {
	case OpPutObject, OpCopyObject, OpCreateMultipartUpload:
		if err := checkSOSAPI(c.q.Key); err != nil {
			return err
		}
	}
	return do(c)
}

// maxHeadBytes is how long all headers of a request may be, as at AWS.
const maxHeadBytes = 8 << 10

// checkHead refuses what no operation takes.
func checkHead(r *http.Request) error {
	n := 0
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	if n > maxHeadBytes {
		return s3err.ErrHeaderTooLarge.With("MaxSizeAllowed", strconv.Itoa(maxHeadBytes))
	}
	if v := wire.First(r.Header, "X-Amz-Copy-Source"); v != "" && r.Method != http.MethodPut && r.Method != http.MethodOptions {
		return s3err.InvalidArgument("x-amz-copy-source", v, "You can only specify a copy source header for copy requests.")
	}
	return nil
}

// newID makes a request id: 16 hex digits, unlike any other of this process and, most likely, of any other.
func (s *server) newID() string {
	var b [8]byte
	copy(b[:], s.idPrefix[:])
	binary.BigEndian.PutUint32(b[4:], s.idCount.Add(1))
	var out [16]byte
	hex.Encode(out[:], b[:])
	for i, c := range out {
		if c >= 'a' {
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out[:])
}

// clientAddress is the peer's IP address without port. A proxy's headers are not believed: they would be a lie in the ledger.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// textCache keeps what settings parse to, by their text.
type textCache[T any] struct {
	mu sync.RWMutex
	m  map[string]T
}

// maxCachedSettings bounds a textCache; a text is at most MaxConfigBytes, mostly far less.
const maxCachedSettings = 128

func (t *textCache[T]) get(text string, parse func([]byte) (T, error)) (T, error) {
	t.mu.RLock()
	v, ok := t.m[text]
	t.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := parse([]byte(text))
	if err != nil {
		return v, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil || len(t.m) >= maxCachedSettings {
		t.m = map[string]T{}
	}
	t.m[text] = v
	return v, nil
}
