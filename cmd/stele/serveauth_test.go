package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"stele"
	"stele/entry"
	"stele/internal/admin"
	"stele/internal/node"
	"stele/internal/rpc"
	"stele/internal/s3api"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/doortest"
)

func newStore(t *testing.T) *node.Node {
	t.Helper()
	dir := t.TempDir()
	store, err := node.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// TestSignatureCoversTheQuery: a request to the admin port that somebody signed is good with its own query and with no other, one that can be read in part included.
func TestSignatureCoversTheQuery(t *testing.T) {
	store := newStore(t)
	key, err := store.Keys().Create(t.Context(), stele.Local(), stele.RoleAuditor, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of no bytes
	who := authenticator(store)
	for query, good := range map[string]bool{"": true, "from=3": false, "from=3&x=%zz": false, "from=3&%ff": false, "%": false} {
		signed, err := http.NewRequest(http.MethodGet, "http://store.test/ledger/entries", nil)
		if err != nil {
			t.Fatal(err)
		}
		signed.Header.Set("X-Amz-Content-Sha256", none)
		as := aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), as, signed, none, rpc.Service, rpc.Region, time.Now()); err != nil {
			t.Fatal(err)
		}
		came := httptest.NewRequest(http.MethodGet, "http://store.test/ledger/entries?"+query, nil)
		came.RequestURI = "/ledger/entries?" + query
		came.Header = signed.Header
		if _, err := who(came); (err == nil) != good || !good && !errors.Is(err, rpc.ErrWho) {
			t.Errorf("signed without a query, sent with %q: %v", query, err)
		}
	}
}

// doors are the two ports of one store, over which a key may have been seen.
type doors struct {
	*testing.T
	store     *node.Node
	key       entry.AccessKey
	s3, admin string // their URLs
}

func openDoors(t *testing.T) *doors {
	t.Helper()
	d := &doors{T: t, store: newStore(t)}
	var err error
	if d.key, err = d.store.Keys().Create(t.Context(), stele.Local(), stele.RoleAuditor, nil, 0); err != nil {
		t.Fatal(err)
	}
	s3 := httptest.NewServer(s3api.NewHandler(d.store.Store, s3api.Options{}))
	t.Cleanup(s3.Close)
	port := httptest.NewServer(admin.NewServer(admin.Options{Store: d.store, Authenticate: authenticator(d.store)}).Port())
	t.Cleanup(port.Close)
	d.s3, d.admin = s3.URL, port.URL
	return d
}

// send sends a request that was signed with one body for a service, to a port, with the body that is given.
func (d *doors) send(service, method, url, path, signed, body string) (int, string) {
	d.Helper()
	r, err := http.NewRequest(method, url+path, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	doortest.Key{ID: d.key.ID, Secret: d.key.Secret, Service: service}.Sign(r, doortest.Sum([]byte(signed)))
	res, err := doortest.Send(http.DefaultClient, r)
	if err != nil {
		d.Fatal(err)
	}
	return res.Status, string(res.Body)
}

func (d *doors) lastUsed() time.Time {
	d.Helper()
	keys, err := d.store.Keys().List(d.Context())
	if err != nil {
		d.Fatal(err)
	}
	for _, k := range keys {
		if k.ID == d.key.ID {
			return k.LastUsed
		}
	}
	d.Fatal("the key is gone")
	return time.Time{}
}

// TestAudience: what was signed for one port is no request at the other one, whatever the path, and the refusal says why.
func TestAudience(t *testing.T) {
	d := openDoors(t)
	for _, path := range []string{"/ledger/entries", "/ledger/proof", "/replica/state", "/replica/files", "/healthz/../ledger/entries"} {
		status, body := d.send(auth.Service, "GET", d.admin, path, "", "")
		if path[1] == 'h' && status == http.StatusTemporaryRedirect { // http.ServeMux shows the way; the signature is not of that path
			continue
		}
		if status != http.StatusUnauthorized || !strings.Contains(body, rpc.Service) {
			t.Errorf("%s signed for S3: %d %s", path, status, body)
		}
	}
	if status, body := d.send(auth.Service, "POST", d.admin, "/v1/Keys", "null", "null"); status != http.StatusUnauthorized || !strings.Contains(body, rpc.Service) {
		t.Errorf("a call signed for S3: %d %s", status, body)
	}
	if status, body := d.send(rpc.Service, "GET", d.s3, "/", "", ""); status != http.StatusBadRequest || !strings.Contains(body, "AuthorizationHeaderMalformed") {
		t.Errorf("S3 signed for the admin port: %d %s", status, body)
	}
	if !d.lastUsed().IsZero() {
		t.Error("a request for the other port counts as use of the key")
	}
	for path, want := range map[string]int{"/ledger/entries": 200, "/replica/files?folder=packs%2F": 200} {
		if status, body := d.send(rpc.Service, "GET", d.admin, path, "", ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := d.send(auth.Service, "GET", d.s3, "/", "", ""); status != 200 {
		t.Errorf("S3 signed for S3: %d %s", status, body)
	}
}

// TestOnlyTheSignedBodyCounts: the head of a request that somebody has seen, sent with another body, is refused on every route and is no use of the key.
func TestOnlyTheSignedBodyCounts(t *testing.T) {
	d := openDoors(t)
	for _, q := range []struct{ method, path, signed, body string }{
		{"POST", "/v1/Keys", "null", "{}"}, {"POST", "/v1/Log", `{"From":3}`, "{}"}, {"GET", "/ledger/entries", "", "?"}, {"GET", "/replica/files?folder=packs%2F", "", "?"}, {"POST", "/v1/Keys", "null", ""},
	} {
		status, body := d.send(rpc.Service, q.method, d.admin, q.path, q.signed, q.body)
		if status != http.StatusUnauthorized || !strings.Contains(body, "not the one that was signed") {
			t.Errorf("%s %s with another body: %d %s", q.method, q.path, status, body)
		}
	}
	r, err := http.NewRequest("POST", d.admin+"/v1/Log", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	doortest.Key{ID: d.key.ID, Secret: d.key.Secret, Service: rpc.Service}.Sign(r, doortest.Unsigned)
	if res, err := doortest.Send(http.DefaultClient, r); err != nil || res.Status != http.StatusUnauthorized {
		t.Errorf("a call without a signed body: %v %v", res, err)
	}
	if used := d.lastUsed(); !used.IsZero() {
		t.Errorf("the key counts as used, at %v", used)
	}
	if status, body := d.send(rpc.Service, "POST", d.admin, "/v1/Keys", "null", "null"); status != 200 || d.lastUsed().IsZero() {
		t.Errorf("the signed body: %d %s", status, body)
	}
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
}
