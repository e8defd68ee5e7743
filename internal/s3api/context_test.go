package s3api

import (
	"crypto/tls"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"stele/internal/s3api/auth"
	"stele/internal/s3api/policy"
)

// TestSourceIPHasNoZone: the zone through which a link-local peer came takes it out of no network.
func TestSourceIPHasNoZone(t *testing.T) {
	p, err := policy.Parse([]byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*","Condition":{"IpAddress":{"aws:SourceIp":"fe80::/10"}}}}`), policy.Rules{Bucket: "photos"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := newContext(httptest.NewRequest("GET", "/", nil), &auth.Identity{}, Peer{Addr: "[fe80::1%eth0]:1234"})
	if p.Evaluate(&policy.Ask{Action: "s3:GetObject", Bucket: "photos", Key: "k", Context: ctx}) != policy.Allows {
		t.Error("a peer with a zone is not in fe80::/10")
	}
}

func TestNewContext(t *testing.T) {
	r := httptest.NewRequest("GET", "/photos", nil)
	r.Header["Referer"] = []string{"http://one/", "http://two/"}
	now := testTime.Add(time.Second)
	ctx := newContext(r, &auth.Identity{Kind: auth.ByQuery, AccessKeyID: "alice", SignedAt: testTime, Covered: "UNSIGNED-PAYLOAD"}, Peer{Addr: "[2001:db8::1]:4711", Secure: true, TLS: tls.VersionTLS13, Now: now})
	for k, want := range map[string][]string{
		"aws:sourceip": {"2001:db8::1"}, "aws:securetransport": {"true"}, "aws:username": {"alice"}, "s3:authtype": {"REST-QUERY-STRING"}, "s3:signatureage": {"1000"},
		"aws:currenttime": {"2013-05-24T00:00:01Z"}, "s3:tlsversion": {"1.3"}, "aws:referer": {"http://one/", "http://two/"}, "aws:principalisawsservice": {"false"},
		"aws:viaawsservice": {"false"}, "s3:x-amz-content-sha256": {"UNSIGNED-PAYLOAD"},
	} {
		if got := ctx[k]; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
	for k := range ctx {
		if !policy.Applies(k, "s3:GetObject") {
			t.Errorf("%s is set but no policy may use it", k)
		}
	}
	anon := newContext(r, &auth.Identity{}, Peer{Addr: "192.0.2.1", Now: now})
	if anon["aws:username"] != nil || anon["aws:principaltype"][0] != "Anonymous" || anon["aws:sourceip"][0] != "192.0.2.1" || anon["s3:tlsversion"] != nil {
		t.Errorf("anonymous: %v", anon)
	}
}
