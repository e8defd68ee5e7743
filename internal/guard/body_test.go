package guard

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// slowBody yields so many bytes at each read, each of which takes so long, by a clock of its own.
type slowBody struct {
	now   time.Time
	takes time.Duration
	bytes int
	set   time.Time // the deadline
}

func (b *slowBody) SetReadDeadline(t time.Time) error { b.set = t; return nil }
func (b *slowBody) Close() error                      { return nil }
func (b *slowBody) Read(p []byte) (int, error) {
	if !b.set.IsZero() && b.now.Add(b.takes).After(b.set) {
		b.now = b.set
		return 0, os.ErrDeadlineExceeded
	}
	b.now = b.now.Add(b.takes)
	return min(b.bytes, len(p)), nil
}

// TestLeastRate: a body may come as slowly as the least rate and not more slowly, after whatever start; time in which the server is busy doesn't count.
func TestLeastRate(t *testing.T) {
	read := func(b *slowBody, timeout time.Duration, least int64, busy time.Duration) error {
		p := &Body{ReadCloser: b, conn: b, now: func() time.Time { return b.now }, timeout: timeout, least: least, window: 30 * time.Second}
		buf := make([]byte, 64<<10)
		for range 10_000 {
			if _, err := p.Read(buf); err != nil {
				return err
			}
			b.now = b.now.Add(busy)
		}
		return nil
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		body  slowBody
		least int64
		busy  time.Duration
		want  string
	}{
		{"a byte a second", slowBody{now: at, takes: time.Second, bytes: 1}, 16 << 10, 0, "least-rate"},
		{"nothing at all", slowBody{now: at, takes: time.Hour, bytes: 1}, 16 << 10, 0, "least-rate"},
		{"just too slow", slowBody{now: at, takes: time.Second, bytes: 16<<10 - 100}, 16 << 10, 0, "least-rate"},
		{"just fast enough", slowBody{now: at, takes: time.Second, bytes: 16<<10 + 100}, 16 << 10, 0, ""},
		{"fast, and the server is slow", slowBody{now: at, takes: time.Second, bytes: 60 << 10}, 16 << 10, 30 * time.Second, ""},
		{"a byte a second, and any rate will do", slowBody{now: at, takes: time.Second, bytes: 1}, -1, 0, "stood still"},
		{"16 KiB a minute, and any rate will do", slowBody{now: at, takes: 50 * time.Second, bytes: 16 << 10}, -1, 0, ""},
	} {
		err := read(&c.body, time.Minute, c.least, c.busy)
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, new(*SlowError)) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if took := c.body.now.Sub(at); c.want == "least-rate" && took > 31*time.Second {
			t.Errorf("%s: cut off after %v, want 30 seconds", c.name, took)
		}
	}
	start := slowBody{now: at, takes: time.Millisecond, bytes: 64 << 10} // a fast start is no credit for ever
	p := &Body{ReadCloser: &start, conn: &start, now: func() time.Time { return start.now }, timeout: time.Minute, least: 16 << 10, window: 30 * time.Second}
	buf := make([]byte, 64<<10)
	for range 60_000 { // 4 GB in a minute
		if _, err := p.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	start.takes, start.bytes = time.Second, 1
	slow := start.now
	_, err := io.Copy(io.Discard, p)
	if took := start.now.Sub(slow); !errors.As(err, new(*SlowError)) || took > 2*time.Minute {
		t.Errorf("after a fast start a slow end was listened to for %v: %v", took, err)
	}
}
