package s3api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/signer"

	"stele"
	"stele/internal/s3api"
	"stele/tree"
)

// do sends a signed request and returns the reply with its body.
func (d *door) do(method, path, body string, header map[string]string) (*http.Response, string) {
	d.Helper()
	r, err := http.NewRequestWithContext(d.Context(), method, d.srv.URL+path, strings.NewReader(body))
	d.ok(err)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if r.Header.Get("X-Anonymous") == "" {
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		r = signer.SignV4(*r, rootID, rootSecret, "", "us-east-1")
	}
	res, err := http.DefaultClient.Do(r)
	d.ok(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	d.ok(err)
	return res, string(b)
}

// status fails the test unless a signed request gets that status, and returns the reply.
func (d *door) status(want int, method, path, body string, header map[string]string) (*http.Response, string) {
	d.Helper()
	res, text := d.do(method, path, body, header)
	if res.StatusCode != want {
		d.Fatalf("%s %s: %s, want %d\n%s", method, path, res.Status, want, text)
	}
	return res, text
}

// TestReceiptWithoutWitness: a receipt that must be cosigned and is not is left out, with the reason, and the write stands: an error would have the client write again.
func TestReceiptWithoutWitness(t *testing.T) {
	refuses := stele.Witness{Name: "one", Ask: func(context.Context, []byte, func(context.Context, uint64, uint64) ([]tree.Hash, error)) ([]byte, error) {
		return nil, errors.New("not now")
	}}
	d := openDoorOver(t, s3api.Options{}, stele.Options{Witnesses: []stele.Witness{refuses}, RequireWitnesses: 1})
	d.bucket("box", false)
	res, _ := d.status(200, "PUT", "/box/k", "body", map[string]string{"x-stele-receipt": "inline"})
	if why := res.Header.Get("X-Stele-Receipt-Error"); res.Header.Get("X-Stele-Receipt") != "" || !strings.Contains(why, "not now") || res.Header.Get("X-Stele-Entry") == "" {
		t.Fatalf("the reply says %v", res.Header)
	}
	d.status(200, "GET", "/box/k", "", nil)
}

func TestReceipts(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	res, _ := d.status(200, "PUT", "/box/k", "body", map[string]string{"x-stele-receipt": "inline"})
	entry, head := res.Header.Get("X-Stele-Entry"), res.Header.Get("X-Stele-Checkpoint")
	var at, size uint64
	var root string
	if _, err := fmt.Sscan(entry, &at); err != nil {
		t.Fatalf("x-stele-entry is %q", entry)
	}
	if _, err := fmt.Sscan(head, &size, &root); err != nil || size <= at {
		t.Fatalf("x-stele-checkpoint is %q for entry %d", head, at)
	}
	receipt, err := base64.StdEncoding.DecodeString(res.Header.Get("X-Stele-Receipt"))
	want, werr := d.store.Ledger().Receipt(t.Context(), at)
	if err != nil || werr != nil || !bytes.HasPrefix(receipt, bytes.SplitAfter(want, []byte("\n"))[0]) {
		t.Fatalf("the receipt is %q (%v, %v)", receipt, err, werr)
	}
	if res, _ := d.status(200, "PUT", "/box/k", "body", nil); res.Header.Get("X-Stele-Receipt") != "" {
		t.Fatal("a receipt that nobody asked for")
	}
	history, _, err := d.store.History(t.Context(), stele.HistoryRequest{Bucket: "box", Key: "k"})
	d.ok(err)
	if history[len(history)-1].Request != res.Header.Get("X-Amz-Request-Id") {
		t.Fatalf("the entry names request %q, the reply %q", history[len(history)-1].Request, res.Header.Get("X-Amz-Request-Id"))
	}
}

func TestSettings(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	c, ctx, b := d.aws("", ""), t.Context(), aws.String("box")

	_, err := c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b})
	d.refused(err, "NoSuchTagSet", 404)
	_, err = c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: b, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}})
	d.ok(err)
	tags, err := c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b})
	d.ok(err)
	if len(tags.TagSet) != 1 || *tags.TagSet[0].Value != "v" {
		t.Fatalf("tags %+v", tags.TagSet)
	}

	enc, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: b})
	d.ok(err)
	if enc.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != "AES256" {
		t.Fatalf("encryption %+v", enc)
	}
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: b, ServerSideEncryption: "aws:kms"})
	d.refused(err, "NotImplemented", 501)
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: b, ACL: "public-read"})
	d.refused(err, "AccessControlListNotSupported", 400)
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: b, ACL: "private", ServerSideEncryption: "AES256"})
	d.ok(err)

	own, err := c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: b})
	d.ok(err)
	if own.OwnershipControls.Rules[0].ObjectOwnership != "BucketOwnerEnforced" {
		t.Fatalf("ownership %+v", own.OwnershipControls.Rules)
	}
	_, err = c.DeleteBucketOwnershipControls(ctx, &s3.DeleteBucketOwnershipControlsInput{Bucket: b})
	d.ok(err)
	_, err = c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: b})
	d.refused(err, "OwnershipControlsNotFoundError", 404)

	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"}]}`
	_, err = c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{BlockPublicPolicy: aws.Bool(true)}})
	d.ok(err)
	_, err = c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: b, Policy: &policy})
	d.refused(err, "AccessDenied", 403)
	_, err = c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: b})
	d.ok(err)
	_, err = c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: b, Policy: &policy})
	d.ok(err)
	st, err := c.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: b})
	d.ok(err)
	if !*st.PolicyStatus.IsPublic {
		t.Fatal("the policy is not public")
	}
	d.status(200, "GET", "/box/box", "", map[string]string{"X-Anonymous": "1"})
	_, err = c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{RestrictPublicBuckets: aws.Bool(true)}})
	d.ok(err)
	d.status(403, "GET", "/box/box", "", map[string]string{"X-Anonymous": "1"})
}

