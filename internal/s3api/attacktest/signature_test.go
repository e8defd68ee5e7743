package attacktest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stele/internal/s3api/doortest"
)

// signatures forges a PUT in every way that we know of.
func signatures(t *testing.T, v *victim) {
	body := []byte("loot")
	now := time.Now()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	auth := func(old, with string) func(*http.Request) {
		return func(r *http.Request) {
			was := r.Header.Get("Authorization")
			r.Header.Set("Authorization", strings.Replace(was, old, with, 1))
			if r.Header.Get("Authorization") == was {
				t.Errorf("nothing to forge: no %q in %q", old, was)
			}
		}
	}
	for name, f := range map[string]struct {
		key    doortest.Key
		change func(*http.Request)
		codes  []string
	}{
		"unknown key":          {doortest.Key{ID: "NOBODY", Secret: doortest.SecretKey}, nil, []string{"InvalidAccessKeyId"}},
		"wrong secret":         {doortest.Key{ID: doortest.AccessKey, Secret: "guess"}, nil, []string{"SignatureDoesNotMatch"}},
		"empty secret":         {doortest.Key{ID: doortest.AccessKey}, nil, []string{"SignatureDoesNotMatch"}},
		"wrong region":         {doortest.Key{Region: "eu-west-1"}, nil, []string{"AuthorizationHeaderMalformed"}},
		"20 minutes old":       {doortest.Key{Now: now.Add(-20 * time.Minute)}, nil, []string{"RequestTimeTooSkewed"}},
		"20 minutes ahead":     {doortest.Key{Now: now.Add(20 * time.Minute)}, nil, []string{"RequestTimeTooSkewed"}},
		"yesterday":            {doortest.Key{Now: now.Add(-24 * time.Hour)}, nil, []string{"RequestTimeTooSkewed"}},
		"path changed":         {change: func(r *http.Request) { r.URL.Path += "2" }, codes: []string{"SignatureDoesNotMatch"}},
		"path with dots":       {change: func(r *http.Request) { r.URL.Path = "/box/x/../stolen/a" }, codes: []string{"SignatureDoesNotMatch"}},
		"query added":          {change: func(r *http.Request) { r.URL.RawQuery = "acl=" }, codes: []string{"SignatureDoesNotMatch"}},
		"method changed":       {change: func(r *http.Request) { r.Method = "POST"; r.URL.RawQuery = "uploads=" }, codes: []string{"SignatureDoesNotMatch"}},
		"host changed":         {change: func(r *http.Request) { r.Host = "localhost:1" }, codes: []string{"SignatureDoesNotMatch"}},
		"body changed":         {change: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("gold")) }, codes: []string{"XAmzContentSHA256Mismatch", "BadDigest"}},
		"sum changed":          {change: set("X-Amz-Content-Sha256", doortest.Unsigned), codes: []string{"SignatureDoesNotMatch"}},
		"sum is nonsense":      {change: set("X-Amz-Content-Sha256", "nonsense")},
		"sum left out":         {change: func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }},
		"header added":         {change: set("X-Amz-Meta-A", "b"), codes: []string{"AccessDenied", "SignatureDoesNotMatch"}},
		"bypass added":         {change: set("X-Amz-Bypass-Governance-Retention", "true"), codes: []string{"AccessDenied", "SignatureDoesNotMatch"}},
		"copy source added":    {change: set("X-Amz-Copy-Source", "/box/alive"), codes: []string{"AccessDenied", "SignatureDoesNotMatch"}},
		"date changed":         {change: set("X-Amz-Date", now.Add(time.Second).UTC().Format(doortest.Stamp)), codes: []string{"SignatureDoesNotMatch"}},
		"date is nonsense":     {change: set("X-Amz-Date", "nonsense")},
		"signature of nothing": {change: func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")[:60]) }},
		"signature empty": {change: func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature=")
		}},
		"signature upper case": {change: func(r *http.Request) {
			a, s, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature="+strings.ToUpper(s))
		}},
		"signature of zeros": {change: func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature="+strings.Repeat("0", 64))
		}, codes: []string{"SignatureDoesNotMatch"}},
		"host not signed":       {change: auth("SignedHeaders=host;", "SignedHeaders=")},
		"nothing signed":        {change: auth("host;x-amz-content-sha256;x-amz-date", "")},
		"other service":         {change: auth("/s3/", "/iam/"), codes: []string{"AuthorizationHeaderMalformed"}},
		"other algorithm":       {change: auth("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1")},
		"version 2":             {change: set("Authorization", "AWS "+doortest.AccessKey+":c2lnbmF0dXJl")},
		"basic":                 {change: set("Authorization", "Basic "+doortest.AccessKey)},
		"no signature":          {change: func(r *http.Request) { r.Header.Del("Authorization") }, codes: []string{"AccessDenied"}},
		"header and query both": {change: func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=1&X-Amz-Algorithm=AWS4-HMAC-SHA256" }},
		"security token":        {change: set("X-Amz-Security-Token", "token")},
	} {
		r := v.NewRequest(f.key, "PUT", "/box/stolen/a", body)
		if f.change != nil {
			f.change(r)
		}
		res, err := doortest.Send(http.DefaultClient, r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want(t, name, res.Status, string(res.Body), f.codes...)
	}
}

