package s3api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"stele"
	"stele/internal/s3api"
	"stele/internal/s3api/doortest"
)

// swap is a door where something happens right after the tags of a version have judged a request, and before the version is read.
type swap struct {
	*testing.T
	store *stele.Store
	h     http.Handler
	srv   *doortest.Server
	key   doortest.Key
	then  func() // happens once
}

func openSwap(t *testing.T, versioning stele.Versioning) *swap {
	t.Helper()
	dir := t.TempDir()
	store, err := stele.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	s := &swap{T: t, store: store, h: s3api.NewHandler(store, s3api.Options{})}
	ts := httptest.NewServer(s.h)
	t.Cleanup(func() { ts.Close(); store.Close() })
	s.srv = &doortest.Server{URL: ts.URL, Host: strings.TrimPrefix(ts.URL, "http://")}
	k, err := store.Keys().Create(t.Context(), stele.Local(), stele.RoleReadWrite, nil, 0)
	s.ok(err)
	s.key = doortest.Key{ID: k.ID, Secret: k.Secret}
	for _, bucket := range []string{"box", "mine"} {
		s.ok(second(store.CreateBucket(t.Context(), stele.Local(), bucket, bucket == "box" && versioning == stele.Enabled)))
	}
	if versioning == stele.Suspended {
		s.ok(second(store.SetVersioning(t.Context(), stele.Local(), "box", versioning)))
	}
	root := doortest.Key{ID: store.Keys().Root().ID, Secret: store.Keys().Root().Secret}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::box/*","Condition":{%s}}]}`, secretTag)
	if res := s.do(root, "PUT", "/box?policy=", policy); res.Status/100 != 2 {
		t.Fatalf("%s", res.Body)
	}
	s3api.AfterJudging(s.h, func() {
		if then := s.then; then != nil {
			s.then = nil
			then()
		}
	})
	return s
}

func (s *swap) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *swap) do(k doortest.Key, method, target, body string, headers ...string) *doortest.Reply {
	s.Helper()
	res, err := doortest.Send(http.DefaultClient, s.srv.NewRequest(k, method, target, []byte(body), headers...))
	s.ok(err)
	return res
}

// put puts an object in the name of the operator.
func (s *swap) put(body string, tags map[string]string) stele.Version {
	s.Helper()
	v, err := s.store.Put(s.Context(), stele.PutRequest{By: stele.Local(), Bucket: "box", Key: "k", Body: strings.NewReader(body), Size: int64(len(body)), Tags: tags, Meta: map[string]string{"said": body}})
	s.ok(err)
	return v
}

const hidden = "what nobody may see"

// TestWhatIsJudgedIsRead: an object that is exchanged between its judging by tags and the reading shows nothing of the new one, whatever reads it; and a change of tags or locks meets what was judged.
func TestWhatIsJudgedIsRead(t *testing.T) {
	until := "2099-01-01T00:00:00Z"
	retention := "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
	for _, versioning := range []stele.Versioning{stele.Unversioned, stele.Suspended, stele.Enabled} {
		t.Run(fmt.Sprint("versioning ", versioning), func(t *testing.T) {
			s := openSwap(t, versioning)
			path, err := s.store.Multipart().Create(t.Context(), stele.Actor{Key: s.key.ID}, stele.Upload{Bucket: "mine", Key: "parts"})
			s.ok(err)
			for _, q := range []struct {
				name, method, target, body string
				changes, locks             bool
				headers                    []string
			}{
				{name: "GET", method: "GET", target: "/box/k"},
				{name: "HEAD", method: "HEAD", target: "/box/k"},
				{name: "attributes", method: "GET", target: "/box/k?attributes=", headers: []string{"X-Amz-Object-Attributes: ETag,ObjectSize"}},
				{name: "tags", method: "GET", target: "/box/k?tagging="},
				{name: "acl", method: "GET", target: "/box/k?acl="},
				{name: "copy", method: "PUT", target: "/mine/copy", headers: []string{"X-Amz-Copy-Source: box/k"}},
				{name: "copy of a part", method: "PUT", target: "/mine/parts?partNumber=1&uploadId=" + path.ID, headers: []string{"X-Amz-Copy-Source: box/k"}},
				{name: "retention", method: "GET", target: "/box/k?retention=", locks: true},
				{name: "hold", method: "GET", target: "/box/k?legal-hold=", locks: true},
				{name: "put tags", method: "PUT", target: "/box/k?tagging=", body: "<Tagging><TagSet><Tag><Key>class</Key><Value>mine</Value></Tag></TagSet></Tagging>", changes: true},
				{name: "delete tags", method: "DELETE", target: "/box/k?tagging=", changes: true},
				{name: "put retention", method: "PUT", target: "/box/k?retention=", body: retention, changes: true, locks: true},
				{name: "put hold", method: "PUT", target: "/box/k?legal-hold=", body: "<LegalHold><Status>ON</Status></LegalHold>", changes: true, locks: true},
			} {
				if q.locks && versioning != stele.Enabled {
					continue
				}
				open := s.put("what all may see", nil)
				var secret stele.Version
				s.then = func() { secret = s.put(hidden, map[string]string{"class": "secret"}) }
				res := s.do(s.key, q.method, q.target, q.body, q.headers...)
				if s.then != nil {
					t.Fatalf("%s: the tags were not asked for", q.name)
				}
				now, err := s.store.Head(t.Context(), stele.Place{Bucket: "box", Key: "k"})
				s.ok(err)
				if now.Entry != secret.Entry || now.Tags["class"] != "secret" || now.Lock != secret.Lock {
					t.Errorf("%s: the other version was changed: %+v %+v", q.name, now.Tags, now.Lock)
				}
				all := string(res.Body) + fmt.Sprint(res.Header)
				for _, shown := range []string{hidden, secret.ETag, ">secret<"} {
					if strings.Contains(all, shown) {
						t.Errorf("%s shows %q of what was not judged: %d\n%s", q.name, shown, res.Status, all)
					}
				}
				switch {
				case q.changes && res.Status != 403:
					t.Errorf("%s: %d, and what is current must not be changed", q.name, res.Status)
				case q.name == "GET" && string(res.Body) != "what all may see", q.name == "HEAD" && !strings.Contains(res.Header.Get("ETag"), open.ETag):
					t.Errorf("%s: %d %s", q.name, res.Status, all)
				}
			}
			for _, c := range []string{"copy", "parts"} {
				if v, err := s.store.Head(t.Context(), stele.Place{Bucket: "mine", Key: c}); err == nil && v.Size == int64(len(hidden)) {
					t.Errorf("%s has what was not judged", c)
				}
			}
			parts, _, _, err := s.store.Multipart().Parts(t.Context(), "mine", "parts", path.ID, 0, 10)
			s.ok(err)
			for _, p := range parts {
				if p.Size == int64(len(hidden)) {
					t.Error("the part has what was not judged")
				}
			}
		})
	}
}

// TestMadeAnewMeanwhile: a bucket that is deleted and made again between judging and reading is another bucket, which nobody judged; and an object that came only after the judging is not there yet.
func TestMadeAnewMeanwhile(t *testing.T) {
	s := openSwap(t, stele.Unversioned)
	s.put("what all may see", nil)
	s.then = func() {
		_, err := s.store.Hide(t.Context(), stele.HideRequest{By: stele.Local(), Bucket: "box", Key: "k"})
		s.ok(err)
		s.ok(second(s.store.DeleteBucket(t.Context(), stele.Local(), "box")))
		s.ok(second(s.store.CreateBucket(t.Context(), stele.Local(), "box", false)))
		s.put(hidden, nil)
	}
	if res := s.do(s.key, "GET", "/box/k", ""); strings.Contains(string(res.Body), hidden) {
		t.Errorf("%d %s", res.Status, res.Body)
	}
	s = openSwap(t, stele.Unversioned)
	s.then = func() { s.put(hidden, map[string]string{"class": "secret"}) }
	if res := s.do(s.key, "GET", "/box/k", ""); res.Status != 404 {
		t.Errorf("an object that came later: %d %s", res.Status, res.Body)
	}
}
