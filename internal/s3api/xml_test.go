package s3api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestXMLRefusals(t *testing.T) {
	for _, doc := range []string{
		"", " ", "text", "<a>", "</a>", "<a></b>", "<a/><a/>", "<a/>x", "x<a/>", "<a", "<a b>", "<a b=c/>", "<a b='<'/>", "<a b='1'c='2'/>",
		"<a>&unknown;</a>", "<a>&amp</a>", "<a>&#xD800;</a>", "<a>&#1114112;</a>", "<a>&#x;</a>", "<a>&#;</a>", "<a>& </a>",
		"<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<?php ?><a/>", "<a><?x?></a>", "<a><!-- </a>", "<a><![CDATA[</a>",
		"<?xml version='1.0' encoding='UTF-16'?><a/>", "<?xml version='1.0'<a/>", "<a>\xff</a>", "< a/>", "<a:/b/>",
		strings.Repeat("<a>", maxXMLDepth+1) + strings.Repeat("</a>", maxXMLDepth+1),
		"<a>" + strings.Repeat("<b/>", maxXMLNodes) + "</a>",
	} {
		if _, err := parseXML([]byte(doc)); err == nil {
			t.Errorf("%.60q was parsed", doc)
		}
	}
}

func TestXMLText(t *testing.T) {
	for doc, want := range map[string]string{
		"<a>x</a>": "x", "<a/>": "", "<a></a >": "", "<a> x </a>": " x ", "<a>&lt;&gt;&amp;&quot;&apos;</a>": `<>&"'`,
		"<a>;&amp;;&amp;</a>": ";&;&", "<a>&#65;&#x42;&#x1F600;&#0;</a>": "AB\U0001F600\x00", "<a>a\r\nb\rc</a>": "a\nb\nc", "<a>a&#13;b</a>": "a\rb",
		"<a><![CDATA[<&>]]></a>": "<&>", "<a>x<!-- c -->y</a>": "xy", "\ufeff<a>x</a>": "x", "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<a>x</a>\n": "x",
		`<s3:a xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/" c = 'd>e'>x</s3:a>`: "x", "<!-- c --><a>x</a><!-- d -->": "x", "<a>\u00e9</a>": "\u00e9",
	} {
		e, err := parseRoot([]byte(doc), "a")
		if err != nil || e.text() != want {
			t.Errorf("%q: %q, %v", doc, e.text(), err)
		}
	}
	e, err := parseRoot([]byte(`<G xmlns:xsi="x"><Grantee xsi:type="Group"/></G>`), "G")
	if err != nil || e.child("Grantee").d.nodes[e.child("Grantee").i].typ != "Group" {
		t.Errorf("xsi:type: %v", err)
	}
}

func TestReadSized(t *testing.T) {
	if b, err := readSized(strings.NewReader("abcd"), 0, 4); err != nil || string(b) != "abcd" {
		t.Errorf("%s %v", b, err)
	}
	_, err := readSized(strings.NewReader("abcde"), 0, 4)
	wantError(t, "too long", err, "MaxMessageLengthExceeded", "")
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
		wantError(t, fmt.Sprintf("%.80s", doc), err, code, "")
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
		wantError(t, doc, err, code, "")
	}
}

