package replicate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"golang.org/x/time/rate"

	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// TestPaced: each byte of what is created takes a token of the limiter, and what the source says is passed on.
func TestPaced(t *testing.T) {
	target := mem.New()
	if Paced(target, nil) != engine.Engine(target) {
		t.Error("without a limit it is another engine")
	}
	limit := rate.NewLimiter(rate.Limit(1e-9), 100) // 100 bytes, and then next to none
	e := Paced(target, limit)
	create := func(ctx context.Context, name string, r io.Reader, size int64) error {
		return e.Create(ctx, engine.Snapshots+name, size, r)
	}
	if err := create(ctx, "a", bytes.NewReader(make([]byte, 60)), 60); err != nil || limit.Tokens() > 41 {
		t.Errorf("%v, %f bytes are left", err, limit.Tokens())
	}
	if err := create(ctx, "b", io.LimitReader(bytes.NewReader(make([]byte, 40)), 40), 40); err != nil || limit.Tokens() > 1 {
		t.Errorf("%v, %f bytes are left", err, limit.Tokens())
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := create(ended, "c", bytes.NewReader(make([]byte, 10)), 10); !errors.Is(err, context.Canceled) {
		t.Errorf("beyond the rate: %v", err)
	}
}
