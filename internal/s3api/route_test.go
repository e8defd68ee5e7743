package s3api

import (
	"net/http/httptest"
	"strings"
	"testing"

	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/wire"
)

// Every operation of AWS's own service model (botocore, s3/2006-03-01), with the request that it describes.
var modelRequests = []struct{ op, method, target, header string }{
	{"AbortMultipartUpload", "DELETE", "/bucket/a/key?uploadId=u", ""},
	{"CompleteMultipartUpload", "POST", "/bucket/a/key?uploadId=u", ""},
	{"CopyObject", "PUT", "/bucket/a/key", "x-amz-copy-source: b/k"},
	{"CreateBucket", "PUT", "/bucket", ""},
	{"CreateBucketMetadataConfiguration", "POST", "/bucket?metadataConfiguration", ""},
	{"CreateBucketMetadataTableConfiguration", "POST", "/bucket?metadataTable", ""},
	{"CreateMultipartUpload", "POST", "/bucket/a/key?uploads", ""},
	{"CreateSession", "GET", "/bucket?session", ""},
	{"DeleteBucket", "DELETE", "/bucket", ""},
	{"DeleteBucketAnalyticsConfiguration", "DELETE", "/bucket?analytics", ""},
	{"DeleteBucketCors", "DELETE", "/bucket?cors", ""},
	{"DeleteBucketEncryption", "DELETE", "/bucket?encryption", ""},
	{"DeleteBucketIntelligentTieringConfiguration", "DELETE", "/bucket?intelligent-tiering", ""},
	{"DeleteBucketInventoryConfiguration", "DELETE", "/bucket?inventory", ""},
	{"DeleteBucketLifecycle", "DELETE", "/bucket?lifecycle", ""},
	{"DeleteBucketMetadataConfiguration", "DELETE", "/bucket?metadataConfiguration", ""},
	{"DeleteBucketMetadataTableConfiguration", "DELETE", "/bucket?metadataTable", ""},
	{"DeleteBucketMetricsConfiguration", "DELETE", "/bucket?metrics", ""},
	{"DeleteBucketOwnershipControls", "DELETE", "/bucket?ownershipControls", ""},
	{"DeleteBucketPolicy", "DELETE", "/bucket?policy", ""},
	{"DeleteBucketReplication", "DELETE", "/bucket?replication", ""},
	{"DeleteBucketTagging", "DELETE", "/bucket?tagging", ""},
	{"DeleteBucketWebsite", "DELETE", "/bucket?website", ""},
	{"DeleteObject", "DELETE", "/bucket/a/key", ""},
	{"DeleteObjectTagging", "DELETE", "/bucket/a/key?tagging", ""},
	{"DeleteObjects", "POST", "/bucket?delete", ""},
	{"DeletePublicAccessBlock", "DELETE", "/bucket?publicAccessBlock", ""},
	{"GetBucketAbac", "GET", "/bucket?abac", ""},
	{"GetBucketAccelerateConfiguration", "GET", "/bucket?accelerate", ""},
	{"GetBucketAcl", "GET", "/bucket?acl", ""},
	{"GetBucketAnalyticsConfiguration", "GET", "/bucket?analytics&id=1", ""},
	{"GetBucketCors", "GET", "/bucket?cors", ""},
	{"GetBucketEncryption", "GET", "/bucket?encryption", ""},
	{"GetBucketIntelligentTieringConfiguration", "GET", "/bucket?intelligent-tiering&id=1", ""},
	{"GetBucketInventoryConfiguration", "GET", "/bucket?inventory&id=1", ""},
	{"GetBucketLifecycleConfiguration", "GET", "/bucket?lifecycle", ""},
	{"GetBucketLocation", "GET", "/bucket?location", ""},
	{"GetBucketLogging", "GET", "/bucket?logging", ""},
	{"GetBucketMetadataConfiguration", "GET", "/bucket?metadataConfiguration", ""},
	{"GetBucketMetadataTableConfiguration", "GET", "/bucket?metadataTable", ""},
	{"GetBucketMetricsConfiguration", "GET", "/bucket?metrics&id=1", ""},
	{"GetBucketNotificationConfiguration", "GET", "/bucket?notification", ""},
	{"GetBucketOwnershipControls", "GET", "/bucket?ownershipControls", ""},
	{"GetBucketPolicy", "GET", "/bucket?policy", ""},
	{"GetBucketPolicyStatus", "GET", "/bucket?policyStatus", ""},
	{"GetBucketReplication", "GET", "/bucket?replication", ""},
	{"GetBucketRequestPayment", "GET", "/bucket?requestPayment", ""},
	{"GetBucketTagging", "GET", "/bucket?tagging", ""},
	{"GetBucketVersioning", "GET", "/bucket?versioning", ""},
	{"GetBucketWebsite", "GET", "/bucket?website", ""},
	{"GetObject", "GET", "/bucket/a/key", ""},
	{"GetObjectAcl", "GET", "/bucket/a/key?acl", ""},
	{"GetObjectAttributes", "GET", "/bucket/a/key?attributes", ""},
	{"GetObjectLegalHold", "GET", "/bucket/a/key?legal-hold", ""},
	{"GetObjectLockConfiguration", "GET", "/bucket?object-lock", ""},
	{"GetObjectRetention", "GET", "/bucket/a/key?retention", ""},
	{"GetObjectTagging", "GET", "/bucket/a/key?tagging", ""},
	{"GetObjectTorrent", "GET", "/bucket/a/key?torrent", ""},
	{"GetPublicAccessBlock", "GET", "/bucket?publicAccessBlock", ""},
	{"HeadBucket", "HEAD", "/bucket", ""},
	{"HeadObject", "HEAD", "/bucket/a/key", ""},
	{"ListBucketAnalyticsConfigurations", "GET", "/bucket?analytics", ""},
	{"ListBucketIntelligentTieringConfigurations", "GET", "/bucket?intelligent-tiering", ""},
	{"ListBucketInventoryConfigurations", "GET", "/bucket?inventory", ""},
	{"ListBucketMetricsConfigurations", "GET", "/bucket?metrics", ""},
	{"ListBuckets", "GET", "/", ""},
	{"ListMultipartUploads", "GET", "/bucket?uploads", ""},
	{"ListObjectVersions", "GET", "/bucket?versions", ""},
	{"ListObjects", "GET", "/bucket", ""},
	{"ListObjectsV2", "GET", "/bucket?list-type=2", ""},
	{"ListParts", "GET", "/bucket/a/key?uploadId=u", ""},
	{"PutBucketAbac", "PUT", "/bucket?abac", ""},
	{"PutBucketAccelerateConfiguration", "PUT", "/bucket?accelerate", ""},
	{"PutBucketAcl", "PUT", "/bucket?acl", ""},
	{"PutBucketAnalyticsConfiguration", "PUT", "/bucket?analytics", ""},
	{"PutBucketCors", "PUT", "/bucket?cors", ""},
	{"PutBucketEncryption", "PUT", "/bucket?encryption", ""},
	{"PutBucketIntelligentTieringConfiguration", "PUT", "/bucket?intelligent-tiering", ""},
	{"PutBucketInventoryConfiguration", "PUT", "/bucket?inventory", ""},
	{"PutBucketLifecycleConfiguration", "PUT", "/bucket?lifecycle", ""},
	{"PutBucketLogging", "PUT", "/bucket?logging", ""},
	{"PutBucketMetricsConfiguration", "PUT", "/bucket?metrics", ""},
	{"PutBucketNotificationConfiguration", "PUT", "/bucket?notification", ""},
	{"PutBucketOwnershipControls", "PUT", "/bucket?ownershipControls", ""},
	{"PutBucketPolicy", "PUT", "/bucket?policy", ""},
	{"PutBucketReplication", "PUT", "/bucket?replication", ""},
	{"PutBucketRequestPayment", "PUT", "/bucket?requestPayment", ""},
	{"PutBucketTagging", "PUT", "/bucket?tagging", ""},
	{"PutBucketVersioning", "PUT", "/bucket?versioning", ""},
	{"PutBucketWebsite", "PUT", "/bucket?website", ""},
	{"PutObject", "PUT", "/bucket/a/key", ""},
	{"PutObjectAcl", "PUT", "/bucket/a/key?acl", ""},
	{"PutObjectLegalHold", "PUT", "/bucket/a/key?legal-hold", ""},
	{"PutObjectLockConfiguration", "PUT", "/bucket?object-lock", ""},
	{"PutObjectRetention", "PUT", "/bucket/a/key?retention", ""},
	{"PutObjectTagging", "PUT", "/bucket/a/key?tagging", ""},
	{"PutPublicAccessBlock", "PUT", "/bucket?publicAccessBlock", ""},
	{"RenameObject", "PUT", "/bucket/a/key?renameObject", ""},
	{"RestoreObject", "POST", "/bucket/a/key?restore", ""},
	{"SelectObjectContent", "POST", "/bucket/a/key?select&select-type=2", ""},
	{"UpdateBucketMetadataInventoryTableConfiguration", "PUT", "/bucket?metadataInventoryTable", ""},
	{"UpdateBucketMetadataJournalTableConfiguration", "PUT", "/bucket?metadataJournalTable", ""},
	{"UpdateObjectEncryption", "PUT", "/bucket/a/key?encryption", ""},
	{"UploadPart", "PUT", "/bucket/a/key?partNumber=1&uploadId=u", ""},
	{"UploadPartCopy", "PUT", "/bucket/a/key?partNumber=1&uploadId=u", "x-amz-copy-source: b/k"},
	{"PostObject", "POST", "/bucket", "Content-Type: multipart/form-data; boundary=x"},
	{"OPTIONS", "OPTIONS", "/bucket/a/key", ""},
}

