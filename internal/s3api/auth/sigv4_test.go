package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

// The examples of the S3 API Reference, "Signature Calculations for the Authorization Header" and "Using Query Parameters".
const (
	exampleID     = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleScope  = exampleID + "/20130524/us-east-1/s3/aws4_request"
	exampleHost   = "examplebucket.s3.amazonaws.com"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func exampleVerifier() *Verifier { return verifierAt(exampleTime) }

func verifierAt(now time.Time) *Verifier {
	return NewVerifier(Service, "us-east-1", func(_ context.Context, id string) (string, error) {
		if id != exampleID {
			return "", fmt.Errorf("couldn't find %s: %w", id, ErrUnknownKey)
		}
		return exampleSecret, nil
	}, func() time.Time { return now })
}

// request makes a server-side request out of header lines.
func request(method, target string, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = exampleHost
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		if k == "Host" {
			r.Host = v
			continue
		}
		r.Header.Add(k, v)
	}
	return r
}

func verify(t testing.TB, v *Verifier, r *http.Request) (*Identity, error) {
	t.Helper()
	q, err := wire.ReadTarget(r)
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(context.Background(), r, &q)
}

func authorization(signed, signature string) string {
	return "Authorization: AWS4-HMAC-SHA256 Credential=" + exampleScope + ",SignedHeaders=" + signed + ",Signature=" + signature
}

func awsExamples() map[string]*http.Request {
	empty := "x-amz-content-sha256: " + emptySHA256
	date := "x-amz-date: 20130524T000000Z"
	return map[string]*http.Request{
		"get object": request("GET", "/test.txt", "", "Range: bytes=0-9", empty, date,
			authorization("host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")),
		"put object": request("PUT", "/test$file.text", "Welcome to Amazon S3.", "Date: Fri, 24 May 2013 00:00:00 GMT", date,
			"x-amz-storage-class: REDUCED_REDUNDANCY", "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			authorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")),
		"put object, escaped": request("PUT", "/test%24file.text", "Welcome to Amazon S3.", "Date: Fri, 24 May 2013 00:00:00 GMT", date,
			"x-amz-storage-class: REDUCED_REDUNDANCY", "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			authorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")),
		"get lifecycle": request("GET", "/?lifecycle", "", empty, date,
			authorization("host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")),
		"list objects": request("GET", "/?max-keys=2&prefix=J", "", empty, date,
			authorization("host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")),
		"list objects, other order": request("GET", "/?prefix=J&max-keys=2", "", empty, date,
			authorization("host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")),
		"presigned get": request("GET", "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="+strings.ReplaceAll(exampleScope, "/", "%2F")+
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", ""),
	}
}

