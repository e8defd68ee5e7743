package s3api

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// What a client says about an object beside its bytes: standard headers and user metadata. All of it is kept exactly, or refused: an entry holds UTF-8
// only, and bytes that are none must not be replaced by others.

// keptHeaders are the standard headers that come back with an object. A list may be sent in several lines (RFC 9110 section 5.3); of any other a second line
// is refused, since one of the two would be lost.
var keptHeaders = [...]struct {
	canonical, kept string
	list            bool
}{
	{"Content-Type", "content-type", false}, {"Cache-Control", "cache-control", true}, {"Content-Disposition", "content-disposition", false}, {"Content-Encoding", "content-encoding", true},
	{"Content-Language", "content-language", true}, {"Expires", "expires", false}, {"X-Amz-Website-Redirect-Location", "x-amz-website-redirect-location", false},
}

// canonicalKept finds a kept header's name in a reply.
var canonicalKept = func() map[string]string {
	m := map[string]string{}
	for _, k := range keptHeaders {
		m[k.kept] = k.canonical
	}
	m[classHeader] = "X-Amz-Storage-Class"
	return m
}()

// requestHeaders collects what is kept with an object.
func requestHeaders(h http.Header) (map[string]string, error) {
	var out map[string]string
	for _, k := range keptHeaders {
		lines := h[k.canonical]
		if len(lines) == 0 {
			continue
		}
		if len(lines) > 1 && !k.list {
			return nil, s3err.InvalidArgument(k.canonical, strings.Join(lines, ","), "The header %s was sent %d times. Send it once.", k.canonical, len(lines))
		}
		v := strings.Join(lines, ",")
		if k.kept == "content-encoding" {
			v = withoutChunked(v)
		}
		if v == "" {
			continue
		}
		if !headerText(v) {
			return nil, s3err.InvalidArgument(k.canonical, v, "The value of %s is not UTF-8, or holds control characters. Send it percent-encoded or in UTF-8.", k.canonical)
		}
		if k.kept == "x-amz-website-redirect-location" && !strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "http://") && !strings.HasPrefix(v, "https://") {
			return nil, s3err.ErrInvalidWebsiteRedir
		}
		if out == nil {
			out = make(map[string]string, 2)
		}
		out[k.kept] = v
	}
	return out, nil
}

// headerText tells whether a header can carry s unchanged: UTF-8 without control characters other than the tab.
func headerText(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// withoutChunked takes aws-chunked, which is about the transfer, out of a Content-Encoding.
func withoutChunked(v string) string {
	if !strings.Contains(strings.ToLower(v), "aws-chunked") {
		return v
	}
	var rest []string
	for _, e := range strings.Split(v, ",") {
		if e = strings.TrimSpace(e); e != "" && !strings.EqualFold(e, "aws-chunked") {
			rest = append(rest, e)
		}
	}
	return strings.Join(rest, ",")
}

// requestMeta collects user metadata. As AWS documents it ("User-defined object metadata"), a value may come in the encoded words of RFC 2047 and is
// decoded before it is kept; what is sent in UTF-8 as it is, which many clients do, is taken as it is.
func requestMeta(h http.Header) (map[string]string, error) {
	var out map[string]string
	total := 0
	for name, values := range h {
		if len(name) <= len(wire.MetaPrefix) || name[:len(wire.MetaPrefix)] != wire.MetaPrefix {
			continue
		}
		if out == nil {
			out = make(map[string]string, 4)
		}
		k, sent := strings.ToLower(name[len(wire.MetaPrefix):]), strings.Join(values, ",")
		if !utf8.ValidString(sent) {
			return nil, s3err.InvalidArgument("x-amz-meta-"+k, sent, "The value of x-amz-meta-%s is not UTF-8. Send other bytes encoded, as RFC 2047 has it or in base64.", k)
		}
		v := decodeWords(sent)
		total += len(k) + len(v)
		out[k] = v
	}
	if total > maxMetaBytes {
		return nil, s3err.ErrMetadataTooLarge
	}
	return out, nil
}

var wordDecoder mime.WordDecoder

// decodeWords decodes the encoded words of RFC 2047 in s. Where that would lose anything (an unknown character set, bytes that are not of the set), s is
// left as it is.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	d, err := wordDecoder.DecodeHeader(s)
	if err != nil || !utf8.ValidString(d) || strings.ContainsRune(d, utf8.RuneError) {
		return s
	}
	return d
}

// encodeWords writes s so that a header carries it and decodeWords gives it back: as it is where that works, else in encoded words of RFC 2047.
func encodeWords(s string) string {
	if plainHeader(s) && decodeWords(s) == s {
		return s
	}
	const most = 45 // bytes of UTF-8: an encoded word has at most 75 characters
	var b strings.Builder
	for s != "" {
		n := min(len(s), most)
		for n < len(s) && !utf8.RuneStart(s[n]) { // no character is cut in two
			n--
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
		s = s[n:]
	}
	return b.String()
}

// plainHeader tells whether s is printable ASCII without space at its ends, which HTTP takes off.
func plainHeader(s string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < ' ' || s[i] > '~') && s[i] != '\t' {
			return false
		}
	}
	return strings.Trim(s, " \t") == s
}