func TestModelOperations(t *testing.T) {
	for _, c := range modelRequests {
		r := httptest.NewRequest(c.method, c.target, nil)
		if k, v, ok := strings.Cut(c.header, ": "); ok {
			r.Header.Set(k, v)
		}
		q, err := Parse(r, "")
		if err != nil || q.Op.String() != c.op {
			t.Errorf("%s %s: got %s, %v; want %s", c.method, c.target, q.Op, err, c.op)
		}
	}
}

// Everything that is in the table has a request above, so that none is unreachable.
func TestModelIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range modelRequests {
		seen[c.op] = true
	}
	for op := opUnknown + 1; op < opCount; op++ {
		if !seen[op.String()] {
			t.Errorf("%s is never reached", op)
		}
		if op != OpPreflight && opTable[op].action == "" {
			t.Errorf("%s has no action", op)
		}
	}
}

func TestParseNames(t *testing.T) {
	for _, c := range []struct {
		host, target, bucket, key, code string
	}{
		{"s3.test", "/", "", "", ""},
		{"s3.test:9000", "/bucket", "bucket", "", ""},
		{"s3.test", "/bucket/", "bucket", "", ""},
		{"s3.test", "/bucket//", "bucket", "/", ""},
		{"s3.test", "/bucket/a/../b", "bucket", "a/../b", ""},
		{"s3.test", "/bucket/%00", "bucket", "\x00", ""},
		{"s3.test", "/bucket/a%3Fb%23c", "bucket", "a?b#c", ""},
		{"s3.test", "/buck%65t/k", "bucket", "k", ""},
		{"bucket.s3.test", "/", "bucket", "", ""},
		{"bucket.s3.test:9000", "/a/key", "bucket", "a/key", ""},
		{"BUCKET.S3.Test", "/k", "bucket", "k", ""},
		{"my.bucket.s3.test", "/k", "my.bucket", "k", ""},
		{"bucket.other.test", "/buck/k", "buck", "k", ""},
		{"xs3.test", "/buck/k", "buck", "k", ""},
		{"127.0.0.1:9000", "/buck/k", "buck", "k", ""},
		{"[::1]:9000", "/buck/k", "buck", "k", ""},
		{"s3.test", "/photos--at-20261120t100000z/k", "photos--at-20261120t100000z", "k", ""},
		{"s3.test", "//", "", "", "InvalidBucketName"},
		{"s3.test", "//k", "", "", "InvalidBucketName"},
		{"s3.test", "/../etc/passwd", "..", "", "InvalidBucketName"},
		{"s3.test", "/ab", "ab", "", "InvalidBucketName"},
		{"s3.test", "/Bucket", "Bucket", "", "InvalidBucketName"},
		{"s3.test", "/bucket/%zz", "bucket", "", "InvalidURI"},
		{"s3.test", "/bucket/%ff", "bucket", "", "InvalidURI"},
		{"s3.test", "/bucket/" + strings.Repeat("k", 1024), "bucket", strings.Repeat("k", 1024), ""},
		{"s3.test", "/bucket/" + strings.Repeat("k", 1025), "bucket", "", "KeyTooLongError"},
		{"s3.test", "/bucket/k?a=%zz", "", "", "InvalidURI"},
		{"s3.test", "/bucket/k?" + strings.Repeat("a&", 300), "", "", "InvalidURI"},
		{"s3.test", "/bucket/k?versionId=", "bucket", "", "InvalidArgument"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI, r.Host = c.target, c.host
		q, err := Parse(r, "s3.test")
		if c.code != "" {
			s3errtest.Want(t, c.host+c.target, err, c.code, "")
			continue
		}
		if err != nil || q.Bucket != c.bucket || q.Key != c.key {
			t.Errorf("%s%.60s: bucket %q, key %q, %v", c.host, c.target, q.Bucket, q.Key, err)
		}
	}
}

// Keys that other servers clean come back as they were sent, both as SDKs encode them and as sloppy clients do. That they sign so is auth's TestOddKeys.
func TestOddKeys(t *testing.T) {
	for _, c := range []struct{ path, key string }{
		{"/a//b", "a//b"}, {"//a", "/a"}, {"/../a", "../a"}, {"/a/./b/", "a/./b/"}, {"/%00", "\x00"}, {"/a%2Fb", "a/b"},
		{"/a+b", "a+b"}, {"/a%2Bb", "a+b"}, {"/a%20b", "a b"}, {"/%C3%A9", "\u00e9"}, {"/e%CC%81", "e\u0301"}, {"/!'()*", "!'()*"},
		{"/a%25", "a%"}, {"/a%252Fb", "a%2Fb"}, {"/a=b&c@d:e,f;g", "a=b&c@d:e,f;g"}, {"/\u65e5\u672c", "\u65e5\u672c"},
	} {
		for _, sent := range []string{c.path, "/" + string(wire.AppendEscaped(nil, c.key, true))} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RequestURI, r.Host = sent, "examplebucket.s3.test"
			q, err := Parse(r, "s3.test")
			if err != nil || q.Key != c.key || q.Op != OpGetObject || q.Path != sent {
				t.Errorf("%s: key %q of path %s, op %s, %v", sent, q.Key, q.Path, q.Op, err)
			}
		}
	}
}

