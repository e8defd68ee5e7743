// Package guard keeps clients that stall or flood from holding up a server for the others. It bounds connections, bodies that nobody reads and bodies that hardly arrive, shares places fairly
// between neighbours, and counts log lines that repeat themselves. It trusts no client, and knows nothing of what is served.
package guard

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Times of what comes of a body that nobody has read when the reply begins.
const (
	drainSmall = 64 << 10               // bytes: up to here it is waited for, so that the connection may go on
	drainFor   = 100 * time.Millisecond // so long
)

// drainEnd is when the connection ends, whatever comes. Tests make it short.
var drainEnd = 5 * time.Second

// Requests are those under way in one process, which can be cut off together. The zero value is ready.
type Requests struct {
	mu    sync.Mutex
	under map[*writer]struct{}
}

// Handler wraps h, for every listener.
//
// net/http reads what a handler has left of a body before it sends the reply, and waits for it without end: whoever declares a body and sends none would hold the connection for ever, and get no answer. Here
// a small body is given a moment, and otherwise the reply goes out at once and says that the connection ends.
func (g *Requests) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := &writer{ResponseWriter: w, rc: http.NewResponseController(w)}
		if r.ContentLength != 0 {
			own.body = &counted{ReadCloser: r.Body, left: r.ContentLength, asked: strings.EqualFold(r.Header.Get("Expect"), "100-continue")}
			q := *r // net/http looks at the body of its own request
			q.Body = own.body
			r = &q
		}
		if tooManyLines(r.Header) {
			own.Header().Set("Connection", "close")
			http.Error(own, fmt.Sprintf("the request has more than %d headers", maxLines), http.StatusRequestHeaderFieldsTooLarge)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), sparedKey{}, own))
		g.add(own)
		defer g.remove(own)
		h.ServeHTTP(own, r)
		if !own.wrote {
			own.WriteHeader(http.StatusOK)
		}
	})
}

// maxLines is how many headers a request may have. They are kept until it is answered, which a slow body puts off.
const maxLines = 1000

func tooManyLines(h http.Header) bool {
	n := 0
	for _, lines := range h {
		n += len(lines)
	}
	return n > maxLines
}

func (g *Requests) add(w *writer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under == nil {
		g.under = map[*writer]struct{}{}
	}
	g.under[w] = struct{}{}
}

func (g *Requests) remove(w *writer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.under, w)
}

// Cut ends the connections of all requests under way but the spared ones: their next read or write, or the one that they wait in, fails. Who comes later is not touched.
func (g *Requests) Cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for w := range g.under {
		w.cutOff()
	}
}

type sparedKey struct{}

// Spare keeps a request from being cut off: the one that has the others cut off.
func Spare(ctx context.Context) {
	if w, ok := ctx.Value(sparedKey{}).(*writer); ok {
		w.mu.Lock()
		w.spared = true
		w.mu.Unlock()
	}
}

// counted is a body that knows whether it was read to its end.
type counted struct {
	io.ReadCloser
	left  int64 // of the declared length; below 0: not declared
	asked bool  // the client waits to be told to send it
	read  bool  // so it was told
	ended bool
}

func (b *counted) Read(p []byte) (int, error) {
	b.read = true
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	b.ended = b.ended || err == io.EOF
	return n, err
}

// writer is the reply of one request.
type writer struct {
	http.ResponseWriter
	rc    *http.ResponseController
	body  *counted // nil: the request has none
	wrote bool

	mu          sync.Mutex // guards the deadlines
	spared, cut bool
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(code int) {
	if code >= 200 && !w.wrote {
		w.wrote = true
		if w.body != nil && !w.body.ended {
			w.settleBody()
		}
	}
	w.ResponseWriter.WriteHeader(code)
}

// settleBody sees to it that what is left of the body holds up neither the reply nor the connection.
func (w *writer) settleBody() {
	b := w.body
	if b.left >= 0 && b.left <= drainSmall && (!b.asked || b.read) {
		w.SetReadDeadline(time.Now().Add(drainFor)) //nolint:errcheck // a writer without deadlines is a test's
		io.CopyN(io.Discard, b, drainSmall+1)       //nolint:errcheck // whether it came is in b.ended
	}
	if b.ended {
		w.SetReadDeadline(time.Time{}) //nolint:errcheck // net/http watches the connection from here on, in order to see the client go
		return
	}
	w.Header().Set("Connection", "close")
	w.SetReadDeadline(time.Now().Add(drainEnd)) //nolint:errcheck // net/http reads on while the client may still be sending, before it hangs up
}

func (w *writer) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (w *writer) Flush() {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	w.rc.Flush() //nolint:errcheck // what can't be sent fails at the next write
}

// SetReadDeadline sets it, unless the request was cut off.
func (w *writer) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return nil
	}
	return w.rc.SetReadDeadline(t)
}

// SetWriteDeadline sets it, unless the request was cut off.
func (w *writer) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return nil
	}
	return w.rc.SetWriteDeadline(t)
}

func (w *writer) cutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spared || w.cut {
		return
	}
	w.cut = true
	past := time.Unix(1, 0)
	w.rc.SetReadDeadline(past)  //nolint:errcheck // the connections of net/http have deadlines
	w.rc.SetWriteDeadline(past) //nolint:errcheck // as above
}
