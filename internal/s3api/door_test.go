package s3api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stele"
	"stele/entry"
	"stele/internal/guard"
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
	return openDoorOver(t, opt, stele.Options{})
}

// openDoorOver is openDoor over a store with options of its own.
func openDoorOver(t *testing.T, opt s3api.Options, of stele.Options) *door {
	t.Helper()
	dir := t.TempDir()
	of.Root, of.Kit = &entry.AccessKey{ID: rootID, Secret: rootSecret, Role: stele.RoleAdmin}, filepath.Join(dir, "kit.txt")
	s, err := stele.Create(t.Context(), filepath.Join(dir, "data"), of)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(new(guard.Requests).Handler(s3api.NewHandler(s, opt)))
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

// ok fails the test if err is not nil.
func (d *door) ok(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// aws returns an aws-sdk-go-v2 client with its default checksums; no key: the root key.
func (d *door) aws(id, secret string) *s3.Client {
	if id == "" {
		id, secret = rootID, rootSecret
	}
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(d.srv.URL), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
		}),
	})
}

// key makes an access key and returns a client that has it.
func (d *door) key(role string, scope ...string) (*s3.Client, entry.AccessKey) {
	d.Helper()
	k, err := d.store.Keys().Create(d.Context(), stele.Local(), role, scope, 0)
	d.ok(err)
	return d.aws(k.ID, k.Secret), k
}

// refused fails the test unless err is the S3 error with that code and status.
func (d *door) refused(err error, code string, status int) {
	d.Helper()
	var api smithy.APIError
	var res *awshttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &res) {
		d.Fatalf("want %s, got %v", code, err)
	}
	if api.ErrorCode() != code || res.HTTPStatusCode() != status {
		d.Fatalf("want %s (%d), got %s (%d): %s", code, status, api.ErrorCode(), res.HTTPStatusCode(), api.ErrorMessage())
	}
	if res.RequestID == "" {
		d.Fatalf("the error has no request id: %v", err)
	}
}
