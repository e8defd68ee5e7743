package doortest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Stamp is the form of x-amz-date.
const Stamp = "20060102T150405Z"

// Unsigned stands for a body that the signature does not cover.
const Unsigned = "UNSIGNED-PAYLOAD"

// Key is who signs, for what region and service and when. The zero Key is the root key, for S3, now.
type Key struct {
	ID, Secret, Region string
	Service            string // "stele-admin": for the admin port
	Now                time.Time
}

func (k Key) filled() Key {
	if k.ID == "" {
		k.ID, k.Secret = AccessKey, SecretKey
	}
	if k.Region == "" {
		k.Region = "us-east-1"
	}
	if k.Service == "" {
		k.Service = "s3"
	}
	if k.Now.IsZero() {
		k.Now = time.Now()
	}
	k.Now = k.Now.UTC()
	return k
}

func (k Key) scope() string {
	return k.Now.Format("20060102") + "/" + k.Region + "/" + k.Service + "/aws4_request"
}

func (k Key) sign(text string) string {
	key := []byte("AWS4" + k.Secret)
	for _, part := range strings.Split(k.scope(), "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Sum is the hex SHA-256 that x-amz-content-sha256 carries.
func Sum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Sign signs a request in its header (source: AWS, "Signature Calculations for the Authorization Header") and returns the signature, with
// which a stream of signed chunks begins. Host and every x-amz header are signed; the query must be sorted and escaped already.
func (k Key) Sign(r *http.Request, sum string) string {
	k = k.filled()
	r.Header.Set("X-Amz-Date", k.Now.Format(Stamp))
	r.Header.Set("X-Amz-Content-Sha256", sum)
	names, lines := signedHeaders(r)
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, lines, names, sum}, "\n")
	signature := k.sign("AWS4-HMAC-SHA256\n" + k.Now.Format(Stamp) + "\n" + k.scope() + "\n" + Sum([]byte(canonical)))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+k.ID+"/"+k.scope()+",SignedHeaders="+names+",Signature="+signature)
	return signature
}

func signedHeaders(r *http.Request) (names, lines string) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	values := map[string]string{"host": host}
	for name, v := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			values[lower] = strings.TrimSpace(strings.Join(v, ","))
		}
	}
	var list []string
	for _, name := range sorted(values) {
		list = append(list, name)
		lines += name + ":" + values[name] + "\n"
	}
	return strings.Join(list, ";"), lines
}

// Presign returns target, a URL without query, signed in its query for a method and a time.
func (k Key) Presign(method, target string, holds time.Duration) string {
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		panic("doortest: " + err.Error())
	}
	k.PresignRequest(r, holds)
	return r.URL.String()
}

// PresignRequest signs a request in its query, for a time: what the query says already, host and every x-amz header.
func (k Key) PresignRequest(r *http.Request, holds time.Duration) {
	k = k.filled()
	names, lines := signedHeaders(r)
	q := r.URL.Query()
	for name, v := range map[string]string{"Algorithm": "AWS4-HMAC-SHA256", "Credential": k.ID + "/" + k.scope(), "Date": k.Now.Format(Stamp), "Expires": fmt.Sprint(int(holds.Seconds())), "SignedHeaders": names} {
		q.Set("X-Amz-"+name, v)
	}
	query := strings.ReplaceAll(q.Encode(), "+", "%20")
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), query, lines, names, Unsigned}, "\n")
	r.URL.RawQuery = query + "&X-Amz-Signature=" + k.sign("AWS4-HMAC-SHA256\n"+k.Now.Format(Stamp)+"\n"+k.scope()+"\n"+Sum([]byte(canonical)))
}

// Form is the body of a browser's upload to a bucket, signed by its fields, and its content type.
func (k Key) Form(bucket, key string, file []byte) (body []byte, contentType string) {
	k = k.filled()
	fields := [][2]string{{"key", key}, {"x-amz-algorithm", "AWS4-HMAC-SHA256"}, {"x-amz-credential", k.ID + "/" + k.scope()}, {"x-amz-date", k.Now.Format(Stamp)}}
	policy := fmt.Sprintf(`{"expiration":%q,"conditions":[{"bucket":%q}`, k.Now.Add(time.Hour).Format("2006-01-02T15:04:05.000Z"), bucket)
	for _, f := range fields {
		policy += fmt.Sprintf(`,{%q:%q}`, f[0], f[1])
	}
	policy = base64.StdEncoding.EncodeToString([]byte(policy + "]}"))
	return form(file, append(fields, [2]string{"policy", policy}, [2]string{"x-amz-signature", k.sign(policy)}))
}

// UnsignedForm is Form of somebody without a key.
func UnsignedForm(key string, file []byte) (body []byte, contentType string) {
	return form(file, [][2]string{{"key", key}})
}

func form(file []byte, fields [][2]string) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			panic("doortest: " + err.Error())
		}
	}
	p, err := w.CreateFormFile("file", "file")
	if err != nil {
		panic("doortest: " + err.Error())
	}
	p.Write(file) //nolint:errcheck // a buffer
	w.Close()     //nolint:errcheck // a buffer
	return b.Bytes(), w.FormDataContentType()
}

// Chunks frames and signs parts as aws-chunked, beginning with the signature of the request (source: AWS, "Transferring Payload in Multiple Chunks").
func (k Key) Chunks(seed string, parts ...[]byte) []byte {
	k = k.filled()
	var out bytes.Buffer
	for _, p := range append(parts[:len(parts):len(parts)], nil) {
		seed = k.sign(strings.Join([]string{"AWS4-HMAC-SHA256-PAYLOAD", k.Now.Format(Stamp), k.scope(), seed, Sum(nil), Sum(p)}, "\n"))
		fmt.Fprintf(&out, "%x;chunk-signature=%s\r\n%s\r\n", len(p), seed, p)
	}
	return out.Bytes()
}

// Reply is an answer, read whole.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Code is the code of an S3 error reply; empty: it is none.
func (r *Reply) Code() string {
	_, rest, _ := strings.Cut(string(r.Body), "<Error><Code>")
	code, _, ok := strings.Cut(rest, "</Code>")
	if !ok {
		return ""
	}
	return code
}

// NewRequest makes a signed request; headers are "Name: value". A header of x-amz is signed as well.
func (s *Server) NewRequest(k Key, method, target string, body []byte, headers ...string) *http.Request {
	r, err := http.NewRequest(method, s.URL+target, bytes.NewReader(body))
	if err != nil {
		panic("doortest: " + err.Error())
	}
	for _, h := range headers {
		name, v, _ := strings.Cut(h, ": ")
		r.Header.Set(name, v)
	}
	k.Sign(r, Sum(body))
	return r
}

// Send sends a request and reads the answer.
func Send(c *http.Client, r *http.Request) (*Reply, error) {
	res, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return &Reply{Status: res.StatusCode, Header: res.Header, Body: b}, err
}

// Do is one request of the root key that must be answered.
func (s *Server) Do(t testing.TB, method, target string, body []byte, headers ...string) *Reply {
	t.Helper()
	res, err := Send(http.DefaultClient, s.NewRequest(Key{}, method, target, body, headers...))
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return res
}

// Must is Do with the status that it must have.
func (s *Server) Must(t testing.TB, status int, method, target string, body []byte, headers ...string) *Reply {
	t.Helper()
	res := s.Do(t, method, target, body, headers...)
	if res.Status != status {
		t.Fatalf("%s %s: want %d, got %d\n%.600s", method, target, status, res.Status, res.Body)
	}
	return res
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
