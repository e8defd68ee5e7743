// Package s3 is the engine that keeps a store's files in a bucket of any S3-compatible server: AWS, MinIO, Ceph, versitygw, another Stele.
//
// An object is a file: PREFIX/packs/…, PREFIX/segments/… . Three rules make a bucket an engine.
//
// Created once. A file is one PUT with If-None-Match: *, with its length and SHA-256 in signed headers, so that the server refuses a body that is
// short or changed and nothing is left of an upload that was cut (there are no multipart uploads). A 412 may be the answer to one's own earlier
// write whose reply was lost: each Create carries a nonce in the metadata and reads it back.
//
// The oldest version is the file. On a versioned bucket, delete markers and later versions of a name are junk, of a thief or of a broken tool. The engine
// looks past them: List and Open ask for the versions of a name, in the one request that they need anyway, and reads go by version id. Create on
// such a bucket asks once more, since a server lets a name that lies under a delete marker be created anew; only the oldest version has created it.
//
// Removed for good. Remove deletes every version and marker of a name, the file itself last. What Object Lock keeps is engine.ErrLocked.
//
// Requests that are safe to repeat are repeated a few times, with growing, jittered waits; a request in which nothing moves for Options.Timeout is
// given up. All of that is bounded. The caller retries what lasts longer.
//
// The server is trusted to refuse a second PUT of a name (a probe at the opening checks it) and, with Object Lock, to keep what is locked.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stele/internal/engine"
	"stele/internal/retry"
)

// Credentials are an access key.
type Credentials struct {
	AccessKey, SecretKey string
	SessionToken         string // of temporary keys; mostly empty
}

// String keeps the secret out of logs.
func (c Credentials) String() string { return c.AccessKey }

// Options tell which bucket, and how it is used.
type Options struct {
	// Endpoint is the server, http[s]://HOST[:PORT]; empty: AWS.
	Endpoint string
	// Region is what requests are signed for; empty: us-east-1.
	Region string
	// Bucket holds the files, under Prefix ("" or "a/b", slashes at its ends don't count).
	Bucket, Prefix string
	// HostStyle puts the bucket into the host's name, PathStyle into the path. Neither: by the host on AWS, by the path elsewhere.
	HostStyle, PathStyle bool
	// Write is the credential for everything, or, with Read, for all that writes.
	Write Credentials
	// Read, if its AccessKey is set, is used to read and list: scrubs and drills need not hold what can write.
	Read Credentials
	// ReadOnly refuses Create, Remove and Renew; Probe then writes nothing.
	ReadOnly bool
	// LockFor, where the bucket has Object Lock, is how long what Create makes is locked in mode COMPLIANCE. 0: not at all.
	LockFor time.Duration
	// Timeout is how long nothing may move in a request, be it connecting, sending, waiting for the reply or receiving; 0: 30 s.
	// A request as a whole may take that and a second for each 16 KiB.
	Timeout time.Duration
	// Attempts is how often a request that is safe to repeat is sent at most; 0: 4.
	Attempts int
}

const (
	defaultRegion   = "us-east-1"
	defaultTimeout  = 30 * time.Second
	defaultAttempts = 4
	awsEndpoint     = "https://s3.amazonaws.com"
	maxPutBytes     = 5 << 30 // AWS: what one PUT may hold
)

// ErrReadOnly: the target was opened for reading.
var ErrReadOnly = errors.New("the target is open for reading only")

// S3 is a store's files in a bucket. It implements engine.Engine and engine.Locker.
type S3 struct {
	opt         Options
	prefix      string // "" or with a slash at its end
	write, read *minio.Core
	wire        *wire
	now         func() time.Time
	sleep       func(context.Context, time.Duration) error

	asking chan struct{} // held by who asks what the bucket is; others wait for him or for their own end
	bucket atomic.Pointer[bucket]
}

var (
	_ engine.Engine = (*S3)(nil)
	_ engine.Locker = (*S3)(nil)
)

// New returns the engine. It asks the server nothing; Probe does, and should be called once before anything is written.
func New(opt Options) (*S3, error) {
	if opt.Region == "" {
		opt.Region = defaultRegion
	}
	if opt.Timeout <= 0 {
		opt.Timeout = defaultTimeout
	}
	if opt.Attempts <= 0 {
		opt.Attempts = defaultAttempts
	}
	if opt.Endpoint == "" {
		opt.Endpoint = awsEndpoint
	}
	u, err := url.Parse(opt.Endpoint)
	if err == nil && u.User != nil {
		return nil, errors.New("an access key doesn't belong in an endpoint, which is shown and logged")
	}
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %q: write http://HOST:PORT or https://HOST", opt.Endpoint)
	}
	opt.Prefix = strings.Trim(opt.Prefix, "/")
	s := &S3{opt: opt, wire: newWire(opt.Timeout), now: time.Now, sleep: retry.Sleep, asking: make(chan struct{}, 1)}
	if opt.Prefix != "" {
		s.prefix = opt.Prefix + "/"
	}
	if s.write, err = s.client(u, opt.Write); err != nil {
		return nil, err
	}
	s.read = s.write
	if opt.Read.AccessKey != "" {
		if s.read, err = s.client(u, opt.Read); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *S3) client(u *url.URL, c Credentials) (*minio.Core, error) {
	if c.AccessKey == "" || c.SecretKey == "" {
		return nil, fmt.Errorf("%w: none are given for s3://%s", ErrCredentials, s.opt.Bucket)
	}
	lookup := minio.BucketLookupAuto
	switch {
	case s.opt.HostStyle:
		lookup = minio.BucketLookupDNS
	case s.opt.PathStyle:
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken), Secure: u.Scheme == "https",
		Region: s.opt.Region, BucketLookup: lookup, Transport: s.wire,
		MaxRetries:      1,    // we retry, and know what is safe to
		TrailingHeaders: true, // lets us send the checksum as a header; there are no trailers
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", s.opt.Endpoint, err)
	}
	return core, nil
}

