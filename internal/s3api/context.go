package s3api

import (
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// Context is what conditions are tested against: values by key, keys in lower case (tag keys as they are).
type Context map[string][]string

// expand replaces policy variables, ${aws:username}, in a pattern; one without a single value makes a pattern that matches
// nothing. What is put in is literal and is not looked at again.
func (ctx Context) expand(s string) string {
	for at := 0; ; {
		i := strings.Index(s[at:], "${")
		if i < 0 {
			return s
		}
		i += at
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			return s
		}
		name := s[i+2 : i+j]
		v := name
		if name != "*" && name != "?" && name != "$" {
			got := ctx[conditionKey(name)]
			if len(got) != 1 {
				return "\x00"
			}
			v = got[0]
		}
		v = literal.Replace(v)
		s = s[:i] + v + s[i+j+1:]
		at = i + len(v)
	}
}

// Peer is what is known of the connection.
type Peer struct {
	Addr   string // client's address, with or without port
	Secure bool   // TLS
	TLS    uint16 // its version as crypto/tls has it; 0: none
	Now    time.Time
}

// tlsVersions are the values of s3:TlsVersion.
var tlsVersions = map[uint16]string{tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1", tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}

// NewContext collects what every request says, whatever it asks for: who asks, from where, when and how it is signed.
func NewContext(r *http.Request, a *Auth, peer Peer) Context {
	host := peer.Addr
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ctx := Context{
		"aws:sourceip":        {host},
		"aws:securetransport": {strconv.FormatBool(peer.Secure)},
		"aws:currenttime":     {peer.Now.UTC().Format(time.RFC3339)},
		"aws:epochtime":       {strconv.FormatInt(peer.Now.Unix(), 10)},
		"aws:resourceaccount": {AccountID},
		"aws:viaawsservice":   {"false"},
		"s3:resourceaccount":  {AccountID},
	}
	ctx.set("s3:tlsversion", tlsVersions[peer.TLS])
	ctx.set("aws:referer", r.Header["Referer"]...)
	ctx.set("aws:useragent", r.Header["User-Agent"]...)
	ctx.set("s3:x-amz-content-sha256", payloadHeader(r, a))
	ctx.addPrincipal(a, peer.Now)
	return ctx
}

// payloadHeader is x-amz-content-sha256 as the signature covers it. That of a form covers no payload, and there is none of a stranger.
func payloadHeader(r *http.Request, a *Auth) string {
	switch a.Kind {
	case ByHeader:
		return wire.First(r.Header, "X-Amz-Content-Sha256")
	case ByQuery:
		return a.covered
	}
	return unsignedPayload
}

// addPrincipal says who asks and how it was signed.
func (ctx Context) addPrincipal(a *Auth, now time.Time) {
	if a.Kind == Anonymous {
		ctx["aws:principaltype"] = []string{"Anonymous"}
		ctx["aws:userid"] = []string{"anonymous"}
		return
	}
	ctx["aws:principaltype"] = []string{"User"}
	ctx["aws:principalisawsservice"] = []string{"false"}
	ctx["aws:userid"] = []string{a.AccessKeyID}
	ctx["aws:username"] = []string{a.AccessKeyID}
	ctx["aws:principalaccount"] = []string{AccountID}
	ctx["aws:principalarn"] = []string{"arn:aws:iam::" + AccountID + ":user/" + a.AccessKeyID}
	ctx["s3:authtype"] = []string{[...]string{"", "REST-HEADER", "REST-QUERY-STRING", "POST"}[a.Kind]}
	ctx["s3:signatureversion"] = []string{algorithmV4}
	ctx["s3:signatureage"] = []string{strconv.FormatInt(now.Sub(a.SignedAt).Milliseconds(), 10)}
}

// set sets a key to those of the values that are not empty. A header that came in several lines has several values: a Deny on any of them fires.
func (ctx Context) set(key string, values ...string) {
	var kept []string
	for _, v := range values {
		if v != "" && !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	if kept != nil {
		ctx[key] = kept
	}
}

// addListing adds what a listing asks for.
func (ctx Context) addListing(q *Request) {
	if !q.Op.lists() { // the same parameters of another request say nothing
		return
	}
	limit := "max-keys"
	if q.Op == OpListMultipartUploads {
		limit = "max-uploads"
	}
	for key, param := range map[string]string{"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": limit} {
		// An empty prefix is said, and is another thing than none. An empty limit or delimiter is none, since the listing takes it so: else "max-keys=" would list
		// a thousand keys past a Deny of more than ten, written so that absence fires it.
		if v, ok := q.Query.Lookup(param); ok && (v != "" || param == "prefix") {
			ctx[key] = []string{v}
		}
	}
}

// addHeaders adds the headers that conditions are about.
func (ctx Context) addHeaders(h http.Header) {
	for key, header := range headerConditions {
		ctx.set(key, h[header]...)
	}
	for _, key := range [...]string{"s3:if-match", "s3:if-none-match"} {
		if v := ctx[key]; v != nil {
			ctx.addETag(key, v[0])
		}
	}
}

// addETag adds an entity tag as a client has written it, with quotes and without: a policy may name it either way.
func (ctx Context) addETag(key, etag string) {
	if etag != "" {
		bare := trimETag(etag)
		ctx.set(key, etag, bare, `"`+bare+`"`)
	}
}

// addCopySource adds the source of a copy as a policy names it, bucket/key, however the header is encoded. What comes from a view is named by the view and by its bucket.
func (ctx Context) addCopySource(header string) {
	s, err := ParseCopySource(header)
	if err != nil {
		ctx.set("s3:x-amz-copy-source", header) // the copy will be refused
		return
	}
	bucket, _, _ := strings.Cut(s.Bucket, viewMark)
	names := []string{s.Bucket + "/" + s.Key, bucket + "/" + s.Key}
	if s.VersionID != "" {
		for _, n := range names[:2] {
			names = append(names, n+"?versionId="+s.VersionID)
		}
	}
	ctx.set("s3:x-amz-copy-source", names...)
}

// addTags adds tags under requestTag or existingTag.
func (ctx Context) addTags(prefix string, tags []tagging.Tag) {
	for _, t := range tags {
		ctx[prefix+t.Key] = []string{t.Value}
		if prefix == requestTag {
			ctx["s3:requestobjecttagkeys"] = append(ctx["s3:requestobjecttagkeys"], t.Key)
		}
	}
}

// addRetention adds a retention that is asked for, that a bucket gives by default, or that is to be bypassed.
func (ctx Context) addRetention(r Retention, now time.Time) {
	if r.Mode == "" {
		return
	}
	ctx["s3:object-lock-mode"] = []string{r.Mode}
	ctx["s3:object-lock-retain-until-date"] = []string{r.Until.UTC().Format(time.RFC3339Nano)}
	// In whole days, rounded up: who asks for 30 days by his own clock asks for 30 days.
	days := math.Ceil(r.Until.Sub(now).Hours() / 24)
	ctx["s3:object-lock-remaining-retention-days"] = []string{strconv.FormatFloat(days, 'f', -1, 64)}
}

// only drops the keys that requests for an action do not have.
func (ctx Context) only(action string) {
	action = strings.ToLower(action)
	for key := range ctx {
		if r, ok := ruleOf(key); !ok || !r.applies(action) {
			delete(ctx, key)
		}
	}
}

var headerConditions = map[string]string{
	"s3:if-match": "If-Match", "s3:if-none-match": "If-None-Match",
	"s3:x-amz-acl":                                       "X-Amz-Acl",
	"s3:x-amz-grant-full-control":                        "X-Amz-Grant-Full-Control",
	"s3:x-amz-grant-read":                                "X-Amz-Grant-Read",
	"s3:x-amz-grant-read-acp":                            "X-Amz-Grant-Read-Acp",
	"s3:x-amz-grant-write":                               "X-Amz-Grant-Write",
	"s3:x-amz-grant-write-acp":                           "X-Amz-Grant-Write-Acp",
	"s3:x-amz-metadata-directive":                        "X-Amz-Metadata-Directive",
	"s3:x-amz-server-side-encryption":                    "X-Amz-Server-Side-Encryption",
	"s3:x-amz-server-side-encryption-aws-kms-key-id":     "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
	"s3:x-amz-server-side-encryption-customer-algorithm": "X-Amz-Server-Side-Encryption-Customer-Algorithm",
	"s3:x-amz-storage-class":                             "X-Amz-Storage-Class",
	"s3:x-amz-website-redirect-location":                 "X-Amz-Website-Redirect-Location",
}
