package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

// form builds a POST upload out of fields in order ("name=value") and a file.
func form(t testing.TB, fields []string, fileName, file string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if fileName != "" {
		p, err := w.CreateFormFile("file", fileName)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(p, file)
	}
	w.WriteField("submit", "after the file")
	w.Close()
	r := httptest.NewRequest("POST", "/examplebucket", &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return r
}

const goodConditions = `{"bucket":"examplebucket"},["starts-with","$key",""],{"x-amz-algorithm":"AWS4-HMAC-SHA256"},["eq","$x-amz-credential","` + exampleScope + `"],{"x-amz-date":"20130524T000000Z"}`

// signedForm signs a policy document given as plain JSON.
func signedForm(t testing.TB, policy string, more ...string) *http.Request {
	encoded := base64.StdEncoding.EncodeToString([]byte(policy))
	sig := deriveKey(exampleSecret, "20130524", "us-east-1", Service).sign(nil, []byte(encoded))
	fields := append([]string{"x-amz-algorithm=AWS4-HMAC-SHA256", "x-amz-credential=" + exampleScope, "x-amz-date=20130524T000000Z",
		"Policy=" + encoded, "X-Amz-Signature=" + string(sig)}, more...)
	return form(t, fields, "cat.jpg", "meow")
}

func policyWith(conditions string) string {
	return `{"expiration":"2013-05-24T12:00:00.000Z","conditions":[` + goodConditions + conditions + `]}`
}

func verifyForm(t testing.TB, v *Verifier, r *http.Request) (*PostForm, *Identity, error) {
	t.Helper()
	f, err := ReadPostForm(r)
	if err != nil {
		return nil, nil, err
	}
	a, err := v.VerifyPost(context.Background(), f, "examplebucket")
	return f, a, err
}

func TestPostForm(t *testing.T) {
	f, a, err := verifyForm(t, exampleVerifier(), signedForm(t, policyWith(`,["starts-with","$content-type","image/"],{"x-amz-meta-a":"b"},["content-length-range","1",4]`),
		"key=user/${filename}", "Content-Type=image/jpeg", "x-amz-meta-a=b", "x-ignore-me=1"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(f.File)
	if err != nil || string(body) != "meow" || f.Key != "user/cat.jpg" || a.AccessKeyID != exampleID || a.Kind != ByPostForm {
		t.Errorf("%q %q %+v %v", body, f.Key, a, err)
	}
	h, err := f.Header()
	if err != nil {
		t.Fatal(err)
	}
	if h.Get("Content-Type") != "image/jpeg" || h.Get("X-Amz-Meta-A") != "b" || h.Get("X-Amz-Date") != "" || len(h) != 2 {
		t.Errorf("%v", h)
	}
}

func TestPostFormAnonymous(t *testing.T) {
	f, a, err := verifyForm(t, exampleVerifier(), form(t, []string{"key=k"}, "f", "x"))
	if err != nil || a.Kind != Anonymous || f.Key != "k" {
		t.Errorf("%+v %+v %v", f, a, err)
	}
}

func TestPostFormBounds(t *testing.T) {
	for bounds, code := range map[string]string{"[\"content-length-range\",0,3]": "EntityTooLarge", "[\"content-length-range\",5,9]": "EntityTooSmall", "[\"content-length-range\",4,4]": "",
		"[\"content-length-range\",0,3],[\"content-length-range\",0,9]": "EntityTooLarge", "[\"content-length-range\",5,9],[\"content-length-range\",0,9]": "EntityTooSmall"} {
		f, _, err := verifyForm(t, exampleVerifier(), signedForm(t, policyWith(","+bounds), "key=k"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(f.File)
		if code != "" {
			s3errtest.Want(t, bounds, err, code, "")
		} else if err != nil {
			t.Error(err)
		}
	}
}

// counting counts what is read of it.
type counting struct {
	io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// manyFields is half as many empty fields as a form may have, with these headers.
func manyFields(headers func(i int) string) string {
	var b strings.Builder
	for i := range maxPostFields / 2 {
		b.WriteString("--b\r\n" + headers(i) + "\r\n\r\n")
	}
	return b.String()
}

// TestPostFormHead: nobody has a server hold more of a form than its fields may have, wherever he puts it; the file may be as long as it is.
func TestPostFormHead(t *testing.T) {
	const disposition = "Content-Disposition: form-data; name=\"%s\"\r\n"
	line, much := "X-Padding: "+strings.Repeat("a", 1000)+"\r\n", 1000
	for where, body := range map[string]string{
		"headers of a field":  "--b\r\n" + fmt.Sprintf(disposition, "key") + strings.Repeat(line, much) + "\r\nk\r\n",
		"a line of a header":  "--b\r\n" + fmt.Sprintf(disposition, "key") + "X: " + strings.Repeat("a", much*1000) + "\r\n\r\nk\r\n",
		"headers of the file": "--b\r\n" + fmt.Sprintf(disposition, "file") + strings.Repeat(line, much) + "\r\nk\r\n",
		"headers of all fields": manyFields(func(i int) string {
			return fmt.Sprintf(disposition, fmt.Sprint("x-ignore-", i)) + strings.Repeat(line, 20)
		}),
		"before the first": strings.Repeat(line, much),
		"a field":          "--b\r\n" + fmt.Sprintf(disposition, "key") + "\r\n" + strings.Repeat(line, much),
	} {
		c := &counting{Reader: strings.NewReader(body)}
		r := httptest.NewRequest("POST", "/examplebucket", c)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		_, err := ReadPostForm(r)
		if wire.FromError(err).Code != "MalformedPOSTRequest" || c.n > maxPostHeadBytes {
			t.Errorf("%s: %v after %d bytes, want MalformedPOSTRequest after %d at most", where, err, c.n, maxPostHeadBytes)
		}
	}
	file := strings.Repeat("x", 10*maxPostHeadBytes)
	f, err := ReadPostForm(form(t, []string{"key=k"}, "f", file))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f.File); err != nil || string(got) != file {
		t.Errorf("%d bytes of %d, %v", len(got), len(file), err)
	}
}

func TestPostRefusals(t *testing.T) {
	good := signedForm(t, policyWith(""), "key=k")
	whole, _ := io.ReadAll(good.Body)
	raw := func(body, contentType string) *http.Request {
		r := httptest.NewRequest("POST", "/examplebucket", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return r
	}
	ct := good.Header.Get("Content-Type")
	with := func(from, to string) *http.Request { return raw(strings.Replace(string(whole), from, to, 1), ct) }
	signed := func(policy string) *http.Request { return signedForm(t, policy, "key=k") }
	cond := func(c string) *http.Request { return signed(policyWith("," + c)) }
	for _, c := range []struct {
		name          string
		r             *http.Request
		code, message string
	}{
		{"no boundary", raw("", "multipart/form-data"), "MalformedPOSTRequest", ""},
		{"not a form", raw("x", "multipart/form-data; boundary=b"), "MalformedPOSTRequest", ""},
		{"broken form", raw(string(whole[:300]), ct), "MalformedPOSTRequest", ""},
		{"no file", form(t, []string{"key=k"}, "", ""), "InvalidArgument", "exactly one file"},
		{"no key", form(t, nil, "f", "x"), "InvalidArgument", "a field named 'key'"},
		{"long key", form(t, []string{"key=" + strings.Repeat("k", 1025)}, "f", "x"), "KeyTooLongError", ""},
		{"key is not UTF-8", form(t, []string{"key=\xff"}, "f", "x"), "InvalidURI", ""},
		{"twice", form(t, []string{"key=k", "Key=l"}, "f", "x"), "InvalidArgument", "exactly one field named key"},
		{"too large", form(t, []string{"key=k", "a=" + strings.Repeat("x", maxPostFieldBytes)}, "f", "x"), "MalformedPOSTRequest", "too large"},
		{"no signature", form(t, []string{"key=k", "policy=x"}, "f", "x"), "InvalidArgument", "a field named 'x-amz-signature'"},
		{"algorithm", with("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), "InvalidArgument", "Only AWS4-HMAC-SHA256"},
		{"date", with("20130524T000000Z", "yesterday"), "InvalidArgument", "X-Amz-Date"},
		{"credential", with("/s3/aws4_request", "/s3"), "InvalidArgument", "mal-formed"},
		{"region", with("us-east-1", "us-east-2"), "InvalidArgument", "expecting"},
		{"key id", with("AKIA", "AKIB"), "InvalidAccessKeyId", ""},
		{"policy changed", with("eyJ", "eyK"), "SignatureDoesNotMatch", ""},
		{"empty policy", signed(""), "InvalidPolicyDocument", "End-of-Input"},
		{"not JSON", signed("x"), "InvalidPolicyDocument", "Invalid JSON."},
		{"null", signed("null"), "InvalidPolicyDocument", "Invalid JSON."},
		{"unknown field", signed(`{"expiration":"2013-05-24T12:00:00Z","conditions":[],"extra":1}`), "InvalidPolicyDocument", `Unexpected: "extra"`},
		{"no expiration", signed(`{"conditions":[]}`), "InvalidPolicyDocument", "missing expiration"},
		{"bad expiration", signed(`{"expiration":"x","conditions":[]}`), "InvalidPolicyDocument", "Invalid 'expiration' value: 'x'"},
		{"no conditions", signed(`{"expiration":"2013-05-24T12:00:00Z"}`), "InvalidPolicyDocument", "missing conditions"},
		{"bad conditions", signed(`{"expiration":"2013-05-24T12:00:00Z","conditions":true}`), "InvalidPolicyDocument", "must be a List."},
		{"bad condition", cond(`true`), "InvalidPolicyDocument", "must be a List or Object."},
		{"empty condition", cond(`[]`), "InvalidPolicyDocument", "missing operation identifier"},
		{"unknown operation", cond(`["ends-with","$key","k"]`), "InvalidPolicyDocument", "unknown operation 'ends-with'"},
		{"arguments", cond(`["eq","$key"]`), "InvalidPolicyDocument", "Invalid eq: wrong number of arguments."},
		{"types", cond(`["eq","$key",1]`), "InvalidPolicyDocument", "Invalid JSON."},
		{"bounds", cond(`["content-length-range",1,false]`), "InvalidPolicyDocument", "Invalid JSON."},
		{"two properties", cond(`{"a":"b","c":"d"}`), "InvalidPolicyDocument", "exactly one property"},
		{"property type", cond(`{"a":1}`), "InvalidPolicyDocument", "value must be a string"},
		{"expired", signed(strings.Replace(policyWith(""), "T12:", "T00:", 1)), "", ""},
		{"another key", cond(`["eq","$key","other"]`), "AccessDenied", `Policy Condition failed: ["eq","$key","other"]`},
		{"another prefix", cond(`["starts-with","$key","user/"]`), "AccessDenied", `Policy Condition failed: ["starts-with","$key","user/"]`},
		{"another bucket", signed(strings.Replace(policyWith(""), `"examplebucket"`, `"other"`, 1)), "AccessDenied", `["eq", "$bucket", "other"]`},
		{"no bucket", signed(strings.Replace(policyWith(""), `{"bucket":"examplebucket"},`, "", 1)), "AccessDenied", "Extra input fields: bucket"},
		{"extra field", signedForm(t, policyWith(""), "key=k", "acl=public-read"), "AccessDenied", "Extra input fields: acl"},
		{"no dollar", cond(`["eq","key","k"]`), "AccessDenied", "Policy Condition failed"},
		{"types of a list", signedForm(t, policyWith(`,["starts-with","$content-type","text/"]`), "key=k", "content-type=text/a, image/b"), "AccessDenied", "Policy Condition failed"},
	} {
		_, _, err := verifyForm(t, exampleVerifier(), c.r)
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		s3errtest.Want(t, c.name, err, c.code, c.message)
	}
	_, _, err := verifyForm(t, verifierAt(exampleTime.Add(13*time.Hour)), signed(policyWith("")))
	s3errtest.Want(t, "expired", err, "AccessDenied", "Policy expired.")
	long := strings.Replace(policyWith(""), "2013-05-24T12", "2099-05-24T12", 1)
	_, _, err = verifyForm(t, verifierAt(exampleTime.Add(8*24*time.Hour)), signed(long))
	s3errtest.Want(t, "older than its key", err, "AccessDenied", "Policy expired.")
}

// A form that is cut off inside its file is an error, never a shorter object.
func TestPostFileCut(t *testing.T) {
	r := signedForm(t, policyWith(""), "key=k")
	whole, _ := io.ReadAll(r.Body)
	at := bytes.Index(whole, []byte("meow"))
	for cut := at; cut < at+20; cut++ {
		r := httptest.NewRequest("POST", "/examplebucket", bytes.NewReader(whole[:cut]))
		r.Header.Set("Content-Type", "multipart/form-data; boundary="+string(whole[2:bytes.IndexByte(whole, '\r')]))
		f, _, err := verifyForm(t, exampleVerifier(), r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(f.File)
		s3errtest.Want(t, fmt.Sprint(cut), err, "IncompleteBody", "")
	}
}

// uploadForm is a form with a file of that name.
func uploadForm(t *testing.T, filename string, fields map[string]string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for k, v := range fields {
		if err := w.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.CreatePart(map[string][]string{"Content-Disposition": {`form-data; name="file"; filename="` + filename + `"`}})
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("body")) //nolint:errcheck // a buffer
	w.Close()               //nolint:errcheck
	r := httptest.NewRequest("POST", "/bucket", &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return r
}

// TestFormFileName: ${filename} is filled in in every field, before the policy is checked, and is the last part of a path of either kind.
func TestFormFileName(t *testing.T) {
	for sent, name := range map[string]string{"a.txt": "a.txt", "/home/me/a.txt": "a.txt", `C:\My Files\a.txt`: "a.txt", `\\server\share\a.txt`: "a.txt", `dir/sub\a.txt`: "a.txt", "a b&c.txt": "a b&c.txt"} {
		f, err := ReadPostForm(uploadForm(t, sent, map[string]string{"key": "up/${filename}", "x-amz-meta-name": "<${filename}>", "Content-Disposition": "attachment; filename=\"${filename}\"",
			"success_action_redirect": "http://x/${filename}", "tagging": "<Tagging><TagSet><Tag><Key>k</Key><Value>${filename}</Value></Tag></TagSet></Tagging>"}))
		if err != nil {
			t.Fatalf("%s: %v", sent, err)
		}
		h, err := f.Header()
		if err != nil || f.Key != "up/"+name || h.Get("X-Amz-Meta-Name") != "<"+name+">" || h.Get("Content-Disposition") != `attachment; filename="`+name+`"` || f.Fields["success_action_redirect"] != "http://x/"+name {
			t.Errorf("%s: key %q, fields %q, %v", sent, f.Key, f.Fields, err)
		}
		if root, err := s3xml.Parse([]byte(f.Fields["tagging"]), "Tagging"); err != nil || root.Child("TagSet").Child("Tag").Child("Value").Text() != name {
			t.Errorf("%s: tagging %q, %v", sent, f.Fields["tagging"], err)
		}
	}
	f, err := ReadPostForm(uploadForm(t, "a.txt", map[string]string{"key": "k", "x-amz-meta-ü": "v"}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Header()
	s3errtest.Want(t, "a name that no header can have", err, "InvalidArgument", "x-amz-meta-ü")
	p := &postPolicy{conditions: []postCondition{{op: "eq", field: "$key", value: "user/${filename}"}, {op: "starts-with", field: "$bucket"}}}
	f, err = ReadPostForm(uploadForm(t, "a.txt", map[string]string{"key": "user/${filename}"}))
	if err != nil {
		t.Fatal(err)
	}
	s3errtest.Want(t, "a condition on the field as it was sent", p.check(f, "b"), "AccessDenied", "Policy Condition failed")
}