func TestSmallDocuments(t *testing.T) {
	check := func(name string, err error, code string) {
		t.Helper()
		if code == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if code != "" {
			wantError(t, name, err, code, "")
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

// Whatever a key holds, encoding/xml reads back what we wrote, or the same character reference that S3 writes.
func TestAppendText(t *testing.T) {
	for _, s := range []string{"", "plain", `<a href="x">&'`, "\u00e9\U0001F600", "tab\there", "new\nline\r"} {
		var got struct {
			Text string `xml:",chardata"`
		}
		doc := append(appendText([]byte("<a>"), s), "</a>"...)
		if err := xml.Unmarshal(doc, &got); err != nil || got.Text != s {
			t.Errorf("%q: %s, %q, %v", s, doc, got.Text, err)
		}
	}
	for s, want := range map[string]string{"\x00": "&#x0;", "\x1f": "&#x1f;", "\uffff": "&#xffff;", "\xff": "\ufffd"} {
		if got := string(appendText(nil, s)); got != want {
			t.Errorf("%q: %s", s, got)
		}
	}
	// Our own parser reads them all.
	for c := rune(0); c < 0x3000; c++ {
		s := "a" + string(c) + "b"
		e, err := parseRoot(append(appendText([]byte("<a>"), s), "</a>"...), "a")
		if err != nil || e.text() != s {
			t.Fatalf("%q: %q, %v", s, e.text(), err)
		}
	}
}

func TestXMLTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10000 {
		at := time.Unix(rng.Int64N(1<<36)-1<<34, rng.Int64N(1e9)).In(time.FixedZone("x", 3600))
		if got, want := string(appendXMLTime(nil, at)), at.UTC().Format(xmlTime); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

func objects(n int) []ObjectItem {
	out := make([]ObjectItem, n)
	for i := range out {
		out[i] = ObjectItem{Key: fmt.Sprintf("photos/2026/11/22/image-%06d.jpg", i), LastModified: exampleTime, ETag: "9b2cf535f27731c974343645a3985328",
			Size: 4096, Algorithm: CRC64NVME, ChecksumType: FullObject}
	}
	return out
}

func TestListObjects(t *testing.T) {
	l := &ListObjectsResult{Name: "b", Prefix: "p/&", Marker: "", Delimiter: "/", MaxKeys: 1000, IsTruncated: true, NextMarker: "z",
		Contents: []ObjectItem{{Key: "p/&a b", LastModified: exampleTime, ETag: "e", Size: 1, Owner: &Owner{"id", "name"}}}, CommonPrefixes: []string{"p/&x/"}}
	want := xmlHeader + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p/&amp;</Prefix><Marker></Marker>` +
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
		"delete": AppendDeleteResult(nil, []DeletedObject{{Key: odd, DeleteMarker: true}, {Key: odd, Err: ErrAccessDenied}}, false), "location": AppendLocation(nil, odd),
		"versioning": AppendVersioning(nil, "Enabled"), "acl": AppendACL(nil, *o), "encryption": AppendEncryption(nil), "ownership": AppendOwnership(nil, odd),
		"status": AppendPolicyStatus(nil, true), "payment": AppendRequestPayment(nil), "post": AppendPostResponse(nil, odd, odd, odd, odd),
		"attributes": (&Attributes{ETag: odd, Algorithm: CRC32, Checksum: odd, Parts: &AttributeParts{Parts: []PartItem{{Checksum: odd}}}, WithObjectSize: true}).AppendXML(nil),
		"tagging":    AppendTagging(nil, []Tag{{odd, odd}}), "hold": AppendLegalHold(nil, true), "retention": Retention{Compliance, exampleTime}.AppendXML(nil),
		"lock": LockConfig{Governance, 1, 0}.AppendXML(nil), "cors": AppendCORS(nil, []CORSRule{{ID: odd, AllowedMethods: []string{"GET"}}}),
		"error": AppendError(nil, NoSuchKey(odd), odd, ReplyIDs{odd, odd}),
	} {
		dec := xml.NewDecoder(bytes.NewReader(doc))
		for {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: %v in %s", name, err, doc)
				break
			}
		}
		if _, err := parseXML(doc); err != nil {
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
			wantError(t, c.target, err, "InvalidArgument", c.text)
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
	wantError(t, "marker", err, "InvalidArgument", "Provided x")
}

func TestWriteError(t *testing.T) {
	ids := ReplyIDs{"R1", "H1"}
	rec := httptest.NewRecorder()
	WriteError(rec, httptest.NewRequest("GET", "/b/k", nil), fmt.Errorf("couldn't get: %w", NoSuchKey("k<")), ids)
	want := xmlHeader + "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>k&lt;</Key><RequestId>R1</RequestId><HostId>H1</HostId></Error>"
	if rec.Code != 404 || rec.Body.String() != want || rec.Header().Get("X-Amz-Request-Id") != "R1" || rec.Header().Get("Content-Length") != fmt.Sprint(len(want)) {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	for _, c := range []struct {
		method string
		err    error
		status int
	}{{"HEAD", ErrNoSuchKey, 404}, {"GET", ErrNotModified, 304}} {
		rec := httptest.NewRecorder()
		WriteError(rec, httptest.NewRequest(c.method, "/b/k", nil), c.err, ids)
		if rec.Code != c.status || rec.Body.Len() != 0 {
			t.Errorf("%s: %d with %d bytes", c.method, rec.Code, rec.Body.Len())
		}
	}
}

func TestFromError(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{
		{errors.New("disk on fire"), "InternalError"}, {fmt.Errorf("x: %w", ErrSlowDown), "SlowDown"}, {io.ErrUnexpectedEOF, "IncompleteBody"},
		{&http.MaxBytesError{Limit: 5}, "MaxMessageLengthExceeded"}, {t.Context().Err(), "InternalError"},
	} {
		if c.err == nil {
			continue
		}
		if got := FromError(c.err); got.Code != c.code {
			t.Errorf("%v: %s", c.err, got.Code)
		}
	}
	if e := FromError(errors.New("secret path /x")); strings.Contains(e.Message, "secret") {
		t.Error("an internal error shows its cause")
	}
}

// The shared values of the table must not change under With and Msg.
func TestErrorsAreCopied(t *testing.T) {
	e := ErrNoSuchKey.With("Key", "a")
	a, b := e.With("X", "1"), e.With("Y", "2")
	if len(ErrNoSuchKey.Extra) != 0 || a.Extra[1].Name != "X" || b.Extra[1].Name != "Y" || ErrInvalidRequest.Msg("x").Message != "x" {
		t.Error("shared")
	}
	if !errors.Is(fmt.Errorf("x: %w", a), ErrNoSuchKey) || errors.Is(a, ErrNoSuchBucket) {
		t.Error("Is")
	}
	for _, e := range Errors() {
		if e.Code == "" || e.Message == "" || http.StatusText(e.Status) == "" {
			t.Errorf("%+v", e)
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
