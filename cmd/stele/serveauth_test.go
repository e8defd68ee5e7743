package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"stele"
	"stele/internal/admin"
)

// TestSignatureCoversTheQuery: a request to the admin port that somebody signed is good with its own query and with no other, one that can be read in part included.
func TestSignatureCoversTheQuery(t *testing.T) {
	dir := t.TempDir()
	store, err := stele.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	key, err := store.CreateKey(t.Context(), stele.Local(), stele.RoleAuditor, nil, 0)
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
		if err := v4.NewSigner().SignHTTP(t.Context(), as, signed, none, "s3", admin.Region, time.Now()); err != nil {
			t.Fatal(err)
		}
		came := httptest.NewRequest(http.MethodGet, "http://store.test/ledger/entries?"+query, nil)
		came.RequestURI = "/ledger/entries?" + query
		came.Header = signed.Header
		if _, _, err := who(came); (err == nil) != good || !good && !errors.Is(err, admin.ErrWho) {
			t.Errorf("signed without a query, sent with %q: %v", query, err)
		}
	}
}
