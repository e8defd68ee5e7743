package s3api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
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
)

// These tests hold the door to what AWS documents where clients were seen to rely on it.

// presigned sends a request by a link with those parameters; the headers are sent and not signed.
func (d *door) presigned(method, path string, params url.Values, body string, header map[string]string) (*http.Response, string) {
	d.Helper()
	r, err := http.NewRequestWithContext(d.Context(), method, d.srv.URL+path+"?"+params.Encode(), nil)
	d.ok(err)
	r = signer.PreSignV4(*r, rootID, rootSecret, "", "us-east-1", 60)
	sent, err := http.NewRequestWithContext(d.Context(), method, r.URL.String(), strings.NewReader(body))
	d.ok(err)
	for k, v := range header {
		sent.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(sent)
	d.ok(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	d.ok(err)
	return res, string(b)
}

func (d *door) code(text string) string {
	d.Helper()
	var e struct{ Code string }
	d.ok(xml.Unmarshal([]byte(text), &e))
	return e.Code
}

func TestMetadataIsKept(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	head := func(key string) http.Header {
		t.Helper()
		res, _ := d.status(200, "HEAD", key, "", nil)
		return res.Header
	}
	d.status(200, "PUT", "/box/k", "x", map[string]string{"x-amz-meta-a": "=?UTF-8?Q?caf=C3=A9?=", "x-amz-meta-b": "blå", "x-amz-meta-c": "plain", "Content-Disposition": `attachment; filename="ü"`})
	for name, want := range map[string]string{"X-Amz-Meta-A": "=?UTF-8?B?Y2Fmw6k=?=", "X-Amz-Meta-B": "=?UTF-8?B?YmzDpQ==?=", "X-Amz-Meta-C": "plain", "Content-Disposition": `attachment; filename="ü"`} {
		if got := head("/box/k").Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	v, err := d.store.Head(t.Context(), stele.Place{Bucket: "box", Key: "k"})
	d.ok(err)
	if v.Meta["a"] != "café" || v.Meta["b"] != "blå" {
		t.Errorf("kept as %q", v.Meta)
	}
	d.status(200, "PUT", "/box/copy", "", map[string]string{"x-amz-copy-source": "/box/k"})
	if got := head("/box/copy").Get("X-Amz-Meta-A"); got != "=?UTF-8?B?Y2Fmw6k=?=" {
		t.Errorf("a copy says %q", got)
	}
	for _, name := range []string{"x-amz-meta-a", "Content-Type", "Content-Disposition", "Cache-Control"} {
		if _, text := d.status(400, "PUT", "/box/bad", "x", map[string]string{name: "caf\xe9"}); d.code(text) != "InvalidArgument" {
			t.Errorf("%s: %s", name, text)
		}
	}
	d.status(404, "GET", "/box/bad", "", nil)
	two, err := http.NewRequestWithContext(t.Context(), "PUT", d.srv.URL+"/box/two", strings.NewReader("x"))
	d.ok(err)
	two.Header["Content-Encoding"] = []string{"aws-chunked", "gzip"}
	two.Header["Cache-Control"] = []string{"no-store", "private"}
	two.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	res, err := http.DefaultClient.Do(signer.SignV4(*two, rootID, rootSecret, "", "us-east-1"))
	d.ok(err)
	res.Body.Close()
	if res.StatusCode != 200 || head("/box/two").Get("Content-Encoding") != "gzip" || head("/box/two").Get("Cache-Control") != "no-store,private" {
		t.Errorf("two lines: %s, %v", res.Status, head("/box/two"))
	}
}

func TestPostFormFields(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("forms", false)
	policy := minio.NewPostPolicy()
	d.ok(policy.SetBucket("forms"))
	d.ok(policy.SetKeyStartsWith("up/"))
	d.ok(policy.SetExpires(time.Now().Add(time.Hour)))
	d.ok(policy.SetUserMetadataStartsWith("name", "Ä"))
	d.ok(policy.SetUserMetadata("title", "über"))
	u, fields, err := d.minio("", "").PresignedPostPolicy(t.Context(), policy)
	d.ok(err)
	post := func(file, name string, more map[string]string) int {
		t.Helper()
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		fields["key"], fields["x-amz-meta-name"] = "up/${filename}", name
		for k, v := range fields {
			d.ok(w.WriteField(k, v))
		}
		for k, v := range more {
			d.ok(w.WriteField(k, v))
		}
		f, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="` + file + `"`}})
		d.ok(err)
		io.WriteString(f, "body")
		w.Close()
		res, err := http.Post(u.String(), w.FormDataContentType(), &form)
		d.ok(err)
		res.Body.Close()
		return res.StatusCode
	}
	if got := post(`C:\fakepath\bild.png`, "Ä ${filename}", nil); got != 204 {
		t.Fatalf("post: %d", got)
	}
	v, err := d.store.Head(t.Context(), stele.Place{Bucket: "forms", Key: "up/bild.png"})
	d.ok(err)
	if v.Meta["name"] != "Ä bild.png" || v.Meta["title"] != "über" {
		t.Errorf("kept: %q", v.Meta)
	}
	d.status(204, "PUT", "/forms?policy", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::forms/*"}]}`, nil)
	fields = map[string]string{}
	if got := post("b", "two\nlines", map[string]string{"x-amz-storage-class": "STANDARD_IA"}); got != 204 {
		t.Fatalf("post with a class: %d", got)
	}
	if res, _ := d.status(200, "HEAD", "/forms/up/b", "", nil); res.Header.Get("X-Amz-Storage-Class") != "STANDARD_IA" || res.Header.Get("X-Amz-Meta-Name") != "=?UTF-8?B?dHdvCmxpbmVz?=" {
		t.Errorf("the form's fields are answered as %v", res.Header)
	}
	if got := post("system.xml", "", map[string]string{"x-amz-storage-class": "COLD"}); got != 400 {
		t.Errorf("post with an unknown class: %d", got)
	}
	if got := post("a", "Ä caf\xe9", nil); got != 400 {
		t.Errorf("metadata that is not UTF-8: %d", got)
	}
}

func TestStorageClasses(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	c, ctx, b := d.aws("", ""), t.Context(), aws.String("box")
	classes := []string{"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"}
	_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled"}})
	d.ok(err)
	check := func(class, key string) {
		t.Helper()
		res, text := d.status(200, "GET", "/box/"+key, "", nil)
		shown := class
		if class == "STANDARD" {
			shown = ""
		}
		if res.Header.Get("X-Amz-Storage-Class") != shown || text != "x" {
			t.Errorf("%s: GET says class %q and sends %q", key, res.Header.Get("X-Amz-Storage-Class"), text)
		}
		if archived := strings.Contains(res.Header.Get("X-Amz-Restore"), `ongoing-request="false"`); archived != (class == "GLACIER" || class == "DEEP_ARCHIVE") {
			t.Errorf("%s: x-amz-restore is %q", key, res.Header.Get("X-Amz-Restore"))
		}
		attr, err := c.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: b, Key: &key, ObjectAttributes: []types.ObjectAttributes{"StorageClass"}})
		d.ok(err)
		if string(attr.StorageClass) != class {
			t.Errorf("%s: attributes say class %q", key, attr.StorageClass)
		}
	}
	d.put(c, "box", "source", "x")
	for _, class := range classes {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: &class, Body: strings.NewReader("x"), StorageClass: types.StorageClass(class)})
		d.ok(err)
		check(class, class)
		_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy-" + class), CopySource: aws.String("box/" + class)})
		d.ok(err)
		check("STANDARD", "copy-"+class) // as at AWS: a copy has the class that it asks for
		_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("to-" + class), CopySource: aws.String("box/source"), StorageClass: types.StorageClass(class)})
		d.ok(err)
		check(class, "to-"+class)
	}
	at := d.store.Ledger().Size()
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("large"), StorageClass: "ONEZONE_IA"})
	d.ok(err)
	uploads, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b})
	d.ok(err)
	part, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: up.Key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	d.ok(err)
	parts, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: b, Key: up.Key, UploadId: up.UploadId})
	d.ok(err)
	if uploads.Uploads[0].StorageClass != "ONEZONE_IA" || parts.StorageClass != "ONEZONE_IA" {
		t.Errorf("listed uploads and parts: %q, %q", uploads.Uploads[0].StorageClass, parts.StorageClass)
	}
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: b, Key: up.Key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}}})
	d.ok(err)
	check("ONEZONE_IA", "large")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("STANDARD_IA"), Body: strings.NewReader("x")})
	d.ok(err) // now a version that is not current has the class
	for _, bucket := range []string{"box", "box--at-e" + strconv.FormatUint(at, 10)} {
		list, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket})
		d.ok(err)
		got := map[string]string{}
		for _, o := range list.Contents {
			got[*o.Key] = string(o.StorageClass)
		}
		for _, class := range classes {
			want := class
			if class == "STANDARD_IA" && bucket == "box" {
				want = "STANDARD"
			}
			if got[class] != want || got["to-"+class] != class || got["copy-"+class] != "STANDARD" {
				t.Errorf("%s lists %s as %q, %q, %q", bucket, class, got[class], got["to-"+class], got["copy-"+class])
			}
		}
	}
	versions, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: b, Prefix: aws.String("STANDARD_IA")})
	d.ok(err)
	if v := versions.Versions; len(v) != 2 || v[0].StorageClass != "STANDARD" || v[1].StorageClass != "STANDARD_IA" {
		t.Errorf("versions: %+v", v)
	}
	for _, class := range []string{"COLD", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "standard"} {
		d.status(400, "PUT", "/box/k", "x", map[string]string{"x-amz-storage-class": class})
	}
}

