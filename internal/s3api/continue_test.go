package s3api_test

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"

	"stele/internal/s3api"
)

// TestContinue: who asks whether to go on is told so exactly once, also for an empty body: botocore, which sends such requests, loses count of the replies on a connection else.
func TestContinue(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	for _, c := range []struct {
		body, expect string
		want         int
	}{{"", "100-continue", 1}, {"body", "100-continue", 1}, {"", "", 0}, {"body", "", 0}} {
		told := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { told++ }})
		if res := d.expecting(ctx, c.body, c.expect); res.StatusCode != 200 || told != c.want {
			t.Errorf("body %q, Expect %q: status %d after %d times 100 Continue, want 200 after %d", c.body, c.expect, res.StatusCode, told, c.want)
		}
	}
}

func (d *door) expecting(ctx context.Context, body, expect string) *http.Response {
	d.Helper()
	r, err := http.NewRequestWithContext(ctx, "PUT", d.srv.URL+"/box/key", strings.NewReader(body))
	d.ok(err)
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	r = signer.SignV4(*r, rootID, rootSecret, "", "us-east-1")
	if expect != "" {
		r.Header.Set("Expect", expect)
	}
	res, err := http.DefaultClient.Do(r)
	d.ok(err)
	d.ok(res.Body.Close())
	return res
}
