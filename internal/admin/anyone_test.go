package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stele/internal/admin"
	"stele/internal/rpc"
)

// TestAnyoneSendsLittle: of a call that needs no key no more is read than a proof may have.
func TestAnyoneSendsLittle(t *testing.T) {
	s := newStore(t)
	ts := httptest.NewServer(admin.NewServer(admin.Options{Store: s, Authenticate: authenticate(s)}).Port())
	t.Cleanup(ts.Close)
	tried := false
	for _, call := range rpc.All() {
		if call.Access != rpc.Proof {
			continue
		}
		tried = true
		for size, want := range map[int]string{rpc.MaxProof: `"Protocol"`, rpc.MaxProof + 1: `"TooLarge"`} {
			res, err := http.Post(ts.URL+call.Path(), "application/json", strings.NewReader(strings.Repeat("?", size)))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !strings.Contains(string(b), want) {
				t.Errorf("%s with %d bytes: %d %s %v, want %s", call.Name, size, res.StatusCode, b, err, want)
			}
		}
	}
	if !tried {
		t.Error("no call is open to anyone")
	}
}
