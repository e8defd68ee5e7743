package s3api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"stele"
	"stele/internal/s3api"
)

// bucket makes a bucket; lock: with object lock, and so with versions.
func (d *door) bucket(name string, lock bool) {
	d.Helper()
	_, err := d.store.CreateBucket(d.Context(), stele.Actor{Key: rootID}, name, lock)
	d.ok(err)
}

func (d *door) put(c *s3.Client, bucket, key, body string) *s3.PutObjectOutput {
	d.Helper()
	out, err := c.PutObject(d.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	d.ok(err)
	return out
}

// get reads an object whole.
func (d *door) get(c *s3.Client, bucket, key, version string) string {
	d.Helper()
	q := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		q.VersionId = &version
	}
	out, err := c.GetObject(d.Context(), q)
	d.ok(err)
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	d.ok(err)
	return string(b)
}

func TestAWSVersions(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	c, ctx := d.aws("", ""), t.Context()
	b := aws.String("versions")
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b})
	d.ok(err)
	if out := d.put(c, *b, "k", "zero"); out.VersionId != nil {
		t.Fatalf("an unversioned bucket spoke of version %s", *out.VersionId)
	}
	_, err = c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	d.ok(err)
	one, two := d.put(c, *b, "k", "one"), d.put(c, *b, "k", "two")
	del, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String("k")})
	d.ok(err)
	if !aws.ToBool(del.DeleteMarker) || del.VersionId == nil {
		t.Fatalf("deleting made no marker: %+v", del)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("k")})
	d.refused(err, "NoSuchKey", 404)
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("k"), VersionId: del.VersionId})
	d.refused(err, "MethodNotAllowed", 405)
	for version, want := range map[string]string{"null": "zero", *one.VersionId: "one", *two.VersionId: "two"} {
		if got := d.get(c, *b, "k", version); got != want {
			t.Fatalf("version %s is %q, want %q", version, got, want)
		}
	}
	list, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: b})
	d.ok(err)
	if len(list.Versions) != 3 || len(list.DeleteMarkers) != 1 || !*list.DeleteMarkers[0].IsLatest || *list.Versions[2].VersionId != "null" {
		t.Fatalf("listed %d versions and %d markers", len(list.Versions), len(list.DeleteMarkers))
	}
	var seen []string
	for key, id := (*string)(nil), (*string)(nil); ; { // one by one
		page, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: b, MaxKeys: aws.Int32(1), KeyMarker: key, VersionIdMarker: id})
		d.ok(err)
		for _, v := range page.Versions {
			seen = append(seen, *v.VersionId)
		}
		for _, v := range page.DeleteMarkers {
			seen = append(seen, *v.VersionId)
		}
		if !*page.IsTruncated {
			break
		}
		key, id = page.NextKeyMarker, page.NextVersionIdMarker
	}
	if want := []string{*del.VersionId, *two.VersionId, *one.VersionId, "null"}; fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Fatalf("paged through %v, want %v", seen, want)
	}
	plain, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, Delimiter: aws.String("/")})
	d.ok(err)
	if len(plain.Contents)+len(plain.CommonPrefixes) != 0 {
		t.Fatalf("a deleted key is listed: %+v", plain)
	}
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String("k"), VersionId: del.VersionId})
	d.ok(err)
	if got := d.get(c, *b, "k", ""); got != "two" {
		t.Fatalf("without the marker k is %q, want two", got)
	}
}

