package s3api_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stele/internal/s3api"
)

func TestMinioRoundTrip(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	minioRoundTrip(d, d.minio("", ""), minio.PutObjectOptions{})
}

// TestMinioOverTLS: over TLS minio-go signs no body and sends checksums in unsigned trailers, which end otherwise than AWS's.
func TestMinioOverTLS(t *testing.T) {
	for name, opt := range map[string]minio.PutObjectOptions{
		"no trailers": {}, "default": {}, "crc32c": {Checksum: minio.ChecksumCRC32C}, "sha256": {Checksum: minio.ChecksumSHA256}, "full object": {Checksum: minio.ChecksumFullObjectCRC32}, "md5": {SendContentMd5: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := openTLSDoor(t)
			c, err := minio.New(d.host, &minio.Options{Creds: credentials.NewStaticV4(rootID, rootSecret, ""), Region: "us-east-1", Secure: true, TrailingHeaders: name != "no trailers", Transport: d.srv.Client().Transport})
			d.ok(err)
			minioRoundTrip(d, c, opt)
		})
	}
}

// openTLSDoor is openDoor behind TLS.
func openTLSDoor(t *testing.T) *door {
	t.Helper()
	plain := openDoor(t, s3api.Options{})
	srv := httptest.NewTLSServer(plain.srv.Config.Handler)
	t.Cleanup(srv.Close)
	return &door{T: t, store: plain.store, srv: srv, host: srv.Listener.Addr().String()}
}

func minioRoundTrip(d *door, c *minio.Client, opt minio.PutObjectOptions) {
	t, ctx := d.T, d.Context()
	t.Helper()
	opt.ContentType, opt.UserMetadata, opt.PartSize = "text/x-test", map[string]string{"colour": "blå"}, 5<<20
	d.ok(c.MakeBucket(ctx, "photos", minio.MakeBucketOptions{}))
	for _, size := range []int{0, 1, 4096, 300_000, 12 << 20} {
		body := make([]byte, size)
		rand.Read(body)
		key := fmt.Sprintf("a//b/../c/%d", size)
		info, err := c.PutObject(ctx, "photos", key, bytes.NewReader(body), int64(size), opt)
		d.ok(err)
		o, err := c.GetObject(ctx, "photos", key, minio.GetObjectOptions{})
		d.ok(err)
		got, err := io.ReadAll(o)
		d.ok(err)
		if !bytes.Equal(got, body) {
			t.Fatalf("%s: the bytes differ", key)
		}
		st, err := c.StatObject(ctx, "photos", key, minio.StatObjectOptions{})
		d.ok(err)
		if st.ETag != info.ETag || st.ContentType != "text/x-test" || st.UserMetadata["Colour"] != "blå" || st.Size != int64(size) {
			t.Fatalf("%s: head says %+v", key, st)
		}
	}
	n := 0
	for o := range c.ListObjects(ctx, "photos", minio.ListObjectsOptions{Recursive: true}) {
		d.ok(o.Err)
		n++
	}
	if n != 5 {
		t.Fatalf("listed %d objects, want 5", n)
	}
	objects := make(chan minio.ObjectInfo, 8)
	for o := range c.ListObjects(ctx, "photos", minio.ListObjectsOptions{Recursive: true}) {
		objects <- o
	}
	close(objects)
	for e := range c.RemoveObjects(ctx, "photos", objects, minio.RemoveObjectsOptions{}) {
		t.Fatal(e.Err)
	}
	d.ok(c.RemoveBucket(ctx, "photos"))
}
