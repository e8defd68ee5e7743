package s3api

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/tagging"
)

func TestReadSized(t *testing.T) {
	if b, err := readSized(strings.NewReader("abcd"), 0, 4); err != nil || string(b) != "abcd" {
		t.Errorf("%s %v", b, err)
	}
	_, err := readSized(strings.NewReader("abcde"), 0, 4)
	s3errtest.Want(t, "too long", err, "MaxMessageLengthExceeded", "")
}

func TestDecodeDelete(t *testing.T) {
	d, err := DecodeDelete([]byte(`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>
		<Object><Key> a&amp;b </Key><VersionId>v</VersionId></Object><Object><Key>&#0;</Key><ETag>"e"</ETag><Size>5</Size>
		<LastModifiedTime>2026-11-22T12:00:00Z</LastModifiedTime></Object></Delete>`))
	want := &DeleteRequest{Quiet: true, Objects: []ObjectToDelete{{Key: " a&b ", VersionID: "v", Size: -1},
		{Key: "\x00", ETag: "e", Size: 5, LastModifiedTime: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}}}
	if err != nil || !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v, %v", d, err)
	}
	obj := "<Object><Key>k</Key></Object>"
	if d, err := DecodeDelete([]byte("<Delete>" + strings.Repeat(obj, 1000) + "</Delete>")); err != nil || len(d.Objects) != 1000 {
		t.Errorf("1,000 keys: %v", err)
	}
	for doc, code := range map[string]string{
		"<Delete/>": "MalformedXML", "<Delete>" + strings.Repeat(obj, 1001) + "</Delete>": "MalformedXML", "<Other>" + obj + "</Other>": "MalformedXML",
		"<Delete><Object><Key></Key></Object></Delete>": "MalformedXML", "<Delete><Object/></Delete>": "MalformedXML",
		"<Delete><Object><Key>k</Key><Size>x</Size></Object></Delete>":                   "MalformedXML",
		"<Delete><Object><Key>" + strings.Repeat("k", 1025) + "</Key></Object></Delete>": "KeyTooLongError",
	} {
		_, err := DecodeDelete([]byte(doc))
		s3errtest.Want(t, fmt.Sprintf("%.80s", doc), err, code, "")
	}
}

