package auth

import (
	"strings"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// Payload is how a request's body is framed and protected.
type Payload uint8

const (
	PayloadUnsigned        Payload = iota // plain bytes, not covered by the signature
	PayloadHash                           // plain bytes whose SHA-256 is signed
	PayloadSigned                         // aws-chunked, every chunk signed
	PayloadSignedTrailer                  // the same with a signed trailer
	PayloadUnsignedTrailer                // aws-chunked, unsigned, with a trailer
)

// Chunked tells whether the body is aws-chunked.
func (p Payload) Chunked() bool { return p >= PayloadSigned }

const (
	unsignedPayload          = "UNSIGNED-PAYLOAD"
	streamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamingECDSA           = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
)

// setPayload reads a value of x-amz-content-sha256.
func (a *Identity) setPayload(v string) error {
	switch v {
	case unsignedPayload:
		a.Payload = PayloadUnsigned
	case streamingSigned:
		a.Payload = PayloadSigned
	case streamingSignedTrailer:
		a.Payload = PayloadSignedTrailer
	case streamingUnsignedTrailer:
		a.Payload = PayloadUnsignedTrailer
	case streamingECDSA, streamingECDSA + "-TRAILER":
		return s3err.ErrNotImplemented.With("Header", "x-amz-content-sha256")
	default:
		if len(v) != 64 || !wire.IsHex(v) {
			return s3err.InvalidArgument("x-amz-content-sha256", v, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
		}
		a.Payload, a.SHA256 = PayloadHash, strings.ToLower(v)
	}
	return nil
}
