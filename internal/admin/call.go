package admin

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"stele"
	"stele/internal/node"
	"stele/internal/rpc"
)

// request is a call that was let in.
type request struct {
	*http.Request
	store *node.Node
	by    stele.Actor
	body  io.Reader
	most  int64 // bytes of the argument; 0: rpc.MaxArgs

	verifications *verifications

	promote func(ctx context.Context, by stele.Actor, reason string) (stele.Promotion, error)
}

// method serves one call.
type method struct {
	of    rpc.Row
	serve func(q request, w http.ResponseWriter)
}

// on serves a call with one argument and one result, which may come with an error.
func on[A, R any](of rpc.Call[A, R], fn func(ctx context.Context, q request, a A) (R, error)) method {
	return method{of.Row(), func(q request, w http.ResponseWriter) {
		a, err := bodyArg[A](q)
		if err != nil {
			writeReply[any](w, nil, err)
			return
		}
		r, err := fn(q.Context(), q, a)
		writeReply(w, r, err)
	}}
}

// onUpload serves a call whose argument stands in the query, which the signature covers. fn reads the request's body as it comes.
func onUpload[A, R any](of rpc.Upload[A, R], fn func(ctx context.Context, q request, a A, body io.Reader) (R, error)) method {
	return method{of.Row(), func(q request, w http.ResponseWriter) {
		var a A
		if err := json.Unmarshal([]byte(q.URL.Query().Get("q")), &a); err != nil {
			writeReply[any](w, nil, fmt.Errorf("%w: %v", rpc.ErrProtocol, err))
			return
		}
		r, err := fn(q.Context(), q, a, q.body)
		writeReply(w, r, err)
	}}
}

// onDownload serves a call whose result is bytes. An error before the first byte is an ordinary reply, a later one goes into the trailer.
func onDownload[A any](of rpc.Download[A], fn func(ctx context.Context, q request, a A, out io.Writer) error) method {
	return method{of.Row(), func(q request, w http.ResponseWriter) {
		a, err := bodyArg[A](q)
		if err != nil {
			writeReply[any](w, nil, err)
			return
		}
		out := &outStream{w: w}
		err = fn(q.Context(), q, a, out)
		if err != nil && !out.begun {
			writeReply[any](w, nil, err)
			return
		}
		out.begin()
		text, _ := json.Marshal(rpc.ErrorOf(err)) // "null" where all is well: a stream without that ended early
		w.Header().Set(rpc.TrailerError, url.PathEscape(string(text)))
	}}
}

// onLines serves a call whose result is lines.
func onLines[A, L any](of rpc.Lines[A, L], fn func(ctx context.Context, q request, a A, out *lineStream[L]) error) method {
	m := onDownload(rpc.Download[A]{}, func(ctx context.Context, q request, a A, w io.Writer) error {
		b := bufio.NewWriterSize(w, 64<<10)
		out := &lineStream[L]{w, b, rpc.NewLineEncoder(b)}
		err := fn(ctx, q, a, out)
		if ferr := b.Flush(); err == nil {
			err = ferr
		}
		return err
	})
	m.of = of.Row()
	return m
}

// lineStream takes the lines of a result, and gathers them until flush.
type lineStream[L any] struct {
	out io.Writer
	b   *bufio.Writer
	enc *json.Encoder
}

func (s *lineStream[L]) tell(l L) error { return s.enc.Encode(l) }

// flush sends what was told, for results that tell of progress.
func (s *lineStream[L]) flush() error {
	err := s.b.Flush()
	if f, ok := s.out.(interface{ Flush() }); ok {
		f.Flush()
	}
	return err
}

// bodyArg reads the argument that is a request's body.
func bodyArg[A any](q request) (a A, err error) {
	most := cmp.Or(q.most, rpc.MaxArgs)
	b, err := io.ReadAll(io.LimitReader(q.body, most+1))
	if err != nil {
		return a, err
	}
	if int64(len(b)) > most {
		return a, fmt.Errorf("%w: more than %d bytes of arguments", stele.ErrTooLarge, most)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%w: %v", rpc.ErrProtocol, err)
	}
	return a, nil
}

func writeReply[R any](w http.ResponseWriter, r R, err error) {
	if counted, ok := w.(*replyStatus); ok {
		counted.err = err
	}
	b, merr := json.Marshal(rpc.Reply[R]{V: 1, Result: r, Error: rpc.ErrorOf(err)})
	if merr != nil {
		http.Error(w, merr.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(rpc.StatusOf(err))
	}
	w.Write(append(b, '\n'))
}

// outStream announces the trailer before the first byte.
type outStream struct {
	w     http.ResponseWriter
	begun bool
}

func (o *outStream) begin() {
	if !o.begun {
		o.begun = true
		o.w.Header().Set("Trailer", rpc.TrailerError)
		o.w.Header().Set("Content-Type", "application/octet-stream")
		o.w.WriteHeader(http.StatusOK)
	}
}

func (o *outStream) Write(p []byte) (int, error) {
	o.begin()
	return o.w.Write(p)
}

// Flush sends what was written.
func (o *outStream) Flush() {
	if f, ok := o.w.(http.Flusher); ok {
		f.Flush()
	}
}
