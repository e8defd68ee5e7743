package s3api

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

// CORSRule is one rule of a bucket's CORS configuration.
type CORSRule struct {
	ID                                                            string
	AllowedMethods, AllowedOrigins, AllowedHeaders, ExposeHeaders []string
	MaxAgeSeconds                                                 int // NoMaxAge: not set
}

// NoMaxAge is a MaxAgeSeconds that was not given; S3 keeps negative ones.
const NoMaxAge = math.MinInt32

const maxCORSRules = 100

var corsMethods = map[string]bool{"GET": true, "PUT": true, "POST": true, "DELETE": true, "HEAD": true}

// DecodeCORS parses a CORSConfiguration.
func DecodeCORS(b []byte) ([]CORSRule, error) {
	root, err := s3xml.Parse(b, "CORSConfiguration")
	if err != nil {
		return nil, err
	}
	var rules []CORSRule
	for e := range root.Children() {
		if e.Name() != "CORSRule" || len(rules) == maxCORSRules {
			return nil, s3err.ErrMalformedXML
		}
		r, err := decodeCORSRule(e)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		return nil, s3err.ErrMalformedXML
	}
	return rules, nil
}

func decodeCORSRule(e s3xml.Elem) (CORSRule, error) {
	r := CORSRule{MaxAgeSeconds: NoMaxAge}
	for c := range e.Children() {
		v := c.Word()
		switch c.Name() {
		case "ID":
			r.ID = v
		case "AllowedMethod":
			r.AllowedMethods = append(r.AllowedMethods, v)
		case "AllowedOrigin":
			r.AllowedOrigins = append(r.AllowedOrigins, v)
		case "AllowedHeader":
			r.AllowedHeaders = append(r.AllowedHeaders, v)
		case "ExposeHeader":
			r.ExposeHeaders = append(r.ExposeHeaders, v)
		case "MaxAgeSeconds":
			n, err := strconv.ParseInt(v, 10, 32)
			if err != nil {
				return r, s3err.ErrMalformedXML
			}
			r.MaxAgeSeconds = int(n)
		}
	}
	return r, r.check()
}

func (r *CORSRule) check() error {
	if len(r.AllowedMethods) == 0 || len(r.AllowedOrigins) == 0 || len(r.ID) > 255 {
		return s3err.ErrMalformedXML
	}
	for _, m := range r.AllowedMethods {
		if !corsMethods[m] {
			return s3err.ErrInvalidRequest.Msg("Found unsupported HTTP method in CORS config. Unsupported method is %s", m)
		}
	}
	for _, o := range r.AllowedOrigins {
		if strings.Count(o, "*") > 1 {
			return s3err.ErrInvalidRequest.Msg("AllowedOrigin \"%s\" can not have more than one wildcard.", o)
		}
	}
	for _, h := range r.AllowedHeaders {
		if strings.Count(h, "*") > 1 {
			return s3err.ErrInvalidRequest.Msg("AllowedHeader \"%s\" can not have more than one wildcard.", h)
		}
	}
	for _, list := range [...][]string{r.AllowedHeaders, r.ExposeHeaders} {
		for _, h := range list {
			if !wire.HeaderName(h) {
				return s3err.ErrInvalidRequest.Msg("AllowedHeader \"%s\" contains invalid character.", h)
			}
		}
	}
	return nil
}

// AppendCORS appends a CORSConfiguration.
func AppendCORS(b []byte, rules []CORSRule) []byte {
	w := s3xml.Writer{B: b}
	w.Root("CORSConfiguration")
	for _, r := range rules {
		w.Open("CORSRule")
		w.Opt("ID", r.ID)
		for _, l := range [...]struct {
			name   string
			values []string
		}{
			{"AllowedMethod", r.AllowedMethods}, {"AllowedOrigin", r.AllowedOrigins},
			{"AllowedHeader", r.AllowedHeaders}, {"ExposeHeader", r.ExposeHeaders},
		} {
			for _, v := range l.values {
				w.Str(l.name, v)
			}
		}
		if r.MaxAgeSeconds != NoMaxAge {
			w.Int("MaxAgeSeconds", int64(r.MaxAgeSeconds))
		}
		w.Close("CORSRule")
	}
	w.Close("CORSConfiguration")
	return w.B
}