func TestAdminCannotLockItselfOut(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	c, ctx, b := d.aws("", ""), t.Context(), aws.String("box")
	policy := `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::box","arn:aws:s3:::box/*"]}]}`
	_, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: b, Policy: &policy})
	d.ok(err)
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: b})
	d.refused(err, "AccessDenied", 403)
	_, err = c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: b})
	d.ok(err)
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: b})
	d.ok(err)
}

func TestLifecycleHeaders(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	c, ctx, b := d.aws("", ""), t.Context(), aws.String("box")
	_, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
	d.refused(err, "NoSuchLifecycleConfiguration", 404)
	_, err = c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{
		{ID: aws.String("old"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("tmp/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(3)},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(1)}},
	}}})
	d.ok(err)
	out, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("tmp/a"), Body: strings.NewReader("x")})
	d.ok(err)
	if !strings.Contains(aws.ToString(out.Expiration), `rule-id="old"`) {
		t.Fatalf("x-amz-expiration is %v", out.Expiration)
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: aws.String("tmp/a")})
	d.ok(err)
	if aws.ToString(head.Expiration) != aws.ToString(out.Expiration) {
		t.Fatalf("head says %v", head.Expiration)
	}
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("tmp/b")})
	d.ok(err)
	if aws.ToString(up.AbortRuleId) != "old" || up.AbortDate == nil {
		t.Fatalf("abort by %v at %v", up.AbortRuleId, up.AbortDate)
	}
}

func TestCORS(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	d.put(d.aws("", ""), "box", "k", "x")
	ask := map[string]string{"X-Anonymous": "1", "Origin": "http://page.example", "Access-Control-Request-Method": "GET"}
	d.status(403, "OPTIONS", "/box/k", "", ask)
	d.status(200, "PUT", "/box?cors", `<CORSConfiguration><CORSRule><AllowedOrigin>http://page.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>x-stele-entry</ExposeHeader></CORSRule></CORSConfiguration>`, nil)
	res, _ := d.status(200, "OPTIONS", "/box/k", "", ask)
	if res.Header.Get("Access-Control-Allow-Origin") != "http://page.example" {
		t.Fatalf("preflight: %v", res.Header)
	}
	res, _ = d.status(200, "GET", "/box/k", "", map[string]string{"Origin": "http://page.example"})
	if res.Header.Get("Access-Control-Allow-Origin") != "http://page.example" || !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "x-stele-entry") {
		t.Fatalf("get: %v", res.Header)
	}
	res, _ = d.status(404, "GET", "/box/none", "", map[string]string{"Origin": "http://page.example"})
	if res.Header.Get("Access-Control-Allow-Origin") != "http://page.example" {
		t.Fatal("a page cannot read the error")
	}
	ask["Origin"] = "http://other.example"
	d.status(403, "OPTIONS", "/box/k", "", ask)
}

func TestSOSAPI(t *testing.T) {
	d := openDoor(t, s3api.Options{Capacity: func() (int64, int64) { return 1000, 400 }})
	d.bucket("veeam", true)
	const folder = "/veeam/.system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/"
	_, text := d.status(200, "GET", folder+"system.xml", "", nil)
	var sys struct {
		ModelName            string
		ProtocolCapabilities struct{ CapacityInfo bool }
	}
	d.ok(xml.Unmarshal([]byte(text), &sys))
	if !sys.ProtocolCapabilities.CapacityInfo {
		t.Fatalf("system.xml: %s", text)
	}
	_, text = d.status(200, "GET", folder+"capacity.xml", "", nil)
	var room struct{ Capacity, Available, Used int64 }
	d.ok(xml.Unmarshal([]byte(text), &room))
	if room.Capacity != 1000 || room.Available != 400 || room.Used != 600 {
		t.Fatalf("capacity.xml: %s", text)
	}
	d.status(403, "GET", folder+"system.xml", "", map[string]string{"X-Anonymous": "1"})
}

