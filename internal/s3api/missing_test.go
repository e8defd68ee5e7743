package s3api_test

import (
	"strings"
	"testing"

	"stele"
	"stele/entry"
)

// TestMissingKeysAreForWhoMayList: who may read objects of a bucket and not list it is told that a key is missing in the same words as that it is kept from him, whatever he asks of it. Who may list it learns the truth.
func TestMissingKeysAreForWhoMayList(t *testing.T) {
	d, other := openToStrangers(t, "box")
	root := d.server()
	root.Must(t, 200, "PUT", "/box?versioning=", []byte(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`))
	root.Must(t, 200, "PUT", "/box/open", []byte("x"))
	root.Must(t, 200, "PUT", "/box/secret", []byte("x"), "x-amz-tagging: class=secret")
	root.Must(t, 200, "PUT", "/box/deleted", []byte("x"))
	root.Must(t, 204, "DELETE", "/box/deleted", nil)
	_, part := d.key(stele.RoleReadWrite, "box/")
	const tags = `<Tagging><TagSet/></Tagging>`
	on := `"Resource":["arn:aws:s3:::box","arn:aws:s3:::box/*"]`
	policy := func(more string) {
		t.Helper()
		root.Must(t, 204, "PUT", "/box?policy=", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject*","s3:PutObjectTagging","s3:DeleteObjectTagging"],"Resource":"arn:aws:s3:::box/*"},
			{"Effect":"Deny","Principal":"*","Action":["s3:GetObject*","s3:PutObjectTagging","s3:DeleteObjectTagging"],"Resource":"arn:aws:s3:::box/*","Condition":{`+secretTag+`}}`+more+`]}`))
	}
	ask := func(what string, key entry.AccessKey, object string, want int) {
		t.Helper()
		for _, q := range []struct{ method, sub, body string }{
			{"GET", "", ""}, {"HEAD", "", ""}, {"GET", "?prefix=pub%2F", ""}, {"GET", "?tagging=", ""}, {"PUT", "?tagging=", tags}, {"DELETE", "?tagging=", ""}, {"GET", "?attributes=", ""},
		} {
			got := d.by(key)(q.method, "/box/"+object+q.sub, q.body, "x-amz-object-attributes: ETag")
			w := want
			if want == 404 && object == "deleted" && q.sub == "?tagging=" { // S3 says so of a marker
				w = 405
			}
			d.want(what+": "+q.method+" "+object+q.sub, got, w)
			if want == 403 && got.Header.Get("X-Amz-Delete-Marker") != "" {
				t.Errorf("%s: %s of %s tells of a marker", what, q.method, object)
			}
		}
		if key.ID != "" && key.ID != part.ID {
			d.want(what+": copy of "+object, d.as(key, "PUT", "/mine/copy", "", "x-amz-copy-source: /box/"+object), want)
		}
	}
	policy("")
	for _, object := range []string{"secret", "missing", "deleted"} {
		ask("nobody", entry.AccessKey{}, object, 403)
		ask("a key of another bucket", other, object, 403)
	}
	ask("a key of the bucket", part, "missing", 404)
	ask("a key of the bucket", part, "deleted", 404)
	policy(`,{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket",` + on + `,"Condition":{"StringLike":{"s3:prefix":"pub/*"}}}`)
	ask("nobody, who may list a part", entry.AccessKey{}, "missing", 403)
	policy(`,{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket",` + strings.Replace(on, `,"arn:aws:s3:::box/*"`, "", 1) + `}`)
	for _, object := range []string{"missing", "deleted"} {
		ask("nobody, who may list", entry.AccessKey{}, object, 404)
		ask("a key of another bucket that may list", other, object, 404)
	}
	ask("nobody, who may list", entry.AccessKey{}, "secret", 403)
}
