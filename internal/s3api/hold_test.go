package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
)

const (
	holdOn  = "<LegalHold><Status>ON</Status></LegalHold>"
	holdOff = "<LegalHold><Status>OFF</Status></LegalHold>"
)

// A key that may write may put a hold; ending one takes role admin, or the bucket's policy.
func TestWhoEndsALegalHold(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("court", true)
	_, root := d.key(stele.RoleAdmin)
	_, writer := d.key(stele.RoleReadWrite)
	_, other := d.key(stele.RoleReadWrite)
	_, part := d.key(stele.RoleAdmin, "court/else/")
	d.want("PUT", d.as(writer, "PUT", "/court/k", "evidence"), 200)
	v, err := d.store.Head(t.Context(), stele.Place{Bucket: "court", Key: "k"})
	d.ok(err)
	version := "/court/k?versionId=" + v.ID
	d.want("OFF where there is no hold", d.as(writer, "PUT", "/court/k?legal-hold=", holdOff), 200)
	d.want("ON", d.as(writer, "PUT", "/court/k?legal-hold=", holdOn), 200)

	refused := func(what string, k entry.AccessKey) {
		t.Helper()
		got := d.as(k, "PUT", "/court/k?legal-hold=", holdOff)
		d.want(what, got, 403)
		d.want("DELETE after "+what, d.as(k, "DELETE", version, "", "X-Amz-Bypass-Governance-Retention: true"), 403)
		if now, err := d.store.Head(t.Context(), stele.Place{Bucket: "court", Key: "k", VersionID: v.ID}); err != nil || !now.Lock.Hold {
			t.Fatalf("after %s the hold is gone: %+v, %v", what, now.Lock, err)
		}
	}
	refused("OFF by readwrite", writer)
	if got := d.as(writer, "PUT", "/court/k?legal-hold=", holdOff); !strings.Contains(string(got.Body), "role admin") {
		t.Errorf("the refusal does not say who may: %s", got.Body)
	}
	refused("OFF by an admin of another part", part)
	noted := false
	d.ok(d.store.Ledger().Log(t.Context(), stele.LogQuery{Types: []entry.Type{entry.DeniedLock}}, func(e *entry.Entry) error {
		noted = noted || e.Private.Name == "hold" && e.Private.Actor == writer.ID && e.Private.Key == "k"
		return nil
	}))
	if !noted {
		t.Error("the ledger holds no entry of the refusal")
	}
	// None of what writes again touches the hold of what is there.
	d.want("PUT with OFF", d.as(writer, "PUT", "/court/k", "other", "X-Amz-Object-Lock-Legal-Hold: OFF"), 200)
	d.want("copy with OFF", d.as(writer, "PUT", "/court/k", "", "X-Amz-Object-Lock-Legal-Hold: OFF", "X-Amz-Copy-Source: "+version), 200)
	d.want("DELETE without version", d.as(writer, "DELETE", "/court/k", ""), 204)
	for _, doc := range []string{"<Retention/>", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2100-01-01T00:00:00Z</RetainUntilDate></Retention>"} {
		d.as(writer, "PUT", "/court/k?retention=&versionId="+v.ID, doc)
	}
	if now, err := d.store.Head(t.Context(), stele.Place{Bucket: "court", Key: "k", VersionID: v.ID}); err != nil || !now.Lock.Hold {
		t.Fatalf("writing again ended the hold: %+v, %v", now.Lock, err)
	}

	allow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"s3:PutObjectLegalHold","Resource":"arn:aws:s3:::court/*"}]}`
	off := "/court/k?legal-hold=&versionId=" + v.ID
	d.want("policy", d.as(root, "PUT", "/court?policy=", fmt.Sprintf(allow, other.ID)), 204)
	d.want("OFF by one that the policy does not name", d.as(writer, "PUT", off, holdOff), 403)
	d.want("OFF by the one that the policy names", d.as(other, "PUT", off, holdOff), 200)
	d.want("ON again", d.as(writer, "PUT", off, holdOn), 200)
	d.want("a policy for everybody", d.as(root, "PUT", "/court?policy=", fmt.Sprintf(allow, "*")), 204)
	d.want("OFF by nobody", d.anonymous("PUT", off, holdOff), 403)
	deny := strings.Replace(fmt.Sprintf(allow, root.ID), "Allow", "Deny", 1)
	d.want("a policy that denies", d.as(root, "PUT", "/court?policy=", deny), 204)
	d.want("OFF against the policy", d.as(root, "PUT", off, holdOff), 403)
	d.want("no policy", d.as(root, "DELETE", "/court?policy=", ""), 204)
	d.want("OFF by an admin", d.as(root, "PUT", off, holdOff), 200)
}