// What no operation is must be refused, above all if a plain delete or put would be taken for it.
func TestRefusedRoutes(t *testing.T) {
	for _, c := range []struct{ method, target, code, message string }{
		{"DELETE", "/bucket?acl", "MethodNotAllowed", ""},
		{"DELETE", "/bucket/k?acl", "MethodNotAllowed", ""},
		{"DELETE", "/bucket/k?retention", "MethodNotAllowed", ""},
		{"DELETE", "/bucket?versioning", "MethodNotAllowed", ""},
		{"PUT", "/bucket/k?lifecycle", "MethodNotAllowed", ""},
		{"PUT", "/bucket?location", "MethodNotAllowed", ""},
		{"PUT", "/bucket/k?partNumber=1", "InvalidArgument", "without uploadId"},
		{"PATCH", "/bucket/k", "MethodNotAllowed", ""},
		{"HEAD", "/", "MethodNotAllowed", ""},
		{"POST", "/bucket", "PreconditionFailed", ""},
		{"POST", "/bucket/k", "MethodNotAllowed", ""},
		{"GET", "/bucket?acl&policy", "InvalidArgument", "Conflicting"},
		{"GET", "/bucket/k?versions", "InvalidRequest", "?versions"},
		{"GET", "/bucket/k?uploads", "InvalidRequest", "?uploads"},
	} {
		_, err := Parse(httptest.NewRequest(c.method, c.target, nil), "")
		s3errtest.Want(t, c.method+" "+c.target, err, c.code, c.message)
	}
}

