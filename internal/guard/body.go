package guard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// How a body must come where nothing else is said.
const (
	LeastRate  = 16 << 10 // bytes a second
	RateWindow = 30 * time.Second
)

const stallProgress = 16 << 10 // bytes that must come within a stall timeout

// ErrSlow: a body stood still, or came too slowly. See SlowError.
var ErrSlow = errors.New("the body came too slowly")

// SlowError says how. errors.Is(err, ErrSlow).
type SlowError struct{ text string }

// Error implements error.
func (e *SlowError) Error() string { return e.text }

// Unwrap returns ErrSlow.
func (e *SlowError) Unwrap() error { return ErrSlow }

// Body ends a body that stands still or comes too slowly: within each window of the time that the server waits for it, so many bytes must come as the least rate
// demands. Time in which the server itself is busy is not counted.
type Body struct {
	io.ReadCloser
	conn    ReadDeadliner
	now     func() time.Time
	timeout time.Duration // without progress
	least   int64         // bytes a second; below 1: any rate will do
	window  time.Duration // over which the rate is judged

	moved  time.Time     // when it last made progress; zero: nothing was read yet
	got    int           // bytes since then
	waited time.Duration // for bytes, within this window
	came   int64         // bytes within this window

	set     time.Time // the deadline that was set last
	forRate bool      // and that it stands for the rate, not for standing still
}

// NewBody makes one.
func NewBody(body io.ReadCloser, conn ReadDeadliner, timeout time.Duration, least int64, window time.Duration) *Body {
	return &Body{ReadCloser: body, conn: conn, now: time.Now, timeout: timeout, least: least, window: window}
}

// ReadDeadliner is what a body comes over: net/http's ResponseWriter, or its ResponseController.
type ReadDeadliner interface {
	SetReadDeadline(time.Time) error // a read that is under way then fails with os.ErrDeadlineExceeded; zero: none
}

// Read reads, and moves the deadline on with what comes. os.ErrDeadlineExceeded: nothing came for too long, or too little.
func (b *Body) Read(p []byte) (int, error) {
	start := b.now()
	b.setDeadline(start)
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		// net/http now watches the connection in order to see the client go; that must not time out while we commit.
		b.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // an HTTP/2 stream that is gone
		return n, err
	}
	b.got += n
	b.came += int64(n)
	b.waited += b.now().Sub(start)
	late := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case late && b.forRate, err == nil && b.tooSlow():
		return n, &SlowError{fmt.Sprintf("The body came at less than %d bytes a second for %v. The server's setting least-rate says how slow a body may be.", b.least, b.window)}
	case late:
		return n, &SlowError{fmt.Sprintf("The body stood still: fewer than %d bytes came within %v.", stallProgress, b.timeout)}
	}
	return n, err
}

// setDeadline sees to it that a read ends when the body has stood still for too long, or would have come too slowly if nothing more came. Where the deadline moves on by
// little it is left, since setting it costs a system's timer.
func (b *Body) setDeadline(now time.Time) {
	if b.moved.IsZero() || b.got >= stallProgress {
		b.moved, b.got = now, 0
	}
	until, forRate := b.moved.Add(b.timeout), false
	if b.least > 0 {
		enough := time.Duration(float64(b.came) / float64(b.least) * float64(time.Second)) // so long may what came have taken
		if end := now.Add(max(b.window, enough) - b.waited); end.Before(until) {
			until, forRate = end, true
		}
	}
	if ahead := until.Sub(b.set); ahead < 0 || ahead > b.timeout/8 || forRate != b.forRate {
		b.set, b.forRate = until, forRate
		b.conn.SetReadDeadline(until) //nolint:errcheck // an HTTP/2 stream that is gone
	}
}

// tooSlow judges the window when it is over, and begins the next one.
func (b *Body) tooSlow() bool {
	if b.least <= 0 || b.waited < b.window {
		return false
	}
	slow := float64(b.came) < float64(b.least)*b.waited.Seconds()
	b.waited, b.came = 0, 0
	return slow
}
