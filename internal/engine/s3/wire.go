package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// errStalled: nothing moved for too long.
var errStalled = errors.New("nothing moved for too long")

const (
	minBytesPerSecond = 16 << 10
	expectBytes       = 1 << 20 // a body from here on waits for the server to ask for it: most refusals come before it
)

// wire is the transport beneath the S3 client. It ends what hangs, so that no caller needs a deadline of its own for a server that is mute, and it
// notes how far the server's clock is from ours.
type wire struct {
	base    http.RoundTripper
	timeout time.Duration
	now     func() time.Time
	skew    atomic.Int64 // server's clock − ours, in nanoseconds, from the last reply
	dated   atomic.Bool  // there was such a reply
}

func newWire(timeout time.Duration) *wire {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 64
	t.DisableCompression = true // bytes are ciphertext
	return &wire{base: t, timeout: timeout, now: time.Now}
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	d := &watchdog{cancel: cancel, timeout: w.timeout}
	d.idle = time.AfterFunc(w.timeout, d.bark)
	d.whole = time.AfterFunc(w.allow(r.ContentLength), d.bark)
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &watched{r.Body, d, ctx}
		if r.ContentLength >= expectBytes {
			r.Header = r.Header.Clone()
			r.Header.Set("Expect", "100-continue") // not a signed header
		}
	}
	start := w.now()
	resp, err := w.base.RoundTrip(r)
	if err != nil {
		d.stop()
		return nil, d.reason(ctx, err)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		end := w.now()
		w.skew.Store(int64(date.Sub(start.Add(end.Sub(start) / 2))))
		w.dated.Store(true)
	}
	d.moved()
	d.whole.Reset(w.allow(resp.ContentLength))
	resp.Body = &reply{watched{resp.Body, d, ctx}}
	return resp, nil
}

// allow is how long n bytes may take at most.
func (w *wire) allow(n int64) time.Duration {
	return w.timeout + time.Duration(max(n, 0)/minBytesPerSecond)*time.Second
}

// watchdog cancels a request when it hears nothing of it.
type watchdog struct {
	cancel      context.CancelCauseFunc
	timeout     time.Duration
	idle, whole *time.Timer
}

func (d *watchdog) moved() { d.idle.Reset(d.timeout) }
func (d *watchdog) bark()  { d.cancel(errStalled) }

func (d *watchdog) stop() {
	d.idle.Stop()
	d.whole.Stop()
	d.cancel(nil)
}

// reason says that it was the watchdog who ended the request, if it was.
func (d *watchdog) reason(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return fmt.Errorf("%w (%s)", errStalled, d.timeout)
	}
	return err
}

// watched is a body whose bytes keep the watchdog quiet.
type watched struct {
	io.ReadCloser
	d   *watchdog
	ctx context.Context
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.d.moved()
	}
	if err != nil && err != io.EOF {
		err = b.d.reason(b.ctx, err)
	}
	return n, err
}

// reply is a watched body that ends the watch with its Close.
type reply struct{ watched }

func (b *reply) Close() error {
	err := b.ReadCloser.Close()
	b.d.stop()
	return err
}
