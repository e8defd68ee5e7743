package s3api_test

import (
	"fmt"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
)

// Whoever could read a bucket when it was deleted can look at its past, with his own client, before and after a bucket of that name is made again.
func TestViewOfADeletedBucket(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	_, root := d.key(stele.RoleAdmin)
	_, victim := d.key(stele.RoleReadWrite)
	_, reader := d.key(stele.RoleReadOnly, "loot/in/")
	_, shut := d.key(stele.RoleReadWrite)
	_, stranger := d.key(stele.RoleReadOnly, "other")
	_, named := d.key(stele.RoleReadOnly, "other")
	_, auditor := d.key(stele.RoleAuditor)
	d.want("bucket", d.as(victim, "PUT", "/loot", ""), 200)
	for _, k := range []string{"in/k", "out/k"} {
		d.want("PUT", d.as(victim, "PUT", "/loot/"+k, "mine"), 200)
	}
	policy := `{"Version":"2012-10-17","Statement":[
{"Effect":"Deny","Principal":{"AWS":%q},"Action":["s3:GetObject*","s3:ListBucket*"],"Resource":["arn:aws:s3:::loot","arn:aws:s3:::loot/*"]},
{"Effect":"Allow","Principal":{"AWS":%q},"Action":["s3:GetObjectVersion","s3:ListBucketVersions"],"Resource":["arn:aws:s3:::loot","arn:aws:s3:::loot/*"]},
{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::loot/*"}]}`
	d.want("policy", d.as(root, "PUT", "/loot?policy=", fmt.Sprintf(policy, shut.ID, named.ID)), 204)
	view := fmt.Sprintf("/loot--at-e%d", d.store.Ledger().Size())
	for _, k := range []string{"in/k", "out/k"} {
		d.want("DELETE", d.as(victim, "DELETE", "/loot/"+k, ""), 204)
	}
	d.want("DELETE of the bucket", d.as(victim, "DELETE", "/loot", ""), 204)
	look := func(when string) {
		t.Helper()
		for _, c := range []struct {
			who             string
			k               entry.AccessKey
			in, out, listed int
		}{
			{"the victim", victim, 200, 200, 200}, {"an auditor", auditor, 200, 200, 200}, {"root", root, 200, 200, 200}, {"a reader of a part", reader, 200, 200, 403},
			{"who was shut out", shut, 403, 403, 403}, {"who was named", named, 200, 200, 200}, {"a stranger with a key, when it was open to everybody", stranger, 200, 200, 403},
		} {
			d.want(when+", "+c.who+": in/k", d.as(c.k, "GET", view+"/in/k", ""), c.in)
			d.want(when+", "+c.who+": out/k", d.as(c.k, "GET", view+"/out/k", ""), c.out)
			d.want(when+", "+c.who+": a list", d.as(c.k, "GET", view+"?list-type=2", ""), c.listed)
		}
		d.want(when+", a reader of a part: a list of that part", d.as(reader, "GET", view+"?list-type=2&prefix=in%2F", ""), 200)
		d.want(when+", nobody", d.anonymous("GET", view+"/in/k", ""), 403)
		d.want(when+", writing", d.as(root, "PUT", view+"/in/k", ""), 403)
	}
	look("gone")
	d.want("who was shut out makes it anew", d.as(shut, "PUT", "/loot", ""), 200)
	look("made again")
	d.want("the victim takes it back", d.as(victim, "PUT", "/loot/in/k", "", "X-Amz-Copy-Source: "+view+"/in/k"), 200)
	d.want("who was shut out does not", d.as(shut, "PUT", "/loot/x", "", "X-Amz-Copy-Source: "+view+"/in/k"), 403)
}
