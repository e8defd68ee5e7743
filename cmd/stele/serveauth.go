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
	"time"

	"stele"
	"stele/entry"
	"stele/internal/admin"
	"stele/internal/s3api"
)

// maxSigned bounds the body of a request to the admin port that is checked against its signature, in bytes.
const maxSigned = 2 << 20

// authenticator lets the admin port ask the S3 door's verifier who signed a request. A body with a signed digest is compared when it is read.
func authenticator(store *stele.Store) func(r *http.Request) (entry.AccessKey, io.Reader, error) {
	v := s3api.NewVerifier(admin.Region, func(ctx context.Context, id string) (string, error) {
		k, err := store.AccessKey(ctx, id)
		if errors.Is(err, stele.ErrNoAccessKey) {
			err = s3api.ErrUnknownKey
		}
		return k.Secret, err
	}, time.Now)
	return func(r *http.Request) (entry.AccessKey, io.Reader, error) {
		q, perr := s3api.Parse(r, "")
		if q.Query == nil && r.URL.RawQuery != "" { // or the signature would cover no query, and whoever has seen the request could give it another one
			return entry.AccessKey{}, nil, fmt.Errorf("%w: the query of the request cannot be read: %w", admin.ErrWho, perr)
		}
		// Any other error of Parse is about buckets, which there are none of here.
		auth, err := v.Verify(r.Context(), r, &q)
		switch {
		case err != nil:
			return entry.AccessKey{}, nil, fmt.Errorf("%w: %v", admin.ErrWho, err)
		case auth.Kind != s3api.ByHeader:
			return entry.AccessKey{}, nil, fmt.Errorf("%w: the request is not signed", admin.ErrWho)
		}
		key, err := store.AccessKey(r.Context(), auth.AccessKeyID)
		if err != nil {
			return key, nil, fmt.Errorf("%w: %v", admin.ErrWho, err)
		}
		if auth.Payload != s3api.PayloadHash {
			if auth.Payload.Chunked() {
				return key, nil, fmt.Errorf("%w: aws-chunked bodies are for the S3 address", admin.ErrProtocol)
			}
			return key, r.Body, nil
		}
		return key, &signedBody{body: r.Body, want: auth.SHA256}, nil
	}
}

// signedBody is a body with a signed digest. It is read whole and compared at the first read: that is, once it is known that the key may do what the request says.
type signedBody struct {
	body io.Reader
	want string
	read *bytes.Reader // nil: not yet
	err  error
}

func (b *signedBody) Read(p []byte) (int, error) {
	if b.read == nil && b.err == nil {
		b.read, b.err = readSigned(b.body, b.want)
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.read.Read(p)
}

func readSigned(r io.Reader, want string) (*bytes.Reader, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSigned+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSigned {
		return nil, fmt.Errorf("%w: more than %d bytes", stele.ErrTooLarge, maxSigned)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
		return nil, fmt.Errorf("%w: the body is not the one that was signed", admin.ErrWho)
	}
	return bytes.NewReader(b), nil
}