// String is where the files lie, in the words of a URL; it holds no secret.
func (s *S3) String() string {
	return fmt.Sprintf("s3://%s/%s at %s", s.opt.Bucket, s.opt.Prefix, s.opt.Endpoint)
}

func (s *S3) key(name string) string { return s.prefix + name }

// writable says whether anything may be written under name.
func (s *S3) writable(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	if s.opt.ReadOnly {
		return fmt.Errorf("couldn't write %s: %w", name, ErrReadOnly)
	}
	return nil
}

func check(ctx context.Context, name string) error {
	if err := engine.CheckName(name); err != nil {
		return err
	}
	return ctx.Err()
}

// bucket is what is known of the bucket. It is asked once: who may turn versioning or locks on and off may do all else as well.
type bucket struct {
	versioned bool // versions are listed and read by id
	locks     bool // Object Lock is on
	hidden    []string
}

// learn asks the server what kind of bucket it is, once. A right that is missing is no error: then the bucket is taken for less than it may be,
// and hidden says so.
func (s *S3) learn(ctx context.Context) (*bucket, error) {
	if b := s.bucket.Load(); b != nil {
		return b, nil
	}
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b := s.bucket.Load(); b != nil {
		return b, nil
	}
	b := &bucket{}
	err := s.retry(ctx, func() error {
		v, err := s.read.GetBucketVersioning(ctx, s.opt.Bucket)
		b.versioned = v.Enabled() || v.Suspended()
		return err
	})
	if denied(err) || code(err) == "NotImplemented" {
		// Not told, it is seen: who can list versions has them.
		_, err = s.versions(ctx, s.key(probeName))
		b.versioned = err == nil
		if errors.Is(err, engine.ErrDenied) || err != nil && code(err) == "NotImplemented" {
			b.hidden, err = append(b.hidden, "s3:GetBucketVersioning and s3:ListBucketVersions: a versioned bucket isn't read past delete markers and newer junk"), nil
		}
	}
	if err != nil {
		return nil, s.explain(err, "s3:GetBucketVersioning")
	}
	if err := s.learnLocks(ctx, b); err != nil {
		return nil, err
	}
	s.bucket.Store(b)
	return b, nil
}

func (s *S3) learnLocks(ctx context.Context, b *bucket) error {
	if !b.versioned {
		return nil // Object Lock needs versions
	}
	err := s.retry(ctx, func() error {
		on, _, _, _, err := s.read.GetObjectLockConfig(ctx, s.opt.Bucket)
		b.locks = err == nil && on == "Enabled"
		return err
	})
	if denied(err) {
		b.hidden = append(b.hidden, "s3:GetBucketObjectLockConfiguration: taken for a bucket without Object Lock, so nothing is locked")
		return nil
	}
	switch r := minio.ToErrorResponse(err); {
	case err == nil, r.StatusCode == http.StatusNotFound, r.StatusCode == http.StatusMethodNotAllowed, r.StatusCode == http.StatusNotImplemented, r.Code == "InvalidRequest":
		return nil // in one way or another: there is none
	}
	return s.explain(err, "s3:GetBucketObjectLockConfiguration")
}

// retry calls fn until it succeeds, fails for good, or was called Attempts times. fn must be safe to repeat.
func (s *S3) retry(ctx context.Context, fn func() error) error {
	for n := 1; ; n++ {
		err := fn()
		if err == nil || n == s.opt.Attempts || ctx.Err() != nil || !transient(err) {
			return err
		}
		if s.sleep(ctx, again.Jittered(n)) != nil {
			return err
		}
	}
}

// again is when a request that failed is repeated.
var again = retry.Backoff{First: 100 * time.Millisecond, Most: 5 * time.Second}

// metadata finds one of our own keys among an object's metadata, whatever case a server gives it.
func metadata(o minio.ObjectInfo, key string) string {
	for k, v := range o.UserMetadata {
		if http.CanonicalHeaderKey(k) == http.CanonicalHeaderKey(key) {
			return v
		}
	}
	return ""
}