// Preflight answers an OPTIONS request: the headers of the first rule that allows what is asked for. rules is nil for a
// bucket without CORS.
func Preflight(r *http.Request, rules []CORSRule) (http.Header, error) {
	origin, method := r.Header.Get("Origin"), r.Header.Get("Access-Control-Request-Method")
	if origin == "" {
		return nil, s3err.ErrCORSNoOrigin
	}
	if !corsMethods[method] {
		return nil, s3err.ErrBadRequest.Msg("Invalid Access-Control-Request-Method: %s", method)
	}
	var wanted []string
	for _, line := range r.Header["Access-Control-Request-Headers"] {
		for _, h := range strings.Split(line, ",") {
			name := strings.Trim(h, " ")
			if !wire.HeaderName(name) {
				return nil, s3err.ErrBadRequest.Msg("Access-Control-Request-Headers \"%s\" contains invalid character.", h)
			}
			if h = name; h != "" {
				wanted = append(wanted, strings.ToLower(h))
			}
		}
	}
	if len(rules) == 0 {
		return nil, s3err.ErrCORSNotEnabled
	}
	for i := range rules {
		rule := &rules[i]
		if o := rule.origin(origin); o != "" && slices.Contains(rule.AllowedMethods, method) && rule.allowsHeaders(wanted) {
			h := rule.headers(o)
			if len(wanted) > 0 {
				h.Set("Access-Control-Allow-Headers", strings.Join(wanted, ", "))
			}
			return h, nil
		}
	}
	return nil, s3err.ErrCORSForbidden
}

// CORSHeaders are the headers that a reply to r needs for a browser to show it to its page; nil where no rule allows.
func CORSHeaders(r *http.Request, rules []CORSRule) http.Header {
	origin := wire.First(r.Header, "Origin")
	if origin == "" {
		return nil
	}
	for i := range rules {
		if o := rules[i].origin(origin); o != "" && slices.Contains(rules[i].AllowedMethods, r.Method) {
			return rules[i].headers(o)
		}
	}
	return nil
}

// origin returns what Access-Control-Allow-Origin says, "" where the rule does not allow the origin.
func (r *CORSRule) origin(origin string) string {
	for _, o := range r.AllowedOrigins {
		if o == "*" {
			return "*"
		}
		if wildcard(o, origin) {
			return origin
		}
	}
	return ""
}

// wildcard tells whether s matches a pattern in which '*', which a rule has once at most, is any run of characters.
func wildcard(pattern, s string) bool {
	before, after, any := strings.Cut(pattern, "*")
	if !any {
		return s == pattern
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

func (r *CORSRule) allowsHeaders(wanted []string) bool {
	for _, h := range wanted {
		ok := false
		for _, a := range r.AllowedHeaders {
			ok = ok || wildcard(strings.ToLower(a), h)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (r *CORSRule) headers(origin string) http.Header {
	h := http.Header{}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", strings.Join(r.AllowedMethods, ", "))
	if origin != "*" { // false is not a value that the header has (Fetch standard, CORS protocol): where credentials are not allowed it is left out
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	expose := strings.Join(r.ExposeHeaders, ", ")
	if !strings.Contains(strings.ToLower(expose), "etag") {
		// A page that may read an object may know which one it has.
		expose = strings.TrimPrefix(expose+", ETag", ", ")
	}
	h.Set("Access-Control-Expose-Headers", expose)
	if r.MaxAgeSeconds != NoMaxAge {
		h.Set("Access-Control-Max-Age", strconv.Itoa(r.MaxAgeSeconds))
	}
	h.Set("Vary", corsVary)
	return h
}

// corsVary is what a reply of a bucket with rules depends on.
const corsVary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
