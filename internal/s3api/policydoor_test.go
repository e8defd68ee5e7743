package s3api_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"stele"
	"stele/internal/s3api"
)

// judge is a store with three doors, in front of which policies are tried: plain, TLS, and one whose clock is ten minutes ahead.
type judge struct {
	*door
	tls, late *httptest.Server
	versions  map[string]string // of the objects made at the start
	count     int               // of keys made since
}

// The buckets of a judge. box and src have object lock; locked has a default retention too.
const (
	box    = "judge-box"
	src    = "judge-src"
	locked = "judge-locked"
)

func openJudge(t *testing.T) *judge {
	d := openDoor(t, s3api.Options{})
	j := &judge{door: d, versions: map[string]string{}}
	j.tls = httptest.NewTLSServer(s3api.NewHandler(d.store, s3api.Options{}))
	j.late = httptest.NewServer(s3api.NewHandler(d.store, s3api.Options{Clock: func() time.Time { return time.Now().Add(10 * time.Minute) }}))
	t.Cleanup(j.tls.Close)
	t.Cleanup(j.late.Close)
	for _, b := range []string{box, src, locked} {
		_, err := d.store.CreateBucket(t.Context(), stele.Local(), b, true)
		d.ok(err)
	}
	_, err := d.store.SetObjectLock(t.Context(), stele.Local(), locked, stele.Retention{Mode: "GOVERNANCE", Days: 30})
	d.ok(err)
	for _, b := range []string{box, src} {
		for key, class := range map[string]string{"secret": "secret", "plain": "plain", "bare": ""} {
			h := map[string]string{}
			if class != "" {
				h["x-amz-tagging"] = "class=" + class
			}
			got := j.send("PUT", "/"+b+"/"+key, "body", h)
			if got.status != 200 {
				t.Fatalf("%s/%s: %+v", b, key, got)
			}
			j.versions[b+"/"+key] = got.header.Get("X-Amz-Version-Id")
		}
	}
	return j
}

// reply is what a request got.
type reply struct {
	status int
	header http.Header
	body   string
}

// denied tells whether the policy refused it, be it one key of DeleteObjects.
func (r reply) denied() bool {
	return r.status == 403 && (r.body == "" || strings.Contains(r.body, "<Code>AccessDenied</Code>")) || r.status == 200 && strings.Contains(r.body, "<Code>AccessDenied</Code>")
}

func (j *judge) newKey() string {
	j.count++
	return fmt.Sprintf("new/%d", j.count)
}

func (j *judge) request(base, method, path, body string, header map[string]string) *http.Request {
	j.Helper()
	r, err := http.NewRequestWithContext(j.Context(), method, base+path, strings.NewReader(body))
	j.ok(err)
	for k, v := range header {
		for _, line := range strings.Split(v, "\n") {
			r.Header.Add(k, line)
		}
	}
	return r
}

func (j *judge) answer(c *http.Client, r *http.Request) reply {
	j.Helper()
	res, err := c.Do(r)
	j.ok(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	j.ok(err)
	return reply{res.StatusCode, res.Header, string(b)}
}

// send signs in the header.
func (j *judge) send(method, path, body string, header map[string]string) reply {
	j.Helper()
	return j.answer(http.DefaultClient, j.signed(j.srv.URL, method, path, body, header))
}

func (j *judge) signed(base, method, path, body string, header map[string]string) *http.Request {
	j.Helper()
	r := j.request(base, method, path, body, header)
	if r.Header.Get("X-Amz-Content-Sha256") == "" {
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	}
	return signer.SignV4(*r, rootID, rootSecret, "", "us-east-1")
}

// link signs in the query.
func (j *judge) link(base, method, path, body string, header map[string]string) reply {
	j.Helper()
	r := signer.PreSignV4(*j.request(base, method, path, body, header), rootID, rootSecret, "", "us-east-1", 3600)
	return j.answer(http.DefaultClient, r)
}

func (j *judge) anonymous(method, path, body string, header map[string]string) reply {
	j.Helper()
	return j.answer(http.DefaultClient, j.request(j.srv.URL, method, path, body, header))
}

// overTLS sends a signed request in a version of TLS.
func (j *judge) overTLS(version uint16, method, path string) reply {
	j.Helper()
	c := j.tls.Client()
	tr := c.Transport.(*http.Transport).Clone()
	tr.TLSClientConfig.MinVersion, tr.TLSClientConfig.MaxVersion = version, version
	defer tr.CloseIdleConnections()
	return j.answer(&http.Client{Transport: tr}, j.signed(j.tls.URL, method, path, "", nil))
}

// form posts a signed form. header is what the HTTP request bears besides.
func (j *judge) form(bucket, key string, fields, header map[string]string) reply {
	j.Helper()
	now := time.Now().UTC()
	all := map[string]string{"key": key, "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": rootID + "/" + now.Format("20060102") + "/us-east-1/s3/aws4_request",
		"x-amz-date": now.Format("20060102T150405Z")}
	maps.Copy(all, fields)
	doc := `{"expiration":"` + now.Add(time.Hour).Format(time.RFC3339) + `","conditions":[{"bucket":"` + bucket + `"}`
	for name := range all {
		doc += `,["starts-with","$` + name + `",""]`
	}
	all["policy"] = base64.StdEncoding.EncodeToString([]byte(doc + "]}"))
	all["x-amz-signature"] = signer.PostPresignSignatureV4(all["policy"], now, rootSecret, "us-east-1")
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		j.ok(w.WriteField(name, all[name]))
	}
	f, err := w.CreateFormFile("file", "name.txt")
	j.ok(err)
	io.WriteString(f, "body")
	w.Close()
	r := j.request(j.srv.URL, "POST", "/"+bucket, b.String(), header)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return j.answer(http.DefaultClient, r)
}

