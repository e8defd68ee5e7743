package s3api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"stele"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

// ByteRange is a part of an object: Length bytes from Start.
type ByteRange struct{ Start, Length int64 }

// ContentRange is the header of a 206.
func (b ByteRange) ContentRange(size int64) string {
	buf := append(make([]byte, 0, 48), "bytes "...)
	buf = append(strconv.AppendInt(buf, b.Start, 10), '-')
	buf = append(strconv.AppendInt(buf, b.Start+b.Length-1, 10), '/')
	return string(strconv.AppendInt(buf, size, 10))
}

// ParseRange reads a Range header for an object of size bytes. ok is false where the whole object is meant: no header, one
// that is not well-formed, or several ranges, which S3 ignores. A range beyond the end is ErrInvalidRange.
func ParseRange(header string, size int64) (r ByteRange, ok bool, err error) {
	spec, found := strings.CutPrefix(header, "bytes=")
	if !found {
		return r, false, nil
	}
	first, last, found := strings.Cut(spec, "-")
	if !found {
		return r, false, nil
	}
	if first == "" {
		n, valid := parseOffset(last)
		switch {
		case !valid, n > 0 && size == 0: // the last bytes of nothing are all of it
			return r, false, nil
		case n == 0:
			return r, false, s3err.InvalidRange(header, size)
		}
		n = min(n, size)
		return ByteRange{size - n, n}, true, nil
	}
	start, valid := parseOffset(first)
	end := int64(maxOffset)
	if last != "" && valid {
		end, valid = parseOffset(last)
	}
	switch {
	case !valid || end < start:
		return r, false, nil
	case start >= size:
		return r, false, s3err.InvalidRange(header, size)
	}
	return ByteRange{start, min(end, size-1) - start + 1}, true, nil
}

const maxOffset = 1<<63 - 1

// parseOffset reads digits only; a number too large is as good as the largest.
func parseOffset(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return maxOffset, true
	}
	return n, true
}

// ParsePartNumber reads ?partNumber=; 0: none. It excludes Range.
func ParsePartNumber(h http.Header, q wire.Query) (int, error) {
	v, ok := q.Lookup("partNumber")
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 10000 {
		return 0, s3err.InvalidArgument("partNumber", v, "Part number must be an integer between 1 and 10000, inclusive.")
	}
	if wire.First(h, "Range") != "" {
		return 0, s3err.ErrRangeAndPart
	}
	return n, nil
}

// Conditions are the conditional headers of one request, or of a copy's source.
type Conditions struct {
	Match, NoneMatch               string // If-Match, If-None-Match as sent; "": not sent
	ModifiedSince, UnmodifiedSince time.Time
}

// ParseConditions reads If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since. A date that is not one is
// ignored, as HTTP has it.
func ParseConditions(h http.Header) Conditions { return parseConditions(h, "") }

// ParseSourceConditions reads the same of a copy's source: x-amz-copy-source-if-….
func ParseSourceConditions(h http.Header) Conditions {
	return parseConditions(h, "X-Amz-Copy-Source-")
}

func parseConditions(h http.Header, prefix string) Conditions {
	c := Conditions{Match: wire.List(h, prefix+"If-Match"), NoneMatch: wire.List(h, prefix+"If-None-Match")}
	c.ModifiedSince = httpDate(wire.First(h, prefix+"If-Modified-Since"))
	c.UnmodifiedSince = httpDate(wire.First(h, prefix+"If-Unmodified-Since"))
	return c
}

func httpDate(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := http.ParseTime(s)
	if err != nil {
		t, _ = time.Parse(time.RFC3339, s) // SDKs send either
	}
	return t
}

// None tells whether there is no condition.
func (c Conditions) None() bool { return c == Conditions{} }

