package s3api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"stele/internal/s3api/auth"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/wire"
)

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		header string
		size   int64
		want   ByteRange
		ok     bool
		bad    bool
	}{
		{"bytes=0-0", 100, ByteRange{0, 1}, true, false},
		{"bytes=0-99", 100, ByteRange{0, 100}, true, false},
		{"bytes=0-1000", 100, ByteRange{0, 100}, true, false},
		{"bytes=50-", 100, ByteRange{50, 50}, true, false},
		{"bytes=99-99", 100, ByteRange{99, 1}, true, false},
		{"bytes=-1", 100, ByteRange{99, 1}, true, false},
		{"bytes=-101", 100, ByteRange{0, 100}, true, false},
		{"bytes=00-01", 100, ByteRange{0, 2}, true, false},
		{"bytes=0-99999999999999999999999", 100, ByteRange{0, 100}, true, false},
		{"bytes=-99999999999999999999999", 100, ByteRange{0, 100}, true, false},

		{"", 100, ByteRange{}, false, false},
		{"bytes=", 100, ByteRange{}, false, false},
		{"bytes=,", 100, ByteRange{}, false, false},
		{"bytes=-", 100, ByteRange{}, false, false},
		{"bytes= -1", 100, ByteRange{}, false, false},
		{"bytes=--1", 100, ByteRange{}, false, false},
		{"bytes=0 -1", 100, ByteRange{}, false, false},
		{"bytes=0--1", 100, ByteRange{}, false, false},
		{"bytes=+1-2", 100, ByteRange{}, false, false},
		{"bytes=10-5", 100, ByteRange{}, false, false},
		{"bytes=a-z", 100, ByteRange{}, false, false},
		{"bytes=100-x", 100, ByteRange{}, false, false},
		{"bytes=0-0,1-2", 100, ByteRange{}, false, false},
		{"lines=0-1", 100, ByteRange{}, false, false},

		{"bytes=-0", 100, ByteRange{}, false, true},
		{"bytes=100-", 100, ByteRange{}, false, true},
		{"bytes=100-110", 100, ByteRange{}, false, true},
		{"bytes=99999999999999999999999-", 100, ByteRange{}, false, true},
		{"bytes=0-", 0, ByteRange{}, false, true},
		{"bytes=-5", 0, ByteRange{}, false, false},
	} {
		r, ok, err := ParseRange(c.header, c.size)
		if c.bad {
			s3errtest.Want(t, c.header, err, "InvalidRange", "")
		} else if err != nil || ok != c.ok || r != c.want {
			t.Errorf("%s of %d: %+v %v %v", c.header, c.size, r, ok, err)
		}
	}
	if got := (ByteRange{5, 10}).ContentRange(100); got != "bytes 5-14/100" {
		t.Error(got)
	}
}