func TestPresignedParameters(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	put := func(want int, params url.Values, body string, header map[string]string) string {
		t.Helper()
		res, text := d.presigned("PUT", "/box/k", params, body, header)
		if res.StatusCode != want {
			t.Fatalf("%v %v: %s\n%s", params, header, res.Status, text)
		}
		return text
	}
	put(200, url.Values{"x-amz-meta-a": {"b"}, "X-Amz-Meta-Name": {"blå"}, "x-amz-tagging": {"t=u"}, "x-amz-storage-class": {"STANDARD_IA"}, "x-amz-checksum-crc32": {"AAAAAA=="}, "x-amz-object-lock-legal-hold": {"ON"},
		"x-amz-server-side-encryption": {"AES256"}, "x-amz-website-redirect-location": {"/x"}}, "body", nil)
	v, err := d.store.Head(t.Context(), stele.Place{Bucket: "box", Key: "k"})
	d.ok(err)
	if v.Meta["a"] != "b" || v.Meta["name"] != "blå" || v.Tags["t"] != "u" || v.Headers["x-amz-storage-class"] != "STANDARD_IA" || v.Headers["x-amz-website-redirect-location"] != "/x" || v.Lock.Hold || v.Checksum.Algorithm != "CRC64NVME" {
		t.Errorf("kept: %+v", v)
	}
	put(501, url.Values{"x-amz-server-side-encryption": {"aws:kms"}}, "body", nil)
	put(400, url.Values{"x-amz-acl": {"public-read"}}, "body", nil)
	put(400, url.Values{"x-amz-storage-class": {"COLD"}}, "body", nil)
	put(400, url.Values{"x-amz-copy-source": {"/box/k"}}, "", nil)
	put(400, url.Values{"x-amz-meta-a": {"b", "c"}}, "body", nil)
	// A policy sees them, too.
	d.status(204, "PUT", "/box?policy", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::box/*","Condition":{"StringEquals":{"s3:x-amz-storage-class":"GLACIER"}}}]}`, nil)
	put(403, url.Values{"x-amz-storage-class": {"GLACIER"}}, "body", nil)

	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	for _, c := range []struct {
		query, header string
		want          int
	}{
		{"", sum("body"), 200}, {"", sum("other"), 400}, {"", "UNSIGNED-PAYLOAD", 200}, {"UNSIGNED-PAYLOAD", sum("other"), 400}, {"UNSIGNED-PAYLOAD", sum("body"), 200},
		{"", "junk", 400}, {"", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 411},
	} {
		params, header := url.Values{}, map[string]string{"X-Amz-Content-Sha256": c.header}
		if c.query != "" {
			params.Set("X-Amz-Content-Sha256", c.query)
		}
		put(c.want, params, "body", header)
	}
}

func TestLegalHoldOff(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("locked", true)
	c, ctx, b, k := d.aws("", ""), t.Context(), aws.String("locked"), aws.String("k")
	d.put(c, *b, *k, "body")
	_, err := c.GetObjectLegalHold(ctx, &s3.GetObjectLegalHoldInput{Bucket: b, Key: k})
	d.refused(err, "NoSuchObjectLockConfiguration", 404)
	for _, status := range []types.ObjectLockLegalHoldStatus{"ON", "OFF", "ON", "OFF"} {
		_, err = c.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: b, Key: k, LegalHold: &types.ObjectLockLegalHold{Status: status}})
		d.ok(err)
		_, err = c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: b, Key: k, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("a"), Value: aws.String(string(status))}}}})
		d.ok(err)
		for _, bucket := range []string{"locked", "locked--at-e" + strconv.FormatUint(d.store.Ledger().Size(), 10)} {
			got, err := c.GetObjectLegalHold(ctx, &s3.GetObjectLegalHoldInput{Bucket: &bucket, Key: k})
			d.ok(err)
			head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: k})
			d.ok(err)
			if got.LegalHold.Status != status || head.ObjectLockLegalHoldStatus != status {
				t.Errorf("%s: GetObjectLegalHold says %q, HEAD %q, want %q", bucket, got.LegalHold.Status, head.ObjectLockLegalHoldStatus, status)
			}
		}
	}
}

func TestTagsOfMarker(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", true)
	d.put(d.aws("", ""), "box", "k", "body")
	d.status(204, "DELETE", "/box/k", "", nil)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		res, text := d.status(405, method, "/box/k?tagging", `<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`, nil)
		if d.code(text) != "MethodNotAllowed" || res.Header.Get("X-Amz-Delete-Marker") != "true" || res.Header.Get("Allow") != "DELETE" {
			t.Errorf("%s: %v %s", method, res.Header, text)
		}
		d.status(404, method, "/box/none?tagging", `<Tagging><TagSet/></Tagging>`, nil)
	}
	for _, sub := range []string{"retention", "legal-hold"} {
		d.status(405, "GET", "/box/k?"+sub, "", nil)
		d.status(404, "GET", "/box/none?"+sub, "", nil)
	}
	d.status(405, "PUT", "/box/k?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>", nil)
	d.status(405, "PUT", "/box/k?retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>", nil)
	d.status(404, "GET", "/box/k", "", nil)
}

func TestTransitionMinimum(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	c, ctx, b := d.aws("", ""), t.Context(), aws.String("box")
	rules := &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{ID: aws.String("old"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("tmp/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(3)}}}}
	for asked, want := range map[types.TransitionDefaultMinimumObjectSize]types.TransitionDefaultMinimumObjectSize{"": "all_storage_classes_128K", "all_storage_classes_128K": "all_storage_classes_128K", "varies_by_storage_class": "varies_by_storage_class"} {
		put, err := c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: b, LifecycleConfiguration: rules, TransitionDefaultMinimumObjectSize: asked})
		d.ok(err)
		got, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
		d.ok(err)
		if put.TransitionDefaultMinimumObjectSize != want || got.TransitionDefaultMinimumObjectSize != want || len(got.Rules) != 1 {
			t.Errorf("asked for %q: PUT says %q, GET %q with %d rules", asked, put.TransitionDefaultMinimumObjectSize, got.TransitionDefaultMinimumObjectSize, len(got.Rules))
		}
	}
	res, text := d.status(200, "GET", "/box?lifecycle", "", nil)
	if strings.Contains(text, "TransitionDefault") || res.Header.Get("X-Amz-Transition-Default-Minimum-Object-Size") == "" {
		t.Errorf("%v %s", res.Header, text)
	}
	_, err := c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: b, LifecycleConfiguration: rules, TransitionDefaultMinimumObjectSize: "none"})
	d.refused(err, "InvalidArgument", 400)
	out, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("tmp/a"), Body: strings.NewReader("x")})
	d.ok(err)
	if !strings.Contains(aws.ToString(out.Expiration), `rule-id="old"`) {
		t.Errorf("the rules as they are kept do not count: %v", out.Expiration)
	}
}

func TestAttributesOfParts(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	c, ctx, b := d.aws("", ""), t.Context(), aws.String("box")
	for _, o := range []struct {
		key       string
		algorithm types.ChecksumAlgorithm
		kind      types.ChecksumType
		listed    int
	}{{"composite", "SHA256", "COMPOSITE", 1}, {"full", "CRC32", "FULL_OBJECT", 0}, {"default", "", "FULL_OBJECT", 0}} {
		in := &s3.CreateMultipartUploadInput{Bucket: b, Key: &o.key, ChecksumAlgorithm: o.algorithm}
		if o.algorithm != "" {
			in.ChecksumType = o.kind
		}
		up, err := c.CreateMultipartUpload(ctx, in)
		d.ok(err)
		part, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: &o.key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("body"), ChecksumAlgorithm: o.algorithm})
		d.ok(err)
		done, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: b, Key: &o.key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{
			{PartNumber: aws.Int32(1), ETag: part.ETag, ChecksumSHA256: part.ChecksumSHA256}}}})
		d.ok(err)
		attr, err := c.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: b, Key: &o.key, ObjectAttributes: []types.ObjectAttributes{"Checksum", "ObjectParts"}})
		d.ok(err)
		if *attr.ObjectParts.TotalPartsCount != 1 || len(attr.ObjectParts.Parts) != o.listed || (attr.ObjectParts.MaxParts != nil) != (o.listed > 0) || attr.Checksum.ChecksumType != o.kind {
			t.Errorf("%s: %+v, type %s", o.key, attr.ObjectParts, attr.Checksum.ChecksumType)
		}
		if o.kind == "COMPOSITE" && (strings.Contains(*attr.Checksum.ChecksumSHA256, "-") || *done.ChecksumSHA256 != *attr.Checksum.ChecksumSHA256+"-1") {
			t.Errorf("%s: attributes say %s, completion said %s", o.key, *attr.Checksum.ChecksumSHA256, *done.ChecksumSHA256)
		}
		for _, method := range []string{"GET", "HEAD"} {
			res, _ := d.status(206, method, "/box/"+o.key+"?partNumber=1", "", map[string]string{"x-amz-checksum-mode": "Enabled"}) // in any letters, as AWS takes it
			if got := res.Header.Get("X-Amz-Checksum-Type"); got != string(o.kind) {
				t.Errorf("%s of a part of %s: checksum type %q", method, o.key, got)
			}
		}
	}
}

func TestSmallReplies(t *testing.T) {
	d := openDoor(t, s3api.Options{Capacity: func() (int64, int64) { return 1000, 400 }})
	d.bucket("box", false)
	d.status(200, "PUT", "/box?tagging", `<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`, nil)
	for _, doc := range []string{"system.xml", "capacity.xml"} {
		path := "/box/.system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/" + doc
		for _, header := range []map[string]string{nil, {"x-amz-copy-source": "/box/k"}} {
			if _, text := d.status(403, "PUT", path, "x", header); d.code(text) != "AccessDenied" || !strings.Contains(text, "cannot be written") {
				t.Errorf("PUT %s: %s", doc, text)
			}
		}
		d.status(403, "POST", path+"?uploads", "", nil)
	}
	for _, r := range []struct {
		path   string
		header map[string]string
	}{{"/box/k?AWSAccessKeyId=x&Signature=y&Expires=1", map[string]string{"X-Anonymous": "1"}}, {"/box/k", map[string]string{"X-Anonymous": "1", "Authorization": "AWS a:b"}}} {
		if _, text := d.status(400, "GET", r.path, "", r.header); !strings.Contains(text, "signature_version") || !strings.Contains(text, "s3v4") {
			t.Errorf("%s: %s", r.path, text)
		}
	}
}

// TestViewOfLongName: a bucket whose name has 63 letters has views like any other, though their names are longer than a bucket's.
func TestViewOfLongName(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	c, ctx := d.aws("", ""), t.Context()
	name := strings.Repeat("long-", 12) + "abc"
	d.bucket(name, false)
	d.put(c, name, "k", "old")
	size := strconv.FormatUint(d.store.Ledger().Size(), 10)
	now := time.Now().UTC().Add(time.Second).Truncate(time.Second)
	_, err := d.store.Pin(ctx, stele.Local(), "before", stele.View{})
	d.ok(err)
	for _, view := range []string{name + "--at-e" + size, name + "--at-before"} {
		d.put(c, name, "k", "new")
		if got := d.get(c, view, "k", ""); got != "old" {
			t.Errorf("%s shows %q", view, got)
		}
		list, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &view})
		d.ok(err)
		if len(list.Contents) != 1 {
			t.Errorf("%s lists %d keys", view, len(list.Contents))
		}
		_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &name, Key: aws.String("back"), CopySource: aws.String(view + "/k")})
		d.ok(err)
		if got := d.get(c, name, "back", ""); got != "old" {
			t.Errorf("copied from %s: %q", view, got)
		}
		_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: &view, Key: aws.String("k"), Body: strings.NewReader("x")})
		d.refused(err, "AccessDenied", 403)
		if !strings.Contains(err.Error(), "cannot be changed") {
			t.Errorf("no reason is given: %v", err)
		}
	}
	d.status(400, "GET", "/"+name+"--at-"+now.Add(time.Hour).Format("20060102t150405z")+"/k", "", nil)
	d.status(404, "GET", "/"+name[:59]+"--at-e1/k", "", nil)
	for _, bad := range []string{name + "x--at-e1", name + "--at-E1", name + "--at-", name + "--at-" + strings.Repeat("1", 30)} {
		if _, text := d.status(400, "GET", "/"+bad+"/k", "", nil); d.code(text) != "InvalidBucketName" {
			t.Errorf("%s: %s", bad, text)
		}
	}
}
