package replicate

import (
	"context"
	"io"

	"golang.org/x/time/rate"

	"stele/internal/engine"
)

// Paced is e, with what is created there read no faster than the limiter lets it; nil: e itself. It shares the rate of a target with whatever else is shipped to it.
func Paced(e engine.Engine, limit *rate.Limiter) engine.Engine {
	if limit == nil {
		return e
	}
	return &paced{e, limit}
}

type paced struct {
	engine.Engine
	limit *rate.Limiter
}

// Create implements engine.Engine.
func (p *paced) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	slow := PacedReader(ctx, r, p.limit, nil)
	if s, ok := r.(io.Seeker); ok { // an engine that may have to read again asks for that
		return p.Engine.Create(ctx, name, size, struct {
			io.Reader
			io.Seeker
		}{slow, s})
	}
	return p.Engine.Create(ctx, name, size, slow)
}

// PacedReader is r, read no faster than the limiter lets it (nil: as fast as it goes), until ctx ends. count is told of the bytes that were read; it may be nil.
func PacedReader(ctx context.Context, r io.Reader, limit *rate.Limiter, count func(n int)) io.Reader {
	return &pacedReader{ctx, r, limit, count}
}

type pacedReader struct {
	ctx   context.Context
	r     io.Reader
	limit *rate.Limiter
	count func(n int)
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	if p.limit != nil {
		b = b[:min(len(b), p.limit.Burst())]
	}
	n, err := p.r.Read(b)
	if n > 0 && p.limit != nil {
		if werr := p.limit.WaitN(p.ctx, n); werr != nil {
			return 0, werr
		}
	}
	if p.count != nil {
		p.count(n)
	}
	return n, err
}
