package s3api_test

import (
	"strings"
	"testing"

	"stele/internal/s3api"
)

// What bug reports about other stores made us look at, and was not as AWS has it here.

// TestUnchangedIsFresh: a 304 repeats what a cache needs to keep the object on (RFC 9110 section 15.4.5), and no other error does.
func TestUnchangedIsFresh(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	res, _ := d.status(200, "PUT", "/box/k", "x", map[string]string{"Cache-Control": "max-age=9", "Expires": "Wed, 21 Oct 2015 07:28:00 GMT", "Content-Language": "de"})
	etag := res.Header.Get("ETag")
	for _, method := range []string{"GET", "HEAD"} {
		res, _ = d.status(304, method, "/box/k", "", map[string]string{"If-None-Match": etag})
		if h := res.Header; h.Get("Cache-Control") != "max-age=9" || h.Get("Expires") == "" || h.Get("ETag") != etag || h.Get("Content-Language") != "" {
			t.Errorf("%s: %v", method, h)
		}
		res, _ = d.status(304, method, "/box/k?response-cache-control=no-store", "", map[string]string{"If-None-Match": etag})
		if got := res.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: %q", method, got)
		}
		res, _ = d.status(412, method, "/box/k", "", map[string]string{"If-Match": `"another"`})
		if got := res.Header.Get("Cache-Control"); got != "" {
			t.Errorf("an error that is kept: %q", got)
		}
	}
}

// TestUnsatisfiableRange: a 416 says how long the object is, so that who goes on with a download that is whole learns that (RFC 9110 section 15.5.17).
func TestUnsatisfiableRange(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	d.status(200, "PUT", "/box/k", "hello", nil)
	for _, method := range []string{"GET", "HEAD"} {
		if res, _ := d.status(416, method, "/box/k", "", map[string]string{"Range": "bytes=5-"}); res.Header.Get("Content-Range") != "bytes */5" {
			t.Errorf("%s: %v", method, res.Header)
		}
	}
}

// TestVersionMarker: a version-id-marker that is none is an invalid argument, and not a bucket with a bad name.
func TestVersionMarker(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", true)
	if _, text := d.status(400, "GET", "/box?versions=&key-marker=k&version-id-marker=garbage", "", nil); !strings.Contains(text, "<Code>InvalidArgument</Code>") || !strings.Contains(text, "version-id-marker") {
		t.Error(text)
	}
}

// TestVaryWithoutOrigin: what a bucket with CORS rules answers to nobody, or to another page, is no answer for a cache to give to a page.
func TestVaryWithoutOrigin(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	d.status(200, "PUT", "/box/k", "x", nil)
	vary := func(header map[string]string) string {
		res, _ := d.status(200, "GET", "/box/k", "", header)
		return res.Header.Get("Vary")
	}
	if got := vary(nil); got != "" {
		t.Errorf("without rules: %q", got)
	}
	d.status(200, "PUT", "/box?cors=", "<CORSConfiguration><CORSRule><AllowedOrigin>https://a.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>", nil)
	for _, header := range []map[string]string{nil, {"Origin": "https://a.example"}, {"Origin": "https://b.example"}} {
		if got := vary(header); !strings.Contains(got, "Origin") {
			t.Errorf("%v: %q", header, got)
		}
	}
}
