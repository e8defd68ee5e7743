package s3api

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/s3api/s3err"
)

// TestAClaimIsNoKey: a request that names an access key and does not prove it acts for nobody, is no use of the key, and is in the ledger as claimed; the access line says so too (TestAccessLines).
func TestAClaimIsNoKey(t *testing.T) {
	dir := t.TempDir()
	opt := stele.Options{Kit: filepath.Join(dir, "kit.txt")}
	store, err := stele.Create(t.Context(), filepath.Join(dir, "data"), opt)
	if err != nil {
		t.Fatal(err)
	}
	key, err := store.Keys().Create(t.Context(), stele.Local(), stele.RoleReadWrite, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := NewHandler(store, Options{Clock: func() time.Time { return testTime }})
	wrong := func() *call {
		r := httptest.NewRequest("GET", "/box/key", nil)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+key.ID+"/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,Signature="+strings.Repeat("0", 64))
		r.Header.Set("X-Amz-Date", "20130524T000000Z")
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		return &call{server: h.(*server), w: httptest.NewRecorder(), r: r, ctx: t.Context(), id: "1"}
	}
	c := wrong()
	if err := c.serve(); !errors.Is(err, s3err.ErrSignatureDoesNotMatch) {
		t.Fatal(err)
	}
	if c.claim.id != key.ID || c.key.ID != "" || c.by.Key != "" || !strings.HasPrefix(c.owner(), "from ") {
		t.Errorf("claimed %q, and taken for %q, actor %q, places of %q", c.claim.id, c.key.ID, c.by.Key, c.owner())
	}
	h.ServeHTTP(httptest.NewRecorder(), wrong().r)
	keys, err := store.Keys().List(t.Context())
	if err != nil || len(keys) != 1 || !keys[0].LastUsed.IsZero() {
		t.Errorf("%+v, %v: nobody used the key", keys, err)
	}
	if err := store.Close(); err != nil { // writes the sum
		t.Fatal(err)
	}
	if store, err = stele.Open(t.Context(), filepath.Join(dir, "data"), opt); err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	var sums []string
	if err := store.Ledger().Log(t.Context(), stele.LogQuery{Types: []entry.Type{entry.DeniedSum}}, func(e *entry.Entry) error {
		for kind, n := range e.Private.Data {
			sums = append(sums, kind+" "+n)
		}
		return nil
	}); err != nil || len(sums) != 1 || sums[0] != "SignatureDoesNotMatch 1: GetObject box 1; claimed "+key.ID+" 1" {
		t.Errorf("%q, %v", sums, err)
	}
}