func TestVirtualHost(t *testing.T) {
	d := openDoor(t, s3api.Options{Domain: "s3.example.test"})
	d.bucket("photos", false)
	send := func(method, host, path, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+path, strings.NewReader(body))
		d.ok(err)
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		r = signer.SignV4(*r, rootID, rootSecret, "", "us-east-1")
		r.Host, r.URL.Host = host, d.host
		res, err := http.DefaultClient.Do(r)
		d.ok(err)
		res.Body.Close()
		return res
	}
	if res := send("PUT", "photos.s3.example.test", "/a//b", "x"); res.StatusCode != 200 {
		t.Fatalf("put: %s", res.Status)
	}
	if got := d.get(d.aws("", ""), "photos", "a//b", ""); got != "x" {
		t.Fatalf("path style reads %q", got)
	}
	if res := send("GET", "s3.example.test", "/photos/a//b", ""); res.StatusCode != 200 {
		t.Fatalf("path style on the domain: %s", res.Status)
	}
}

func TestPostForm(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("forms", false)
	policy := minio.NewPostPolicy()
	d.ok(policy.SetBucket("forms"))
	d.ok(policy.SetKeyStartsWith("up/"))
	d.ok(policy.SetExpires(time.Now().Add(time.Hour)))
	d.ok(policy.SetContentLengthRange(1, 100))
	d.ok(policy.SetContentType("text/plain"))
	u, fields, err := d.minio("", "").PresignedPostPolicy(t.Context(), policy)
	d.ok(err)
	post := func(key, body, contentType string) int {
		t.Helper()
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		fields["key"], fields["Content-Type"] = key, contentType
		for k, v := range fields {
			d.ok(w.WriteField(k, v))
		}
		f, err := w.CreateFormFile("file", "name.txt")
		d.ok(err)
		io.WriteString(f, body)
		w.Close()
		res, err := http.Post(u.String(), w.FormDataContentType(), &form)
		d.ok(err)
		res.Body.Close()
		return res.StatusCode
	}
	if got := post("up/${filename}", "hello", "text/plain"); got != 204 {
		t.Fatalf("post: %d", got)
	}
	if got := d.get(d.aws("", ""), "forms", "up/name.txt", ""); got != "hello" {
		t.Fatalf("the object is %q", got)
	}
	for _, bad := range []struct {
		key, body, contentType string
		want                   int
	}{{"other/x", "hello", "text/plain", 403}, {"up/x", strings.Repeat("x", 101), "text/plain", 400}, {"up/x", "hello", "text/html", 403}} {
		if got := post(bad.key, bad.body, bad.contentType); got != bad.want {
			t.Errorf("%+v: %d", bad, got)
		}
	}
	page, err := d.store.List(t.Context(), stele.ListRequest{Bucket: "forms", Max: 10})
	d.ok(err)
	if len(page.Versions) != 1 {
		t.Fatalf("%d objects, want 1", len(page.Versions))
	}
}

func TestKeysAsSent(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("keys", false)
	c, ctx := d.aws("", ""), t.Context()
	keys := []string{"/", "//", "a//b", "a/./b", "../x", "a/../../etc/passwd", "nul\x00nul", "é", "e\u0301", "sp ace", "plus+plus", "100%", "a?b#c&d=e", "\U0001F5FF", strings.Repeat("k", 1024)}
	for _, k := range keys {
		d.put(c, "keys", k, k)
	}
	for _, k := range keys {
		if got := d.get(c, "keys", k, ""); got != k {
			t.Errorf("%q holds %q", k, got)
		}
	}
	seen := map[string]bool{}
	page, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("keys"), EncodingType: "url"})
	d.ok(err)
	for _, o := range page.Contents {
		seen[*o.Key] = true
	}
	if len(seen) != len(keys) {
		t.Errorf("listed %d keys, want %d", len(seen), len(keys))
	}
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("keys"), Key: aws.String(strings.Repeat("k", 1025))})
	d.refused(err, "KeyTooLongError", 400)
}

func TestMarkersMakeNoPrefix(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", true)
	c, ctx, b := d.aws("", ""), t.Context(), aws.String("box")
	d.put(c, "box", "gone/a", "x")
	d.put(c, "box", "here/a", "x")
	_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String("gone/a")})
	d.ok(err)
	page, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, Delimiter: aws.String("/")})
	d.ok(err)
	if len(page.CommonPrefixes) != 1 || *page.CommonPrefixes[0].Prefix != "here/" {
		t.Fatalf("prefixes %+v", page.CommonPrefixes)
	}
	versions, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: b, Delimiter: aws.String("/")})
	d.ok(err)
	if len(versions.CommonPrefixes) != 2 {
		t.Fatalf("prefixes of versions %+v", versions.CommonPrefixes)
	}
}
