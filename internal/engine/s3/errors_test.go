package s3_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"stele/internal/engine"
	"stele/internal/engine/s3"
)

// answer is a canned reply.
type answer struct {
	status int
	code   string
	err    error
}

func (a answer) reply(r *http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	body := fmt.Sprintf("<Error><Code>%s</Code><Message>m</Message></Error>", a.code)
	if a.code == "" || r.Method == http.MethodHead {
		body = ""
	}
	return canned(r, a.status, body), nil
}

func canned(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Length": {fmt.Sprint(len(body))}}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
}

// cannedEngine is an unversioned bucket on which each other request is answered by fn.
func cannedEngine(t *testing.T, fn func(r *http.Request) (*http.Response, error)) *s3.S3 {
	t.Helper()
	e := unprobed(t, s3.Options{Endpoint: "http://s3.test", Bucket: "b-1", Write: s3.Credentials{AccessKey: "a", SecretKey: "b"}})
	e.NoWait()
	e.SetWire(func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
		}
		if r.URL.Query().Has("versioning") {
			return canned(r, 200, "<VersioningConfiguration/>"), nil
		}
		return fn(r)
	})
	return e
}

// TestErrors: what a server or the network says becomes one of the engine's errors with a next step, and is repeated only where that can help.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		answer
		is    error
		next  string
		tries int
	}{
		{answer{403, "InvalidAccessKeyId", nil}, s3.ErrCredentials, "check the target's access key", 1},
		{answer{403, "SignatureDoesNotMatch", nil}, s3.ErrCredentials, "secret key", 1},
		{answer{400, "ExpiredToken", nil}, s3.ErrCredentials, "new temporary credentials", 1},
		{answer{403, "AccessDenied", nil}, engine.ErrDenied, "allow s3:PutObject", 1},
		{answer{403, "", nil}, engine.ErrDenied, "allow s3:PutObject", 1},
		{answer{404, "NoSuchBucket", nil}, s3.ErrNoBucket, "make it first", 1},
		{answer{403, "RequestTimeTooSkewed", nil}, s3.ErrClock, "NTP", 1},
		{answer{507, "XMinioStorageFull", nil}, engine.ErrFull, "room", 1},
		{answer{507, "InsufficientStorage", nil}, engine.ErrFull, "room", 1},
		{answer{507, "", nil}, engine.ErrFull, "room", 1},
		{answer{403, "QuotaExceeded", nil}, engine.ErrFull, "quota", 1},
		{answer{301, "PermanentRedirect", nil}, s3.ErrRegion, "region=", 1},
		{answer{400, "AuthorizationHeaderMalformed", nil}, s3.ErrRegion, "region=", 1},
		{answer{501, "NotImplemented", nil}, s3.ErrOverwrites, "If-None-Match", 1},
		{answer{400, "XAmzContentSHA256Mismatch", nil}, nil, "XAmzContentSHA256Mismatch", 1},
		{answer{503, "SlowDown", nil}, s3.ErrBusy, "later", 4},
		{answer{500, "InternalError", nil}, s3.ErrBusy, "later", 4},
		{answer{502, "", nil}, s3.ErrBusy, "later", 4},
		{answer{429, "TooManyRequests", nil}, s3.ErrBusy, "later", 4},
		{answer{409, "ConditionalRequestConflict", nil}, s3.ErrBusy, "later", 4},
		{answer{400, "RequestTimeout", nil}, s3.ErrBusy, "later", 4},
		{answer{0, "", &net.OpError{Op: "dial", Err: errors.New("connection refused")}}, s3.ErrUnreachable, "is it running", 4},
		{answer{0, "", io.ErrUnexpectedEOF}, s3.ErrUnreachable, "is it running", 4},
		{answer{0, "", &net.DNSError{Err: "no such host", Name: "s3.test", IsNotFound: true}}, s3.ErrUnreachable, "check the endpoint", 1},
		{answer{0, "", x509.UnknownAuthorityError{}}, s3.ErrUnreachable, "SSL_CERT_FILE", 1},
		{answer{0, "", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "s3.test"}}, s3.ErrUnreachable, "certificate", 1},
		{answer{0, "", http.ErrSchemeMismatch}, s3.ErrUnreachable, "endpoint=http://", 4},
	} {
		tries := 0
		e := cannedEngine(t, func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodPut { // the look after an upload whose end isn't known
				return canned(r, 404, ""), nil
			}
			tries++
			return c.reply(r)
		})
		err := e.Create(t.Context(), "packs/p", 4, strings.NewReader("data"))
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.next) || errors.Is(err, engine.ErrExist) {
			t.Errorf("%v: Create = %v, want %v and %q", c.answer, err, c.is, c.next)
		}
		if tries != c.tries {
			t.Errorf("%v: %d tries, want %d", c.answer, tries, c.tries)
		}
	}
}

