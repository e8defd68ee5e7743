package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"stele"
	"stele/internal/admin"
	"stele/internal/node"
	"stele/internal/rpc"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/wire"
)

// maxSigned bounds the body of a request to the admin port that is checked against its signature, in bytes.
const maxSigned = 2 << 20

// authenticator lets the admin port ask the S3 door's verifier who signed a request.
func authenticator(store *node.Node) func(r *http.Request) (admin.Signed, error) {
	v := auth.NewVerifier(rpc.Service, rpc.Region, func(ctx context.Context, id string) (string, error) {
		k, err := store.Keys().Get(ctx, id)
		if errors.Is(err, stele.ErrNoAccessKey) {
			err = auth.ErrUnknownKey
		}
		return k.Secret, err
	}, time.Now)
	return func(r *http.Request) (admin.Signed, error) {
		target, perr := wire.ReadTarget(r)
		if target.Query == nil && r.URL.RawQuery != "" { // or the signature would cover no query, and whoever has seen the request could give it another one
			return admin.Signed{}, fmt.Errorf("%w: the query of the request cannot be read: %w", rpc.ErrWho, perr)
		}
		who, err := v.Verify(r.Context(), withSum(r), &target)
		switch {
		case err != nil:
			return admin.Signed{}, fmt.Errorf("%w: %w%s", rpc.ErrWho, err, otherAudience(r))
		case who.Kind != auth.ByHeader:
			return admin.Signed{}, fmt.Errorf("%w: the request is not signed in its header", rpc.ErrWho)
		}
		key, err := store.Keys().Get(r.Context(), who.AccessKeyID)
		if err != nil {
			return admin.Signed{}, fmt.Errorf("%w: %w", rpc.ErrWho, err)
		}
		switch {
		case who.Payload == auth.PayloadHash:
			return admin.Signed{Key: key, Body: func() (io.Reader, error) { return readSigned(r.Body, who.SHA256) }}, nil
		case who.Payload.Chunked():
			return admin.Signed{}, fmt.Errorf("%w: aws-chunked bodies are for the S3 address", rpc.ErrProtocol)
		case r.URL.Path != rpc.Put.Row().Path(): // whoever sees the request could have another argument carried out
			return admin.Signed{}, fmt.Errorf("%w: x-amz-content-sha256 must be the SHA-256 of the body. Only an object's bytes may be unsigned", rpc.ErrWho)
		}
		return admin.Signed{Key: key, Body: func() (io.Reader, error) { return r.Body, nil }}, nil
	}
}

// withSum adds the digest of no body to a request that has neither. Signers for other services than S3 leave it out of the header, and sign it.
func withSum(r *http.Request) *http.Request {
	if r.ContentLength != 0 || r.Header["X-Amz-Content-Sha256"] != nil {
		return r
	}
	q := *r
	q.Header = r.Header.Clone()
	q.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(noBytes[:]))
	return &q
}

var noBytes = sha256.Sum256(nil)

// otherAudience is what helps who signed for the S3 address.
func otherAudience(r *http.Request) string {
	if !strings.Contains(r.Header.Get("Authorization"), "/"+auth.Service+"/aws4_request") {
		return ""
	}
	return fmt.Sprintf(" This is the admin address, where requests are signed for the service %q, so that none which was made for the S3 address is good here. Use the same version of stele on both sides; in other tools set the service's name", rpc.Service)
}

// readSigned reads a body with a signed digest whole and compares it.
func readSigned(r io.Reader, want string) (*bytes.Reader, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSigned+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSigned {
		return nil, fmt.Errorf("%w: more than %d bytes", stele.ErrTooLarge, maxSigned)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
		return nil, fmt.Errorf("%w: the body is not the one that was signed", rpc.ErrWho)
	}
	return bytes.NewReader(b), nil
}