func TestAction(t *testing.T) {
	for target, want := range map[string]string{
		"/bucket/k": "s3:GetObject", "/bucket/k?versionId=1": "s3:GetObjectVersion", "/bucket": "s3:ListBucket",
		"/bucket?versions": "s3:ListBucketVersions", "/": "s3:ListAllMyBuckets", "/bucket/k?retention&versionId=1": "s3:GetObjectRetention",
	} {
		q, err := Parse(httptest.NewRequest("GET", target, nil), "")
		if err != nil || q.Action() != want {
			t.Errorf("%s: %s, %v", target, q.Action(), err)
		}
	}
}

func TestValidBucketName(t *testing.T) {
	for name, want := range map[string]bool{
		"abc": true, "a.b-c": true, "123": true, strings.Repeat("a", 63): true, "photos--at-x": true,
		"ab": false, strings.Repeat("a", 64): false, "a..b": false, "-ab": false, "ab-": false, ".ab": false, "ab.": false, "aB1": false,
		"a_b": false, "192.168.1.1": false, "1.2.3.4.5": true, "xn--abc": false, "abc-s3alias": false, "abc--ol-s3": false,
		"sthree-abc": false, "abc.mrap": false, "a\x00b": false, "": false,
	} {
		if got := ValidBucketName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	r := httptest.NewRequest("GET", "/bucket/some/key?x-id=GetObject", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(r, "s3.test"); err != nil {
			b.Fatal(err)
		}
	}
}