func TestAWSMultipart(t *testing.T) {
	for _, alg := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256} {
		t.Run(string(alg), func(t *testing.T) {
			d := openDoor(t, s3api.Options{})
			d.bucket("multi", false)
			c, ctx := d.aws("", ""), t.Context()
			b, k := aws.String("multi"), aws.String("dir/big")
			up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k, ChecksumAlgorithm: alg, Metadata: map[string]string{"x": "y"}})
			d.ok(err)
			var whole []byte
			var parts []types.CompletedPart
			for i, size := range []int{5 << 20, 6 << 20, 17} {
				body := make([]byte, size)
				rand.Read(body)
				whole = append(whole, body...)
				p, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body), ChecksumAlgorithm: alg})
				d.ok(err)
				parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32, ChecksumCRC32C: p.ChecksumCRC32C,
					ChecksumCRC64NVME: p.ChecksumCRC64NVME, ChecksumSHA1: p.ChecksumSHA1, ChecksumSHA256: p.ChecksumSHA256})
			}
			listed, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: b, Key: k, UploadId: up.UploadId, MaxParts: aws.Int32(2)})
			d.ok(err)
			if len(listed.Parts) != 2 || !*listed.IsTruncated || *listed.NextPartNumberMarker != "2" {
				t.Fatalf("listed parts: %+v", listed)
			}
			uploads, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b, Delimiter: aws.String("/")})
			d.ok(err)
			if len(uploads.CommonPrefixes) != 1 || len(uploads.Uploads) != 0 {
				t.Fatalf("listed uploads: %+v", uploads)
			}
			done, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: b, Key: k, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
			d.ok(err)
			if !strings.HasSuffix(*done.ETag, `-3"`) {
				t.Fatalf("ETag %s", *done.ETag)
			}
			if got := d.get(c, *b, *k, ""); got != string(whole) {
				t.Fatal("the bytes differ")
			}
			head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k, PartNumber: aws.Int32(2), ChecksumMode: types.ChecksumModeEnabled})
			d.ok(err)
			if *head.ContentLength != 6<<20 || *head.PartsCount != 3 || head.Metadata["x"] != "y" {
				t.Fatalf("part 2: %+v", head)
			}
			attr, err := c.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: b, Key: k, ObjectAttributes: []types.ObjectAttributes{"ETag", "Checksum", "ObjectParts", "ObjectSize", "StorageClass"}})
			d.ok(err)
			if *attr.ObjectSize != int64(len(whole)) || attr.ObjectParts == nil || *attr.ObjectParts.TotalPartsCount != 3 || attr.Checksum == nil {
				t.Fatalf("attributes: %+v", attr)
			}
			got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, Range: aws.String("bytes=5242870-5242889")})
			d.ok(err)
			if seam, _ := io.ReadAll(got.Body); !bytes.Equal(seam, whole[5242870:5242890]) {
				t.Fatal("the bytes at the seam differ")
			}
		})
	}
}

func TestAWSLock(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	c, ctx := d.aws("", ""), t.Context()
	b, k := aws.String("locked"), aws.String("k")
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b, ObjectLockEnabledForBucket: aws.Bool(true)})
	d.ok(err)
	_, err = c.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: b, ObjectLockConfiguration: &types.ObjectLockConfiguration{ObjectLockEnabled: "Enabled",
		Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: "GOVERNANCE", Days: aws.Int32(1)}}}})
	d.ok(err)
	v := d.put(c, *b, *k, "body")
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: v.VersionId})
	d.refused(err, "AccessDenied", 403)
	rw, _ := d.key(stele.RoleReadWrite)
	_, err = rw.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: v.VersionId, BypassGovernanceRetention: aws.Bool(true)})
	d.refused(err, "AccessDenied", 403)
	until := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	_, err = c.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{Bucket: b, Key: k, BypassGovernanceRetention: aws.Bool(true), Retention: &types.ObjectLockRetention{Mode: "COMPLIANCE", RetainUntilDate: &until}})
	d.ok(err)
	r, err := c.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: b, Key: k})
	d.ok(err)
	if r.Retention.Mode != "COMPLIANCE" || !r.Retention.RetainUntilDate.Equal(until) {
		t.Fatalf("retention %+v", r.Retention)
	}
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: v.VersionId, BypassGovernanceRetention: aws.Bool(true)})
	d.refused(err, "AccessDenied", 403)
	shorter := until.Add(-time.Hour)
	_, err = c.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{Bucket: b, Key: k, Retention: &types.ObjectLockRetention{Mode: "COMPLIANCE", RetainUntilDate: &shorter}})
	d.refused(err, "AccessDenied", 403)
	held := d.put(c, *b, "held", "body")
	_, err = c.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: b, Key: aws.String("held"), LegalHold: &types.ObjectLockLegalHold{Status: "ON"}})
	d.ok(err)
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String("held"), VersionId: held.VersionId, BypassGovernanceRetention: aws.Bool(true)})
	d.refused(err, "AccessDenied", 403)
	_, err = c.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: b, Key: aws.String("held"), LegalHold: &types.ObjectLockLegalHold{Status: "OFF"}})
	d.ok(err)
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String("held"), VersionId: held.VersionId, BypassGovernanceRetention: aws.Bool(true)})
	d.ok(err)
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k})
	d.ok(err)
	if head.ObjectLockMode != "COMPLIANCE" || !head.ObjectLockRetainUntilDate.Equal(until) {
		t.Fatalf("head shows lock %s until %v", head.ObjectLockMode, head.ObjectLockRetainUntilDate)
	}
}