func TestAWSExamples(t *testing.T) {
	for name, r := range awsExamples() {
		a, err := verify(t, exampleVerifier(), r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.AccessKeyID != exampleID || a.Kind == Anonymous {
			t.Errorf("%s: got %+v", name, a)
		}
	}
}

// Every part of a signed request that could be changed on the way must break its signature.
func TestTampering(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"method":    func(r *http.Request) { r.Method = "PUT" },
		"host":      func(r *http.Request) { r.Host = "otherbucket.s3.amazonaws.com" },
		"path":      func(r *http.Request) { r.RequestURI = "/test.txu" },
		"slash":     func(r *http.Request) { r.RequestURI = "//test.txt" },
		"query":     func(r *http.Request) { r.RequestURI = "/test.txt?acl" },
		"header":    func(r *http.Request) { r.Header.Set("Range", "bytes=0-10") },
		"payload":   func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
		"date":      func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130524T000001Z") },
		"signature": func(r *http.Request) { flip(r, "f0e8", "f0e9") },
		"cut":       func(r *http.Request) { flip(r, "bdb41", "bdb4") },
		"names":     func(r *http.Request) { flip(r, "host;range;", "host;") },
	} {
		r := awsExamples()["get object"]
		change(r)
		if _, err := verify(t, exampleVerifier(), r); !errors.Is(err, s3err.ErrSignatureDoesNotMatch) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func flip(r *http.Request, from, to string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
}

func TestHeaderRefusals(t *testing.T) {
	with := func(change func(*http.Request)) *http.Request {
		r := awsExamples()["get object"]
		change(r)
		return r
	}
	set := func(k, v string) *http.Request { return with(func(r *http.Request) { r.Header.Set(k, v) }) }
	replace := func(from, to string) *http.Request { return with(func(r *http.Request) { flip(r, from, to) }) }
	for _, c := range []struct {
		name    string
		r       *http.Request
		code    string
		message string
	}{
		{"no space", set("Authorization", "nothing"), "InvalidArgument", "one and only one"},
		{"version 2", set("Authorization", "AWS AKID:c2ln"), "InvalidRequest", "Please use AWS4-HMAC-SHA256"},
		{"unknown", set("Authorization", "Bearer x"), "InvalidArgument", "Unsupported Authorization Type"},
		{"ecdsa", set("Authorization", "AWS4-ECDSA-P256-SHA256 x"), "NotImplemented", ""},
		{"two parts", replace("SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,", ""), "AuthorizationHeaderMalformed", "three components"},
		{"no equals", replace("SignedHeaders=", "SignedHeaders-"), "AuthorizationHeaderMalformed", `"SignedHeaders-host;range`},
		{"no signature", replace("Signature=", "Signatur="), "AuthorizationHeaderMalformed", "missing Signature."},
		{"credential", replace("/s3/", "/s3/x/"), "AuthorizationHeaderMalformed", "the Credential is mal-formed"},
		{"terminal", replace("aws4_request", "aws5_request"), "AuthorizationHeaderMalformed", `incorrect terminal "aws5_request"`},
		{"service", replace("/s3/", "/ec2/"), "AuthorizationHeaderMalformed", `incorrect service "ec2"`},
		{"region", replace("us-east-1", "eu-west-3"), "AuthorizationHeaderMalformed", `the region "eu-west-3" is wrong; expecting "us-east-1"`},
		{"date", replace("20130524/", "3223423234/"), "AuthorizationHeaderMalformed", `incorrect date format "3223423234"`},
		{"other date", replace("20130524/", "20130523/"), "AuthorizationHeaderMalformed", "Invalid credential date"},
		{"unknown key", replace("AKIA", "AKIB"), "InvalidAccessKeyId", ""},
		{"no date", with(func(r *http.Request) { r.Header.Del("X-Amz-Date") }), "AccessDenied", "valid Date or x-amz-date"},
		{"bad date", set("X-Amz-Date", "03032006"), "AccessDenied", "valid Date or x-amz-date"},
		{"no hash", with(func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }), "InvalidRequest", "x-amz-content-sha256"},
		{"bad hash", set("X-Amz-Content-Sha256", "abc"), "InvalidArgument", "must be UNSIGNED-PAYLOAD"},
		{"ecdsa hash", set("X-Amz-Content-Sha256", streamingECDSA), "NotImplemented", ""},
		{"unsigned header", set("X-Amz-Tagging", "a=b"), "AccessDenied", "not signed"},
		{"unsigned host", replace("host;", ""), "AccessDenied", "not signed"},
		{"two ways", with(func(r *http.Request) { r.RequestURI += "?X-Amz-Signature=x" }), "InvalidArgument", "Only one auth mechanism"},
	} {
		_, err := verify(t, exampleVerifier(), c.r)
		s3errtest.Want(t, c.name, err, c.code, c.message)
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		off  time.Duration
		code string
	}{
		{15 * time.Minute, ""}, {-15 * time.Minute, ""},
		{15*time.Minute + time.Second, "RequestTimeTooSkewed"}, {-15*time.Minute - time.Second, "RequestTimeTooSkewed"},
	} {
		_, err := verify(t, verifierAt(exampleTime.Add(c.off)), awsExamples()["get object"])
		if c.code == "" && err != nil {
			t.Errorf("%v: %v", c.off, err)
		} else if c.code != "" {
			s3errtest.Want(t, c.off.String(), err, c.code, "")
		}
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		off  time.Duration
		code string
	}{{0, ""}, {day, ""}, {day + time.Second, "AccessDenied"}, {-15 * time.Minute, ""}, {-16 * time.Minute, "AccessDenied"}} {
		_, err := verify(t, verifierAt(exampleTime.Add(c.off)), awsExamples()["presigned get"])
		if c.code == "" && err != nil {
			t.Errorf("presigned %v: %v", c.off, err)
		} else if c.code != "" {
			s3errtest.Want(t, c.off.String(), err, c.code, "Request")
		}
	}
}

func TestPresignedRefusals(t *testing.T) {
	for _, c := range []struct{ from, to, code, message string }{
		{"X-Amz-Expires=86400", "X-Amz-Expires=604801", "AuthorizationQueryParametersError", "must be less than a week"},
		{"X-Amz-Expires=86400", "X-Amz-Expires=-1", "AuthorizationQueryParametersError", "non-negative"},
		{"X-Amz-Expires=86400", "X-Amz-Expires=1h", "AuthorizationQueryParametersError", "should be a number"},
		{"&X-Amz-Expires=86400", "", "AuthorizationQueryParametersError", "requires the X-Amz-Algorithm"},
		{"X-Amz-Expires=86400", "X-Amz-Expires=86401", "SignatureDoesNotMatch", ""},
		{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=range", "AccessDenied", "not signed"},
		{"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", "AuthorizationQueryParametersError", "only supports"},
		{"20130524T", "20130525T", "AuthorizationQueryParametersError", "not the same"},
		{"20130524T000000Z", "yesterday", "AuthorizationQueryParametersError", "ISO8601"},
		{"us-east-1", "us-east-2", "AuthorizationQueryParametersError", "expecting"},
		{"/test.txt?", "/test.txt?versionId=1&", "SignatureDoesNotMatch", ""},
	} {
		r := awsExamples()["presigned get"]
		r.RequestURI = strings.Replace(r.RequestURI, c.from, c.to, 1)
		_, err := verify(t, exampleVerifier(), r)
		s3errtest.Want(t, c.to, err, c.code, c.message)
	}
}

func TestAnonymous(t *testing.T) {
	a, err := verify(t, exampleVerifier(), request("GET", "/test.txt", ""))
	if err != nil || a.Kind != Anonymous || a.AccessKeyID != "" {
		t.Fatalf("got %+v, %v", a, err)
	}
	_, err = verify(t, exampleVerifier(), request("PUT", "/test.txt", "", "x-amz-content-sha256: "+streamingSigned))
	s3errtest.Want(t, "streaming", err, "InvalidRequest", "Anonymous")
}

// Keys that other servers clean sign as they were sent, both as SDKs encode them and as sloppy clients do. That they come back so is s3api's TestOddKeys.
func TestOddKeys(t *testing.T) {
	for _, c := range []struct{ path, key string }{
		{"/a//b", "a//b"}, {"//a", "/a"}, {"/../a", "../a"}, {"/a/./b/", "a/./b/"}, {"/%00", "\x00"}, {"/a%2Fb", "a/b"},
		{"/a+b", "a+b"}, {"/a%2Bb", "a+b"}, {"/a%20b", "a b"}, {"/%C3%A9", "\u00e9"}, {"/e%CC%81", "e\u0301"}, {"/!'()*", "!'()*"},
		{"/a%25", "a%"}, {"/a%252Fb", "a%2Fb"}, {"/a=b&c@d:e,f;g", "a=b&c@d:e,f;g"}, {"/\u65e5\u672c", "\u65e5\u672c"},
	} {
		for _, raw := range []bool{false, true} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RequestURI, r.Host = c.path, exampleHost
			signed := c.path
			if !raw {
				signed = "/" + string(wire.AppendEscaped(nil, c.key, true))
			}
			sign(r, signed, "", exampleTime)
			if _, err := verify(t, exampleVerifier(), r); err != nil {
				t.Errorf("%s (raw %v): %v", c.path, raw, err)
			}
		}
	}
}

// sign is the client's side, for tests: it signs host, date and payload hash over an already canonical path and query.
func sign(r *http.Request, path, query string, at time.Time) {
	stamp := at.UTC().Format(isoTime)
	if r.Header.Get("X-Amz-Content-Sha256") == "" {
		r.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
	}
	r.Header.Set("X-Amz-Date", stamp)
	names := "host;x-amz-content-sha256;x-amz-date"
	canonical := r.Method + "\n" + path + "\n" + query + "\nhost:" + r.Host + "\nx-amz-content-sha256:" + r.Header.Get("X-Amz-Content-Sha256") +
		"\nx-amz-date:" + stamp + "\n\n" + names + "\n" + r.Header.Get("X-Amz-Content-Sha256")
	scope := stamp[:8] + "/us-east-1/s3/aws4_request"
	key := deriveKey(exampleSecret, stamp[:8], "us-east-1", Service)
	sig := key.sign(nil, appendToSign(nil, stamp, scope, []byte(canonical)))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+exampleID+"/"+scope+", SignedHeaders="+names+", Signature="+string(sig))
}

