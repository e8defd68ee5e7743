// Package s3api speaks the S3 protocol on net/http: it reads a request, decides whether to believe it, calls the store, and writes the reply.
// Nothing here stores anything. A request is trusted only after its signature was checked, and its body only after every declared length and digest was.
//
// The way of a request:
//
//	Parse                 method, host, path and sub-resource become an Op, a bucket and a key        route.go, wire/
//	auth.Verifier         the signature becomes an Identity: who, and how the body is protected       identity.go, auth/
//	auth.Identity.Body    aws-chunked framing is taken off and checked                                op_body.go, auth/
//	Declared              every digest the client declared is compared with what arrived              checksum.go
//	Allowed, policy.Policy.Evaluate    the key's role, then the bucket's policy                       role.go, judge.go, policy/
//	Decode…, Append…      documents in and out; their XML is s3xml's                                  xml*.go
//
// Errors are *s3err.Error: AWS's code, message and HTTP status. Keys are the bytes that were sent, percent-decoded once and
// never cleaned: "a//b", "../a" and "a\x00" are three ordinary keys.
//
// Source of the semantics: the Amazon S3 API Reference (API version 2006-03-01) and the User Guide.
package s3api
