package s3api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"stele/internal/s3api/auth"
	"stele/internal/s3api/wire"
)

// hasher is what minio-go calls a hash.
type hasher struct{ hash.Hash }

func (hasher) Close() {}

// The access key by which minio-go signs here.
const foreignID, foreignSecret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

func foreignVerifier(now time.Time) *auth.Verifier {
	return auth.NewVerifier(auth.Service, "us-east-1", func(context.Context, string) (string, error) { return foreignSecret, nil }, func() time.Time { return now })
}

// minio-go signs, we verify: headers, presigned URLs and chunks, over keys that are easy to get wrong.
func TestForeignSigner(t *testing.T) {
	now := time.Now().UTC()
	v := foreignVerifier(now)
	for _, key := range []string{"plain", "a b", "a+b", "a%b", "a//b", "../x", "caf\u00e9", "e\u0301", "\u65e5\u672c", "!*'();:@&=$,?#[]", "~-_.", "\x00\x01\x7f"} {
		for _, query := range []string{"", "versionId=a+b&uploadId=u&partNumber=1", "list-type=2&prefix=" + url.QueryEscape(key), "tagging", "x=%00&x=1&x-=3"} {
			out, err := http.NewRequest("PUT", "http://s3.test/bucket/"+escapePath(key)+"?"+query, nil)
			if err != nil {
				t.Fatal(err)
			}
			out.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			out.Header.Set("X-Amz-Meta-Odd", "  a   b  ")
			// The signer works on the header it is given.
			check(t, v, signer.SignV4(*out.Clone(t.Context()), foreignID, foreignSecret, "", "us-east-1"), key, query)
			check(t, v, signer.PreSignV4(*out.Clone(t.Context()), foreignID, foreignSecret, "", "us-east-1", 60), key, query)
		}
	}
}

func escapePath(key string) string { return string(wire.AppendEscaped(nil, key, true)) }

// check sends the request through net/http's own writer and parser, and verifies what arrives.
func check(t *testing.T, v *auth.Verifier, out *http.Request, key, query string) {
	t.Helper()
	in := httptest.NewRequest(out.Method, "/", nil)
	in.RequestURI, in.Host, in.Header = out.URL.RequestURI(), out.URL.Host, out.Header
	q, err := Parse(in, "")
	if err != nil {
		t.Errorf("%q ?%s: %v", key, query, err)
		return
	}
	if q.Key != key {
		t.Errorf("%q ?%s: key %q", key, query, q.Key)
	}
	if _, err := v.Verify(t.Context(), in, &q.Target); err != nil {
		t.Errorf("%q ?%s: %v", key, query, err)
	}
}

func TestForeignStreaming(t *testing.T) {
	now := time.Now().UTC()
	for _, trailer := range []bool{false, true} {
		for _, size := range []int{0, 1, 65536, 200_000} {
			data := bytes.Repeat([]byte("x"), size)
			out, err := http.NewRequest("PUT", "http://s3.test/bucket/key", io.NopCloser(bytes.NewReader(data)))
			if err != nil {
				t.Fatal(err)
			}
			if trailer {
				sum := CRC32C.New()
				sum.Write(data)
				out.Trailer = http.Header{"X-Amz-Checksum-Crc32c": {CRC32C.Encode(sum.Sum(nil))}}
			}
			signed := signer.StreamingSignV4(out, foreignID, foreignSecret, "", "us-east-1", int64(size), now, hasher{sha256.New()})
			body, err := io.ReadAll(signed.Body)
			if err != nil {
				t.Fatal(err)
			}
			in := httptest.NewRequest("PUT", "/bucket/key", bytes.NewReader(body))
			in.Host, in.Header, in.ContentLength = "s3.test", signed.Header, int64(len(body))
			q, err := Parse(in, "")
			if err != nil {
				t.Fatal(err)
			}
			a, err := foreignVerifier(now).Verify(t.Context(), in, &q.Target)
			if err != nil {
				t.Fatalf("%d bytes, trailer %v: %v", size, trailer, err)
			}
			d, err := ParseDeclared(in.Header, a)
			if err != nil || d.Trailer != trailer {
				t.Fatalf("%d bytes, trailer %v: %+v, %v", size, trailer, d, err)
			}
			r, n, err := a.Body(in, d.TrailerName())
			if err != nil || n != int64(size) {
				t.Fatalf("%d bytes: %d, %v", size, n, err)
			}
			got, err := io.ReadAll(NewChecked(r, d, r.(*auth.ChunkedReader).Trailer))
			if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
				t.Errorf("%d bytes, trailer %v: %d bytes %s, %v", size, trailer, len(got), hex.EncodeToString(got[:min(8, len(got))]), err)
			}
		}
	}
}