// Check tells whether a read may go on, by RFC 9110's precedence as S3 documents it: If-Match decides over
// If-Unmodified-Since, If-None-Match over If-Modified-Since. etag is without quotes; modified counts in whole seconds.
func (c Conditions) Check(etag string, modified time.Time) error {
	modified = modified.Truncate(time.Second)
	if c.Match != "" {
		if !matchETag(c.Match, etag) {
			return s3err.PreconditionFailed("If-Match")
		}
	} else if !c.UnmodifiedSince.IsZero() && modified.After(c.UnmodifiedSince) {
		return s3err.PreconditionFailed("If-Unmodified-Since")
	}
	if c.NoneMatch != "" {
		if matchETag(c.NoneMatch, etag) {
			return s3err.ErrNotModified
		}
	} else if !c.ModifiedSince.IsZero() && !modified.After(c.ModifiedSince) {
		return s3err.ErrNotModified
	}
	return nil
}

// CheckSource is Check for the source of a copy: nothing is "not modified" there, it is a failed precondition.
func (c Conditions) CheckSource(etag string, modified time.Time) error {
	err := c.Check(etag, modified)
	if err == s3err.ErrNotModified {
		if c.NoneMatch != "" {
			return s3err.PreconditionFailed("x-amz-copy-source-If-None-Match")
		}
		return s3err.PreconditionFailed("x-amz-copy-source-If-Modified-Since")
	}
	if e, ok := err.(*s3err.Error); ok {
		return s3err.PreconditionFailed("x-amz-copy-source-" + e.Extra[0].Value)
	}
	return err
}

// matchETag compares an entity tag with a header's list. Quotes are optional, as in S3; weak tags are compared as strong ones.
func matchETag(list, etag string) bool {
	for list != "" {
		var one string
		one, list, _ = strings.Cut(list, ",")
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == "*" || trimETag(one) == etag {
			return true
		}
	}
	return false
}

// WriteCondition is the condition of a write, decided at the commit.
type WriteCondition struct {
	MustNotExist bool   // If-None-Match: *
	Match        string // If-Match: the current version's entity tag without quotes, or "*"; "": none
}

// ParseWriteCondition reads If-Match and If-None-Match of a put, copy or completion: S3 takes one of them, and of
// If-None-Match only "*".
func ParseWriteCondition(h http.Header) (WriteCondition, error) {
	m, n := wire.List(h, "If-Match"), wire.List(h, "If-None-Match")
	switch {
	case m != "" && n != "":
		return WriteCondition{}, s3err.ErrNotImplemented.With("Header", "If-Match,If-None-Match").
			With("additionalMessage", "Multiple conditional request headers present in the request")
	case n != "" && n != "*":
		return WriteCondition{}, s3err.ErrNotImplemented.With("Header", "If-None-Match").
			With("additionalMessage", `We don\'t accept the provided value of If-None-Match header for this API`)
	}
	return WriteCondition{MustNotExist: n == "*", Match: conditionTag(m)}, nil
}

// checkOneTag refuses several entity tags in the If-Match of a change to a bucket with a policy. A policy may be about the tag: it would judge those that were sent, and the commit holds to one of them.
func (c *call) checkOneTag() error {
	tags := wire.List(c.r.Header, "If-Match")
	if !strings.Contains(tags, ",") || !c.q.Op.Writes() || c.b.Settings[stele.SettingPolicy] == "" {
		return nil
	}
	return s3err.InvalidArgument("If-Match", tags, "In a bucket with a policy a request that changes an object takes one entity tag in If-Match.")
}

// conditionTag takes the quotes off the entity tag of a condition. An empty one in quotes keeps them: it is a condition that nothing meets, and not none.
func conditionTag(etag string) string {
	if bare := trimETag(etag); bare != "" {
		return bare
	}
	return etag
}

