package s3api

import (
	"net/http"
	"strings"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// Request is what a request line says: the operation and what it is about. Nothing in it is trusted yet.
type Request struct {
	Op          Op
	Bucket      string // as sent
	Key         string // percent-decoded once, else as sent: 1 to 1,024 bytes of UTF-8
	VersionID   string // "": none was given (an empty one is refused)
	VirtualHost bool   // the bucket came from the Host header
	wire.Target
}

// Parse finds out what r asks for. domain is the suffix of virtual-host style names (empty: path style only): with domain
// "s3.example.com", Host photos.s3.example.com is bucket photos. The Request is usable for authentication even when err
// names an unknown sub-resource; errors are *s3err.Error.
func Parse(r *http.Request, domain string) (Request, error) {
	var req Request
	var err error
	if req.Target, err = wire.ReadTarget(r); err != nil {
		return req, err
	}
	if err := req.setNames(r.Host, req.Path, domain); err != nil {
		return req, err
	}
	if req.Op, err = findOp(r, &req); err != nil {
		return req, err
	}
	if v, ok := req.Query.Lookup("versionId"); ok {
		if v == "" && (req.Op == OpGetObject || req.Op == OpHeadObject || req.Op == OpDeleteObject) {
			return req, s3err.InvalidArgument("versionId", "", "Version id cannot be the empty string")
		}
		req.VersionID = v // empty on a sub-resource: the current version
	}
	if (req.Op == OpPutObject || req.Op == OpCopyObject) && req.Query.Has("partNumber") {
		return req, s3err.InvalidArgument("partNumber", "partNumber", "This operation does not accept partNumber without uploadId")
	}
	if (req.Op == OpUploadPart || req.Op == OpUploadPartCopy) && !req.Query.Has("partNumber") {
		return req, s3err.MethodNotAllowed(r.Method, "UPLOAD")
	}
	return req, nil
}

// setNames takes bucket and key from host and path.
func (q *Request) setNames(host, path, domain string) error {
	rest := strings.TrimPrefix(path, "/")
	if b := hostBucket(host, domain); b != "" {
		q.VirtualHost, q.Bucket = true, b
	} else {
		if rest == "" && path != "//" {
			return nil
		}
		q.Bucket, rest, _ = strings.Cut(rest, "/")
		b, ok := wire.Unescape(q.Bucket, false)
		if !ok {
			return s3err.ErrInvalidURI
		}
		q.Bucket = b
	}
	if !plausibleName(q.Bucket) {
		return s3err.ErrInvalidBucketName.With("BucketName", q.Bucket)
	}
	key, ok := wire.Unescape(rest, false)
	if !ok {
		return s3err.ErrInvalidURI
	}
	q.Key = key
	if len(key) > wire.MaxKeyBytes {
		return wire.KeyTooLong(len(key))
	}
	return nil
}

// hostBucket returns the bucket that a Host header names under domain, or "".
func hostBucket(host, domain string) string {
	if domain == "" {
		return ""
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	n := len(host) - len(domain) - 1
	if n < 1 || host[n] != '.' || !strings.EqualFold(host[n+1:], domain) {
		return ""
	}
	return strings.ToLower(host[:n])
}

// findOp looks the request up in the table of optable.go.
func findOp(r *http.Request, q *Request) (Op, error) {
	if r.Method == http.MethodOptions {
		return OpPreflight, nil
	}
	level := q.level()
	sub, err := q.subresource()
	if err != nil {
		return opUnknown, err
	}
	at := routesAt[place{r.Method, level}]
	for i := range at {
		if at[i].sub == sub && at[i].when.holds(r, q) {
			return at[i].op, nil
		}
	}
	return opUnknown, noRoute(r, q, level, sub)
}

// noRoute says why no operation fits.
func noRoute(r *http.Request, q *Request, l level, sub string) error {
	switch {
	case l == onKey && sub == "versions":
		return s3err.ErrVersionsOfKey
	case l == onKey && sub == "uploads" && r.Method == http.MethodGet:
		return s3err.ErrUploadsOfKey
	case l == onBucket && sub == "" && r.Method == http.MethodPost:
		return s3err.PreconditionFailed("Bucket POST must be of the enclosure-type multipart/form-data")
	case sub != "":
		return s3err.MethodNotAllowed(r.Method, strings.ToUpper(sub))
	}
	return s3err.MethodNotAllowed(r.Method, [...]string{"SERVICE", "BUCKET", "OBJECT"}[l])
}

func (q *Request) level() level {
	switch {
	case q.Bucket == "":
		return onService
	case q.Key == "":
		return onBucket
	}
	return onKey
}

// subresource returns the one sub-resource that the query names, or "". Two at once are refused: which is meant is a guess.
func (q *Request) subresource() (string, error) {
	first := ""
	for _, p := range q.Query {
		if !subresources[p.Name] || p.Name == first {
			continue
		}
		if first != "" {
			return "", s3err.ErrInvalidArgument.Msg("Conflicting query string parameters: %s, %s", first, p.Name).
				With("ArgumentName", "ResourceType").With("ArgumentValue", first)
		}
		first = p.Name
	}
	return first, nil
}

// ValidBucketName tells whether a bucket may be created under name: AWS's rules for general purpose buckets.
func ValidBucketName(name string) bool {
	if !plausibleBucketName(name) || isIPv4(name) {
		return false
	}
	for _, p := range [...]string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	for _, s := range [...]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, s) {
			return false
		}
	}
	return true
}

// plausibleName is plausibleBucketName for a bucket or a view of one, NAME--at-…, which may be longer by that: a name of 63 letters has a past like any other.
func plausibleName(name string) bool {
	i := strings.LastIndex(name, viewMark)
	if i < 0 || plausibleBucketName(name) {
		return plausibleBucketName(name)
	}
	moment := name[i+len(viewMark):]
	return plausibleBucketName(name[:i]) && moment != "" && len(moment) <= maxMoment && strings.Trim(moment, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// maxMoment is more than any moment is long: 20261120t100000z, e and a ledger size, a pinned view's name.
const maxMoment = 24

// plausibleBucketName is the part of the rules that every request is held to: 3 to 63 of a-z, 0-9, '-' and '.', a letter
// or digit at both ends and beside every dot's other dot.
func plausibleBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && c != '-' && c != '.' {
			return false
		}
		if !alnum && (i == 0 || i == len(name)-1) {
			return false
		}
		if c == '.' && name[i-1] == '.' {
			return false
		}
	}
	return true
}

func isIPv4(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}