func TestQueryEncoding(t *testing.T) {
	for sent, canonical := range map[string]string{
		"prefix=a%2Fb":         "prefix=a%2Fb",
		"prefix=a/b":           "prefix=a%2Fb",
		"prefix=a+b":           "prefix=a%20b",
		"prefix=a%2Bb":         "prefix=a%2Bb",
		"acl":                  "acl=",
		"b=1&a-b=1&a=2&a=1":    "a=1&a=2&a-b=1&b=1",
		"prefix=%E6%97%A5&x=~": "prefix=%E6%97%A5&x=~",
		"marker=%00&&":         "marker=%00",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI, r.Host = "/?"+sent, exampleHost
		sign(r, "/", canonical, exampleTime)
		if _, err := verify(t, exampleVerifier(), r); err != nil {
			t.Errorf("%s: %v", sent, err)
		}
	}
}

func TestKeyCache(t *testing.T) {
	secret := exampleSecret
	v := NewVerifier(Service, "us-east-1", func(context.Context, string) (string, error) { return secret, nil }, func() time.Time { return exampleTime })
	r := awsExamples()["get object"]
	if _, err := verify(t, v, r); err != nil {
		t.Fatal(err)
	}
	secret = "changed"
	if _, err := verify(t, v, r); !errors.Is(err, s3err.ErrSignatureDoesNotMatch) {
		t.Fatalf("a cached key outlived its secret: %v", err)
	}
	for i := range maxCachedKeys + 10 {
		if _, err := v.signingKey(context.Background(), &credential{accessKeyID: fmt.Sprint(i), date: "20130524"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(v.keys); n > maxCachedKeys {
		t.Errorf("%d keys cached", n)
	}
}

// One verifier serves all requests at once, while a key is changed under it.
func TestVerifierIsConcurrent(t *testing.T) {
	var turn atomic.Int64
	v := NewVerifier(Service, "us-east-1", func(context.Context, string) (string, error) {
		if turn.Add(1)%5 == 0 {
			return "changed", nil
		}
		return exampleSecret, nil
	}, func() time.Time { return exampleTime })
	var wg sync.WaitGroup
	var good, bad atomic.Int64
	for range 8 {
		wg.Go(func() {
			for range 200 {
				r := awsExamples()["get object"]
				q, err := wire.ReadTarget(r)
				if err == nil {
					_, err = v.Verify(t.Context(), r, &q)
				}
				switch {
				case err == nil:
					good.Add(1)
				case errors.Is(err, s3err.ErrSignatureDoesNotMatch):
					bad.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if good.Load() != 1280 || bad.Load() != 320 {
		t.Errorf("%d believed, %d refused", good.Load(), bad.Load())
	}
}

// A refusal to somebody unknown is not longer than what he sent, give or take a bound.
func TestRefusalIsBounded(t *testing.T) {
	r := awsExamples()["get object"]
	r.Header.Set("Range", strings.Repeat("<", 900_000))
	_, err := verify(t, exampleVerifier(), r)
	var text []byte
	for _, f := range wire.FromError(err).Extra {
		text = s3xml.AppendText(text, f.Value)
	}
	if !errors.Is(err, s3err.ErrSignatureDoesNotMatch) || len(text) > 200_000 {
		t.Errorf("%d bytes", len(text))
	}
}

const chunkSigned = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class"

// chunkedExample is the reference's chunked upload: 66,560 times 'a' in chunks of 64 KiB.
func chunkedExample() *http.Request {
	a := strings.Repeat("a", 65536)
	body := "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + a + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + a[:1024] + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
	r := request("PUT", "/examplebucket/chunkObject.txt", body, "Host: s3.amazonaws.com", "x-amz-date: 20130524T000000Z",
		"x-amz-storage-class: REDUCED_REDUNDANCY", "x-amz-content-sha256: "+streamingSigned, "Content-Encoding: aws-chunked",
		"x-amz-decoded-content-length: 66560", "Content-Length: 66824",
		authorization(chunkSigned, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"))
	return r
}

// trailerExample is the reference's chunked upload with a signed trailer.
func trailerExample() *http.Request {
	a := strings.Repeat("a", 65536)
	body := "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + a + "\r\n" +
		"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + a[:1024] + "\r\n" +
		"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\n" +
		"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
	return request("PUT", "/examplebucket/chunkObject.txt", body, "Host: s3.amazonaws.com", "x-amz-date: 20130524T000000Z",
		"x-amz-storage-class: REDUCED_REDUNDANCY", "x-amz-content-sha256: "+streamingSignedTrailer, "Content-Encoding: aws-chunked",
		"x-amz-decoded-content-length: 66560", "x-amz-trailer: x-amz-checksum-crc32c",
		authorization("content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"))
}

func TestAWSChunkedExamples(t *testing.T) {
	for name, r := range map[string]*http.Request{"signed": chunkedExample(), "trailer": trailerExample()} {
		a, err := verify(t, exampleVerifier(), r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		trailer := r.Header.Get("X-Amz-Trailer")
		body, size, err := a.Body(r, trailer)
		if err != nil || size != 66560 {
			t.Fatalf("%s: size %d, %v", name, size, err)
		}
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{'a'}, 66560)) {
			t.Fatalf("%s: %d bytes, %v", name, len(got), err)
		}
		if trailer != "" {
			sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(got, crc32.MakeTable(crc32.Castagnoli)))
			if came := body.(*ChunkedReader).Trailer(trailer); came != base64.StdEncoding.EncodeToString(sum) {
				t.Errorf("%s: the trailer is %q, and the checksum %x", name, came, sum)
			}
		} else if name == "trailer" {
			t.Error("no trailer announced")
		}
		body.Close()
	}
}

func BenchmarkVerify(b *testing.B) {
	r := awsExamples()["put object"]
	v := exampleVerifier()
	b.ReportAllocs()
	for b.Loop() {
		q, err := wire.ReadTarget(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Verify(context.Background(), r, &q); err != nil {
			b.Fatal(err)
		}
	}
}