// ParseDeleteCondition reads the conditions of DeleteObject: If-Match, and x-amz-if-match-… of its time and size.
func ParseDeleteCondition(h http.Header) (o ObjectToDelete, err error) {
	o.ETag, o.Size = conditionTag(wire.List(h, "If-Match")), -1
	if v := wire.First(h, "X-Amz-If-Match-Last-Modified-Time"); v != "" {
		if o.LastModifiedTime, err = s3xml.ParseTime(v); err != nil {
			return o, s3err.InvalidArgument("x-amz-if-match-last-modified-time", v, "Invalid value for x-amz-if-match-last-modified-time header")
		}
	}
	if v := wire.First(h, "X-Amz-If-Match-Size"); v != "" {
		if o.Size, err = strconv.ParseInt(v, 10, 64); err != nil || o.Size < 0 {
			return o, s3err.InvalidArgument("x-amz-if-match-size", v, "Invalid value for x-amz-if-match-size header")
		}
	}
	return o, nil
}

// responseOverrides are the headers that a signed GET may replace, with their parameters.
var responseOverrides = [...]struct{ param, header string }{
	{"response-cache-control", "Cache-Control"},
	{"response-content-disposition", "Content-Disposition"},
	{"response-content-encoding", "Content-Encoding"},
	{"response-content-language", "Content-Language"},
	{"response-content-type", "Content-Type"},
	{"response-expires", "Expires"},
}

// SetResponseOverrides replaces headers of a GET's reply by response-* parameters. An anonymous request may not: a link
// could make any object look like a page of this host.
func SetResponseOverrides(h http.Header, q wire.Query, a *auth.Identity) error {
	for _, o := range responseOverrides {
		v, ok := q.Lookup(o.param)
		if !ok {
			continue
		}
		if a.Kind == auth.Anonymous {
			return s3err.ErrAnonymousResponseHeaders
		}
		if !headerText(v) {
			return s3err.InvalidArgument(o.param, v, "Header value cannot be represented.")
		}
		h[o.header] = []string{v}
	}
	return nil
}

// CopySource is what x-amz-copy-source names.
type CopySource struct{ Bucket, Key, VersionID string }

// ParseCopySource reads "[/]bucket/key[?versionId=…]", percent-encoded once.
func ParseCopySource(header string) (CopySource, error) {
	invalid := func(what string) (CopySource, error) {
		return CopySource{}, s3err.InvalidArgument("x-amz-copy-source", header, "Invalid copy source %s", what)
	}
	path, query, hasQuery := strings.Cut(header, "?")
	var s CopySource
	if hasQuery {
		v, ok := strings.CutPrefix(query, "versionId=")
		if ok {
			if s.VersionID, ok = wire.Unescape(v, false); !ok {
				return invalid("encoding")
			}
			if s.VersionID == "" {
				return s, s3err.InvalidArgument("x-amz-copy-source", header, "Version id cannot be the empty string")
			}
		} else {
			path = header // '?' is then a part of the key, unescaped
		}
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		return invalid("encoding")
	}
	var found bool
	s.Bucket, s.Key, found = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case !plausibleName(s.Bucket) || isIPv4(s.Bucket):
		return invalid("bucket name")
	case !found || s.Key == "" || len(s.Key) > wire.MaxKeyBytes:
		return invalid("object key")
	}
	if k, ok := wire.Unescape(url.PathEscape(s.Key), false); !ok || k != s.Key {
		return invalid("encoding") // not UTF-8
	}
	return s, nil
}

// ParseCopySourceRange reads x-amz-copy-source-range for a source of size bytes: "bytes=first-last", all of it within the
// source. ok is false where there is no header.
func ParseCopySourceRange(header string, size int64) (r ByteRange, ok bool, err error) {
	if header == "" {
		return r, false, nil
	}
	spec, found := strings.CutPrefix(header, "bytes=")
	a, b, dash := strings.Cut(spec, "-")
	first, ok1 := parseOffset(a)
	last, ok2 := parseOffset(b)
	switch {
	case !found || !dash || !ok1 || !ok2 || last < first:
		return r, false, s3err.InvalidArgument("x-amz-copy-source-range", header, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	case first >= size || last >= size:
		return r, false, s3err.InvalidArgument("x-amz-copy-source-range", header, "Range specified is not valid for source object of size: %d", size)
	}
	return ByteRange{first, last - first + 1}, true, nil
}