func TestConditionsOfReads(t *testing.T) {
	mod := time.Date(2026, 11, 22, 12, 0, 0, 500e6, time.UTC)
	at, before, after := "Sun, 22 Nov 2026 12:00:00 GMT", "Sun, 22 Nov 2026 11:59:59 GMT", "Sun, 22 Nov 2026 12:00:01 GMT"
	for _, c := range []struct {
		headers []string
		want    int // 0: goes on
	}{
		{nil, 0},
		{[]string{"If-Match", `"abc"`}, 0},
		{[]string{"If-Match", `abc`}, 0},
		{[]string{"If-Match", `*`}, 0},
		{[]string{"If-Match", `"x", "abc"`}, 0},
		{[]string{"If-Match", `"x"`}, 412},
		{[]string{"If-None-Match", `"abc"`}, 304},
		{[]string{"If-None-Match", `W/"abc"`}, 304},
		{[]string{"If-None-Match", `*`}, 304},
		{[]string{"If-None-Match", `"x"`}, 0},
		{[]string{"If-Modified-Since", before}, 0},
		{[]string{"If-Modified-Since", at}, 304},
		{[]string{"If-Modified-Since", after}, 304},
		{[]string{"If-Modified-Since", "nonsense"}, 0},
		{[]string{"If-Unmodified-Since", before}, 412},
		{[]string{"If-Unmodified-Since", at}, 0},
		{[]string{"If-Unmodified-Since", after}, 0},
		{[]string{"If-Match", `"abc"`, "If-Unmodified-Since", before}, 0},
		{[]string{"If-None-Match", `"x"`, "If-Modified-Since", after}, 0},
		{[]string{"If-None-Match", `"abc"`, "If-Modified-Since", before}, 304},
		{[]string{"If-Match", `"x"`, "If-None-Match", `"abc"`}, 412},
	} {
		h, src := http.Header{}, http.Header{}
		for i := 0; i < len(c.headers); i += 2 {
			h.Set(c.headers[i], c.headers[i+1])
			src.Set("X-Amz-Copy-Source-"+c.headers[i], c.headers[i+1])
		}
		got := 0
		if err := ParseConditions(h).Check("abc", mod); err != nil {
			got = err.(*s3err.Error).Status
		}
		if got != c.want {
			t.Errorf("%v: %d, want %d", c.headers, got, c.want)
		}
		err := ParseSourceConditions(src).CheckSource("abc", mod)
		if (err != nil) != (c.want != 0) || err != nil && err.(*s3err.Error).Status != 412 {
			t.Errorf("source %v: %v", c.headers, err)
		}
	}
	if !ParseConditions(http.Header{}).None() {
		t.Error("conditions out of nothing")
	}
}

func TestWriteCondition(t *testing.T) {
	for _, c := range []struct {
		match, none string
		want        WriteCondition
		bad         bool
	}{
		{"", "", WriteCondition{}, false},
		{"", "*", WriteCondition{MustNotExist: true}, false},
		{`"abc"`, "", WriteCondition{Match: "abc"}, false},
		{"*", "", WriteCondition{Match: "*"}, false},
		{"", `"abc"`, WriteCondition{}, true},
		{`"abc"`, "*", WriteCondition{}, true},
	} {
		h := http.Header{}
		for k, v := range map[string]string{"If-Match": c.match, "If-None-Match": c.none} {
			if v != "" {
				h.Set(k, v)
			}
		}
		got, err := ParseWriteCondition(h)
		if c.bad {
			s3errtest.Want(t, c.match+c.none, err, "NotImplemented", "")
		} else if err != nil || got != c.want {
			t.Errorf("%q %q: %+v, %v", c.match, c.none, got, err)
		}
	}
}

func TestDeleteCondition(t *testing.T) {
	h := http.Header{}
	h.Set("If-Match", `"abc"`)
	h.Set("x-amz-if-match-size", "12")
	h.Set("x-amz-if-match-last-modified-time", "Sun, 22 Nov 2026 12:00:00 GMT")
	o, err := ParseDeleteCondition(h)
	if err != nil || o.ETag != "abc" || o.Size != 12 || o.LastModifiedTime.Year() != 2026 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := ParseDeleteCondition(http.Header{}); err != nil || o.Size != -1 || o.ETag != "" {
		t.Errorf("%+v, %v", o, err)
	}
	h.Set("x-amz-if-match-size", "big")
	_, err = ParseDeleteCondition(h)
	s3errtest.Want(t, "size", err, "InvalidArgument", "")
}

