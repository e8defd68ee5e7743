package s3api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
	"stele/internal/s3api/doortest"
)

// as sends one signed request of a key and returns the reply.
func (d *door) as(k entry.AccessKey, method, target, body string, headers ...string) *doortest.Reply {
	d.Helper()
	s := doortest.Server{URL: d.srv.URL}
	r := s.NewRequest(doortest.Key{ID: k.ID, Secret: k.Secret}, method, target, []byte(body), headers...)
	res, err := doortest.Send(http.DefaultClient, r)
	d.ok(err)
	return res
}

// anonymous sends a request that nobody signed.
func (d *door) anonymous(method, target, body string, headers ...string) *doortest.Reply {
	d.Helper()
	r, err := http.NewRequest(method, d.srv.URL+target, strings.NewReader(body))
	d.ok(err)
	for _, h := range headers {
		name, v, _ := strings.Cut(h, ": ")
		r.Header.Set(name, v)
	}
	res, err := doortest.Send(http.DefaultClient, r)
	d.ok(err)
	return res
}

// by is how a key sends a request; the zero key: how nobody does.
func (d *door) by(k entry.AccessKey) func(method, target, body string, headers ...string) *doortest.Reply {
	if k.ID == "" {
		return d.anonymous
	}
	return func(method, target, body string, headers ...string) *doortest.Reply {
		d.Helper()
		return d.as(k, method, target, body, headers...)
	}
}

// openToStrangers is a door to a bucket and to another one, "mine", with an admin's key that is good for "mine" alone.
func openToStrangers(t *testing.T, bucket string) (d *door, stranger entry.AccessKey) {
	t.Helper()
	d = openDoor(t, s3api.Options{})
	d.bucket(bucket, false)
	d.bucket("mine", false)
	_, stranger = d.key(stele.RoleAdmin, "mine")
	return d, stranger
}

// want fails the test unless a reply has this status.
func (d *door) want(what string, got *doortest.Reply, status int) {
	d.Helper()
	if got.Status != status {
		d.Errorf("%s: %d %s, want %d\n%.300s", what, got.Status, got.Code(), status, got.Body)
	}
}

// A key that has a part of a bucket does nothing to the whole of it, whatever prefix the query names.
func TestPrefixOpensNothingButListings(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	for _, b := range []string{"alpha", "empty"} {
		d.bucket(b, false)
	}
	d.put(d.aws("", ""), "alpha", "a/k", "x")
	d.put(d.aws("", ""), "alpha", "b/k", "x")
	_, part := d.key(stele.RoleAdmin, "alpha/a/", "empty/a/", "fresh/a/")
	before := d.store.Ledger().Size()
	for _, sub := range []string{"policy", "lifecycle", "versioning", "cors", "tagging", "object-lock", "publicAccessBlock", "ownershipControls", "encryption", "acl", ""} {
		for _, method := range []string{"PUT", "DELETE"} {
			for _, b := range []string{"alpha", "empty", "fresh"} {
				q := url.Values{"prefix": {"a/"}}
				if sub != "" {
					q.Set(sub, "")
				}
				target := "/" + b + "?" + q.Encode()
				got := d.as(part, method, target, "<x/>")
				if got.Status/100 == 2 || got.Code() == "SignatureDoesNotMatch" || got.Status == 400 {
					t.Errorf("%s %s: %d %s", method, target, got.Status, got.Code())
				}
			}
		}
	}
	if now := d.store.Ledger().Size(); now != before {
		t.Errorf("%d entries were written", now-before)
	}
	for _, sub := range []string{"lifecycle", "policy", "tagging"} {
		target := "/alpha?" + url.Values{"prefix": {"a/"}, sub: {""}}.Encode()
		d.want("GET "+target, d.as(part, "GET", target, ""), 403)
	}
	d.want("HEAD of the bucket", d.as(part, "HEAD", "/alpha", ""), 200)
	d.want("HEAD of a bucket that is not there and would not be in the scope", d.as(part, "HEAD", "/other", ""), 403)
	d.want("HEAD of a bucket that is not there and would be in the scope", d.as(part, "HEAD", "/fresh", ""), 404)
	d.bucket("other", false)
	d.want("HEAD of a bucket of others", d.as(part, "HEAD", "/other", ""), 403)
	for _, list := range []url.Values{{}, {"list-type": {"2"}}, {"uploads": {""}}, {"versions": {""}}} {
		for prefix, status := range map[string]int{"a/": 200, "a/deeper": 200, "b/": 403, "a": 403, "": 403} {
			list.Set("prefix", prefix)
			d.want(list.Encode(), d.as(part, "GET", "/alpha?"+list.Encode(), ""), status)
		}
	}
}
