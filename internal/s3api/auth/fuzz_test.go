package auth

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"stele/internal/s3api/s3err/s3errtest"
)

// FuzzChunked: a body is whole or an error; what an unsigned one gives out is what its chunks hold; a signed one that nobody signed gives io.EOF never.
func FuzzChunked(f *testing.F) {
	for _, r := range []*http.Request{chunkedExample(), trailerExample()} {
		whole, _ := io.ReadAll(r.Body)
		f.Add(whole, int64(66560), true, "x-amz-checksum-crc32c")
	}
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc64nvme:M3eFcAZSQlc=\r\n\r\n"), int64(5), false, "x-amz-checksum-crc64nvme")
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), int64(5), false, "")
	f.Add([]byte("fffffffffffffff\r\n"), int64(0), false, "")
	f.Fuzz(func(t *testing.T, body []byte, size int64, signed bool, trailer string) {
		r := httptest.NewRequest("PUT", "/bucket/k", bytes.NewReader(body))
		r.Header.Set("X-Amz-Decoded-Content-Length", strconv.FormatInt(size, 10))
		r.Header.Set("X-Amz-Trailer", trailer)
		a := &Identity{Payload: PayloadUnsignedTrailer}
		if signed {
			a = &Identity{Payload: PayloadSignedTrailer, key: deriveKey("nobody knows", "20130524", "us-east-1", Service), SignedAt: exampleTime}
		}
		src, n, err := a.Body(r, trailer)
		s3errtest.Client(t, err)
		if err != nil {
			return
		}
		got, err := io.ReadAll(src)
		s3errtest.Client(t, err)
		if err == nil && (signed || int64(len(got)) != n || len(got) > len(body)) {
			t.Fatalf("%d bytes of %d passed (signed %v)", len(got), n, signed)
		}
		src.Close()
	})
}

// FuzzPostPolicy: a document is refused or bounds the form.
func FuzzPostPolicy(f *testing.F) {
	f.Add(policyWith(`,["content-length-range",1,"5"],["starts-with","$key","a"]`), "a", "b")
	f.Add(`{"expiration":"2013-05-24T12:00:00Z","conditions":[{"bucket":"b"},["eq","$key","k"]]}`, "k", "v")
	f.Fuzz(func(t *testing.T, doc, name, value string) {
		p, err := parsePostPolicy(base64.StdEncoding.EncodeToString([]byte(doc)))
		s3errtest.Client(t, err)
		if err != nil {
			return
		}
		s3errtest.Client(t, p.check(&PostForm{Fields: map[string]string{strings.ToLower(name): value}}, "bucket"))
		if p.bounded && (p.least < 0 || p.most < 0) {
			t.Fatalf("%+v", p)
		}
	})
}
