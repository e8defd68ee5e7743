package attacktest

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
	"stele/internal/s3api/doortest"
)

// TestStolenKey has the root key and deletes everything: objects, versions, markers, uploads, lifecycle's help, the bucket itself. All of it can
// be read back from the moment before, also after a restart.
func TestStolenKey(t *testing.T) {
	s := doortest.Start(t)
	want := map[string][]byte{}
	var last string
	for _, b := range []string{"plain", "versions"} {
		s.Must(t, 200, "PUT", "/"+b, nil)
		if b == "versions" {
			s.Must(t, 200, "PUT", "/versions?versioning=", []byte(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`))
		}
		for i := range 10 {
			body := make([]byte, 1+i*50_000)
			rand.Read(body)
			s.Must(t, 200, "PUT", fmt.Sprintf("/%s/k%d", b, i), []byte("an older one"))
			last = s.Must(t, 200, "PUT", fmt.Sprintf("/%s/k%d", b, i), body).Header.Get("X-Stele-Entry")
			want[fmt.Sprintf("%s--at-e%%s/k%d", b, i)] = body
		}
	}
	var size int
	if _, err := fmt.Sscan(last, &size); err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"plain", "versions"} {
		wipe(t, s, b)
		if got := s.Do(t, "GET", "/"+b+"/k1", nil); got.Status != 404 {
			t.Fatalf("after the theft /%s/k1 is %d", b, got.Status)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s.Serve(t)
	for target, body := range want {
		got := s.Must(t, 200, "GET", "/"+fmt.Sprintf(target, fmt.Sprint(size+1)), nil)
		if !bytes.Equal(got.Body, body) {
			t.Errorf("%s: %d bytes came back, want %d others", target, len(got.Body), len(body))
		}
	}
	for _, b := range []string{"plain", "versions"} {
		list := s.Must(t, 200, "GET", fmt.Sprintf("/%s--at-e%d?list-type=2", b, size+1), nil)
		if n := strings.Count(string(list.Body), "<Key>"); n != 10 {
			t.Errorf("the view of %s lists %d keys, want 10", b, n)
		}
		if res := s.Do(t, "DELETE", fmt.Sprintf("/%s--at-e%d/k1", b, size+1), nil); res.Status != 403 {
			t.Errorf("the past was changed: %d", res.Status)
		}
	}
}

// wipe deletes every version and then the bucket.
func wipe(t *testing.T, s *doortest.Server, bucket string) {
	t.Helper()
	type version struct{ Key, VersionId string }
	var list struct {
		Version, DeleteMarker []version
	}
	if err := xml.Unmarshal(s.Must(t, 200, "GET", "/"+bucket+"?versions=", nil).Body, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Version) < 10 {
		t.Fatalf("%s has %d versions: there is nothing to steal", bucket, len(list.Version))
	}
	for _, v := range append(list.Version, list.DeleteMarker...) {
		s.Must(t, 204, "DELETE", "/"+bucket+"/"+v.Key+"?versionId="+url.QueryEscape(v.VersionId), nil, "X-Amz-Bypass-Governance-Retention: true")
	}
	s.Must(t, 204, "DELETE", "/"+bucket, nil)
}

// TestSlowBodies stalls in the middle of a body, and while it reads a reply: both end after the stall timeout, which is short here.
func TestSlowBodies(t *testing.T) {
	const stall = 300 * time.Millisecond
	dir := t.TempDir()
	store, err := stele.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Root: &entry.AccessKey{ID: doortest.AccessKey, Secret: doortest.SecretKey, Role: stele.RoleAdmin}, Kit: filepath.Join(dir, "kit")})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: s3api.NewHandler(store, s3api.Options{StallTimeout: stall}), ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() {
		srv.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	v := &victim{Server: &doortest.Server{URL: "http://" + l.Addr().String(), Host: l.Addr().String()}}
	v.Must(t, 200, "PUT", "/box", nil)
	v.Must(t, 200, "PUT", "/box/long", make([]byte, 64<<20))
	for name, q := range map[string]struct{ method, target string }{"object": {"PUT", "/box/stolen/slow"}, "document": {"PUT", "/box?tagging="}} {
		t.Run(name, func(t *testing.T) {
			head, _ := v.head(doortest.Key{}, q.method, q.target, doortest.Unsigned, 200_000)
			start := time.Now()
			status, body := v.raw(t, head, make([]byte, 100_000)) // and no more, and no end
			want(t, name, status, body, "RequestTimeout")
			if took := time.Since(start); took > 20*stall {
				t.Errorf("it was waited for %v", took)
			}
		})
	}
	t.Run("reader", func(t *testing.T) {
		c := v.dial(t)
		head, _ := v.head(doortest.Key{}, "GET", "/box/long", doortest.Unsigned, 0)
		if _, err := c.Write(head); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * stall)                               // the attack: it reads nothing
		c.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // a TCP connection takes one
		n, err := io.Copy(io.Discard, c)
		if n >= 64<<20 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a reader that stalled got %d bytes, %v: the server should have hung up", n, err)
		}
	})
	if got := v.Must(t, 200, "GET", "/box?prefix=stolen%2F", nil); bytes.Contains(got.Body, []byte("<Key>")) {
		t.Errorf("half a body was stored: %s", got.Body)
	}
}
