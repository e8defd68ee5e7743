package wire

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

// ParseQuery splits and decodes a query string. '+' is a space, as in a form.
func ParseQuery(raw string) (Query, error) {
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
		name, ok1 = Unescape(name, true)
		value, ok2 = Unescape(value, true)
		if !ok1 || !ok2 {
			return nil, s3err.ErrInvalidURI
		}
		q = append(q, Param{name, value})
	}
	return q, nil
}

// Target is the target of a request as it was sent.
type Target struct {
	Path  string // neither decoded nor cleaned: the signature is over it
	Query Query
}

// ReadTarget takes the target of a request apart. An error, of a query that cannot be read, is an *s3err.Error and leaves the path.
func ReadTarget(r *http.Request) (Target, error) {
	path, raw := requestTarget(r)
	q, err := ParseQuery(raw)
	return Target{path, q}, err
}

// requestTarget gives the path and the query exactly as sent. net/http keeps the request line in RequestURI; a request made
// for a test has only its URL.
func requestTarget(r *http.Request) (path, query string) {
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

// Unescape decodes %XX once; with plus also '+' to a space. It reports false for a broken escape or text that is not UTF-8.
func Unescape(s string, plus bool) (string, bool) {
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
			if i+2 >= len(s) || HexVal(s[i+1]) < 0 || HexVal(s[i+2]) < 0 {
				return "", false
			}
			b = append(b, byte(HexVal(s[i+1])<<4|HexVal(s[i+2])))
			i += 2
		case s[i] == '+' && plus:
			b = append(b, ' ')
		default:
			b = append(b, s[i])
		}
	}
	return string(b), utf8.Valid(b)
}

// HexVal is the value of a hexadecimal digit of either case; below 0: c is none.
func HexVal(c byte) int {
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

// IsHex tells whether s has hexadecimal digits only, of either case.
func IsHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if HexVal(s[i]) < 0 {
			return false
		}
	}
	return true
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

// AppendEscaped appends s URI-encoded as SigV4 wants it: unreserved bytes as they are, '/' too where slash is set, all
// others as %XX in capitals.
func AppendEscaped(b []byte, s string, slash bool) []byte {
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

// PlainPath tells whether AppendEscaped, with slash set, leaves s as it is.
func PlainPath(s string) bool {
	for i := 0; i < len(s); i++ {
		if !unreserved[s[i]] && s[i] != '/' {
			return false
		}
	}
	return true
}
