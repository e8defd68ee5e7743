package s3api_test

import (
	"net/http"
	"strings"
	"testing"

	"stele"
	"stele/internal/s3api"
	"stele/internal/s3api/doortest"
)

// A signature is over the lines of a header joined by commas: cut in two by somebody on the way, the request would be another under the same signature.
func TestRepeatedHeaders(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	_, k := d.key(stele.RoleAdmin)
	d.want("PUT", d.as(k, "PUT", "/box/a", "another"), 200)
	d.want("PUT", d.as(k, "PUT", "/box/a,b", "the source"), 200)
	send := func(method, target, body, name, signed string, lines ...string) *doortest.Reply {
		t.Helper()
		s := doortest.Server{URL: d.srv.URL}
		r := s.NewRequest(doortest.Key{ID: k.ID, Secret: k.Secret}, method, target, []byte(body), name+": "+signed)
		r.Header[http.CanonicalHeaderKey(name)] = lines
		res, err := doortest.Send(http.DefaultClient, r)
		d.ok(err)
		return res
	}
	before := d.store.Ledger().Size()
	for name, signed := range map[string]string{
		"x-amz-copy-source": "/box/a,b", "x-amz-object-lock-mode": "GOVERNANCE,COMPLIANCE", "x-amz-tagging": "a=b,c", "x-amz-acl": "private,private", "x-amz-expected-bucket-owner": "x,y",
		"x-amz-checksum-crc32": "AAAAAA==,AAAAAA==", "x-amz-storage-class": "STANDARD,GLACIER", "x-amz-bypass-governance-retention": "true,false", "x-amz-something-new": "1,2",
		"Content-Type": "text/plain,text/html", "Content-Md5": "a,b", "x-stele-receipt": "inline,none",
	} {
		got := send("PUT", "/box/k", "", name, signed, strings.Split(signed, ",")...)
		d.want(name, got, 400)
		if got.Code() != "InvalidArgument" || !strings.Contains(string(got.Body), strings.ToLower(name)+" was sent 2 times") {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	d.want("Range", send("GET", "/box/a", "", "Range", "bytes=0-1", "bytes=0-1", "bytes=2-3"), 400)
	d.want("two signatures", send("GET", "/box/a", "", "Authorization", "", "AWS4-HMAC-SHA256 a", "AWS4-HMAC-SHA256 b"), 400)
	if now := d.store.Ledger().Size(); now != before {
		t.Errorf("%d entries were written", now-before)
	}
	d.want("the copy as it was signed", send("PUT", "/box/copy", "", "x-amz-copy-source", "/box/a,b", "/box/a,b"), 200)
	d.want("metadata in two lines", send("PUT", "/box/meta", "x", "x-amz-meta-list", "1,2", "1", "2"), 200)
	if got := d.as(k, "HEAD", "/box/meta", "").Header.Get("X-Amz-Meta-List"); got != "1,2" {
		t.Errorf("metadata in two lines came back as %q", got)
	}
}
