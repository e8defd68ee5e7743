package s3api

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"stele/internal/lifecycle"
	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// FuzzRequest: nothing in a request line or its authentication may pass as signed, nor panic.
func FuzzRequest(f *testing.F) {
	for _, r := range awsExamples() {
		f.Add(r.Method, r.RequestURI, r.Host, r.Header.Get("Authorization"), r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Content-Sha256"))
	}
	for _, c := range modelRequests {
		f.Add(c.method, c.target, "s3.test", "", "", "")
	}
	f.Add("GET", "/bucket/%00%2f..?versionId=%20&x=%zz", "b.s3.test:80", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=;,Signature=", "Date", "x")
	f.Fuzz(func(t *testing.T, method, target, host, auth, date, sum string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.RequestURI, r.Host = method, "/"+strings.TrimPrefix(target, "/"), host
		for k, v := range map[string]string{"Authorization": auth, "X-Amz-Date": date, "X-Amz-Content-Sha256": sum} {
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
		v := NewVerifier(Service, "us-east-1", func(context.Context, string) (string, error) { return "nobody knows", nil }, exampleVerifier().now)
		a, err := v.Verify(t.Context(), r, &q)
		s3errtest.Client(t, err)
		if err == nil && a.Kind != Anonymous {
			t.Fatalf("%q was believed: %+v", target, a)
		}
	})
}

// FuzzChunked: a body is whole or an error; what an unsigned one gives out is what its chunks hold; a signed one that nobody signed gives io.EOF never.
func FuzzChunked(f *testing.F) {
	for _, r := range []*http.Request{chunkedExample(), trailerExample()} {
		whole, _ := io.ReadAll(r.Body)
		f.Add(whole, int64(66560), true, "x-amz-checksum-crc32c")
	}
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc64nvme:M3eFcAZSQlc=\r\n\r\n"), int64(5), false, "x-amz-checksum-crc64nvme")
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), int64(5), false, "")
	f.Add([]byte("fffffffffffffff\r\n"), int64(0), false, "")
	f.Fuzz(func(t *testing.T, body []byte, size int64, signed bool, trailer string) {
		r := httptest.NewRequest("PUT", "/bucket/k", bytes.NewReader(body))
		r.Header.Set("X-Amz-Decoded-Content-Length", strconv.FormatInt(size, 10))
		r.Header.Set("X-Amz-Trailer", trailer)
		a := &Auth{Payload: PayloadUnsignedTrailer}
		if signed {
			a = &Auth{Payload: PayloadSignedTrailer, key: deriveKey("nobody knows", "20130524", "us-east-1", Service), SignedAt: exampleTime}
		}
		src, n, err := a.Body(r)
		s3errtest.Client(t, err)
		if err != nil {
			return
		}
		got, err := io.ReadAll(src)
		s3errtest.Client(t, err)
		if err == nil && (signed || int64(len(got)) != n || len(got) > len(body)) {
			t.Fatalf("%d bytes of %d passed (signed %v)", len(got), n, signed)
		}
		src.Close()
	})
}

// FuzzXML: what a decoder accepts and has a writer is written so that it reads the same; what it refuses is an S3 error.
func FuzzXML(f *testing.F) {
	for _, doc := range []string{
		`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key><VersionId>v</VersionId></Object></Delete>`,
		`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part></CompleteMultipartUpload>`,
		string(tagging.Append(nil, []tagging.Tag{{Key: "a", Value: "b"}})), string(AppendLegalHold(nil, true)), string(LockConfig{Compliance, 1, 0}.AppendXML(nil)),
		string(Retention{Governance, exampleTime}.AppendXML(nil)), string(AppendEncryption(nil)), string(AppendACL(nil, Owner{"a", "b"})),
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
			v, err := DecodeRetention(b, exampleTime)
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

// FuzzPostPolicy: a document is refused or bounds the form.
func FuzzPostPolicy(f *testing.F) {
	f.Add(policyWith(`,["content-length-range",1,"5"],["starts-with","$key","a"]`), "a", "b")
	f.Add(`{"expiration":"2013-05-24T12:00:00Z","conditions":[{"bucket":"b"},["eq","$key","k"]]}`, "k", "v")
	f.Fuzz(func(t *testing.T, doc, name, value string) {
		p, err := parsePostPolicy(base64.StdEncoding.EncodeToString([]byte(doc)))
		s3errtest.Client(t, err)
		if err != nil {
			return
		}
		s3errtest.Client(t, p.check(&PostForm{Fields: map[string]string{strings.ToLower(name): value}}, "bucket"))
		if p.bounded && (p.least < 0 || p.most < 0) {
			t.Fatalf("%+v", p)
		}
	})
}
