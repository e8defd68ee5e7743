package s3api_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"testing"

	"github.com/minio/minio-go/v7"

	"stele/internal/s3api"
)

func TestMinioRoundTrip(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	c := d.minio("", "")
	ctx := t.Context()
	d.ok(c.MakeBucket(ctx, "photos", minio.MakeBucketOptions{}))
	for _, size := range []int{0, 1, 4096, 300_000, 20 << 20} {
		body := make([]byte, size)
		rand.Read(body)
		key := fmt.Sprintf("a//b/../c/%d", size)
		info, err := c.PutObject(ctx, "photos", key, bytes.NewReader(body), int64(size), minio.PutObjectOptions{ContentType: "text/x-test", UserMetadata: map[string]string{"colour": "blå"}})
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
		if st.ETag != info.ETag || st.ContentType != "text/x-test" || st.Size != int64(size) {
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
