package s3api

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

const (
	maxPutBytes  = 5 << 30  // AWS: of one PUT or part
	bigBodyBytes = 1 << 20  // from here on a body needs a place in server.bodies
	bigDocument  = 64 << 10 // from here on a document needs a place in server.documents
	maxDocuments = 4        // large documents worked on at once: one costs up to some 20 MiB while it is parsed
	maxMetaBytes = 2 << 10  // AWS: names and values of user metadata
)

// incoming is the body of a write: what the store reads, and what it must turn out to be.
type incoming struct {
	r        io.Reader
	size     int64
	want     Declared
	sum      Algorithm // to compute and keep
	tee      []io.Writer
	hash     interface{ Sum([]byte) []byte } // of sum
	also     interface{ Sum([]byte) []byte } // of the declared algorithm, where another is kept
	declared []byte                          // the declared algorithm's sum over what arrived
	body     io.ReadCloser
	trailer  func(string) string
}

// openBody makes the request's body readable: unframed, counted, not allowed to stall. sum is the algorithm that the object needs where the
// client declared none. The caller closes it.
func (c *call) openBody(sum Algorithm) (*incoming, error) {
	in := &incoming{}
	var err error
	if in.want, err = ParseDeclared(c.r.Header, c.auth); err != nil {
		return nil, err
	}
	c.r.Body = c.patient(c.r.Body)
	if in.body, in.size, err = c.auth.Body(c.r, in.want.TrailerName()); err != nil {
		return nil, err
	}
	in.r = in.body
	switch {
	case in.size < 0:
		in.close()
		return nil, s3err.ErrMissingContentLength
	case in.size > maxPutBytes:
		in.close()
		return nil, s3err.EntityTooLarge(in.size, maxPutBytes)
	}
	if in.sum = in.want.Algorithm; in.sum == NoChecksum {
		in.sum = sum
	}
	in.compute()
	if ch, ok := in.body.(*auth.ChunkedReader); ok {
		in.trailer = ch.Trailer
	}
	if in.size > bigBodyBytes {
		if err := c.takePlace(c.bodies); err != nil {
			in.close()
			return nil, err
		}
	}
	return in, nil
}

// compute sets up the checksum; the store computes SHA-256 anyway.
func (in *incoming) compute() {
	if in.sum != NoChecksum && in.sum != SHA256 {
		h := in.sum.New()
		in.hash, in.tee = h, append(in.tee, h)
	}
}

// keepAnother keeps a checksum of another algorithm than the declared one, which is only compared.
func (in *incoming) keepAnother(alg Algorithm) {
	if alg == in.sum {
		return
	}
	in.also, in.sum, in.hash = in.hash, alg, nil
	in.compute()
}

func (in *incoming) close() {
	if ch, ok := in.body.(*auth.ChunkedReader); ok {
		ch.Close() //nolint:errcheck // gives a buffer back
	}
}

// finish holds what arrived to everything that was declared for it, and returns the checksum to keep.
func (in *incoming) finish(arrived entry.Body) (*entry.Checksum, error) {
	got := Sums{MD5: arrived.MD5[:], SHA256: arrived.SHA256[:]}
	kept := got.SHA256
	if in.hash != nil {
		kept = in.hash.Sum(nil)
	}
	switch declared := in.want.Algorithm; {
	case declared == NoChecksum:
	case in.also != nil:
		got.Checksum = in.also.Sum(nil)
	case declared == SHA256:
		got.Checksum = got.SHA256
	default:
		got.Checksum = kept
	}
	in.declared = got.Checksum
	trailer := ""
	if in.want.Trailer && in.trailer != nil {
		trailer = in.trailer(in.want.Algorithm.Header())
	}
	if err := in.want.Compare(got, trailer); err != nil {
		return nil, err
	}
	if in.sum == NoChecksum {
		return nil, nil
	}
	return &entry.Checksum{Algorithm: in.sum.String(), Kind: FullObject, Value: in.sum.Encode(kept)}, nil
}