// TestPlainServer: an endpoint is named with https and speaks plain HTTP.
func TestPlainServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	e := unprobed(t, s3.Options{Endpoint: strings.Replace(server.URL, "http://", "https://", 1), Bucket: "b-1", Write: s3.Credentials{AccessKey: "a", SecretKey: "b"}})
	e.NoWait()
	if err := e.Create(t.Context(), "packs/p", 4, strings.NewReader("data")); !errors.Is(err, s3.ErrUnreachable) || !strings.Contains(err.Error(), "endpoint=http://") {
		t.Errorf("Create = %v", err)
	}
}

// TestUncertain: a name that is taken, by whom can't be seen now, is neither created nor another's.
func TestUncertain(t *testing.T) {
	e := cannedEngine(t, func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			return answer{412, "PreconditionFailed", nil}.reply(r)
		}
		return answer{503, "SlowDown", nil}.reply(r)
	})
	err := e.Create(t.Context(), "packs/p", 4, strings.NewReader("data"))
	if err == nil || errors.Is(err, engine.ErrExist) || !strings.Contains(err.Error(), "perhaps by this very upload") {
		t.Errorf("Create = %v", err)
	}
}

// TestTooLarge: what one PUT can't hold is refused before it is read.
func TestTooLarge(t *testing.T) {
	e := cannedEngine(t, func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})
	for _, size := range []int64{5<<30 + 1, -1} {
		if err := e.Create(t.Context(), "packs/p", size, strings.NewReader("data")); err == nil {
			t.Errorf("Create of %d bytes = nil", size)
		}
	}
}

// TestShortReplies: a range is what was asked for, whole, or an error.
func TestShortReplies(t *testing.T) {
	whole := []byte("0123456789")
	for _, c := range []struct {
		what   string
		status int
		header string
		body   string
		ok     bool
	}{
		{"right", 206, "bytes 2-5/10", "2345", true},
		{"ignored", 200, "", "0123456789", false},
		{"another", 206, "bytes 3-6/10", "3456", false},
		{"short", 206, "bytes 2-5/10", "23", false},
	} {
		e := cannedEngine(t, func(r *http.Request) (*http.Response, error) {
			resp := canned(r, 200, "")
			if r.Method == http.MethodHead {
				resp.Header.Set("Content-Length", fmt.Sprint(len(whole)))
			} else {
				resp = canned(r, c.status, c.body)
				if c.header != "" {
					resp.Header.Set("Content-Range", c.header)
				}
			}
			resp.Header.Set("Last-Modified", "Thu, 26 Nov 2026 13:00:00 GMT")
			resp.Header.Set("ETag", `"x"`)
			return resp, nil
		})
		p := make([]byte, 4)
		_, err := openFile(t, e, "packs/p").ReadAt(p, 2)
		if (err == nil) != c.ok || c.ok && !bytes.Equal(p, whole[2:6]) {
			t.Errorf("%s: %q, %v", c.what, p, err)
		}
	}
}

// TestListPages: a listing of many pages, each of which fails once, gives each name once and in order; a server that doesn't list in order, or fails
// for good, is an error and never a shorter listing.
func TestListPages(t *testing.T) {
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("packs/%02d", i))
	}
	server := func(names []string, fails int) func(r *http.Request) (*http.Response, error) {
		failed := map[string]int{}
		return func(r *http.Request) (*http.Response, error) {
			q := r.URL.Query()
			after := max(q.Get("start-after"), q.Get("continuation-token"))
			if failed[after]++; failed[after] <= fails {
				return answer{503, "SlowDown", nil}.reply(r)
			}
			var page strings.Builder
			n, last := 0, ""
			for _, name := range names {
				if name > after || after == "" || !slices.IsSorted(names) {
					if n++; n > 3 {
						break
					}
					fmt.Fprintf(&page, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>2026-11-26T13:00:00.000Z</LastModified></Contents>", name, len(name))
					last = name
				}
			}
			return canned(r, 200, fmt.Sprintf("<ListBucketResult><Name>b-1</Name><IsTruncated>%t</IsTruncated><NextContinuationToken>%s</NextContinuationToken>%s</ListBucketResult>", n > 3, last, page.String())), nil
		}
	}
	list := func(e *s3.S3) (got []string, err error) {
		err = e.List(t.Context(), engine.Packs, func(i engine.Info) error {
			got = append(got, i.Name)
			return nil
		})
		return got, err
	}
	for _, fails := range []int{0, 1, 3} {
		if got, err := list(cannedEngine(t, server(want, fails))); err != nil || !slices.Equal(got, want) {
			t.Errorf("each page failing %d times: %v, %v", fails, got, err)
		}
	}
	if got, err := list(cannedEngine(t, server(want, 4))); !errors.Is(err, s3.ErrBusy) {
		t.Errorf("a page that fails for good: %v, %v", got, err)
	}
	if got, err := list(cannedEngine(t, server([]string{"packs/b", "packs/a"}, 0))); err == nil {
		t.Errorf("a listing that isn't in order: %v, nil", got)
	}
	// The end of the caller's context is an error, though the client's listing ends in silence.
	ctx, cancel := context.WithCancel(t.Context())
	err := cannedEngine(t, server(want, 0)).List(ctx, engine.Packs, func(engine.Info) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("List whose context ends = %v, want Canceled", err)
	}
}
