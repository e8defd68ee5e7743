package admin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"stele"
	"stele/entry"
	"stele/internal/admin"
	"stele/internal/fsck"
	"stele/internal/node"
	"stele/internal/rpc"
	"stele/internal/rpc/client"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/wire"
	"stele/tree"
	"stele/verify"
)

var by = stele.Local()

func newStore(t *testing.T) *node.Node {
	t.Helper()
	dir := t.TempDir()
	s, err := node.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// serve answers on the store's socket until the test ends.
func serve(t *testing.T, s *node.Node, h http.Handler) *client.Client {
	t.Helper()
	l, err := admin.ListenSocket(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: h}
	go hs.Serve(l)
	t.Cleanup(func() { hs.Close(); l.Close() })
	c, err := client.Connect(t.Context(), s.Dir())
	if err != nil || c == nil {
		t.Fatalf("Connect: %v, %v", c, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// authenticate asks the verifier of the S3 door.
func authenticate(s *node.Node) func(r *http.Request) (admin.Signed, error) {
	v := auth.NewVerifier(rpc.Service, rpc.Region, func(ctx context.Context, id string) (string, error) {
		k, err := s.Keys().Get(ctx, id)
		if errors.Is(err, stele.ErrNoAccessKey) {
			err = auth.ErrUnknownKey
		}
		return k.Secret, err
	}, time.Now)
	return func(r *http.Request) (admin.Signed, error) {
		target, _ := wire.ReadTarget(r)
		a, err := v.Verify(r.Context(), r, &target)
		if err != nil || a.Kind != auth.ByHeader {
			return admin.Signed{}, fmt.Errorf("%w: %v", rpc.ErrWho, err)
		}
		k, err := s.Keys().Get(r.Context(), a.AccessKeyID)
		return admin.Signed{Key: k, Body: func() (io.Reader, error) { return r.Body, nil }}, err
	}
}

// port serves the admin port with the verifier of the S3 door.
func port(t *testing.T, s *node.Node) *httptest.Server {
	t.Helper()
	ts := httptest.NewServer(admin.NewServer(admin.Options{Store: s, Authenticate: authenticate(s), Metrics: admin.NewMetrics(s)}).Port())
	t.Cleanup(ts.Close)
	return ts
}

// TestStore runs one suite over the store itself, over its socket and over the admin port: a verb must see no difference.
func TestStore(t *testing.T) {
	ways := map[string]func(t *testing.T, s *node.Node) client.Store{
		"itself": func(t *testing.T, s *node.Node) client.Store { return client.Local{Node: s} },
		"socket": func(t *testing.T, s *node.Node) client.Store {
			return serve(t, s, admin.NewServer(admin.Options{Store: s}).Socket())
		},
		"port": func(t *testing.T, s *node.Node) client.Store {
			c, err := client.Dial(t.Context(), port(t, s).URL, s.Keys().Root(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
	}
	suite := map[string]func(t *testing.T, s client.Store){
		"objects": testObjects, "versions": testVersions, "errors": testErrors, "locks": testLocks, "moments": testMoments,
		"audit": testAudit, "keys": testKeys, "bodies": testBodies, "consistency": testConsistency, "parts": testParts,
	}
	for way, open := range ways {
		for name, test := range suite {
			t.Run(way+"/"+name, func(t *testing.T) {
				test(t, open(t, newStore(t)))
			})
		}
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func put(t *testing.T, s client.Objects, bucket, key, body string) stele.Version {
	t.Helper()
	return must[stele.Version](t)(s.Put(t.Context(), stele.PutRequest{By: by, Bucket: bucket, Key: key, Body: strings.NewReader(body), Size: int64(len(body)),
		Headers: map[string]string{"content-type": "text/plain"}, Meta: map[string]string{"mtime": "1.5", "wide": "ünï\u2028"}, Tags: map[string]string{"a": "b&c=d"}}))
}

func read(t *testing.T, s client.Objects, at stele.Place) string {
	t.Helper()
	v := must[stele.Version](t)(s.Head(t.Context(), at))
	r := must[io.ReadCloser](t)(s.OpenBody(t.Context(), v, 0, -1))
	defer r.Close()
	return string(must[[]byte](t)(io.ReadAll(r)))
}

func testObjects(t *testing.T, s client.Store) {
	ctx := t.Context()
	must[stele.Committed](t)(s.CreateBucket(ctx, by, "docs", false))
	key := "a/../b//ü %?#&+\x00"
	v := put(t, s, "docs", key, "hello")
	if want := sha256.Sum256([]byte("hello")); v.Size != 5 || v.Body.SHA256 != entry.Hash(want) || v.ID != "null" {
		t.Errorf("put answered %+v", v)
	}
	got := must[stele.Version](t)(s.Head(ctx, stele.Place{Bucket: "docs", Key: key}))
	if got.Key != key || got.ETag != v.ETag || got.Meta["wide"] != "ünï\u2028" || got.Headers["content-type"] != "text/plain" || got.Tags["a"] != "b&c=d" {
		t.Errorf("head answered %+v", got)
	}
	if body := read(t, s, stele.Place{Bucket: "docs", Key: key}); body != "hello" {
		t.Errorf("read %q", body)
	}
	for i := range 5 {
		put(t, s, "docs", fmt.Sprintf("many/%d", i), "x")
	}
	p := must[stele.Page](t)(s.List(ctx, stele.ListRequest{Bucket: "docs", Prefix: "many/", Max: 3}))
	if len(p.Versions) != 3 || !p.Truncated || p.Next != "many/2" {
		t.Errorf("first page %+v", p)
	}
	p = must[stele.Page](t)(s.List(ctx, stele.ListRequest{Bucket: "docs", Delimiter: "/", Max: 10}))
	if len(p.Prefixes) != 2 || p.Truncated {
		t.Errorf("prefixes %+v", p)
	}
	must[stele.HideResult](t)(s.Hide(ctx, stele.HideRequest{By: by, Bucket: "docs", Key: key}))
	if _, err := s.Head(ctx, stele.Place{Bucket: "docs", Key: key}); !errors.Is(err, stele.ErrNoKey) {
		t.Errorf("head of what is hidden: %v", err)
	}
	b := must[stele.Bucket](t)(s.Bucket(ctx, "docs", stele.View{}))
	if b.Objects != 5 || b.Name != "docs" {
		t.Errorf("bucket %+v", b)
	}
	if list := must[[]stele.Bucket](t)(s.Buckets(ctx, stele.View{})); len(list) != 1 {
		t.Errorf("buckets %+v", list)
	}
}

func testVersions(t *testing.T, s client.Store) {
	ctx := t.Context()
	must[stele.Committed](t)(s.CreateBucket(ctx, by, "docs", false))
	must[stele.Committed](t)(s.SetVersioning(ctx, by, "docs", stele.Enabled))
	one := put(t, s, "docs", "k", "one")
	put(t, s, "docs", "k", "two")
	mark := must[stele.HideResult](t)(s.Hide(ctx, stele.HideRequest{By: by, Bucket: "docs", Key: "k"}))
	if !mark.Marker || mark.VersionID == "" {
		t.Errorf("hide answered %+v", mark)
	}
	v, err := s.Head(ctx, stele.Place{Bucket: "docs", Key: "k"})
	if !errors.Is(err, stele.ErrNoKey) || !v.Marker || v.ID != mark.VersionID {
		t.Errorf("a marker must come with its error: %+v, %v", v, err)
	}
	if _, err := s.Head(ctx, stele.Place{Bucket: "docs", Key: "k", VersionID: mark.VersionID}); !errors.Is(err, stele.ErrMarker) {
		t.Errorf("a marker by its id: %v", err)
	}
	if body := read(t, s, stele.Place{Bucket: "docs", Key: "k", VersionID: one.ID}); body != "one" {
		t.Errorf("read %q", body)
	}
	p := must[stele.Page](t)(s.ListVersions(ctx, stele.ListRequest{Bucket: "docs", Max: 2}))
	if len(p.Versions) != 2 || !p.Versions[0].Marker || !p.Versions[0].Latest || !p.Truncated || p.NextID != p.Versions[1].ID {
		t.Errorf("versions %+v", p)
	}
	h, more, err := s.History(ctx, stele.HistoryRequest{Bucket: "docs", Key: "k"})
	if err != nil || more || len(h) != 3 || h[0].Type != entry.ObjectHide || h[2].SHA256 == "" {
		t.Errorf("history %+v, %t, %v", h, more, err)
	}
	h, more, err = s.History(ctx, stele.HistoryRequest{Bucket: "docs", Key: "k", Before: h[0].Entry, Max: 1})
	if err != nil || !more || len(h) != 1 || h[0].Type != entry.ObjectPut {
		t.Errorf("a page of the history %+v, %t, %v", h, more, err)
	}
}

func testErrors(t *testing.T, s client.Store) {
	ctx := t.Context()
	if _, err := s.Bucket(ctx, "none", stele.View{}); !errors.Is(err, stele.ErrNoBucket) || !strings.Contains(err.Error(), "no such bucket: none") {
		t.Errorf("no bucket: %v", err)
	}
	must[stele.Committed](t)(s.CreateBucket(ctx, by, "docs", false))
	if _, err := s.CreateBucket(ctx, by, "docs", false); !errors.Is(err, stele.ErrBucketExists) {
		t.Errorf("twice: %v", err)
	}
	if _, err := s.CreateBucket(ctx, by, "BAD", false); !errors.Is(err, stele.ErrBadName) {
		t.Errorf("bad name: %v", err)
	}
	put(t, s, "docs", "k", "x")
	if _, err := s.DeleteBucket(ctx, by, "docs"); !errors.Is(err, stele.ErrBucketNotEmpty) {
		t.Errorf("not empty: %v", err)
	}
	if _, err := s.SetObjectLock(ctx, by, "docs", stele.Retention{}); !errors.Is(err, stele.ErrBadState) {
		t.Errorf("lock without versioning: %v", err)
	}
	if _, err := s.Keys().Revoke(ctx, by, "NOBODY"); !errors.Is(err, stele.ErrNoAccessKey) {
		t.Errorf("revoke: %v", err)
	}
	if _, err := s.ViewAt(ctx, "@1000000"); !errors.Is(err, stele.ErrFuture) {
		t.Errorf("future: %v", err)
	}
	if _, err := s.Put(ctx, stele.PutRequest{By: by, Bucket: "docs", Key: "k", Body: strings.NewReader("y"), Size: 1, If: stele.Conditions{NoneMatch: "*"}}); !errors.Is(err, stele.ErrPrecondition) {
		t.Errorf("condition: %v", err)
	}
	if err := s.Keys().ConfirmKit(ctx, by, []byte("junk")); err == nil {
		t.Error("junk is a kit")
	}
}

func testLocks(t *testing.T, s client.Store) {
	ctx := t.Context()
	must[stele.Committed](t)(s.CreateBucket(ctx, by, "vault", true))
	must[stele.Committed](t)(s.SetObjectLock(ctx, by, "vault", stele.Retention{Mode: "COMPLIANCE", Days: 1}))
	v := put(t, s, "vault", "k", "x")
	if v.Lock.Mode != "COMPLIANCE" || v.Lock.Until.IsZero() {
		t.Errorf("lock %+v", v.Lock)
	}
	_, err := s.Hide(ctx, stele.HideRequest{By: by, Bucket: "vault", Key: "k", VersionID: v.ID})
	var re *stele.RetentionError
	if !errors.As(err, &re) || re.Mode != "COMPLIANCE" || !re.Until.Equal(v.Lock.Until) || re.VersionID != v.ID {
		t.Errorf("refusal %+v, %v", re, err)
	}
}

func testMoments(t *testing.T, s client.Store) {
	ctx := t.Context()
	must[stele.Committed](t)(s.CreateBucket(ctx, by, "docs", false))
	v := put(t, s, "docs", "k", "one")
	pin := must[stele.Pinned](t)(s.Pin(ctx, by, "early", stele.View{Size: v.Entry + 1}))
	put(t, s, "docs", "k", "two")
	at := must[stele.View](t)(s.ViewAt(ctx, "early"))
	if at.Size != pin.Size || read(t, s, stele.Place{Bucket: "docs", Key: "k", At: at}) != "one" {
		t.Errorf("view %+v", at)
	}
	name, at, err := s.ParseBucket(ctx, "docs--at-early")
	if err != nil || name != "docs" || at.Size != pin.Size {
		t.Errorf("parsed %q %+v %v", name, at, err)
	}
	if views := must[[]stele.Pinned](t)(s.Views(ctx)); len(views) != 1 || views[0].Name != "early" {
		t.Errorf("views %+v", views)
	}
}

func testAudit(t *testing.T, s client.Store) {
	ctx := t.Context()
	must[stele.Committed](t)(s.CreateBucket(ctx, by, "docs", false))
	v := put(t, s, "docs", "k", "proven")
	receipt, pv, err := s.Ledger().Prove(ctx, stele.Place{Bucket: "docs", Key: "k"})
	if err != nil || pv.Body.SHA256 != v.Body.SHA256 {
		t.Fatalf("prove: %+v, %v", pv, err)
	}
	if _, err := verify.Receipt(receipt, s.Ledger().VKey(), strings.NewReader("proven")); err != nil {
		t.Errorf("receipt: %v", err)
	}
	var seen []string
	if err := s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{"object.*"}}, func(e *entry.Entry) error {
		seen = append(seen, string(e.Type)+" "+e.Private.Key)
		return nil
	}); err != nil || len(seen) != 1 || seen[0] != "object.put k" {
		t.Errorf("log %v, %v", seen, err)
	}
	stop := errors.New("stop")
	if err := s.Ledger().Log(ctx, stele.LogQuery{}, func(*entry.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("log goes on after an error: %v", err)
	}
	moved := false
	r := must[fsck.Report](t)(s.Verify(ctx, stele.VerifyOptions{By: by, Deep: true, Progress: func(done, total int64) { moved = moved || total > 0 }}))
	if !r.OK() || r.Size < 3 || r.Root == (tree.Hash{}) || r.Bodies != 1 || !moved {
		t.Errorf("verify %+v, progress %v", r, moved)
	}
	if st := must[stele.Stats](t)(s.Stats(ctx)); st.Objects != 1 || st.Entries < 3 {
		t.Errorf("stats %+v", st)
	}
	if len(s.ID()) != 32 {
		t.Errorf("id %q", s.ID())
	}
}

func testKeys(t *testing.T, s client.Store) {
	ctx := t.Context()
	k := must[entry.AccessKey](t)(s.Keys().Create(ctx, by, stele.RoleAppend, []string{"docs/in"}, 0))
	if k.Secret == "" || k.Role != stele.RoleAppend || len(k.Scope) != 1 {
		t.Errorf("made %+v", k)
	}
	must[stele.Committed](t)(s.Keys().Revoke(ctx, by, k.ID))
	keys := must[[]stele.KeyInfo](t)(s.Keys().List(ctx))
	if len(keys) != 1 || !keys[0].Revoked || keys[0].Scope[0] != "docs/in" {
		t.Errorf("keys %+v", keys)
	}
	if at := must[time.Time](t)(s.Keys().KitConfirmed()); !at.IsZero() {
		t.Errorf("kit confirmed at %v", at)
	}
}

// testBodies: what breaks off is an error and never a shorter object, on the way in and on the way out.
func testBodies(t *testing.T, s client.Store) {
	ctx := t.Context()
	must[stele.Committed](t)(s.CreateBucket(ctx, by, "docs", false))
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	v := must[stele.Version](t)(s.Put(ctx, stele.PutRequest{By: by, Bucket: "docs", Key: "big", Body: bytes.NewReader(big), Size: -1}))
	if v.Size != int64(len(big)) {
		t.Fatalf("size %d", v.Size)
	}
	if got := read(t, s, stele.Place{Bucket: "docs", Key: "big"}); got != string(big) {
		t.Error("other bytes came back")
	}
	r := must[io.ReadCloser](t)(s.OpenBody(ctx, v, 10, 6))
	if got := must[[]byte](t)(io.ReadAll(r)); string(got) != "abcdef" {
		t.Errorf("range %q", got)
	}
	r.Close()
	if _, err := s.OpenBody(ctx, v, v.Size+1, 1); !errors.Is(err, stele.ErrBadRange) {
		t.Errorf("beyond the end: %v", err)
	}
	empty := must[stele.Version](t)(s.Put(ctx, stele.PutRequest{By: by, Bucket: "docs", Key: "empty", Body: strings.NewReader("")}))
	if empty.Size != 0 || read(t, s, stele.Place{Bucket: "docs", Key: "empty"}) != "" {
		t.Errorf("empty %+v", empty)
	}
	for name, q := range map[string]stele.PutRequest{
		"short":              {Body: strings.NewReader("abc"), Size: 10},
		"broken":             {Body: io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errors.New("the source broke"))), Size: 10},
		"endless and broken": {Body: io.MultiReader(bytes.NewReader(big), iotest.ErrReader(errors.New("the source broke"))), Size: -1},
	} {
		q.By, q.Bucket, q.Key = by, "docs", "never"
		if _, err := s.Put(ctx, q); err == nil {
			t.Errorf("%s: a body that broke off was put", name)
		}
		if _, err := s.Head(ctx, stele.Place{Bucket: "docs", Key: "never"}); !errors.Is(err, stele.ErrNoKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamageTravels: damage that is met in the middle of a body is an error on the other side of the wire too.
func TestDamageTravels(t *testing.T) {
	s := newStore(t)
	c := serve(t, s, admin.NewServer(admin.Options{Store: s}).Socket())
	must[stele.Committed](t)(c.CreateBucket(t.Context(), by, "docs", false))
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(i * i >> 8)
	}
	v := must[stele.Version](t)(c.Put(t.Context(), stele.PutRequest{By: by, Bucket: "docs", Key: "k", Body: bytes.NewReader(big), Size: int64(len(big))}))
	if _, err := s.Verify(t.Context(), stele.VerifyOptions{By: by, Deep: true}); err != nil { // seals the pack
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(s.Dir(), "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("packs %v, %v", packs, err)
	}
	for _, p := range packs {
		b := must[[]byte](t)(os.ReadFile(p))
		for i := len(b) / 2; i < len(b)-200; i += 1000 {
			b[i] ^= 0xff
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := c.OpenBody(t.Context(), v, 0, -1)
	if err == nil {
		var n int64
		n, err = io.Copy(io.Discard, r)
		if n == v.Size {
			t.Error("all bytes came")
		}
	}
	if !errors.Is(err, stele.ErrCorrupt) {
		t.Errorf("the error is %v", err)
	}
	report := must[fsck.Report](t)(c.Verify(t.Context(), stele.VerifyOptions{By: by, Deep: true}))
	if report.OK() {
		t.Error("verify found nothing")
	}
}

// TestNoBody: an entry that names no object has no bytes to give.
func TestNoBody(t *testing.T) {
	s := newStore(t)
	c := serve(t, s, admin.NewServer(admin.Options{Store: s}).Socket())
	must[stele.Committed](t)(s.CreateBucket(t.Context(), by, "docs", false))
	for _, at := range []uint64{0, 1, 99} {
		if r, err := c.OpenBody(t.Context(), stele.Version{Entry: at}, 0, -1); err == nil {
			r.Close()
			t.Errorf("entry %d has a body", at)
		}
	}
}

func TestRoles(t *testing.T) {
	s := newStore(t)
	ts := port(t, s)
	must[stele.Committed](t)(s.CreateBucket(t.Context(), by, "docs", false))
	put(t, s, "docs", "k", "x")
	for _, c := range []struct {
		role    string
		scope   []string
		in      bool
		changes bool
	}{
		{stele.RoleAdmin, nil, true, true}, {stele.RoleAuditor, nil, true, false}, {stele.RoleReadWrite, nil, false, false}, {stele.RoleAppend, nil, false, false},
		{stele.RoleReadOnly, nil, false, false}, {stele.RoleAdmin, []string{"docs"}, false, false}, {stele.RoleAuditor, []string{"docs"}, false, false},
	} {
		name := c.role + strings.Join(c.scope, ",")
		k := must[entry.AccessKey](t)(s.Keys().Create(t.Context(), by, c.role, c.scope, 0))
		client, err := client.Dial(t.Context(), ts.URL, k, nil)
		if c.in != (err == nil) || !c.in && !errors.Is(err, rpc.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
		if !c.in {
			continue
		}
		if body := read(t, client, stele.Place{Bucket: "docs", Key: "k"}); body != "x" {
			t.Errorf("%s read %q", name, body)
		}
		_, err = client.CreateBucket(t.Context(), by, "made-by-"+c.role, false)
		if c.changes != (err == nil) || !c.changes && !errors.Is(err, rpc.ErrDenied) {
			t.Errorf("%s: create bucket: %v", name, err)
		}
		if c.changes {
			if b := must[stele.Bucket](t)(s.Bucket(t.Context(), "made-by-"+c.role, stele.View{})); b.Owner != k.ID {
				t.Errorf("the owner is %s, not the key %s that asked", b.Owner, k.ID)
			}
		}
		must[stele.Committed](t)(s.Keys().Revoke(t.Context(), by, k.ID))
		if _, err := client.Buckets(t.Context(), stele.View{}); !errors.Is(err, rpc.ErrWho) {
			t.Errorf("%s, revoked: %v", name, err)
		}
	}
}

// TestEveryCallAsks: no call, and no page of the ledger but the checkpoint, answers a request without a signature.
func TestEveryCallAsks(t *testing.T) {
	st := newStore(t)
	ts := httptest.NewServer(admin.NewServer(admin.Options{Store: st, Authenticate: authenticate(st), Metrics: admin.NewMetrics(st), Follower: noFollower{}}).Port())
	t.Cleanup(ts.Close)
	for _, call := range rpc.All() {
		if call.Access == rpc.Proof {
			continue
		}
		path := call.Path()
		resp := must[*http.Response](t)(http.Post(ts.URL+path, "application/json", strings.NewReader("{}")))
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for path, want := range map[string]int{"/healthz/live": 200, "/healthz/ready": 200, "/metrics": 200, "/ledger/checkpoint": 200, "/ledger/entries": 401, "/ledger/tile/0/000.p/1": 401,
		"/ledger/proof?index=0": 401, "/ledger/consistency?from=1": 401, "/": 404, "/v1/": 400} {
		resp := must[*http.Response](t)(http.Get(ts.URL + path))
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
}

// TestLedgerFace checks tiles and proofs with the tree of x/mod, which is not ours.
func TestLedgerFace(t *testing.T) {
	s := newStore(t)
	must[stele.Committed](t)(s.CreateBucket(t.Context(), by, "docs", false))
	for i := range 300 {
		put(t, s, "docs", fmt.Sprint(i), "x")
	}
	ts := httptest.NewServer(admin.NewServer(admin.Options{Store: s}).Socket())
	defer ts.Close()
	get := func(path string) []byte {
		t.Helper()
		resp := must[*http.Response](t)(http.Get(ts.URL + path))
		defer resp.Body.Close()
		b := must[[]byte](t)(io.ReadAll(resp.Body))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", path, resp.Status, b)
		}
		return b
	}
	size, root := s.Ledger().TreeHead()
	reader := tlog.TileHashReader(tlog.Tree{N: int64(size), Hash: tlog.Hash(root)}, tileGetter(func(tile tlog.Tile) []byte {
		return get("/ledger/" + tree.Tile{Level: tile.L, N: tile.N, Width: tile.W}.Path())
	}))
	bundle := must[[][]byte](t)(tree.ParseBundle(get("/ledger/tile/entries/000")))
	record := must[tlog.RecordProof](t)(tlog.ProveRecord(int64(size), 7, reader))
	if err := tlog.CheckRecord(record, int64(size), tlog.Hash(root), 7, tlog.RecordHash(bundle[7])); err != nil {
		t.Error(err)
	}
	var p struct {
		Size  uint64
		Proof [][]byte
	}
	if err := json.Unmarshal(get("/ledger/proof?index=7"), &p); err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckRecord(hashes(p.Proof), int64(p.Size), tlog.Hash(root), 7, tlog.RecordHash(bundle[7])); err != nil {
		t.Errorf("inclusion: %v", err)
	}
	if err := json.Unmarshal(get("/ledger/consistency?from=100"), &p); err != nil {
		t.Fatal(err)
	}
	old := must[tlog.Hash](t)(tlog.TreeHash(100, reader))
	if err := tlog.CheckTree(tlog.TreeProof(hashes(p.Proof)), int64(p.Size), tlog.Hash(root), 100, old); err != nil {
		t.Errorf("consistency: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(get("/ledger/entries?from=5&to=8"))), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"entry":5,`) {
		t.Errorf("entries %q", lines)
	}
	for _, bad := range []string{"/ledger/tile/0/x999", "/ledger/tile/9/000", "/ledger/proof", "/ledger/proof?index=99999", "/ledger/consistency?from=99999", "/ledger/entries?from=x"} {
		resp := must[*http.Response](t)(http.Get(ts.URL + bad))
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK || resp.StatusCode >= 500 {
			t.Errorf("%s: %s", bad, resp.Status)
		}
	}
}

type tileGetter func(tlog.Tile) []byte

func (tileGetter) Height() int { return 8 }
func (g tileGetter) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, t := range tiles {
		out[i] = g(t)
	}
	return out, nil
}
func (tileGetter) SaveTiles([]tlog.Tile, [][]byte) {}

func hashes(p [][]byte) (out tlog.RecordProof) {
	for _, h := range p {
		out = append(out, tlog.Hash(h))
	}
	return out
}

func TestSocket(t *testing.T) {
	short := t.TempDir()
	long := filepath.Join(short, strings.Repeat("long-name-", 10))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", short)
	for _, dir := range []string{short, long} {
		if c, err := client.Connect(t.Context(), dir); c != nil || err != nil {
			t.Errorf("nobody is there: %v, %v", c, err)
		}
		l, err := admin.ListenSocket(dir)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(l.Path())
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", l.Path(), info.Mode(), err)
		}
		l.Listener.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Listener.Close() // as a killed server leaves it
		if c, err := client.Connect(t.Context(), dir); c != nil || err != nil {
			t.Errorf("a dead socket: %v, %v", c, err)
		}
		again, err := admin.ListenSocket(dir)
		if err != nil {
			t.Fatalf("after a kill: %v", err)
		}
		again.Close()
		left, err := filepath.Glob(filepath.Join(dir, "stele*"))
		if err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// TestStreamCut: a stream that ends without its mark is an error, though it ended in order.
func TestStreamCut(t *testing.T) {
	s := newStore(t)
	inner := admin.NewServer(admin.Options{Store: s}).Socket()
	c := serve(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/Log" || r.URL.Path == "/v1/OpenBody" {
			io.WriteString(w, "")
			return
		}
		inner.ServeHTTP(w, r)
	}))
	if err := c.Ledger().Log(t.Context(), stele.LogQuery{}, func(*entry.Entry) error { return nil }); !errors.Is(err, rpc.ErrProtocol) {
		t.Errorf("log: %v", err)
	}
	r := must[io.ReadCloser](t)(c.OpenBody(t.Context(), stele.Version{Entry: 1}, 0, -1))
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, rpc.ErrProtocol) {
		t.Errorf("body: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	s := newStore(t)
	ts := port(t, s)
	resp := must[*http.Response](t)(http.Get(ts.URL + "/metrics"))
	defer resp.Body.Close()
	text := string(must[[]byte](t)(io.ReadAll(resp.Body)))
	for _, want := range []string{"stele_ledger_size 1\n", "stele_storage_failures_total 0\n", "stele_kit_confirmed_timestamp_seconds 0\n", `stele_info{store="` + s.ID() + `"} 1`, "go_goroutines "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestStall: a client that stops in the middle of a body does not hold the server for ever.
func TestStall(t *testing.T) {
	defer admin.SetPatience(50 * time.Millisecond)()
	s := newStore(t)
	ts := httptest.NewServer(admin.NewServer(admin.Options{Store: s}).Socket())
	defer ts.Close()
	conn := must[net.Conn](t)(net.Dial("tcp", ts.Listener.Addr().String()))
	defer conn.Close()
	fmt.Fprint(conn, "POST /v1/Stats HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the server still waits: %v", err)
	}
}
