package s3api

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stele/internal/lifecycle"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// testTime is now in these tests: that of the examples of the S3 API Reference.
var testTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

// FuzzRequest: nothing in a request line or its authentication may pass as signed, nor panic.
func FuzzRequest(f *testing.F) {
	for _, target := range []string{"/test.txt", "/test$file.text", "/?lifecycle", "/?max-keys=2&prefix=J"} {
		f.Add("GET", target, "examplebucket.s3.test", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
			"20130524T000000Z", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	}
	f.Add("GET", "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", "examplebucket.s3.test", "", "", "")
	for _, c := range modelRequests {
		f.Add(c.method, c.target, "s3.test", "", "", "")
	}
	f.Add("GET", "/bucket/%00%2f..?versionId=%20&x=%zz", "b.s3.test:80", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=;,Signature=", "Date", "x")
	f.Fuzz(func(t *testing.T, method, target, host, authorization, date, sum string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.RequestURI, r.Host = method, "/"+strings.TrimPrefix(target, "/"), host
		for k, v := range map[string]string{"Authorization": authorization, "X-Amz-Date": date, "X-Amz-Content-Sha256": sum} {
			if v != "" {
				r.Header.Set(k, v)
			}
		}
		q, err := Parse(r, "s3.test")
		s3errtest.Client(t, err)
		if err != nil {
			return
		}
		if q.Op == opUnknown || q.Op >= opCount || len(q.Key) > wire.MaxKeyBytes || !utf8.ValidString(q.Key) || q.Bucket != "" && !plausibleBucketName(q.Bucket) {
			t.Fatalf("%q: %+v", target, q)
		}
		// A secret that nobody knows: whatever is believed was not signed.
		v := auth.NewVerifier(auth.Service, "us-east-1", func(context.Context, string) (string, error) { return "nobody knows", nil }, func() time.Time { return testTime })
		a, err := v.Verify(t.Context(), r, &q.Target)
		s3errtest.Client(t, err)
		if err == nil && a.Kind != auth.Anonymous {
			t.Fatalf("%q was believed: %+v", target, a)
		}
	})
}

// FuzzXML: what a decoder accepts and has a writer is written so that it reads the same; what it refuses is an S3 error.
func FuzzXML(f *testing.F) {
	for _, doc := range []string{
		`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key><VersionId>v</VersionId></Object></Delete>`,
		`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part></CompleteMultipartUpload>`,
		string(tagging.Append(nil, []tagging.Tag{{Key: "a", Value: "b"}})), string(AppendLegalHold(nil, true)), string(LockConfig{Compliance, 1, 0}.AppendXML(nil)),
		string(Retention{Governance, testTime}.AppendXML(nil)), string(AppendEncryption(nil)), string(AppendACL(nil, Owner{"a", "b"})),
		`<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>`,
		`<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>`,
		`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, `<a b='c'><![CDATA[x]]>&#x41;<!-- d --></a>`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(fuzzDecoders)
}

func fuzzDecoders(t *testing.T, b []byte) {
	again := func(name string, doc []byte, decode func([]byte) ([]byte, error)) {
		got, err := decode(doc)
		if err != nil || !bytes.Equal(got, doc) {
			t.Fatalf("%s: %s\nthen %s, %v", name, doc, got, err)
		}
	}
	for name, decode := range map[string]func([]byte) ([]byte, error){
		"tagging": func(b []byte) ([]byte, error) {
			v, err := tagging.Decode(b, true)
			return tagging.Append(nil, v), err
		},
		"hold": func(b []byte) ([]byte, error) { v, err := DecodeLegalHold(b); return AppendLegalHold(nil, v), err },
		"lock": func(b []byte) ([]byte, error) { v, err := DecodeLockConfig(b); return v.AppendXML(nil), err },
		"retention": func(b []byte) ([]byte, error) {
			v, err := DecodeRetention(b, testTime)
			return v.AppendXML(nil), err
		},
		"cors":      func(b []byte) ([]byte, error) { v, err := DecodeCORS(b); return AppendCORS(nil, v), err },
		"ownership": func(b []byte) ([]byte, error) { v, err := DecodeOwnership(b); return AppendOwnership(nil, v), err },
		"lifecycle": func(b []byte) ([]byte, error) {
			v, err := lifecycle.Parse(b)
			if err != nil {
				return nil, err
			}
			return v.AppendXML(nil), nil
		},
		"access": func(b []byte) ([]byte, error) { v, err := DecodePublicAccessBlock(b); return v.AppendXML(nil), err },
	} {
		doc, err := decode(b)
		s3errtest.Client(t, err)
		if err == nil && !(name == "retention" && !bytes.Contains(doc, []byte("<Mode>"))) {
			again(name, doc, decode)
		}
	}
	_, err := DecodeDelete(b)
	s3errtest.Client(t, err)
	_, err = DecodeComplete(b)
	s3errtest.Client(t, err)
	_, err = DecodeCreateBucket(b)
	s3errtest.Client(t, err)
	s3errtest.Client(t, DecodeEncryption(b))
	s3errtest.Client(t, DecodeACL(b, "me"))
}

// FuzzRange: a range lies within the object.
func FuzzRange(f *testing.F) {
	for _, h := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=9-2", "bytes=0-1,3-4", "bytes=99999999999999999999-", "bytes=-0"} {
		f.Add(h, int64(10))
	}
	f.Fuzz(func(t *testing.T, h string, size int64) {
		size = max(size, -size, 0)
		for _, parse := range []func(string, int64) (ByteRange, bool, error){ParseRange, ParseCopySourceRange} {
			r, ok, err := parse(h, size)
			s3errtest.Client(t, err)
			if ok && (err != nil || r.Start < 0 || r.Length <= 0 || r.Start+r.Length > size || r.Start+r.Length < 0) {
				t.Fatalf("%q of %d: %+v", h, size, r)
			}
		}
	})
}

// FuzzCopySource: what is named could be a request of its own.
func FuzzCopySource(f *testing.F) {
	for _, h := range []string{"/bucket/key", "bucket/a%2Fb?versionId=x", "bucket/%ff", "a", "bucket/key?x", "%62ucket/k"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, h string) {
		s, err := ParseCopySource(h)
		s3errtest.Client(t, err)
		if err == nil && (!plausibleBucketName(s.Bucket) || s.Key == "" || len(s.Key) > wire.MaxKeyBytes || !utf8.ValidString(s.Key)) {
			t.Fatalf("%q: %+v", h, s)
		}
	})
}

// FuzzTagging: what the header holds, the document holds as well.
func FuzzTagging(f *testing.F) {
	for _, h := range []string{"a=b&c=d", "a", "=", "a=b&a=c", "%41=+%2B", "a=%ff"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, h string) {
		tags, err := ParseTagging(h)
		s3errtest.Client(t, err)
		if err != nil {
			return
		}
		again, err := tagging.Decode(tagging.Append(nil, tags), false)
		if err != nil || len(again) != len(tags) {
			t.Fatalf("%q: %v, then %v, %v", h, tags, again, err)
		}
		for i := range tags {
			if tags[i] != again[i] {
				t.Fatalf("%q: %v, then %v", h, tags, again)
			}
		}
	})
}
