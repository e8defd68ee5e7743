package s3

import (
	"context"
	"net/http"
	"time"
)

// NoWait lets retries follow each other at once.
func (s *S3) NoWait() {
	s.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}

// SetWire puts fn in place of the network.
func (s *S3) SetWire(fn func(base http.RoundTripper, r *http.Request) (*http.Response, error)) {
	s.wire.base = roundTripper{s.wire.base, fn}
}

type roundTripper struct {
	base http.RoundTripper
	fn   func(http.RoundTripper, *http.Request) (*http.Response, error)
}

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return t.fn(t.base, r) }