func TestDecodeComplete(t *testing.T) {
	got, err := DecodeComplete([]byte(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part>
		<Part><ETag>b</ETag><PartNumber>7</PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>`))
	want := []CompletedPart{{PartNumber: 1, ETag: "a"}, {PartNumber: 7, ETag: "b", Algorithm: CRC32, Checksum: "AAAAAA=="}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	part := func(inner string) string {
		return "<CompleteMultipartUpload><Part>" + inner + "</Part></CompleteMultipartUpload>"
	}
	for doc, code := range map[string]string{
		"<CompleteMultipartUpload/>":                         "MalformedXML",
		part("<PartNumber>1</PartNumber>"):                   "MalformedXML",
		part("<ETag>a</ETag>"):                               "MalformedXML",
		part("<PartNumber>x</PartNumber><ETag>a</ETag>"):     "MalformedXML",
		part("<PartNumber>0</PartNumber><ETag>a</ETag>"):     "InvalidArgument",
		part("<PartNumber>10001</PartNumber><ETag>a</ETag>"): "InvalidArgument",
		part("<PartNumber>2</PartNumber><ETag>a</ETag></Part><Part><PartNumber>2</PartNumber><ETag>a</ETag>"):                            "InvalidPartOrder",
		part("<PartNumber>2</PartNumber><ETag>a</ETag></Part><Part><PartNumber>1</PartNumber><ETag>a</ETag>"):                            "InvalidPartOrder",
		part("<PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>x</ChecksumCRC32>"):                                                 "InvalidArgument",
		part("<PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>"): "InvalidArgument",
	} {
		_, err := DecodeComplete([]byte(doc))
		s3errtest.Want(t, doc, err, code, "")
	}
}

func TestSmallDocuments(t *testing.T) {
	check := func(name string, err error, code string) {
		t.Helper()
		if code == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if code != "" {
			s3errtest.Want(t, name, err, code, "")
		}
	}
	for doc, code := range map[string]string{
		"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>":   "",
		"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>": "",
		"<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>":   "MalformedXML",
		"<VersioningConfiguration/>": "MalformedXML",
		"<VersioningConfiguration><MfaDelete>Enabled</MfaDelete><Status>Enabled</Status></VersioningConfiguration>": "NotImplemented",
	} {
		_, err := DecodeVersioning([]byte(doc))
		check(doc, err, code)
	}
	for doc, code := range map[string]string{
		"": "", "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>": "",
		"<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>": "", "<x/>": "MalformedXML",
	} {
		_, err := DecodeCreateBucket([]byte(doc))
		check(doc, err, code)
	}
	enc := func(alg string) string {
		return "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>" + alg + "</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
	}
	for doc, code := range map[string]string{enc("AES256"): "", enc("aws:kms"): "NotImplemented", "<ServerSideEncryptionConfiguration/>": "MalformedXML"} {
		check(doc, DecodeEncryption([]byte(doc)), code)
	}
	if err := DecodeEncryption(AppendEncryption(nil)); err != nil {
		t.Error(err)
	}
	for doc, code := range map[string]string{string(AppendOwnership(nil, BucketOwnerEnforced)): "", string(AppendOwnership(nil, "Me")): "MalformedXML", "<OwnershipControls/>": "MalformedXML",
		"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule><Rule/></OwnershipControls>": "MalformedXML"} {
		_, err := DecodeOwnership([]byte(doc))
		check(doc, err, code)
	}
	pab := PublicAccessBlock{true, false, true, false}
	if got, err := DecodePublicAccessBlock(pab.AppendXML(nil)); err != nil || got != pab {
		t.Errorf("%+v, %v", got, err)
	}
	acl := string(AppendACL(nil, Owner{"me", "Me"}))
	check("acl", DecodeACL([]byte(acl), "me"), "")
	check("acl of another", DecodeACL([]byte(acl), "you"), "AccessControlListNotSupported")
	check("acl read", DecodeACL([]byte(strings.Replace(acl, "FULL_CONTROL", "READ", 1)), "me"), "AccessControlListNotSupported")
	check("no acl", DecodeACL([]byte("<AccessControlPolicy/>"), "me"), "MalformedACLError")
}

func objects(n int) []ObjectItem {
	out := make([]ObjectItem, n)
	for i := range out {
		out[i] = ObjectItem{Key: fmt.Sprintf("photos/2026/11/22/image-%06d.jpg", i), LastModified: testTime, ETag: "9b2cf535f27731c974343645a3985328",
			Size: 4096, Algorithm: CRC64NVME, ChecksumType: FullObject}
	}
	return out
}

func TestListObjects(t *testing.T) {
	l := &ListObjectsResult{Name: "b", Prefix: "p/&", Marker: "", Delimiter: "/", MaxKeys: 1000, IsTruncated: true, NextMarker: "z",
		Contents: []ObjectItem{{Key: "p/&a b", LastModified: testTime, ETag: "e", Size: 1, Owner: &Owner{"id", "name"}}}, CommonPrefixes: []string{"p/&x/"}}
	want := s3xml.Header + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p/&amp;</Prefix><Marker></Marker>` +
		`<NextMarker>z</NextMarker><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><Contents><Key>p/&amp;a b</Key>` +
		`<LastModified>2013-05-24T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass>` +
		`<Owner><ID>id</ID><DisplayName>name</DisplayName></Owner></Contents><CommonPrefixes><Prefix>p/&amp;x/</Prefix></CommonPrefixes></ListBucketResult>`
	if got := string(l.AppendXML(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	l.URLEncoding = true
	for _, part := range []string{"<Prefix>p/%26</Prefix>", "<Key>p/%26a%20b</Key>", "<EncodingType>url</EncodingType>", "<Prefix>p/%26x/</Prefix>"} {
		if got := string(l.AppendXML(nil)); !strings.Contains(got, part) {
			t.Errorf("no %s in %s", part, got)
		}
	}
	v2 := &ListObjectsV2Result{Name: "b", MaxKeys: 2, Contents: l.Contents, CommonPrefixes: l.CommonPrefixes, HasContinuationToken: true, NextContinuationToken: "n"}
	for _, part := range []string{"<KeyCount>2</KeyCount>", "<ContinuationToken></ContinuationToken>", "<NextContinuationToken>n</NextContinuationToken>"} {
		if got := string(v2.AppendXML(nil)); !strings.Contains(got, part) {
			t.Errorf("no %s in %s", part, got)
		}
	}
	vs := &ListVersionsResult{Versions: []VersionItem{{ObjectItem: l.Contents[0], VersionID: "null", IsLatest: false}, {ObjectItem: ObjectItem{Key: "k"}, VersionID: "m", DeleteMarker: true, IsLatest: true}}}
	got := string(vs.AppendXML(nil))
	if !strings.Contains(got, "<DeleteMarker><Key>k</Key><VersionId>m</VersionId><IsLatest>true</IsLatest><LastModified>0001-01-01T00:00:00.000Z</LastModified></DeleteMarker>") {
		t.Error(got)
	}
}

// Every reply is well-formed, by the standard library's strict parser, and by our own.
func TestRepliesAreWellFormed(t *testing.T) {
	odd := "a<b>&\"'c"
	o := &Owner{odd, odd}
	item := ObjectItem{Key: odd, ETag: odd, Owner: o, Algorithm: SHA256, ChecksumType: Composite}
	for name, doc := range map[string][]byte{
		"v1":       (&ListObjectsResult{Name: odd, Contents: []ObjectItem{item}, CommonPrefixes: []string{odd}}).AppendXML(nil),
		"v2":       (&ListObjectsV2Result{Name: odd, Contents: []ObjectItem{item}, CommonPrefixes: []string{odd}, StartAfter: odd}).AppendXML(nil),
		"versions": (&ListVersionsResult{Name: odd, NextKeyMarker: odd, Versions: []VersionItem{{ObjectItem: item}, {ObjectItem: item, DeleteMarker: true}}}).AppendXML(nil),
		"uploads":  (&ListUploadsResult{Bucket: odd, Uploads: []UploadItem{{Key: odd, Owner: o, Algorithm: CRC32}}, CommonPrefixes: []string{odd}}).AppendXML(nil),
		"parts":    (&ListPartsResult{Key: odd, Owner: o, Algorithm: CRC32, Parts: []PartItem{{ETag: odd, Checksum: odd}}}).AppendXML(nil),
		"buckets":  (&ListBucketsResult{Owner: *o, Buckets: []BucketItem{{Name: odd, Region: odd}}}).AppendXML(nil),
		"init":     AppendInitiateUpload(nil, odd, odd, odd), "complete": (&Completed{Location: odd, Algorithm: SHA1, Checksum: odd}).AppendXML(nil),
		"copy": (&Copied{ETag: odd}).AppendXML(nil, false), "copy part": (&Copied{ETag: odd}).AppendXML(nil, true),
		"delete": AppendDeleteResult(nil, []DeletedObject{{Key: odd, DeleteMarker: true}, {Key: odd, Err: s3err.ErrAccessDenied}}, false), "location": AppendLocation(nil, odd),
		"versioning": AppendVersioning(nil, "Enabled"), "acl": AppendACL(nil, *o), "encryption": AppendEncryption(nil), "ownership": AppendOwnership(nil, odd),
		"status": AppendPolicyStatus(nil, true), "payment": AppendRequestPayment(nil), "post": AppendPostResponse(nil, odd, odd, odd, odd),
		"attributes": (&Attributes{ETag: odd, Algorithm: CRC32, Checksum: odd, Parts: &AttributeParts{Parts: []PartItem{{Checksum: odd}}}, WithObjectSize: true}).AppendXML(nil),
		"tagging":    tagging.Append(nil, []tagging.Tag{{Key: odd, Value: odd}}), "hold": AppendLegalHold(nil, true), "retention": Retention{Compliance, testTime}.AppendXML(nil),
		"lock": LockConfig{Governance, 1, 0}.AppendXML(nil), "cors": AppendCORS(nil, []CORSRule{{ID: odd, AllowedMethods: []string{"GET"}}}),
		"error": AppendError(nil, s3err.NoSuchKey(odd), odd, ReplyIDs{odd, odd}),
	} {
		dec, root := xml.NewDecoder(bytes.NewReader(doc)), ""
		for {
			tok, err := dec.Token()
			if e, ok := tok.(xml.StartElement); ok && root == "" {
				root = e.Name.Local
			}
			if err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: %v in %s", name, err, doc)
				break
			}
		}
		if _, err := s3xml.Parse(doc, root); err != nil {
			t.Errorf("%s: %v in %s", name, err, doc)
		}
	}
}

func TestListArgs(t *testing.T) {
	for _, c := range []struct {
		target string
		want   ListArgs
		text   string
	}{
		{"/bucket", ListArgs{MaxKeys: 1000, FetchOwner: true}, ""},
		{"/bucket?max-keys=5&prefix=a&delimiter=%2F&marker=m&encoding-type=url", ListArgs{MaxKeys: 5, Prefix: "a", Delimiter: "/", Marker: "m", URLEncoding: true, FetchOwner: true}, ""},
		{"/bucket?max-keys=5000&list-type=2&start-after=s&continuation-token=t", ListArgs{MaxKeys: 1000, Marker: "s", Token: "t", HasToken: true}, ""},
		{"/bucket?list-type=2&fetch-owner=true&max-keys=0", ListArgs{FetchOwner: true}, ""},
		{"/bucket?versions&key-marker=k&version-id-marker=v", ListArgs{MaxKeys: 1000, Marker: "k", SecondMarker: "v", FetchOwner: true}, ""},
		{"/bucket?uploads&key-marker=k&upload-id-marker=v&max-uploads=3", ListArgs{MaxKeys: 3, Marker: "k", SecondMarker: "v"}, ""},
		{"/bucket?max-keys=-1", ListArgs{}, "Argument -1 must be an integer between 0 and 2147483647"},
		{"/bucket?max-keys=x", ListArgs{}, "Provided x not an integer or within integer range"},
		{"/bucket?max-keys=9999999999", ListArgs{}, "Provided 9999999999 not an integer or within integer range"},
		{"/bucket?versions&max-keys=-123", ListArgs{}, "max-keys cannot be negative"},
		{"/bucket?encoding-type=base64", ListArgs{}, "Invalid Encoding Method"},
		{"/bucket?list-type=2&continuation-token=", ListArgs{}, "continuation token"},
		{"/bucket?versions&version-id-marker=v", ListArgs{}, "without a key marker"},
	} {
		q, err := Parse(httptest.NewRequest("GET", c.target, nil), "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseListArgs(&q)
		if c.text != "" {
			s3errtest.Want(t, c.target, err, "InvalidArgument", c.text)
		} else if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.target, got, err)
		}
	}
	q, _ := Parse(httptest.NewRequest("GET", "/bucket/k?uploadId=u&max-parts=2&part-number-marker=7", nil), "")
	if m, l, err := ParsePartArgs(&q); err != nil || m != 7 || l != 2 {
		t.Errorf("%d %d %v", m, l, err)
	}
	q, _ = Parse(httptest.NewRequest("GET", "/bucket/k?uploadId=u&part-number-marker=x", nil), "")
	_, _, err := ParsePartArgs(&q)
	s3errtest.Want(t, "marker", err, "InvalidArgument", "Provided x")
}

func TestWriteError(t *testing.T) {
	ids := ReplyIDs{"R1", "H1"}
	rec := httptest.NewRecorder()
	WriteError(rec, httptest.NewRequest("GET", "/b/k", nil), fmt.Errorf("couldn't get: %w", s3err.NoSuchKey("k<")), ids)
	want := s3xml.Header + "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>k&lt;</Key><RequestId>R1</RequestId><HostId>H1</HostId></Error>"
	if rec.Code != 404 || rec.Body.String() != want || rec.Header().Get("X-Amz-Request-Id") != "R1" || rec.Header().Get("Content-Length") != fmt.Sprint(len(want)) {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	for _, c := range []struct {
		method string
		err    error
		status int
	}{{"HEAD", s3err.ErrNoSuchKey, 404}, {"GET", s3err.ErrNotModified, 304}} {
		rec := httptest.NewRecorder()
		WriteError(rec, httptest.NewRequest(c.method, "/b/k", nil), c.err, ids)
		if rec.Code != c.status || rec.Body.Len() != 0 {
			t.Errorf("%s: %d with %d bytes", c.method, rec.Code, rec.Body.Len())
		}
	}
}

func BenchmarkListObjectsV2(b *testing.B) {
	l := &ListObjectsV2Result{Name: "bucket", MaxKeys: 1000, Contents: objects(1000)}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = l.AppendXML(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeComplete10000(b *testing.B) {
	doc := []byte("<CompleteMultipartUpload>")
	for i := range 10000 {
		doc = fmt.Appendf(doc, "<Part><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME><ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag><PartNumber>%d</PartNumber></Part>", i+1)
	}
	doc = append(doc, "</CompleteMultipartUpload>"...)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeComplete(doc); err != nil {
			b.Fatal(err)
		}
	}
}
