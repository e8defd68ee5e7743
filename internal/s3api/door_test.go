package s3api_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
)

const (
	rootID     = "STELEROOTTEST"
	rootSecret = "a-secret-of-some-length"
)

// door is a store behind an HTTP server.
type door struct {
	*testing.T
	store *stele.Store
	srv   *httptest.Server
	host  string
}

func openDoor(t *testing.T, opt s3api.Options) *door {
	t.Helper()
	dir := t.TempDir()
	s, err := stele.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Root: &entry.AccessKey{ID: rootID, Secret: rootSecret, Role: stele.RoleAdmin}, Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(s3api.NewHandler(s, opt))
	srv.Config.ReadHeaderTimeout = 10 * time.Second
	srv.Start()
	t.Cleanup(func() {
		srv.Close()
		if err := s.Close(); err != nil {
			t.Errorf("couldn't close the store: %v", err)
		}
	})
	return &door{T: t, store: s, srv: srv, host: srv.Listener.Addr().String()}
}

// minio returns a minio-go client; no key: the root key.
func (d *door) minio(id, secret string) *minio.Client {
	d.Helper()
	if id == "" {
		id, secret = rootID, rootSecret
	}
	c, err := minio.New(d.host, &minio.Options{Creds: credentials.NewStaticV4(id, secret, ""), Region: "us-east-1", Transport: &http.Transport{}})
	if err != nil {
		d.Fatal(err)
	}
	return c
}

// is fails the test if err is not nil.
func (d *door) ok(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}
