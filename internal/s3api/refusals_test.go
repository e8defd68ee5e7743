package s3api_test

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"

	"stele"
	"stele/internal/s3api"
)

// TestRefusals holds the door to AWS's codes and statuses, one request a line.
func TestRefusals(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	d.bucket("locked", true)
	d.put(d.aws("", ""), "box", "k", "body")
	v := d.put(d.aws("", ""), "locked", "k", "body")
	marker, err := d.store.Hide(t.Context(), stele.HideRequest{By: stele.Local(), Bucket: "locked", Key: "k"})
	d.ok(err)
	part := `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>`
	for _, c := range []struct {
		method, path, body string
		header             map[string]string
		status             int
		code               string
	}{
		{"GET", "/none", "", nil, 404, "NoSuchBucket"},
		{"GET", "/box/none", "", nil, 404, "NoSuchKey"},
		{"GET", "/box/k?versionId=junk", "", nil, 400, "InvalidArgument"},
		{"GET", "/box/k?versionId=000000000000000000000001", "", nil, 404, "NoSuchVersion"},
		{"GET", "/locked/k", "", nil, 404, "NoSuchKey"},
		{"GET", "/locked/k?versionId=" + marker.VersionID, "", nil, 405, "MethodNotAllowed"},
		{"GET", "/box/k", "", map[string]string{"Range": "bytes=4-"}, 416, "InvalidRange"},
		{"GET", "/box/k", "", map[string]string{"If-Match": "x"}, 412, "PreconditionFailed"},
		{"GET", "/box/k?partNumber=0", "", nil, 400, "InvalidArgument"},
		{"GET", "/box/k?partNumber=2", "", nil, 416, "InvalidPartNumber"},
		{"GET", "/box?list-type=2&max-keys=x", "", nil, 400, "InvalidArgument"},
		{"GET", "/box?uploads&delimiter=/&encoding-type=x", "", nil, 400, "InvalidArgument"},
		{"GET", "/box?acl&policy", "", nil, 400, "InvalidArgument"},
		{"GET", "/box?website", "", nil, 501, "NotImplemented"},
		{"GET", "/box?policy", "", nil, 404, "NoSuchBucketPolicy"},
		{"GET", "/box?cors", "", nil, 404, "NoSuchCORSConfiguration"},
		{"GET", "/box?object-lock", "", nil, 404, "ObjectLockConfigurationNotFoundError"},
		{"GET", "/locked/k?retention&versionId=" + *v.VersionId, "", nil, 404, "NoSuchObjectLockConfiguration"},
		{"GET", "/box/k?retention", "", nil, 400, "InvalidRequest"},
		{"GET", "/B/k", "", nil, 400, "InvalidBucketName"},
		{"PUT", "/box", "", nil, 409, "BucketAlreadyOwnedByYou"},
		{"PUT", "/192.168.1.1", "", nil, 400, "InvalidBucketName"},
		{"PUT", "/past--at-e1", "", nil, 400, "InvalidBucketName"},
		{"PUT", "/box/k", "x", map[string]string{"If-None-Match": "*"}, 412, "PreconditionFailed"},
		{"PUT", "/box/k", "x", map[string]string{"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, 400, "BadDigest"},
		{"PUT", "/box/k", "x", map[string]string{"Content-MD5": "junk"}, 400, "InvalidDigest"},
		{"PUT", "/box/k", "x", map[string]string{"x-amz-checksum-crc32": "AAAAAA=="}, 400, "BadDigest"},
		{"PUT", "/box/k", "x", map[string]string{"x-amz-meta-a": strings.Repeat("m", 2050)}, 400, "MetadataTooLarge"},
		{"PUT", "/box/k", "x", map[string]string{"x-amz-junk": strings.Repeat("m", 8200)}, 400, "RequestHeaderSectionTooLarge"},
		{"PUT", "/box/k", "x", map[string]string{"x-amz-acl": "public-read"}, 400, "AccessControlListNotSupported"},
		{"PUT", "/box/k", "x", map[string]string{"x-amz-storage-class": "COLD"}, 400, "InvalidStorageClass"},
		{"PUT", "/box/k", "x", map[string]string{"x-amz-server-side-encryption-customer-algorithm": "AES256"}, 501, "NotImplemented"},
		{"GET", "/box/k", "", map[string]string{"x-amz-server-side-encryption-customer-algorithm": "AES256"}, 400, "InvalidRequest"},
		{"PUT", "/box/k?partNumber=1&uploadId=none", "", map[string]string{"x-amz-copy-source": "/box/k", "x-amz-copy-source-server-side-encryption-customer-key-md5": "x"}, 501, "NotImplemented"},
		{"PUT", "/box/k", "x", map[string]string{"x-amz-object-lock-legal-hold": "ON"}, 400, "InvalidRequest"},
		{"PUT", "/box/k?partNumber=1&uploadId=none", "x", nil, 404, "NoSuchUpload"},
		{"PUT", "/box/k2", "", map[string]string{"x-amz-copy-source": "/box/none"}, 404, "NoSuchKey"},
		{"PUT", "/box/k2", "", map[string]string{"x-amz-copy-source": "box"}, 400, "InvalidArgument"},
		{"PUT", "/box/k2?partNumber=1", "", map[string]string{"x-amz-copy-source": "/box/k"}, 400, "InvalidArgument"},
		{"PUT", "/box?policy", "junk", nil, 400, "MalformedPolicy"},
		{"PUT", "/box?policy", strings.Repeat(" ", 21<<10), nil, 400, "MaxMessageLengthExceeded"},
		{"PUT", "/box?versioning", "<junk", nil, 400, "MalformedXML"},
		{"PUT", "/locked?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>", nil, 409, "InvalidBucketState"},
		{"PUT", "/box?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>", nil, 409, "InvalidBucketState"},
		{"PUT", "/box/k?tagging", `<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>a</Key><Value>c</Value></Tag></TagSet></Tagging>`, nil, 400, "InvalidTag"},
		{"POST", "/box/k?uploadId=none", part, nil, 404, "NoSuchUpload"},
		{"POST", "/box/k?uploadId=none", "<junk/>", nil, 400, "MalformedXML"},
		{"POST", "/box/k?select", "", nil, 501, "NotImplemented"},
		{"DELETE", "/box", "", nil, 409, "BucketNotEmpty"},
		{"DELETE", "/box/k?uploadId=none", "", nil, 404, "NoSuchUpload"},
		{"DELETE", "/box/k", "", map[string]string{"If-Match": "x"}, 412, "PreconditionFailed"},
		{"PATCH", "/box/k", "", nil, 405, "MethodNotAllowed"},
		{"GET", "/box/k", "", map[string]string{"X-Anonymous": "1"}, 403, "AccessDenied"},
		{"GET", "/", "", map[string]string{"X-Anonymous": "1", "Authorization": "AWS " + rootID + ":x"}, 400, "InvalidRequest"},
	} {
		res, text := d.do(c.method, c.path, c.body, c.header)
		var e struct{ Code, Message, RequestId string }
		if err := xml.Unmarshal([]byte(text), &e); err != nil || res.StatusCode != c.status || e.Code != c.code || e.Message == "" || e.RequestId != res.Header.Get("X-Amz-Request-Id") {
			t.Errorf("%s %s %v: %s, want %d %s\n%.300s", c.method, c.path, c.header, res.Status, c.status, c.code, text)
		}
	}
	for _, method := range []string{http.MethodHead} { // a HEAD has no document
		if res, text := d.do(method, "/box/none", "", nil); res.StatusCode != 404 || text != "" {
			t.Errorf("%s: %s %q", method, res.Status, text)
		}
	}
}