func TestCopySource(t *testing.T) {
	for _, c := range []struct {
		header string
		want   CopySource
		text   string
	}{
		{"/bucket/key", CopySource{"bucket", "key", ""}, ""},
		{"bucket/a/b//c", CopySource{"bucket", "a/b//c", ""}, ""},
		{"bucket/%2Fkey", CopySource{"bucket", "/key", ""}, ""},
		{"bucket%2Fkey", CopySource{"bucket", "key", ""}, ""},
		{"bucket/a+b%20c%3F", CopySource{"bucket", "a+b c?", ""}, ""},
		{"bucket/key?versionId=v1", CopySource{"bucket", "key", "v1"}, ""},
		{"bucket/key?other", CopySource{"bucket", "key?other", ""}, ""},
		{"bucket/%00", CopySource{"bucket", "\x00", ""}, ""},
		{"bucket/..", CopySource{"bucket", "..", ""}, ""},
		{"", CopySource{}, "bucket name"},
		{"/", CopySource{}, "bucket name"},
		{"bucket", CopySource{}, "object key"},
		{"bucket/", CopySource{}, "object key"},
		{"B/key", CopySource{}, "bucket name"},
		{"192.168.1.1/key", CopySource{}, "bucket name"},
		{"bucket/%zz", CopySource{}, "encoding"},
		{"bucket/%ff", CopySource{}, "encoding"},
		{"bucket/key?versionId=", CopySource{}, "empty string"},
		{"bucket/key?versionId=%z", CopySource{}, "encoding"},
	} {
		got, err := ParseCopySource(c.header)
		if c.text != "" {
			s3errtest.Want(t, c.header, err, "InvalidArgument", c.text)
		} else if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.header, got, err)
		}
	}
}

func TestCopySourceRange(t *testing.T) {
	for header, want := range map[string]ByteRange{"bytes=0-9": {0, 10}, "bytes=5-99": {5, 95}} {
		if got, ok, err := ParseCopySourceRange(header, 100); err != nil || !ok || got != want {
			t.Errorf("%s: %+v %v %v", header, got, ok, err)
		}
	}
	for _, header := range []string{"bytes=0-100", "bytes=0-", "bytes=-5", "0-5", "bytes=5-4", "bytes=0-1,2-3", "bytes=100-100", "bytes=x-y"} {
		_, _, err := ParseCopySourceRange(header, 100)
		s3errtest.Want(t, header, err, "InvalidArgument", "ange")
	}
	if _, ok, err := ParseCopySourceRange("", 100); ok || err != nil {
		t.Error("a range out of nothing")
	}
}

func TestPartNumber(t *testing.T) {
	for v, code := range map[string]string{"1": "", "10000": "", "0": "InvalidArgument", "10001": "InvalidArgument", "x": "InvalidArgument", "": "InvalidArgument"} {
		n, err := ParsePartNumber(http.Header{}, wire.Query{{Name: "partNumber", Value: v}})
		if code != "" {
			s3errtest.Want(t, v, err, code, "between 1 and 10000")
		} else if err != nil || n == 0 {
			t.Errorf("%s: %d, %v", v, n, err)
		}
	}
	_, err := ParsePartNumber(http.Header{"Range": {"bytes=0-1"}}, wire.Query{{Name: "partNumber", Value: "1"}})
	s3errtest.Want(t, "both", err, "InvalidRequest", "both Range")
}

func TestResponseOverrides(t *testing.T) {
	q, err := Parse(httptest.NewRequest("GET", "/bucket/k?response-content-type=text%2Fplain&response-expires=x", nil), "")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Content-Type": {"a/b"}}
	if err := SetResponseOverrides(h, q.Query, &auth.Identity{Kind: auth.ByHeader}); err != nil || h.Get("Content-Type") != "text/plain" || h.Get("Expires") != "x" {
		t.Errorf("%v, %v", h, err)
	}
	s3errtest.Want(t, "anonymous", SetResponseOverrides(h, q.Query, &auth.Identity{}), "InvalidRequest", "anonymous")
	s3errtest.Want(t, "split", SetResponseOverrides(h, wire.Query{{Name: "response-content-type", Value: "a\r\nb: c"}}, &auth.Identity{Kind: auth.ByQuery}), "InvalidArgument", "")
	if err := SetResponseOverrides(h, nil, &auth.Identity{}); err != nil {
		t.Error(err)
	}
}
