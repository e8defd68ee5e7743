package s3api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stele"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// getObject is GetObject and HeadObject.
func (c *call) getObject() error {
	if c.r.Header["X-Amz-Server-Side-Encryption-Customer-Algorithm"] != nil || c.r.Header["X-Amz-Server-Side-Encryption-Customer-Key"] != nil {
		return s3err.ErrInvalidRequest.Msg("The encryption parameters are not applicable to this object.") // none has a customer's key
	}
	part, err := ParsePartNumber(c.r.Header, c.q.Query)
	if err != nil {
		return err
	}
	v, err := c.head()
	if err != nil {
		return err
	}
	h := c.w.Header()
	if cond := ParseConditions(c.r.Header); !cond.None() {
		if err := cond.Check(v.ETag, v.Time); err != nil {
			c.setVersion(h, &v)
			h["ETag"] = quoted(v.ETag)
			h["Last-Modified"] = []string{httpTime(v.Time)}
			if unset := c.setFreshness(h, &v); unset != nil {
				return unset
			}
			return err
		}
	}
	span, status, err := c.span(&v, part)
	if errors.Is(err, s3err.ErrInvalidRange) {
		h["Content-Range"] = []string{fmt.Sprintf("bytes */%d", v.Size)} // RFC 9110 section 15.5.17: who goes on with a download learns that it is whole
	}
	if err != nil {
		return err
	}
	if err := c.setObject(h, &v, part, status); err != nil {
		return err
	}
	h["Content-Length"] = []string{strconv.FormatInt(span.Length, 10)}
	if status == http.StatusPartialContent {
		h["Content-Range"] = []string{span.ContentRange(v.Size)}
	}
	if c.r.Method == http.MethodHead {
		c.begin(status)
		return nil
	}
	return c.sendBody(v, span, status)
}

// setFreshness writes what a 304 must repeat of the whole reply, so that a cache keeps the object on (RFC 9110 section 15.4.5). fail leaves it out of other errors.
func (c *call) setFreshness(h http.Header, v *stele.Version) error {
	for _, name := range [...]string{"Cache-Control", "Expires"} {
		if value := v.Headers[strings.ToLower(name)]; value != "" {
			h[name] = []string{value}
		}
	}
	return SetResponseOverrides(h, c.q.Query, c.auth)
}

// head finds the object that the request names; a marker is told apart as S3 does.
func (c *call) head() (stele.Version, error) {
	v, err := c.unlessUnlisted(c.subject(c.q.Key))(c.read(&c.b, c.place()))
	if err != nil && v.Marker {
		h := c.w.Header()
		h["X-Amz-Delete-Marker"] = isTrue
		c.setVersion(h, &v)
		if errors.Is(err, stele.ErrMarker) {
			h["Last-Modified"] = []string{httpTime(v.Time)}
			h["Allow"] = []string{"DELETE"}
		}
	}
	return v, err
}

// span is what of the object is sent, by part number or Range.
func (c *call) span(v *stele.Version, part int) (ByteRange, int, error) {
	if part > 0 {
		off, n, parts, err := c.store.Multipart().PartRange(c.ctx, *v, part)
		if errors.Is(err, stele.ErrInvalidPart) {
			return ByteRange{}, 0, s3err.ErrInvalidPartNumber.With("PartNumberRequested", strconv.Itoa(part)).With("ActualPartCount", strconv.Itoa(max(parts, 1)))
		}
		if err != nil {
			return ByteRange{}, 0, err
		}
		if v.Parts > 0 {
			c.w.Header()["X-Amz-Mp-Parts-Count"] = []string{strconv.Itoa(parts)}
		}
		if n == 0 {
			return ByteRange{}, http.StatusOK, nil
		}
		return ByteRange{off, n}, http.StatusPartialContent, nil
	}
	whole := ByteRange{0, v.Size}
	want := wire.List(c.r.Header, "Range")
	if want == "" || !rangeHolds(wire.First(c.r.Header, "If-Range"), v) {
		return whole, http.StatusOK, nil
	}
	r, ok, err := ParseRange(want, v.Size)
	if err != nil || !ok {
		return whole, http.StatusOK, err
	}
	return r, http.StatusPartialContent, nil
}

// rangeHolds is If-Range (RFC 9110 section 13.1.5): the range counts only if the object is still that one.
func rangeHolds(ifRange string, v *stele.Version) bool {
	if ifRange == "" {
		return true
	}
	if t, err := http.ParseTime(ifRange); err == nil {
		return v.Time.Truncate(time.Second).Equal(t)
	}
	return matchETag(ifRange, v.ETag)
}

