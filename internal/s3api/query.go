package s3api

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"stele/internal/s3api/s3err"
)

// Param is one query parameter, decoded.
type Param struct{ Name, Value string }

// Query is the query string in the order it was sent. It is small, so that a linear search beats a map.
type Query []Param

// Get returns the first value of name, or "".
func (q Query) Get(name string) string {
	v, _ := q.Lookup(name)
	return v
}

// Lookup returns the first value of name and whether name is there at all: "?acl" has an empty value.
func (q Query) Lookup(name string) (string, bool) {
	for i := range q {
		if q[i].Name == name {
			return q[i].Value, true
		}
	}
	return "", false
}

// Has tells whether name is there.
func (q Query) Has(name string) bool {
	_, ok := q.Lookup(name)
	return ok
}

// maxParams bounds what one request can make us sort.
const maxParams = 256

// parseQuery splits and decodes a query string. '+' is a space, as in a form.
func parseQuery(raw string) (Query, error) {
	if raw == "" {
		return nil, nil
	}
	n := strings.Count(raw, "&") + 1
	if n > maxParams {
		return nil, s3err.ErrInvalidURI
	}
	q := make(Query, 0, n)
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		var ok1, ok2 bool
		name, ok1 = unescape(name, true)
		value, ok2 = unescape(value, true)
		if !ok1 || !ok2 {
			return nil, s3err.ErrInvalidURI
		}
		q = append(q, Param{name, value})
	}
	return q, nil
}

// target gives the path and the query exactly as sent. net/http keeps the request line in RequestURI; a request made
// for a test has only its URL.
func target(r *http.Request) (path, query string) {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, query, _ = strings.Cut(r.RequestURI, "?")
		return path, query
	}
	path = r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	return path, r.URL.RawQuery
}

// unescape decodes %XX once; with plus also '+' to a space. It reports false for a broken escape or text that is not UTF-8.
func unescape(s string, plus bool) (string, bool) {
	i := 0
	for i < len(s) && s[i] != '%' && (s[i] != '+' || !plus) {
		i++
	}
	if i == len(s) {
		return s, utf8.ValidString(s)
	}
	b := make([]byte, i, len(s))
	copy(b, s)
	for ; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if i+2 >= len(s) || hexVal(s[i+1]) < 0 || hexVal(s[i+2]) < 0 {
				return "", false
			}
			b = append(b, byte(hexVal(s[i+1])<<4|hexVal(s[i+2])))
			i += 2
		case s[i] == '+' && plus:
			b = append(b, ' ')
		default:
			b = append(b, s[i])
		}
	}
	return string(b), utf8.Valid(b)
}

func hexVal(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unreserved marks the bytes that SigV4's URI encoding leaves alone (RFC 3986).
var unreserved = func() (t [256]bool) {
	for c := range t {
		b := byte(c)
		t[c] = 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_' || b == '.' || b == '~'
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

// appendEscaped appends s URI-encoded as SigV4 wants it: unreserved bytes as they are, '/' too where slash is set, all
// others as %XX in capitals.
func appendEscaped(b []byte, s string, slash bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if unreserved[c] || slash && c == '/' {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return b
}
