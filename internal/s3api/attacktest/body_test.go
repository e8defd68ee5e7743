package attacktest

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"stele/internal/s3api/doortest"
)

// bodies sends what is shorter, longer or other than what was declared: nothing of it may be stored.
func bodies(t *testing.T, v *victim) {
	var root doortest.Key
	short := bytes.Repeat([]byte("x"), 300_000)
	for name, sum := range map[string]string{"truncated, unsigned": doortest.Unsigned, "truncated, its own hash": doortest.Sum(short)} {
		head, _ := v.head(root, "PUT", "/box/stolen/short", sum, 1_000_000)
		status, body := v.cut(t, head, short)
		want(t, name, status, body)
	}
	head, _ := v.head(root, "PUT", "/box/stolen/nothing", doortest.Unsigned, 10)
	status, body := v.cut(t, head)
	want(t, "no body at all", status, body)
	for _, length := range []int64{5<<30 + 1, 1 << 62} {
		head, _ := v.head(root, "PUT", "/box/stolen/big", doortest.Unsigned, length)
		status, body := v.cut(t, head, short)
		want(t, fmt.Sprint("declared ", length), status, body, "EntityTooLarge")
	}
	sum := md5.Sum([]byte("other")) //nolint:gosec // Content-MD5
	for name, header := range map[string]string{
		"wrong MD5": "Content-Md5: " + base64.StdEncoding.EncodeToString(sum[:]), "bad MD5": "Content-Md5: x", "wrong CRC32": "X-Amz-Checksum-Crc32: AAAAAA==",
		"wrong CRC64NVME": "X-Amz-Checksum-Crc64nvme: AAAAAAAAAAA=", "wrong SHA1": "X-Amz-Checksum-Sha1: " + base64.StdEncoding.EncodeToString(make([]byte, 20)), "bad checksum": "X-Amz-Checksum-Crc32: nonsense",
		"unknown algorithm": "X-Amz-Sdk-Checksum-Algorithm: ROT13", "metadata too large": "X-Amz-Meta-A: " + strings.Repeat("x", 3000),
		"retain for ever": "X-Amz-Object-Lock-Mode: COMPLIANCE",
	} {
		res := v.Do(t, "PUT", "/box/stolen/sum", []byte("body"), header)
		want(t, name, res.Status, string(res.Body))
	}
	truncatedPart(t, v)
	for _, key := range []string{strings.Repeat("k", 1025), strings.Repeat("%C3%BC", 600)} {
		res := v.Do(t, "PUT", "/box/stolen/"+key, nil)
		want(t, "key too long", res.Status, string(res.Body), "KeyTooLongError")
	}
	for _, key := range []string{"..%2F..%2Fetc%2Fpasswd", "a%2F%2Fb", "%2E%2E", "a%5Cb", "nul%00nul"} { // no key is a path
		res := v.Do(t, "PUT", "/box/odd/"+key, []byte(key))
		if res.Status != 200 {
			continue // refused is as good
		}
		if got := v.Must(t, 200, "GET", "/box/odd/"+key, nil); string(got.Body) != key {
			t.Errorf("key %s: read %q", key, got.Body)
		}
	}
}

// truncatedPart leaves a part half sent: it is no part.
func truncatedPart(t *testing.T, v *victim) {
	t.Helper()
	res := v.Must(t, 200, "POST", "/box/half?uploads=", nil)
	_, rest, _ := strings.Cut(string(res.Body), "<UploadId>")
	id, _, ok := strings.Cut(rest, "</UploadId>")
	if !ok {
		t.Fatalf("no upload id: %s", res.Body)
	}
	var root doortest.Key
	head, _ := v.head(root, "PUT", "/box/half?partNumber=1&uploadId="+id, doortest.Unsigned, 6<<20)
	status, body := v.cut(t, head, make([]byte, 1<<20))
	want(t, "truncated part", status, body)
	if got := v.Must(t, 200, "GET", "/box/half?uploadId="+id, nil); bytes.Contains(got.Body, []byte("<Part>")) {
		t.Errorf("a part is there that never arrived: %s", got.Body)
	}
	v.Must(t, 204, "DELETE", "/box/half?uploadId="+id, nil)
}

