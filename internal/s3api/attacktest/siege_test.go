package attacktest

import (
	"cmp"
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
	"stele/internal/s3api/doortest"
)

// siege is a store behind a door, and everybody who stands before it.
type siege struct {
	*testing.T
	kind    kind
	store   *stele.Store
	url     string
	callers []caller
	keys    map[string]doortest.Key // of callers, by name
	past    uint64                  // a view in which all fixtures are
	used    int                     // numbers that stood for #

	lost struct{ version, upload, complete string } // of a bucket that is gone: what named a version and an upload in it
}

const secretWords = "words that only readers see"

func besiege(t *testing.T, k kind) *siege {
	dir := t.TempDir()
	root := &entry.AccessKey{ID: doortest.AccessKey, Secret: doortest.SecretKey, Role: stele.RoleAdmin}
	store, err := stele.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Root: root, Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s3api.NewHandler(store, s3api.Options{}))
	t.Cleanup(func() {
		srv.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &siege{T: t, kind: k, store: store, url: srv.URL, keys: map[string]doortest.Key{}}
	s.build()
	s.gather()
	return s
}

func (s *siege) ok(_ any, err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// gather makes a key of each role with each class of scope, and those whom nobody may believe.
func (s *siege) gather() {
	for _, role := range []string{stele.RoleAdmin, stele.RoleReadWrite, stele.RoleAppend, stele.RoleReadOnly, stele.RoleAuditor} {
		for _, scope := range s.kind.scopes {
			c := caller{strings.TrimSpace(role + " " + scope), role, scope}
			s.callers, s.keys[c.name] = append(s.callers, c), s.newKey(role, scope)
		}
	}
	revoked := s.newKey(stele.RoleAdmin, "")
	s.ok(s.store.Keys().Revoke(s.Context(), stele.Local(), revoked.ID))
	s.keys["revoked"] = revoked
	s.keys["wrong secret"] = doortest.Key{ID: doortest.AccessKey, Secret: "another secret"}
	s.callers = append(s.callers, caller{name: "revoked"}, caller{name: "wrong secret"}, caller{name: "anonymous"})
}

func (s *siege) newKey(role, scope string) doortest.Key {
	s.Helper()
	var scopes []string
	if scope != "" {
		scopes = []string{scope}
	}
	k, err := s.store.Keys().Create(s.Context(), stele.Local(), role, scopes, 0)
	s.ok(nil, err)
	return doortest.Key{ID: k.ID, Secret: k.Secret}
}

// request is what a caller sends.
type request struct {
	method, bucket, key, query, body string
	headers                          []string
	form                             bool
}

// send sends a request in a caller's name, signed in its header or in its query.
func (s *siege) send(c caller, q request, presigned bool) *doortest.Reply {
	s.Helper()
	target, body := s.url+"/"+q.bucket, q.body
	k, hasKey := s.keys[c.name]
	contentType := ""
	if q.form {
		var b []byte
		if b, contentType = doortest.UnsignedForm(q.key, []byte(q.body)); hasKey {
			b, contentType = k.Form(q.bucket, q.key, []byte(q.body))
		}
		body = string(b)
	} else if q.key != "" {
		target += "/" + q.key
	}
	r, err := http.NewRequest(q.method, target, strings.NewReader(body))
	s.ok(nil, err)
	r.URL.RawQuery = q.query
	for _, h := range q.headers {
		name, v, _ := strings.Cut(h, ": ")
		r.Header.Set(name, v)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if body != "" {
		sum := md5.Sum([]byte(body)) //nolint:gosec // Content-MD5
		r.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	switch {
	case !hasKey || q.form:
	case presigned:
		k.PresignRequest(r, time.Hour)
	default:
		k.Sign(r, doortest.Sum([]byte(body)))
	}
	res, err := doortest.Send(http.DefaultClient, r)
	s.ok(nil, err)
	return res
}

// root is a request of the root key that must succeed.
func (s *siege) root(method, target, body string, headers ...string) *doortest.Reply {
	s.Helper()
	door, sum := doortest.Server{URL: s.url}, md5.Sum([]byte(body)) //nolint:gosec // Content-MD5
	return door.Must(s.T, 200, method, target, []byte(body), append(headers, "Content-Md5: "+base64.StdEncoding.EncodeToString(sum[:]))...)
}

// newVersion puts another version of in/k, so that it can be named.
func newVersion(s *siege, _ caller) (string, string) { return s.put(), "" }

// put puts in/k, and says how the version is named.
func (s *siege) put(headers ...string) string {
	s.Helper()
	if s.lost.version != "" {
		return s.lost.version
	}
	return "versionId=" + cmp.Or(s.root("PUT", "/box/in/k", secretWords, headers...).Header.Get("X-Amz-Version-Id"), "null")
}

// present makes in/k what is there, whatever was deleted before.
func present(s *siege, by caller) (string, string) {
	newVersion(s, by)
	return "", ""
}

// lockedVersion is newVersion of one that is retained.
func lockedVersion(s *siege, by caller) (string, string) {
	if !s.kind.lock {
		return newVersion(s, by)
	}
	return s.put("X-Amz-Object-Lock-Mode: GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date: 2090-01-01T00:00:00Z"), ""
}

// heldVersion is newVersion of one under a legal hold.
func heldVersion(s *siege, by caller) (string, string) {
	if !s.kind.lock {
		return newVersion(s, by)
	}
	return s.put("X-Amz-Object-Lock-Legal-Hold: ON"), ""
}

// upload begins an upload of in/k in the name of root, with a part, and says how it is named and completed.
func upload(s *siege, _ caller) (string, string) { return s.begin(s.callers[0]) }

// ownUpload is upload in the caller's own name, if the caller may begin one.
func ownUpload(s *siege, by caller) (string, string) {
	if !by.has(adds, "box/in/k") {
		by = s.callers[0]
	}
	return s.begin(by)
}

func (s *siege) begin(by caller) (query, body string) {
	s.Helper()
	if s.lost.upload != "" {
		return s.lost.upload, s.lost.complete
	}
	res := s.send(by, request{method: "POST", bucket: "box", key: "in/k", query: "uploads="}, false)
	_, rest, _ := strings.Cut(string(res.Body), "<UploadId>")
	id, _, ok := strings.Cut(rest, "</UploadId>")
	if !ok {
		s.Fatalf("%s begins an upload: %d %s", by.name, res.Status, res.Body)
	}
	part := s.send(by, request{method: "PUT", bucket: "box", key: "in/k", query: "partNumber=1&uploadId=" + id, body: "a part"}, false)
	if part.Status != 200 {
		s.Fatalf("%s uploads a part: %d %s", by.name, part.Status, part.Body)
	}
	return "uploadId=" + id, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + part.Header.Get("ETag") + "</ETag></Part></CompleteMultipartUpload>"
}

// emptyBucket makes the bucket whose number is next.
func emptyBucket(s *siege, _ caller) (string, string) {
	s.ok(s.store.CreateBucket(s.Context(), stele.Local(), fmt.Sprintf("empty-%d", s.used+1), false))
	return "", ""
}

// dump is everything that is in the buckets: settings, versions with their tags and locks, uploads.
func (s *siege) dump() string {
	s.Helper()
	var b strings.Builder
	buckets, err := s.store.Buckets(s.Context(), stele.View{})
	s.ok(nil, err)
	for _, bucket := range buckets {
		full, err := s.store.Bucket(s.Context(), bucket.Name, stele.View{})
		s.ok(nil, err)
		fmt.Fprintf(&b, "%+v\n", full)
		all := stele.ListRequest{Bucket: bucket.Name, Max: 100_000}
		page, err := s.store.ListVersions(s.Context(), all)
		s.ok(nil, err)
		for _, v := range page.Versions {
			if !v.Marker {
				v, err = s.store.Head(s.Context(), stele.Place{Bucket: bucket.Name, Key: v.Key, VersionID: v.ID})
				s.ok(nil, err)
			}
			fmt.Fprintf(&b, "%s %s %d marker %v latest %v %s tags %v lock %+v\n", v.Key, v.ID, v.Entry, v.Marker, v.Latest, v.ETag, v.Tags, v.Lock)
		}
		uploads, err := s.store.Multipart().List(s.Context(), all)
		s.ok(nil, err)
		for _, u := range uploads.Uploads {
			parts, _, _, err := s.store.Multipart().Parts(s.Context(), bucket.Name, u.Key, u.ID, 0, 1000)
			s.ok(nil, err)
			fmt.Fprintf(&b, "upload %s %s of %s:", u.Key, u.ID, u.By)
			for _, p := range parts {
				fmt.Fprintf(&b, " %d %s", p.Number, p.ETag)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// onlyDenials fails unless the ledger grew since by nothing but notes of what was denied.
func (s *siege) onlyDenials(what string, since uint64) {
	s.Helper()
	if s.store.Ledger().Size() == since {
		return
	}
	s.ok(nil, s.store.Ledger().Log(s.Context(), stele.LogQuery{From: since}, func(e *entry.Entry) error {
		if e.Type != entry.DeniedSum && e.Type != entry.DeniedLock {
			s.Errorf("%s: denied, but the ledger holds an entry %s of it", what, e.Type)
		}
		return nil
	}))
}
