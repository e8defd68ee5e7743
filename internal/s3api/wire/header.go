package wire

import (
	"net/http"
	"strings"
)

// MetaPrefix begins the names of headers that hold user metadata, as net/http writes them.
const MetaPrefix = "X-Amz-Meta-"

// First returns the first line of a header, "" where there is none. canonicalName is as net/http writes it: http.Header.Get would work that out for each request anew.
func First(h http.Header, canonicalName string) string {
	if v := h[canonicalName]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// List joins the lines of a header that is a list.
func List(h http.Header, canonicalName string) string {
	if lines := h[canonicalName]; len(lines) > 1 {
		return strings.Join(lines, ",")
	}
	return First(h, canonicalName)
}

// HeaderName tells whether s is an HTTP token; '*', the wildcard of CORS, is one of its characters.
func HeaderName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return true
}

// Words is the set of the words of a text, which are apart by white space. Tables of names are written so.
func Words(text string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(text) {
		m[w] = true
	}
	return m
}
