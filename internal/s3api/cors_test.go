package s3api

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"stele/internal/s3api/s3err/s3errtest"
)

func corsRules(t *testing.T) []CORSRule {
	t.Helper()
	rules, err := DecodeCORS([]byte(`<CORSConfiguration>
		<CORSRule><ID>one</ID><AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod><AllowedOrigin>http://example.com</AllowedOrigin>
			<AllowedHeader>X-Amz-Date</AllowedHeader><AllowedHeader>x-amz-meta-*</AllowedHeader><ExposeHeader>Content-Type</ExposeHeader><MaxAgeSeconds>100</MaxAgeSeconds></CORSRule>
		<CORSRule><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedHeader>*</AllowedHeader></CORSRule>
		<CORSRule><AllowedMethod>HEAD</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>`))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestCORSRoundTrip(t *testing.T) {
	rules := corsRules(t)
	again, err := DecodeCORS(AppendCORS(nil, rules))
	if err != nil || !reflect.DeepEqual(again, rules) {
		t.Errorf("got %+v, %v", again, err)
	}
}

func TestCORSRefusals(t *testing.T) {
	rule := func(inner string) string {
		return "<CORSConfiguration><CORSRule>" + inner + "</CORSRule></CORSConfiguration>"
	}
	const get, any = "<AllowedMethod>GET</AllowedMethod>", "<AllowedOrigin>*</AllowedOrigin>"
	for doc, want := range map[string]string{
		"<CORSConfiguration/>": "MalformedXML", "<CORSConfiguration><X/></CORSConfiguration>": "MalformedXML",
		rule(get): "MalformedXML", rule(any): "MalformedXML", rule(get + any + "<MaxAgeSeconds>x</MaxAgeSeconds>"): "MalformedXML",
		rule(any + "<AllowedMethod>get</AllowedMethod>"):                                                         "InvalidRequest: Found unsupported HTTP method in CORS config. Unsupported method is get",
		rule(get + "<AllowedOrigin>*a*</AllowedOrigin>"):                                                         "InvalidRequest: AllowedOrigin \"*a*\" can not have more than one wildcard.",
		rule(get + any + "<AllowedHeader>a b</AllowedHeader>"):                                                   "InvalidRequest: AllowedHeader \"a b\" contains invalid character.",
		rule(get + any + "<ExposeHeader>X[Key]</ExposeHeader>"):                                                  "InvalidRequest: AllowedHeader \"X[Key]\" contains invalid character.",
		"<CORSConfiguration>" + strings.Repeat("<CORSRule>"+get+any+"</CORSRule>", 101) + "</CORSConfiguration>": "MalformedXML",
	} {
		_, err := DecodeCORS([]byte(doc))
		code, message, _ := strings.Cut(want, ": ")
		s3errtest.Want(t, doc, err, code, message)
	}
}

func TestPreflight(t *testing.T) {
	rules := corsRules(t)
	for _, c := range []struct {
		origin, method, headers string
		rules                   []CORSRule
		code                    string
		allowOrigin, allow      string
	}{
		{"http://example.com", "GET", "X-Amz-Date, x-amz-meta-a", rules, "", "http://example.com", "x-amz-date, x-amz-meta-a"},
		{"http://example.com", "HEAD", "", rules, "", "http://example.com", ""},
		{"https://a.example.com", "PUT", "Anything", rules, "", "https://a.example.com", "anything"},
		{"http://elsewhere.org", "HEAD", "", rules, "", "*", ""},
		{"http://elsewhere.org", "HEAD", "X-Amz-Date", rules, "AccessForbidden", "", ""},
		{"http://elsewhere.org", "GET", "", rules, "AccessForbidden", "", ""},
		{"http://example.com", "DELETE", "", rules, "AccessForbidden", "", ""},
		{"http://example.com", "GET", "X-Other", rules, "AccessForbidden", "", ""},
		{"http://example.com.evil.org", "GET", "", rules, "AccessForbidden", "", ""},
		{"http://example.com", "GET", "", nil, "AccessForbidden", "", ""},
		{"", "GET", "", rules, "BadRequest", "", ""},
		{"http://example.com", "PATCH", "", rules, "BadRequest", "", ""},
		{"http://example.com", "", "", rules, "BadRequest", "", ""},
		{"http://example.com", "GET", "X Y", rules, "BadRequest", "", ""},
	} {
		r := httptest.NewRequest("OPTIONS", "/bucket/k", nil)
		for k, v := range map[string]string{"Origin": c.origin, "Access-Control-Request-Method": c.method, "Access-Control-Request-Headers": c.headers} {
			if v != "" {
				r.Header.Set(k, v)
			}
		}
		h, err := Preflight(r, c.rules)
		name := c.origin + " " + c.method + " " + c.headers
		if c.code != "" {
			s3errtest.Want(t, name, err, c.code, "")
			continue
		}
		if err != nil || h.Get("Access-Control-Allow-Origin") != c.allowOrigin || h.Get("Access-Control-Allow-Headers") != c.allow ||
			(h.Get("Access-Control-Allow-Credentials") == "true") != (c.allowOrigin != "*") || c.allowOrigin == "*" && h["Access-Control-Allow-Credentials"] != nil {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
}

func TestCORSHeaders(t *testing.T) {
	rules := corsRules(t)
	r := httptest.NewRequest("GET", "/bucket/k", nil)
	if CORSHeaders(r, rules) != nil {
		t.Error("headers without an origin")
	}
	r.Header.Set("Origin", "http://example.com")
	want := http.Header{
		"Access-Control-Allow-Origin": {"http://example.com"}, "Access-Control-Allow-Methods": {"GET, HEAD"}, "Access-Control-Allow-Credentials": {"true"},
		"Access-Control-Expose-Headers": {"Content-Type, ETag"}, "Access-Control-Max-Age": {"100"},
		"Vary": {"Origin, Access-Control-Request-Headers, Access-Control-Request-Method"},
	}
	if h := CORSHeaders(r, rules); !reflect.DeepEqual(h, want) {
		t.Errorf("got %v", h)
	}
	r.Method = "DELETE"
	if CORSHeaders(r, rules) != nil {
		t.Error("headers for a method that no rule allows")
	}
}