func TestAWSConditions(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("cond", false)
	c, ctx := d.aws("", ""), t.Context()
	b, k := aws.String("cond"), aws.String("k")
	put := func(body, match, noneMatch string) error {
		q := &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader(body)}
		if match != "" {
			q.IfMatch = &match
		}
		if noneMatch != "" {
			q.IfNoneMatch = &noneMatch
		}
		_, err := c.PutObject(ctx, q)
		return err
	}
	d.refused(put("x", `"0123"`, ""), "NoSuchKey", 404)
	d.ok(put("one", "", "*"))
	d.refused(put("two", "", "*"), "PreconditionFailed", 412)
	d.refused(put("two", `"0123"`, ""), "PreconditionFailed", 412)
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k})
	d.ok(err)
	d.ok(put("two", *head.ETag, ""))
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfMatch: head.ETag})
	d.refused(err, "PreconditionFailed", 412)
	_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, IfMatch: head.ETag})
	d.refused(err, "PreconditionFailed", 412)
	if got := d.get(c, *b, *k, ""); got != "two" {
		t.Fatalf("k is %q", got)
	}
	// Exactly one of many who create the same key wins.
	won := make(chan bool, 32)
	for i := range cap(won) {
		go func() {
			_, err := c.PutObject(context.WithoutCancel(ctx), &s3.PutObjectInput{Bucket: b, Key: aws.String("race"), Body: strings.NewReader(fmt.Sprint(i)), IfNoneMatch: aws.String("*")})
			won <- err == nil
		}()
	}
	n := 0
	for range cap(won) {
		if <-won {
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d of 32 created the key", n)
	}
}

func TestAWSCopy(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("from", false)
	d.bucket("dest", false)
	c, ctx := d.aws("", ""), t.Context()
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("from"), Key: aws.String("a b/ü"), Body: strings.NewReader("body"), ContentType: aws.String("text/a"), Metadata: map[string]string{"m": "1"},
		Tagging: aws.String("t=1")})
	d.ok(err)
	src := aws.String("from/a%20b/%C3%BC")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("dest"), Key: aws.String("k"), CopySource: src, ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
	d.ok(err)
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("dest"), Key: aws.String("k"), ChecksumMode: types.ChecksumModeEnabled})
	d.ok(err)
	if *head.ContentType != "text/a" || head.Metadata["m"] != "1" || head.ChecksumSHA256 == nil || *head.TagCount != 1 {
		t.Fatalf("the copy is %+v", head)
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("dest"), Key: aws.String("k"), CopySource: aws.String("dest/k")})
	d.refused(err, "InvalidRequest", 400)
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("dest"), Key: aws.String("k"), CopySource: aws.String("dest/k"), MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"n": "2"}})
	d.ok(err)
	head, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("dest"), Key: aws.String("k")})
	d.ok(err)
	if head.Metadata["n"] != "2" || head.Metadata["m"] != "" {
		t.Fatalf("replaced metadata is %v", head.Metadata)
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("dest"), Key: aws.String("k"), CopySource: src, CopySourceIfMatch: aws.String("x")})
	d.refused(err, "PreconditionFailed", 412)
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("dest"), Key: aws.String("m")})
	d.ok(err)
	p, err := c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: aws.String("dest"), Key: aws.String("m"), UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: src, CopySourceRange: aws.String("bytes=1-2")})
	d.ok(err)
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: aws.String("dest"), Key: aws.String("m"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: p.CopyPartResult.ETag}}}})
	d.ok(err)
	if got := d.get(c, "dest", "m", ""); got != "od" {
		t.Fatalf("the copied part is %q", got)
	}
}