// takePlace waits until there is room for one more large body, large reply or large document of this caller. A request takes one such place at most.
func (c *call) takePlace(of places) error {
	among := of.keys
	if c.auth.Kind == auth.Anonymous {
		among = of.strangers
	}
	t := time.NewTimer(c.opt.StallTimeout)
	defer t.Stop()
	var ok bool
	if c.taken, ok = among.Wait(c.ctx, c.owner(), t.C); ok {
		return nil
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return s3err.ErrSlowDown.Msg("Please reduce your request rate: others of this access key or address, or of all together, have been in the way for %v.", c.opt.StallTimeout)
}

// readDocument reads a small body, XML or JSON, and checks its digests. required: S3 demands one of them for this operation.
func (c *call) readDocument(limit int64, required bool) ([]byte, error) {
	want, err := ParseDeclared(c.r.Header, c.auth)
	if err != nil {
		return nil, err
	}
	if required && want.MD5 == nil && want.Algorithm == NoChecksum && want.SHA256 == nil {
		return nil, s3err.ErrMissingChecksum
	}
	return c.readDeclared(limit, want)
}

// readDeclared reads a small body that must be what was declared.
func (c *call) readDeclared(limit int64, want Declared) ([]byte, error) {
	if c.auth.Payload == auth.PayloadUnsignedTrailer && c.q.Op != OpDeleteObjects && c.q.Op != OpCompleteMultipartUpload {
		return nil, s3err.ErrContentSHA256Usage
	}
	if c.r.ContentLength > limit && !c.auth.Payload.Chunked() {
		return nil, s3err.ErrMaxMessageLengthExceeded
	}
	if c.r.ContentLength < 0 || c.r.ContentLength > bigDocument {
		if c.auth.Kind == auth.Anonymous { // no client sends one
			return nil, s3err.ErrMaxMessageLengthExceeded.With("MaxMessageLengthBytes", strconv.Itoa(bigDocument))
		}
		if err := c.takePlace(c.documents); err != nil {
			return nil, err
		}
	}
	c.r.Body = c.patient(c.r.Body)
	body, size, err := c.auth.Body(c.r, want.TrailerName())
	if err != nil {
		return nil, err
	}
	var trailer func(string) string
	if ch, ok := body.(*auth.ChunkedReader); ok {
		defer ch.Close() //nolint:errcheck // gives a buffer back
		trailer = ch.Trailer
	}
	doc, err := readSized(NewChecked(body, want, trailer), size, limit)
	if err != nil {
		return nil, err
	}
	if size >= 0 && int64(len(doc)) != size {
		return nil, s3err.ErrContentLengthMismatch
	}
	return doc, nil
}

// tagMap is how the store keeps tags.
func tagMap(tags []tagging.Tag) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// attributes are what a put, a copy or an upload gives an object besides its bytes.
type attributes struct {
	headers, meta, tags map[string]string
	lock                *entry.Lock
}

// requestAttributes reads them and refuses what Stele cannot promise.
func (c *call) requestAttributes() (a attributes, err error) {
	h := c.r.Header
	if err := checkSpecials(h); err != nil {
		return a, err
	}
	if a.headers, err = requestHeaders(h); err != nil {
		return a, err
	}
	a.headers = withClass(a.headers, wire.First(h, "X-Amz-Storage-Class"))
	if a.meta, err = requestMeta(h); err != nil {
		return a, err
	}
	if a.tags, err = c.requestTags(); err != nil {
		return a, err
	}
	a.lock, err = c.requestLock()
	return a, err
}

func (c *call) requestTags() (map[string]string, error) {
	tags, err := c.saidTags()
	if err != nil || len(tags) == 0 {
		return nil, err
	}
	return tagMap(tags), c.mayAlso("s3:PutObjectTagging")
}

// requestLock reads the lock headers; nil: none was asked for, the bucket's default applies.
func (c *call) requestLock() (*entry.Lock, error) {
	l, err := ParseLockHeaders(c.r.Header, c.now())
	if err != nil || !l.Any() {
		return nil, err
	}
	if !c.b.ObjectLock {
		return nil, s3err.ErrObjectMissingObjectLockConf
	}
	if l.Mode != "" {
		if err := c.mayAlso("s3:PutObjectRetention"); err != nil {
			return nil, err
		}
	}
	if l.Hold {
		if err := c.mayAlso("s3:PutObjectLegalHold"); err != nil {
			return nil, err
		}
	}
	return &entry.Lock{Mode: l.Mode, Until: l.Until, Hold: l.Hold}, nil
}

// checkSpecials refuses headers that ask for what is not done: foreign keys, unknown storage classes, ACLs.
func checkSpecials(h http.Header) error {
	for name := range h {
		if len(name) < 7 || name[:6] != "X-Amz-" {
			continue
		}
		switch name {
		case "X-Amz-Server-Side-Encryption":
			if v := h[name][0]; v != "AES256" {
				if strings.HasPrefix(v, "aws:kms") {
					return s3err.ErrNotImplemented.Msg("Only AES256 is supported: Stele holds the keys.").With("Header", "x-amz-server-side-encryption")
				}
				return s3err.ErrInvalidEncryption.With("ArgumentName", "x-amz-server-side-encryption").With("ArgumentValue", v)
			}
		case "X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Server-Side-Encryption-Customer-Key-Md5",
			"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key-Md5":
			return s3err.ErrNotImplemented.Msg("Encryption with a customer's key is not supported: Stele holds the keys.").With("Header", strings.ToLower(name))
		case "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id":
			return s3err.ErrNotImplemented.Msg("Only AES256 is supported: Stele holds the keys.").With("Header", "x-amz-server-side-encryption-aws-kms-key-id")
		case "X-Amz-Storage-Class":
			if err := checkClass(h[name][0]); err != nil {
				return err
			}
		case "X-Amz-Acl":
			if err := checkCannedACL(h[name][0]); err != nil {
				return err
			}
		case "X-Amz-Grant-Full-Control", "X-Amz-Grant-Read", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write", "X-Amz-Grant-Write-Acp":
			return s3err.ErrACLNotSupported
		}
	}
	return nil
}

// checkCannedACL accepts what BucketOwnerEnforced accepts.
func checkCannedACL(v string) error {
	switch v {
	case "", "private", "bucket-owner-full-control":
		return nil
	case "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read", "log-delivery-write":
		return s3err.ErrACLNotSupported
	}
	return s3err.InvalidArgument("x-amz-acl", v, "")
}

// writeConditions are the conditions of a write, for the sequencer.
func writeConditions(h http.Header) (stele.Conditions, error) {
	w, err := ParseWriteCondition(h)
	cond := stele.Conditions{Match: w.Match}
	if w.MustNotExist {
		cond.NoneMatch = "*"
	}
	return cond, err
}