// headers sends heads that are too large, too many, or no heads.
func headers(t *testing.T, v *victim) {
	line := "X-Flood-%d: " + strings.Repeat("x", 100) + "\r\n"
	var many strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&many, line, i)
	}
	get := "GET /box/alive HTTP/1.1\r\nHost: " + v.Host + "\r\n"
	for name, head := range map[string]string{
		"20,000 headers":    get + many.String() + "\r\n",
		"an endless header": get + "X-Flood: " + strings.Repeat("x", 4<<20) + "\r\n\r\n",
		"an endless URL":    "GET /" + strings.Repeat("x", 4<<20) + " HTTP/1.1\r\nHost: " + v.Host + "\r\n\r\n",
		"an endless query":  "GET /box?" + strings.Repeat("a=b&", 1<<20) + " HTTP/1.1\r\nHost: " + v.Host + "\r\n\r\n",
		"60 KiB of query":   "GET /box?" + strings.Repeat("a=b&", 15<<10) + " HTTP/1.1\r\nHost: " + v.Host + "\r\n\r\n",
		"60 KiB of headers": get + strings.Repeat("X-A: b\r\n", 7500) + "\r\n",
		"no host":           "GET /box HTTP/1.1\r\n\r\n",
		"two hosts":         get + "Host: other\r\n\r\n",
		"an old version":    "GET /box\r\n\r\n",
		"HTTP/9":            "GET /box HTTP/9.9\r\nHost: x\r\n\r\n",
		"a NUL":             "GET /box\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"an endless method": strings.Repeat("G", 1<<20) + " / HTTP/1.1\r\n\r\n",
		"an endless auth":   get + "Authorization: AWS4-HMAC-SHA256 " + strings.Repeat("Credential=a/b/c/d/e,", 2500) + "\r\n\r\n",
	} {
		status, body := v.cut(t, []byte(head))
		want(t, name, status, body)
	}
}

// smuggling hides a second request in the body of a first: nobody may answer it as one.
func smuggling(t *testing.T, v *victim) {
	var root doortest.Key
	inner := v.NewRequest(root, "PUT", "/box/stolen/smuggled", nil)
	var hidden bytes.Buffer
	fmt.Fprintf(&hidden, "PUT /box/stolen/smuggled HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n", v.Host)
	inner.Header.Del("Authorization") // were it signed, it would be a request of its own right
	inner.Header.Write(&hidden)       //nolint:errcheck // a buffer
	hidden.WriteString("\r\n")
	head := "PUT /box/stolen/outer HTTP/1.1\r\nHost: " + v.Host + "\r\n"
	for name, lengths := range map[string]string{
		"length and chunks":    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
		"two lengths":          "Content-Length: 4\r\nContent-Length: 0\r\n",
		"negative length":      "Content-Length: -1\r\n",
		"length with a plus":   "Content-Length: +4\r\n",
		"strange encoding":     "Transfer-Encoding: chunked, identity\r\n",
		"encoding with a tab":  "Transfer-Encoding:\tchunked\r\nContent-Length: 0\r\n",
		"space before a colon": "Content-Length : 0\r\n",
	} {
		status, body := v.cut(t, []byte(head+lengths+"\r\n0\r\n\r\n"), hidden.Bytes())
		want(t, name, status, body)
	}
}

// largeBodies sends many bodies at once; each has buffers, and together they have a bound.
func largeBodies(t *testing.T, v *victim) {
	const size = 4 << 20
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			r := v.NewRequest(doortest.Key{}, "PUT", fmt.Sprintf("/box/stolen/large%d", i), nil)
			r.Body, r.ContentLength = io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, size-100)), bytes.NewReader(nil))), size // 100 bytes short
			doortest.Key{}.Sign(r, doortest.Unsigned)
			if res, err := doortest.Send(http.DefaultClient, r); err == nil && res.Status == 200 {
				t.Errorf("a short body was taken")
			}
		})
	}
	all.Wait()
}

// unfinishedForms sends forms of very many headers, all but their end, on many connections at once: nobody has signed them.
func unfinishedForms(t *testing.T, v *victim) {
	head := "POST /box HTTP/1.1\r\nHost: " + v.Host + "\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000000\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"key\"\r\n"
	part := []byte(strings.Repeat("X-Padding: "+strings.Repeat("x", 1000)+"\r\n", 9000))
	var all sync.WaitGroup
	for range 60 {
		c := v.dial(t)
		all.Go(func() {
			if _, err := io.WriteString(c, head); err == nil {
				c.Write(part) //nolint:errcheck // it may have had enough
			}
		})
	}
	all.Wait()
}

// abortedDownloads begins more downloads than the server works on at once, and goes away from each: none may leave anything behind.
func abortedDownloads(t *testing.T, v *victim) {
	v.Must(t, 200, "PUT", "/box/long", make([]byte, 32<<20))
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := w; i < 1200; i += 8 { // serve's own limit is 1,024
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				res, err := client.Do(v.NewRequest(doortest.Key{}, "GET", "/box/long", nil))
				if err != nil {
					t.Errorf("download %d: %v", i, err)
					return
				}
				if res.StatusCode != 200 {
					t.Errorf("download %d: %s", i, res.Status)
				}
				res.Body.Close() // with most of it unread
			}
		})
	}
	all.Wait()
}