func TestViews(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	c, ctx := d.aws("", ""), t.Context()
	d.put(c, "box", "a", "first")
	d.put(c, "box", "gone", "x")
	size := d.store.Ledger().Size()
	d.put(c, "box", "a", "second")
	_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("box"), Key: aws.String("gone")})
	d.ok(err)
	view := fmt.Sprintf("box--at-e%d", size)
	if got := d.get(c, view, "a", ""); got != "first" {
		t.Fatalf("the view shows %q", got)
	}
	list, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &view})
	d.ok(err)
	if len(list.Contents) != 2 {
		t.Fatalf("the view lists %d keys, want 2", len(list.Contents))
	}
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("box"), Key: aws.String("a")})
	d.ok(err)
	uploads, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &view})
	d.ok(err)
	if len(uploads.Uploads) != 0 {
		t.Fatal("a view shows an upload of the present")
	}
	_, err = c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String("box"), Key: aws.String("a"), UploadId: up.UploadId})
	d.ok(err)
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: &view, Key: aws.String("a"), Body: strings.NewReader("x")})
	d.refused(err, "AccessDenied", 403)
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(fmt.Sprintf("box--at-e%d", size+1000)), Key: aws.String("a")})
	d.refused(err, "InvalidArgument", 400)
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("box--at-29991231t000000z"), Key: aws.String("a")})
	d.refused(err, "InvalidArgument", 400)
	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("box--at-x1")})
	if err == nil {
		t.Fatal("a bucket with the name of a view was made")
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("box"), Key: aws.String("gone"), CopySource: aws.String(view + "/gone")})
	d.ok(err)
	if got := d.get(c, "box", "gone", ""); got != "x" {
		t.Fatalf("restored %q", got)
	}
	// A key that could read it when it was deleted reads on (TestViewOfADeletedBucket has the others).
	reader, _ := d.key(stele.RoleReadOnly)
	if got := d.get(reader, view, "a", ""); got != "first" {
		t.Fatalf("the reader's view shows %q", got)
	}
	for _, k := range []string{"a", "gone"} {
		_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("box"), Key: &k})
		d.ok(err)
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("box")})
	d.ok(err)
	d.bucket("box", false)
	if got := d.get(reader, view, "a", ""); got != "first" {
		t.Fatalf("after the bucket was deleted the reader's view shows %q", got)
	}
	auditor, _ := d.key(stele.RoleAuditor)
	if got := d.get(auditor, view, "a", ""); got != "first" {
		t.Fatalf("the auditor's view shows %q", got)
	}
}

func TestRoles(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	d.bucket("other", false)
	root, ctx := d.aws("", ""), t.Context()
	d.put(root, "box", "in/a", "x")
	put := func(c *s3.Client, bucket, key string) error {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("y")})
		return err
	}
	del := func(c *s3.Client, bucket, key string) error {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
		return err
	}
	reader, _ := d.key(stele.RoleReadOnly)
	d.refused(put(reader, "box", "b"), "AccessDenied", 403)
	d.refused(del(reader, "box", "in/a"), "AccessDenied", 403)
	d.get(reader, "box", "in/a", "")
	adder, _ := d.key(stele.RoleAppend)
	d.ok(put(adder, "box", "new"))
	d.refused(put(adder, "box", "new"), "AccessDenied", 403)
	d.refused(del(adder, "box", "new"), "AccessDenied", 403)
	scoped, key := d.key(stele.RoleReadWrite, "box/in/")
	d.ok(put(scoped, "box", "in/b"))
	d.refused(put(scoped, "box", "out"), "AccessDenied", 403)
	d.refused(put(scoped, "other", "in/b"), "AccessDenied", 403)
	_, err := scoped.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("box")})
	d.refused(err, "AccessDenied", 403)
	_, err = scoped.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("box"), Prefix: aws.String("in/")})
	d.ok(err)
	// The policy adds to the role, and its deny beats everything.
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + key.ID + `"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::other/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::other/never/*"},{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/public/*"}]}`
	_, err = root.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String("other"), Policy: &policy})
	d.ok(err)
	d.ok(put(scoped, "other", "in/b"))
	d.refused(put(root, "other", "never/b"), "AccessDenied", 403)
	d.ok(put(root, "other", "public/b"))
	res, err := http.Get(d.srv.URL + "/other/public/b")
	d.ok(err)
	if res.Body.Close(); res.StatusCode != 200 {
		t.Fatalf("anonymous read of what is public: %s", res.Status)
	}
	res, err = http.Get(d.srv.URL + "/other/in/b")
	d.ok(err)
	if res.Body.Close(); res.StatusCode != 403 {
		t.Fatalf("anonymous read of what is not public: %s", res.Status)
	}
	_, err = d.store.Keys().Revoke(ctx, stele.Local(), key.ID)
	d.ok(err)
	d.refused(put(scoped, "box", "in/c"), "InvalidAccessKeyId", 403)
}