// begin opens an upload with headers and gives it a part.
func (j *judge) begin(bucket, key string, header map[string]string) (path, etag string) {
	j.Helper()
	got := j.send("POST", "/"+bucket+"/"+key+"?uploads", "", header)
	var up struct {
		ID string `xml:"UploadId"`
	}
	if err := xml.Unmarshal([]byte(got.body), &up); err != nil || got.status != 200 {
		j.Fatalf("couldn't begin an upload with %v: %+v", header, got)
	}
	path = "/" + bucket + "/" + key + "?uploadId=" + url.QueryEscape(up.ID)
	part := j.send("PUT", path+"&partNumber=1", "part", nil)
	if part.status != 200 {
		j.Fatalf("couldn't upload a part: %+v", part)
	}
	return path, part.header.Get("ETag")
}

func completion(etag string) string {
	return `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>` + etag + `</ETag></Part></CompleteMultipartUpload>`
}

// put sets a bucket's policy through the door, so that it is checked; "" removes it.
func (j *judge) put(bucket, policy string) {
	j.Helper()
	method, want := "PUT", 204
	if policy == "" {
		method = "DELETE"
	}
	if got := j.send(method, "/"+bucket+"?policy", policy, nil); got.status != want {
		j.Fatalf("policy %s: %+v", policy, got)
	}
}

// deny is a policy that lets everyone in but denies an action under a condition.
func deny(bucket, action, condition string) string {
	on := `["arn:aws:s3:::` + bucket + `","arn:aws:s3:::` + bucket + `/*"]`
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":` + on + `},
		{"Effect":"Deny","Principal":"*","Action":"` + action + `","Resource":` + on + `,"Condition":{` + condition + `}}]}`
}

// A way is how a write says something. It prepares what it needs while there is no policy, and returns what sends the request. h are the headers that say it.
type way func(j *judge, h map[string]string) func() reply

// putWays are all ways to write an object, by what must have the headers.
var putWays = map[string]way{
	"header of PutObject": func(j *judge, h map[string]string) func() reply {
		return func() reply { return j.send("PUT", "/"+box+"/"+j.newKey(), "body", withMD5(h, "body")) }
	},
	"signed header of a link": func(j *judge, h map[string]string) func() reply {
		return func() reply { return j.link(j.srv.URL, "PUT", "/"+box+"/"+j.newKey(), "body", withMD5(h, "body")) }
	},
	"parameter of a link": func(j *judge, h map[string]string) func() reply {
		q := url.Values{}
		for k, v := range h {
			q.Set(k, v)
		}
		return func() reply { return j.link(j.srv.URL, "PUT", "/"+box+"/"+j.newKey()+"?"+q.Encode(), "body", nil) }
	},
	"header of CopyObject": func(j *judge, h map[string]string) func() reply {
		return func() reply {
			return j.send("PUT", "/"+box+"/"+j.newKey(), "", with(h, "x-amz-copy-source", src+"/bare", "x-amz-tagging-directive", "REPLACE"))
		}
	},
	"header of CreateMultipartUpload": func(j *judge, h map[string]string) func() reply {
		return func() reply { return j.send("POST", "/"+box+"/"+j.newKey()+"?uploads", "", h) }
	},
	"beginning of an upload, at UploadPart": func(j *judge, h map[string]string) func() reply {
		path, _ := j.begin(box, j.newKey(), h)
		return func() reply { return j.send("PUT", path+"&partNumber=2", "part", nil) }
	},
	"beginning of an upload, at UploadPartCopy": func(j *judge, h map[string]string) func() reply {
		path, _ := j.begin(box, j.newKey(), h)
		return func() reply {
			return j.send("PUT", path+"&partNumber=2", "", map[string]string{"x-amz-copy-source": src + "/bare"})
		}
	},
	"beginning of an upload, at its completion": func(j *judge, h map[string]string) func() reply {
		path, etag := j.begin(box, j.newKey(), h)
		return func() reply { return j.send("POST", path, completion(etag), nil) }
	},
	"form field": func(j *judge, h map[string]string) func() reply {
		return func() reply { return j.form(box, j.newKey(), h, nil) }
	},
}

func with(h map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, h)
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// withMD5 adds what a write with a lock must have.
func withMD5(h map[string]string, body string) map[string]string {
	return with(h, "Content-MD5", md5Base64(body))
}

const tls12, tls13 = tls.VersionTLS12, tls.VersionTLS13
