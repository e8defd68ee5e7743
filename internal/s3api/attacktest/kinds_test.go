package attacktest

import (
	"strings"

	"stele"
	"stele/internal/s3api/doortest"
)

// kind is what sort of bucket box is. In each the rights are the same.
type kind struct {
	name       string
	lock       bool
	versioning stele.Versioning // while the fixtures are made
	suspended  bool             // afterwards
	gone       bool             // deleted afterwards: only its past is there
	scopes     []string         // of the callers; "" is everywhere
	presigned  bool             // each request is also signed in its query
}

var (
	allScopes = []string{"", "box", "box/in/", "box/out/", "other"}
	fewScopes = []string{"", "box/in/", "other"}
)

var kinds = []kind{
	{name: "object lock", lock: true, versioning: stele.Enabled, scopes: allScopes, presigned: true},
	{name: "unversioned", scopes: fewScopes},
	{name: "suspended", versioning: stele.Enabled, suspended: true, scopes: fewScopes},
	{name: "deleted", versioning: stele.Enabled, gone: true, scopes: fewScopes},
}

// lines are the table's for a kind of bucket. Versioning can't be taken back where there was none, so what switches it on comes last.
func (k kind) lines() (out []line) {
	var last []line
	for _, l := range table {
		switch {
		case k.gone && l.ops == "CreateBucket" && l.bucket == "": // newLifeIsEmpty has it
		case !k.lock && l.ops == "PutBucketVersioning":
			last = append(last, l)
		default:
			if l.right == governs && l.lock && !k.lock {
				l.right = changes // there is nothing to govern
			}
			out = append(out, l)
		}
	}
	return append(out, last...)
}

func (s *siege) ways() []bool {
	if s.kind.presigned {
		return []bool{false, true}
	}
	return []bool{false}
}

// isGone tells whether an operation is on the bucket that was deleted.
func (s *siege) isGone(a *assault) bool { return s.kind.gone && a.op.Bucket && a.bucket == "" }

// mayKnowItIsGone tells whether a reply says that the bucket is not there, to a caller who may know it. To all others it is denied like one that is there.
func (s *siege) mayKnowItIsGone(a *assault, c caller, res *doortest.Reply) bool {
	return s.isGone(a) && !a.past && res.Status == 404 && c.has(knowsBucket, "box/")
}

var fixtures = []string{"in/k", "in/k2", "in/held", "out/k"}

// build makes the buckets, and a past in which all fixtures are.
func (s *siege) build() {
	s.Helper()
	ctx, root := s.Context(), caller{"root", "admin", ""}
	s.callers, s.keys["root"] = []caller{root}, doortest.Key{}
	for _, bucket := range []string{"box", "other"} {
		s.ok(s.store.CreateBucket(ctx, stele.Local(), bucket, s.kind.lock))
		if s.kind.versioning != stele.Unversioned {
			s.ok(s.store.SetVersioning(ctx, stele.Local(), bucket, s.kind.versioning))
		}
		for _, key := range fixtures {
			s.root("PUT", "/"+bucket+"/"+key, secretWords)
		}
	}
	if s.kind.suspended {
		s.ok(s.store.SetVersioning(ctx, stele.Local(), "box", stele.Suspended))
		s.put() // a null version above the others
	}
	s.past = s.store.Ledger().Size()
	if s.kind.gone {
		s.raze(root)
	}
}

// raze deletes box and all that is in it. What named a version and an upload in it is still known.
func (s *siege) raze(root caller) {
	s.Helper()
	version := s.put()
	upload, complete := s.begin(root)
	page, err := s.store.ListVersions(s.Context(), stele.ListRequest{Bucket: "box", Max: 1000})
	s.ok(nil, err)
	for _, v := range page.Versions {
		s.ok(s.store.Hide(s.Context(), stele.HideRequest{By: stele.Local(), Bucket: "box", Key: v.Key, VersionID: v.ID}))
	}
	s.ok(s.store.DeleteBucket(s.Context(), stele.Local(), "box"))
	s.lost.version, s.lost.upload, s.lost.complete = version, upload, complete
}

// pastStands fails unless the view shows to all who may read it, and to nobody else, each fixture as it was before the attacks.
func (s *siege) pastStands() {
	s.Helper()
	for _, c := range s.callers {
		for _, key := range fixtures {
			res := s.send(c, request{method: "GET", bucket: s.viewOf("box"), key: key}, false)
			shown := res.Status == 200 && string(res.Body) == secretWords
			if may := c.has(readsObject, "box/"+key); shown != may || !may && res.Status != 403 {
				s.Errorf("%s reads %s in the past: %d %s, and the table says %v", c.name, key, res.Status, res.Code(), may)
			}
		}
	}
}

// newLifeIsEmpty makes the deleted bucket anew, by those who may: nothing of its former life is in it, and that life's view stays as it was.
func (s *siege) newLifeIsEmpty() {
	s.Helper()
	create := request{method: "PUT", bucket: "box"}
	for _, c := range s.callers {
		if c.has(makesBuckets, "box/") {
			continue
		}
		if res := s.send(c, create, false); res.Status != 403 {
			s.Errorf("%s makes the deleted bucket anew: %d %s, and the table denies it", c.name, res.Status, res.Code())
		}
	}
	s.root("PUT", "/box", "")
	for _, c := range s.callers {
		may := c.has(readsObject, "box/in/k")
		for _, query := range []string{"", s.lost.version} {
			res := s.send(c, request{method: "GET", bucket: "box", key: "in/k", query: query}, false)
			if want := map[bool]int{true: 404, false: 403}[may]; res.Status != want {
				s.Errorf("%s reads in/k?%s in the new life of the bucket: %d %s, want %d", c.name, query, res.Status, res.Code(), want)
			}
		}
		for _, listing := range []string{"list-type=2&prefix=in%2F", "prefix=in%2F&versions=", "prefix=in%2F&uploads="} {
			res := s.send(c, request{method: "GET", bucket: "box", query: listing}, false)
			if found := strings.Contains(string(res.Body), "in/k"); found || (res.Status == 200) != c.has(lists, "box/in/") {
				s.Errorf("%s lists the new life of the bucket by %s: %d %s, shows the former life: %v", c.name, listing, res.Status, res.Code(), found)
			}
		}
	}
	s.pastStands()
}
