package auth

import (
	"net/http"
	"net/textproto"
	"strings"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// hoistable are the headers that a presigned link may carry as query parameters, besides x-amz-meta-*: SDKs move them there when they sign. They are signed
// like the rest of the query. As at AWS, checksums and object locks are none of them: they count as headers only.
var hoistable = wire.Words(`x-amz-acl x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp
	x-amz-metadata-directive x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-bucket-key-enabled
	x-amz-server-side-encryption-context x-amz-server-side-encryption-customer-algorithm x-amz-server-side-encryption-customer-key
	x-amz-server-side-encryption-customer-key-md5 x-amz-storage-class x-amz-tagging x-amz-tagging-directive x-amz-website-redirect-location
	x-amz-expected-bucket-owner x-amz-source-expected-bucket-owner`)

// Unhoist gives the headers of a presigned request, those among the query's parameters included, so that whatever reads headers reads these.
func Unhoist(h http.Header, q wire.Query) (http.Header, error) {
	merged, own := h, false
	for _, p := range q {
		name := strings.ToLower(p.Name)
		if name == "x-amz-copy-source" { // without it this would be a put of nothing
			return nil, s3err.InvalidArgument("x-amz-copy-source", p.Value, "A link cannot carry x-amz-copy-source among its parameters. Sign it as a header, and send that header with the request.")
		}
		if !hoists(name) {
			continue
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		if had, ok := merged[key]; ok {
			if len(had) == 1 && had[0] == p.Value {
				continue
			}
			return nil, s3err.InvalidArgument(name, p.Value, "The link says another %s than the request's headers, or says it twice. Send it once.", name)
		}
		if !own {
			merged, own = h.Clone(), true
		}
		merged[key] = []string{p.Value}
	}
	return merged, nil
}

// withSigned gives a presigned request the headers that its link says are signed and carries as parameters: SDKs that do both leave it to the server where
// it finds the value.
func withSigned(r *http.Request, q wire.Query, c *credential) *http.Request {
	out := r
	for _, p := range q {
		name := strings.ToLower(p.Name)
		key := textproto.CanonicalMIMEHeaderKey(name)
		if !hoists(name) || !c.signs(name) || r.Header[key] != nil {
			continue
		}
		if out == r {
			with := *r
			with.Header = r.Header.Clone()
			out = &with
		}
		out.Header[key] = []string{p.Value}
	}
	return out
}

// hoists tells whether a parameter of that lower-case name stands for a header.
func hoists(name string) bool {
	return hoistable[name] || strings.HasPrefix(name, "x-amz-meta-") && wire.HeaderName(name)
}