// setObject writes what is known of the version into the reply.
func (c *call) setObject(h http.Header, v *stele.Version, part, status int) error {
	h["Accept-Ranges"] = isBytes
	h["Last-Modified"] = []string{httpTime(v.Time)}
	h["ETag"] = quoted(v.ETag)
	h["X-Amz-Server-Side-Encryption"] = isAES256
	h["Content-Type"] = isOctets
	for name, value := range v.Headers {
		if canonical, ok := canonicalKept[name]; ok {
			h[canonical] = []string{value}
		}
	}
	if archived(v.Headers[classHeader]) {
		h["X-Amz-Restore"] = isRestored
	}
	for name, value := range v.Meta {
		h["x-amz-meta-"+name] = []string{encodeWords(value)} // in lower case, as AWS sends it: boto3 hands names on as they come
	}
	if len(v.Tags) > 0 {
		h["X-Amz-Tagging-Count"] = []string{strconv.Itoa(len(v.Tags))}
	}
	if v.Lock.Mode != "" || v.Lock.Hold || v.HoldOff {
		c.setLock(h, v)
	}
	c.setVersion(h, v)
	c.setExpiration(h, v)
	if err := c.setReadChecksum(h, v, part, status); err != nil {
		return err
	}
	if len(c.q.Query) > 0 {
		return SetResponseOverrides(h, c.q.Query, c.auth)
	}
	return nil
}

// setLock shows the lock to those who may read it.
func (c *call) setLock(h http.Header, v *stele.Version) {
	l := LockHeaders{Retention{v.Lock.Mode, v.Lock.Until}, v.Lock.Hold, v.HoldOff}
	if c.require(&c.b, c.name, c.at, "s3:GetObjectRetention", c.q.Key) != nil {
		l.Retention = Retention{}
	}
	if c.require(&c.b, c.name, c.at, "s3:GetObjectLegalHold", c.q.Key) != nil {
		l.Hold, l.Off = false, false
	}
	l.SetHeaders(h)
}

// setReadChecksum writes the checksum if it was asked for and is that of what is sent: the whole object, or one part.
func (c *call) setReadChecksum(h http.Header, v *stele.Version, part, status int) error {
	if v.Checksum == nil || !strings.EqualFold(wire.First(c.r.Header, "X-Amz-Checksum-Mode"), "ENABLED") {
		return nil
	}
	if part > 0 && v.Parts > 0 {
		if v.Checksum.Kind != Composite {
			h["X-Amz-Checksum-Type"] = isFullSum // parts of a full-object checksum have none of their own
			return nil
		}
		list, err := c.store.Multipart().PartsOf(c.ctx, *v)
		if err != nil || part > len(list) {
			return err
		}
		if alg, err := ParseAlgorithm(v.Checksum.Algorithm); err == nil {
			setChecksum(h, alg, list[part-1].Checksum, v.Checksum.Kind)
		}
		return nil
	}
	if status == http.StatusOK || part > 0 {
		setSum(h, v.Checksum)
	}
	return nil
}

// sendBody streams the span. Nothing has been sent as long as no byte was read, so that what is erased or damaged at its beginning is a proper error.
func (c *call) sendBody(v stele.Version, span ByteRange, status int) error {
	if span.Length == 0 {
		c.begin(status)
		return nil
	}
	if span.Length > bigBodyBytes {
		if err := c.takePlace(c.reads); err != nil {
			return err
		}
	}
	body, err := c.store.OpenBody(c.ctx, v, span.Start, span.Length)
	if err != nil {
		return err
	}
	defer body.Close()
	out := sender{c: c, status: status}
	if wt, ok := body.(io.WriterTo); ok {
		_, err = wt.WriteTo(&out)
	} else {
		_, err = io.Copy(&out, body)
	}
	if err != nil && out.failed {
		return nil // the client is gone: net/http closes the connection
	}
	return err
}

// sender is the reply's body: it begins the reply with the first bytes, and lets it go on as long as the client takes them.
type sender struct {
	c      *call
	status int
	last   time.Time // when the deadline was set
	failed bool      // the client takes no more
}

// maxSend is how much is written under one deadline.
const maxSend = 256 << 10

func (s *sender) Write(p []byte) (n int, err error) {
	if s.c.status == 0 {
		s.c.begin(s.status)
		s.last = time.Now()
	}
	for len(p) > 0 && err == nil {
		if s.c.sent > maxSend {
			s.extend()
		}
		var w int
		w, err = s.c.w.Write(p[:min(len(p), maxSend)])
		n += w
		s.c.sent += int64(w)
		p = p[w:]
	}
	s.failed = err != nil
	return n, err
}

func (s *sender) extend() {
	now := time.Now()
	if now.Sub(s.last) < s.c.opt.StallTimeout/8 {
		return
	}
	s.last = now
	if d, ok := s.c.w.(deadliner); ok {
		d.SetWriteDeadline(now.Add(s.c.opt.StallTimeout)) //nolint:errcheck
	}
}

// httpTime is t as HTTP writes it: whole seconds, GMT.
func httpTime(t time.Time) string {
	return t.UTC().Format(http.TimeFormat)
}
