// Package auth finds out who sent a request: AWS Signature Version 4 in the header, in a link's query and in the fields of a form, and over the chunks of a body. Version 2 is refused in
// words that say what to set.
//
//	Verifier.Verify       a request's signature becomes an Identity: who, and how the body is protected     sigv4.go, credential.go, canonical.go
//	ReadPostForm          a browser's form, up to its file                                                  post.go
//	Verifier.VerifyPost   its signature, and what the policy that it signs says of its fields               post.go, postpolicy.go
//	Unhoist               the headers that a link carries among its parameters                              hoisted.go
//	Identity.Body         aws-chunked framing is taken off and checked, chunk by chunk                      chunked.go, payload.go
//	ClaimedKey            the access key that a request names, believed or not                              claimed.go
//
// What the sender may do is not decided here, and secrets come from whoever keeps them (Secrets). Errors are *s3err.Error with AWS's words.
//
// Source: Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)", "Transferring Payload in Multiple Chunks", "POST Object", "Creating a POST policy".
package auth
