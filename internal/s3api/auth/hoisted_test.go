package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/wire"
)

// TestSignedHeaderInQuery: a link may name a header as signed and carry its value as a parameter, and the request then lacks the header.
func TestSignedHeaderInQuery(t *testing.T) {
	for _, sent := range []string{"", "42", "43"} {
		out, err := http.NewRequest("PUT", "http://s3.test/bucket/key?x-amz-meta-test=42", nil)
		if err != nil {
			t.Fatal(err)
		}
		out.Header.Set("x-amz-meta-test", "42")
		out = signer.PreSignV4(*out, exampleID, exampleSecret, "", "us-east-1", 60)
		in := httptest.NewRequest(out.Method, "/", nil)
		in.RequestURI, in.Host = out.URL.RequestURI(), out.URL.Host
		if sent != "" {
			in.Header.Set("x-amz-meta-test", sent)
		}
		q, err := wire.ReadTarget(in)
		if err != nil {
			t.Fatal(err)
		}
		if q.Query.Get("X-Amz-SignedHeaders") != "host;x-amz-meta-test" {
			t.Fatalf("signed are %q", q.Query.Get("X-Amz-SignedHeaders"))
		}
		_, err = verifierAt(time.Now()).Verify(t.Context(), in, &q)
		if sent == "43" {
			s3errtest.Want(t, "another value", err, "SignatureDoesNotMatch", "")
			continue
		}
		h, herr := Unhoist(in.Header, q.Query)
		if err != nil || herr != nil || h.Get("X-Amz-Meta-Test") != "42" {
			t.Errorf("sent %q: %v, %v, %v", sent, err, herr, h)
		}
	}
}
