package s3api

import (
	"mime"
	"net/http"
	"strings"
	"testing"

	"stele"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3err/s3errtest"
)

// TestWords: metadata outside of printable ASCII travels in the encoded words of RFC 2047, and whatever is kept comes back by any decoder of them.
func TestWords(t *testing.T) {
	for sent, kept := range map[string]string{
		"plain":                             "plain",
		"blå":                               "blå",
		"=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?=":  "ÄMÄZÕÑ S3",
		"=?utf-8?q?caf=C3=A9_noir?=":        "café noir",
		"=?iso-8859-1?Q?caf=E9?=":           "café",
		"=?UTF-8?B?w4Q=?= =?UTF-8?B?w5U=?=": "ÄÕ",
		"a =?UTF-8?B?w4Q=?= b":              "a Ä b",
		"=?UTF-8?B?junk":                    "=?UTF-8?B?junk",
		"=?UTF-8?B?/w==?=":                  "=?UTF-8?B?/w==?=",    // not UTF-8
		"=?us-ascii?B?/w==?=":               "=?us-ascii?B?/w==?=", // not ASCII
		"=?koi8-r?B?wQ==?=":                 "=?koi8-r?B?wQ==?=",   // unknown here
	} {
		if got := decodeWords(sent); got != kept {
			t.Errorf("%q is kept as %q, want %q", sent, got, kept)
		}
	}
	for _, kept := range []string{"", "plain", "a =? b", "ü", strings.Repeat("ü", 100), strings.Repeat("a\U0001F600", 40), " spaced ", "two\r\nlines", "tab\there", "=?UTF-8?B?YQ==?=", "\x7f", "日本語"} {
		shown := encodeWords(kept)
		if !plainHeader(shown) {
			t.Errorf("%q is shown as %q, which no header carries", kept, shown)
		}
		if back, err := new(mime.WordDecoder).DecodeHeader(shown); err != nil || back != kept || decodeWords(shown) != kept {
			t.Errorf("%q is shown as %q, which is read as %q (%v)", kept, shown, back, err)
		}
	}
	if got := encodeWords("ÄMÄZÕÑ S3"); got != "=?UTF-8?B?w4RNw4Raw5XDkSBTMw==?=" {
		t.Errorf("shown as %q", got)
	}
}

// TestHeadersInTwoLines: the lines of a list are joined, a second line of anything else is refused; neither is lost.
func TestHeadersInTwoLines(t *testing.T) {
	got, err := requestHeaders(http.Header{"Content-Encoding": {"aws-chunked", "gzip"}, "Cache-Control": {"no-cache", "max-age=1"}, "Content-Language": {"de", "en"}, "Content-Type": {"a/b"}})
	want := map[string]string{"content-encoding": "gzip", "cache-control": "no-cache,max-age=1", "content-language": "de,en", "content-type": "a/b"}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v", got, err)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is kept as %q, want %q", k, got[k], v)
		}
	}
	for _, name := range []string{"Content-Type", "Content-Disposition", "Expires", "X-Amz-Website-Redirect-Location"} {
		_, err := requestHeaders(http.Header{name: {"/a", "/b"}})
		s3errtest.Want(t, name, err, "InvalidArgument", "sent 2 times")
	}
	for _, lines := range [][]string{{`"x"`, `"e"`}, {`"e"`, `"x"`}} {
		if err := ParseConditions(http.Header{"If-Match": lines}).Check("e", testTime); err != nil {
			t.Errorf("If-Match %q: %v", lines, err)
		}
		if err := ParseConditions(http.Header{"If-None-Match": lines}).Check("e", testTime); err != s3err.ErrNotModified {
			t.Errorf("If-None-Match %q: %v", lines, err)
		}
		if c, err := ParseWriteCondition(http.Header{"If-Match": lines}); err != nil || !stele.MatchETag(c.Match, "x") || !stele.MatchETag(c.Match, "e") {
			t.Errorf("If-Match of a write %q: %+v, %v", lines, c, err)
		}
		if _, err := ParseWriteCondition(http.Header{"If-None-Match": append([]string{"*"}, lines...)}); err == nil {
			t.Error("If-None-Match of a write: the second line is lost")
		}
	}
	_, err = ParseDeclared(http.Header{"Content-Md5": {"AAAAAAAAAAAAAAAAAAAAAA==", "AQAAAAAAAAAAAAAAAAAAAA=="}}, &auth.Identity{})
	s3errtest.Want(t, "two MD5s", err, "InvalidDigest", "")
}

// TestNothingIsReplaced: bytes that are not UTF-8 are refused where they can't be kept.
func TestNothingIsReplaced(t *testing.T) {
	for _, name := range []string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"} {
		for _, v := range []string{"caf\xe9", "\xff", "a\r\nb", "\x01"} {
			if got, err := requestHeaders(http.Header{name: {v}}); err == nil {
				t.Errorf("%s: %q is kept as %q", name, v, got)
			}
		}
	}
	_, err := requestMeta(http.Header{"X-Amz-Meta-A": {"caf\xe9"}})
	s3errtest.Want(t, "metadata", err, "InvalidArgument", "not UTF-8")
}
