// Package wire reads what a client sent before anybody believes it: the target of a request and its query, the lines of its headers, the key of an object, JSON. Each is read in one
// way, and what could be read in two is refused: a signature is over the bytes, and what is done is decided by what they were read as.
//
// Nothing here knows operations, signatures or policies. Errors are *s3err.Error.
package wire
