package s3api

import (
	"cmp"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"stele"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// Values of reply headers that never change; nobody writes to them.
var (
	isXML       = []string{"application/xml"}
	isOctets    = []string{"binary/octet-stream"}
	isBytes     = []string{"bytes"}
	isAES256    = []string{"AES256"}
	isTrue      = []string{"true"}
	isEmpty     = []string{"0"}
	isFullSum   = []string{FullObject}
	isComposite = []string{Composite}
	isNull      = []string{"null"}
)

// deadliner is what net/http's ResponseWriter offers for one connection or stream (http.ResponseController).
type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// begin sends the reply's head. From here on the client must take what comes within the stall timeout.
func (c *call) begin(status int) {
	c.status = status
	if d, ok := c.w.(deadliner); ok {
		d.SetWriteDeadline(time.Now().Add(c.opt.StallTimeout)) //nolint:errcheck // a writer without deadlines: a test's
	}
	c.w.WriteHeader(status)
}

// reply sends a reply without a body.
func (c *call) reply(status int) error {
	if status != http.StatusNoContent {
		c.w.Header()["Content-Length"] = isEmpty
	}
	c.begin(status)
	return nil
}

// replyXML sends a document.
func (c *call) replyXML(status int, doc []byte) error {
	h := c.w.Header()
	h["Content-Type"] = isXML
	h["Content-Length"] = []string{strconv.Itoa(len(doc))}
	c.begin(status)
	n, _ := c.w.Write(doc) // an error: the client is gone
	c.sent += int64(n)
	return nil
}

// documents are buffers for replies, reused.
var documents = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// replyDocument sends what write appends to an empty buffer.
func (c *call) replyDocument(write func([]byte) []byte) error {
	buf := documents.Get().(*[]byte)
	doc := write((*buf)[:0])
	err := c.replyXML(http.StatusOK, doc)
	if cap(doc) <= 1<<20 {
		*buf = doc[:0]
		documents.Put(buf)
	}
	return err
}

// fail sends an error. One that comes after the reply has begun ends the connection, so that what the client got cannot pass for the whole.
func (c *call) fail(err error) {
	e := c.s3Error(err)
	if c.status != 0 {
		c.failed = e // for the access line
		panic(http.ErrAbortHandler)
	}
	c.status, c.failed = e.Status, e
	h := c.w.Header()
	for name := range h { // what an operation had set before it failed
		if !isReplyToError[name] && !isReplyTo[e.Status][name] {
			delete(h, name)
		}
	}
	if e.Status == http.StatusForbidden && !isRetention(err) { // those of a lock are entries by themselves
		c.by.Claimed = c.claimed()
		c.store.DeniedAt(c.by, e.Code, c.q.Op.String(), cmp.Or(c.name, c.q.Bucket))
	}
	if d, ok := c.w.(deadliner); ok {
		d.SetWriteDeadline(time.Now().Add(c.opt.StallTimeout)) //nolint:errcheck
	}
	if e.Status >= 500 && e.Code != s3err.ErrSlowDown.Code && c.ctx.Err() == nil && e.Code != s3err.ErrNotImplemented.Code {
		c.repeats.Line(slog.LevelError, e.Code, "a request failed", "id", c.id, "op", c.q.Op.String(), "bucket", c.q.Bucket, "object", c.q.Key, "err", err)
	}
	WriteError(c.w, c.r, e, ReplyIDs{RequestID: c.id, HostID: c.store.ID()})
}

// isReplyToError names headers that an error reply keeps.
var isReplyToError = map[string]bool{
	"X-Amz-Request-Id": true, "X-Amz-Id-2": true, "Vary": true,
	"X-Amz-Delete-Marker": true, "X-Amz-Version-Id": true, "Last-Modified": true, "ETag": true, "Allow": true, "X-Amz-Bucket-Region": true,
	"Access-Control-Allow-Origin": true, "Access-Control-Allow-Methods": true, "Access-Control-Allow-Credentials": true, "Access-Control-Expose-Headers": true, "Access-Control-Max-Age": true,
}

// isReplyTo names headers that an error reply of one status keeps besides.
var isReplyTo = map[int]map[string]bool{
	http.StatusNotModified:                  {"Cache-Control": true, "Expires": true},
	http.StatusRequestedRangeNotSatisfiable: {"Content-Range": true},
}

func isRetention(err error) bool {
	var re *stele.RetentionError
	return errors.As(err, &re)
}

// quoted is an entity tag as headers carry it.
func quoted(etag string) []string { return []string{`"` + etag + `"`} }

// versioned tells whether the bucket's versioning was ever enabled: only then does S3 speak of versions.
func (c *call) versioned() bool { return c.b.Versioning != stele.Unversioned }

// setVersion writes the version id into the reply.
func (c *call) setVersion(h http.Header, v *stele.Version) {
	if !c.versioned() {
		return
	}
	if v.Null {
		h["X-Amz-Version-Id"] = isNull
	} else {
		h["X-Amz-Version-Id"] = []string{v.ID}
	}
}

// setNewVersion is setVersion for a version that was just made: S3 says nothing where its id is null.
func (c *call) setNewVersion(h http.Header, v *stele.Version) {
	if !v.Null {
		c.setVersion(h, v)
	}
}

// setCommitted writes where the change stands in the ledger: x-stele-entry, x-stele-checkpoint (size and root of a tree that holds it) and, on
// request, x-stele-receipt, or x-stele-receipt-error if a receipt must be cosigned and is not.
func (c *call) setCommitted(h http.Header, at uint64) error {
	h["X-Stele-Entry"] = []string{strconv.FormatUint(at, 10)}
	if head := c.heads.text(c.store); head != "" {
		h["X-Stele-Checkpoint"] = []string{head}
	}
	if wire.First(c.r.Header, "X-Stele-Receipt") != "inline" {
		return nil
	}
	receipt, err := c.store.Ledger().Receipt(c.ctx, at)
	if errors.Is(err, stele.ErrNoWitness) { // the change is committed, and an error would have the client make it again
		h["X-Stele-Receipt-Error"] = []string{strings.Join(strings.Fields(err.Error()), " ")}
		return nil
	}
	if err != nil {
		return err
	}
	h["X-Stele-Receipt"] = []string{base64.StdEncoding.EncodeToString(receipt)}
	return nil
}

// headCache keeps the text of the newest checkpoint, which all who were committed with it share.
type headCache struct {
	mu   sync.Mutex
	size uint64
	head string
}

// text is "SIZE ROOT": the size and the root (base64) of the ledger's signed head.
func (k *headCache) text(s *stele.Store) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := s.Ledger().Size(); now != k.size || k.head == "" {
		k.size, k.head = now, checkpointText(s.Ledger().Checkpoint())
	}
	return k.head
}

// checkpointText takes size and root out of a checkpoint (C2SP tlog-checkpoint: origin, size, root, one a line).
func checkpointText(note []byte) string {
	line := 0
	start := 0
	out := make([]byte, 0, 64)
	for i, ch := range note {
		if ch != '\n' {
			continue
		}
		if line == 1 || line == 2 {
			if line == 2 {
				out = append(out, ' ')
			}
			out = append(out, note[start:i]...)
		}
		line++
		start = i + 1
		if line == 3 {
			return string(out)
		}
	}
	return ""
}

// setChecksum writes an object's checksum into the reply.
func setChecksum(h http.Header, alg Algorithm, value, kind string) {
	if alg == NoChecksum || value == "" {
		return
	}
	h[alg.canonicalHeader()] = []string{value}
	if kind == Composite {
		h["X-Amz-Checksum-Type"] = isComposite
	} else {
		h["X-Amz-Checksum-Type"] = isFullSum
	}
}
