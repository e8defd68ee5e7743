package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stele"
	"stele/internal/admin"
	"stele/internal/rpc"
	"stele/internal/s3api/doortest"
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

// TestAuditorFillsNoLedger: verifications are the only entries that an auditor's key can cause, and they are bounded.
func TestAuditorFillsNoLedger(t *testing.T) {
	s := newStore(t)
	ts := httptest.NewServer(admin.NewServer(admin.Options{Store: s, Authenticate: authenticate(s)}).Port())
	t.Cleanup(ts.Close)
	k, err := s.Keys().Create(t.Context(), by, stele.RoleAuditor, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	server := doortest.Server{URL: ts.URL}
	before, refused := s.Ledger().Size(), 0
	for range 50 {
		res, err := doortest.Send(http.DefaultClient, server.NewRequest(doortest.Key{ID: k.ID, Secret: k.Secret, Service: rpc.Service}, "POST", rpc.Verify.Row().Path(), []byte("{}")))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(res.Body), `"Rate"`) {
			refused++
		}
	}
	if made := s.Ledger().Size() - before; made == 0 || made > 15 || refused < 35 {
		t.Errorf("50 verifications made %d entries, and %d were refused", made, refused)
	}
}
