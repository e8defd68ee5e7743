package s3api

import (
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stele/internal/s3api/auth"
	"stele/internal/s3api/policy"
	"stele/internal/s3api/tagging"
)

// Peer is what is known of the connection.
type Peer struct {
	Addr   string // client's address, with or without port
	Secure bool   // TLS
	TLS    uint16 // its version as crypto/tls has it; 0: none
	Now    time.Time
}

// tlsVersions are the values of s3:TlsVersion.
var tlsVersions = map[uint16]string{tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1", tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}

// newContext collects what every request says, whatever it asks for: who asks, from where, when and how it is signed.
func newContext(r *http.Request, a *auth.Identity, peer Peer) policy.Context {
	host := peer.Addr
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ctx := policy.Context{
		"aws:sourceip":        {host},
		"aws:securetransport": {strconv.FormatBool(peer.Secure)},
		"aws:currenttime":     {peer.Now.UTC().Format(time.RFC3339)},
		"aws:epochtime":       {strconv.FormatInt(peer.Now.Unix(), 10)},
		"aws:resourceaccount": {policy.AccountID},
		"aws:viaawsservice":   {"false"},
		"s3:resourceaccount":  {policy.AccountID},
	}
	ctx.Set("s3:tlsversion", tlsVersions[peer.TLS])
	ctx.Set("aws:referer", r.Header["Referer"]...)
	ctx.Set("aws:useragent", r.Header["User-Agent"]...)
	ctx.Set("s3:x-amz-content-sha256", a.Covered)
	addPrincipal(ctx, a, peer.Now)
	return ctx
}

// addPrincipal says who asks and how it was signed.
func addPrincipal(ctx policy.Context, a *auth.Identity, now time.Time) {
	if a.Kind == auth.Anonymous {
		ctx["aws:principaltype"] = []string{"Anonymous"}
		ctx["aws:userid"] = []string{"anonymous"}
		return
	}
	ctx["aws:principaltype"] = []string{"User"}
	ctx["aws:principalisawsservice"] = []string{"false"}
	ctx["aws:userid"] = []string{a.AccessKeyID}
	ctx["aws:username"] = []string{a.AccessKeyID}
	ctx["aws:principalaccount"] = []string{policy.AccountID}
	ctx["aws:principalarn"] = []string{"arn:aws:iam::" + policy.AccountID + ":user/" + a.AccessKeyID}
	ctx["s3:authtype"] = []string{[...]string{"", "REST-HEADER", "REST-QUERY-STRING", "POST"}[a.Kind]}
	ctx["s3:signatureversion"] = []string{auth.AlgorithmV4}
	ctx["s3:signatureage"] = []string{strconv.FormatInt(now.Sub(a.SignedAt).Milliseconds(), 10)}
}

// addListing adds what a listing asks for.
func addListing(ctx policy.Context, q *Request) {
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
func addHeaders(ctx policy.Context, h http.Header) {
	for key, header := range headerConditions {
		ctx.Set(key, h[header]...)
	}
	for _, key := range [...]string{"s3:if-match", "s3:if-none-match"} {
		if v := ctx[key]; v != nil {
			addETag(ctx, key, v[0])
		}
	}
}

// addETag adds an entity tag as a client has written it, with quotes and without: a policy may name it either way. A weak one counts as the tag that it is compared as.
func addETag(ctx policy.Context, key, etag string) {
	if etag != "" {
		bare := trimETag(strings.TrimPrefix(etag, "W/"))
		ctx.Set(key, etag, bare, `"`+bare+`"`)
	}
}

// addCopySource adds the source of a copy as a policy names it, bucket/key, however the header is encoded. What comes from a view is named by the view and by its bucket.
func addCopySource(ctx policy.Context, header string) {
	s, err := ParseCopySource(header)
	if err != nil {
		ctx.Set("s3:x-amz-copy-source", header) // the copy will be refused
		return
	}
	bucket, _, _ := strings.Cut(s.Bucket, viewMark)
	names := []string{s.Bucket + "/" + s.Key, bucket + "/" + s.Key}
	if s.VersionID != "" {
		for _, n := range names[:2] {
			names = append(names, n+"?versionId="+s.VersionID)
		}
	}
	ctx.Set("s3:x-amz-copy-source", names...)
}

// addTags adds tags under requestTag or existingTag.
func addTags(ctx policy.Context, prefix string, tags []tagging.Tag) {
	for _, t := range tags {
		ctx[prefix+t.Key] = []string{t.Value}
		if prefix == policy.RequestTag {
			ctx["s3:requestobjecttagkeys"] = append(ctx["s3:requestobjecttagkeys"], t.Key)
		}
	}
}

// addRetention adds a retention that is asked for, that a bucket gives by default, or that is to be bypassed.
func addRetention(ctx policy.Context, r Retention, now time.Time) {
	if r.Mode == "" {
		return
	}
	ctx["s3:object-lock-mode"] = []string{r.Mode}
	ctx["s3:object-lock-retain-until-date"] = []string{r.Until.UTC().Format(time.RFC3339Nano)}
	// In whole days, rounded up: who asks for 30 days by his own clock asks for 30 days.
	days := math.Ceil(r.Until.Sub(now).Hours() / 24)
	ctx["s3:object-lock-remaining-retention-days"] = []string{strconv.FormatFloat(days, 'f', -1, 64)}
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