// presigned uses URLs longer, and for more, than they were signed for.
func presigned(t *testing.T, v *victim) {
	send := func(method, url string, headers ...string) *doortest.Reply {
		t.Helper()
		r, err := http.NewRequest(method, url, strings.NewReader("loot"))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		res, err := doortest.Send(http.DefaultClient, r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	var root doortest.Key
	stolen := v.URL + "/box/stolen/p"
	short := root.Presign("PUT", v.URL+"/box/replayed", 3*time.Second)
	if res := send("PUT", short); res.Status != 200 {
		t.Fatalf("the presigned PUT itself: %d\n%s", res.Status, res.Body)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) { // until it has expired by the server's clock
		res := send("PUT", short)
		if res.Status == 403 && bytes.Contains(res.Body, []byte("expired")) {
			break
		}
		if res.Status != 200 || time.Now().After(end) {
			t.Fatalf("a replay after expiry: %d\n%s", res.Status, res.Body)
		}
	}
	past, ahead := doortest.Key{Now: time.Now().Add(-time.Hour)}, doortest.Key{Now: time.Now().Add(time.Hour)}
	for name, res := range map[string]*doortest.Reply{
		"long expired":       send("PUT", past.Presign("PUT", stolen, time.Minute)),
		"not yet valid":      send("PUT", ahead.Presign("PUT", stolen, time.Minute)),
		"over a week":        send("PUT", root.Presign("PUT", stolen, 8*24*time.Hour)),
		"expiry changed":     send("PUT", strings.Replace(root.Presign("PUT", stolen, time.Minute), "Expires=60", "Expires=600", 1)),
		"other method":       send("PUT", root.Presign("GET", stolen, time.Minute)),
		"other key":          send("PUT", strings.Replace(root.Presign("PUT", v.URL+"/box/mine", time.Minute), "/mine?", "/stolen/p?", 1)),
		"header added":       send("PUT", root.Presign("PUT", stolen, time.Minute), "X-Amz-Meta-A: b"),
		"bypass added":       send("DELETE", root.Presign("DELETE", stolen, time.Minute), "X-Amz-Bypass-Governance-Retention: true"),
		"query added":        send("PUT", root.Presign("PUT", stolen, time.Minute)+"&acl="),
		"parameter twice":    send("PUT", root.Presign("PUT", stolen, time.Minute)+"&X-Amz-Expires=600"),
		"signature left out": send("PUT", strings.Split(root.Presign("PUT", stolen, time.Minute), "&X-Amz-Signature")[0]),
	} {
		want(t, name, res.Status, string(res.Body))
	}
}

// signedChunks replays and rearranges a stream of signed chunks.
func signedChunks(t *testing.T, v *victim) {
	const streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	a, b := bytes.Repeat([]byte("a"), 8192), bytes.Repeat([]byte("b"), 8192)
	key := doortest.Key{Now: time.Now()}
	stream := func(k doortest.Key, target string, cut func([]byte) []byte) (int, string) {
		t.Helper()
		length := fmt.Sprint("X-Amz-Decoded-Content-Length: ", len(a)+len(b))
		_, seed := v.head(k, "PUT", target, streaming, 0, length, "Content-Encoding: aws-chunked")
		chunks := cut(k.Chunks(seed, a, b))
		head, _ := v.head(k, "PUT", target, streaming, int64(len(chunks)), length, "Content-Encoding: aws-chunked")
		return v.raw(t, head, chunks)
	}
	whole := func(c []byte) []byte { return c }
	if status, body := stream(key, "/box/chunks", whole); status != 200 {
		t.Fatalf("the stream itself: %d\n%s", status, body)
	}
	if got := v.Must(t, 200, "GET", "/box/chunks", nil); !bytes.Equal(got.Body, append(a[:len(a):len(a)], b...)) {
		t.Fatal("the stream was stored as something else")
	}
	_, otherSeed := v.head(key, "PUT", "/box/chunks", streaming, 0, fmt.Sprint("X-Amz-Decoded-Content-Length: ", len(a)+len(b)), "Content-Encoding: aws-chunked")
	split := func(c []byte) (one, two, end []byte) {
		n := bytes.LastIndex(c, []byte("\r\n0;")) + 2
		return c[:n/2], c[n/2 : n], c[n:]
	}
	for name, cut := range map[string]func([]byte) []byte{
		"stream of another key": func([]byte) []byte { return key.Chunks(otherSeed, a, b) },
		"chunks exchanged":      func(c []byte) []byte { x, y, z := split(c); return bytes.Join([][]byte{y, x, z}, nil) },
		"a chunk twice":         func(c []byte) []byte { x, _, z := split(c); return bytes.Join([][]byte{x, x, z}, nil) },
		"last chunk left out":   func(c []byte) []byte { x, y, _ := split(c); return append(x[:len(x):len(x)], y...) },
		"second chunk left out": func(c []byte) []byte { x, _, z := split(c); return append(x[:len(x):len(x)], z...) },
		"cut within a chunk":    func(c []byte) []byte { return c[:len(c)/3] },
		"a byte changed":        func(c []byte) []byte { d := bytes.Clone(c); d[len(d)/4] ^= 1; return d },
		"a last byte changed":   func(c []byte) []byte { d := bytes.Clone(c); d[len(d)-10] ^= 1; return d },
		"signatures left out":   func(c []byte) []byte { return bytes.ReplaceAll(c, []byte(";chunk-signature="), []byte(";x=")) },
		"a chunk of 2^62 bytes": func([]byte) []byte {
			return []byte("4000000000000000;chunk-signature=" + strings.Repeat("0", 64) + "\r\nx")
		},
		"an endless chunk line":  func([]byte) []byte { return bytes.Repeat([]byte("0"), 1<<20) },
		"more after the end":     func(c []byte) []byte { return append(bytes.Clone(c), c...) },
		"empty":                  func([]byte) []byte { return nil },
		"plain bytes, no chunks": func([]byte) []byte { return bytes.Repeat([]byte("x"), len(a)+len(b)) },
	} {
		status, body := stream(key, "/box/stolen/chunks", cut)
		want(t, name, status, body, "SignatureDoesNotMatch", "IncompleteBody", "InvalidChunkSizeError", "InvalidRequest")
	}
	status, body := stream(doortest.Key{Now: time.Now().Add(-time.Hour)}, "/box/stolen/chunks", whole)
	want(t, "replay after an hour", status, body, "RequestTimeTooSkewed")
	status, body = stream(doortest.Key{ID: doortest.AccessKey, Secret: "guess", Now: time.Now()}, "/box/stolen/chunks", whole)
	want(t, "wrong secret", status, body, "SignatureDoesNotMatch")
}
