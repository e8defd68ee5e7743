package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"stele/internal/guard"
	"stele/internal/witness"
	"stele/tree"
)

// Witness answers POST /add-checkpoint (c2sp.org/tlog-witness v1.0.0), to anyone: a checkpoint that is cosigned bears the log's own signature. May, if set, is asked
// about a checkpoint that the log has signed before it is cosigned; an error that is not one of the witness' is answered as 503.
func Witness(w *witness.Witness, may func(context.Context, tree.Checkpoint) error, log *slog.Logger) http.Handler {
	repeats := guard.Repeats{Log: log}
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		line, err := addCheckpoint(r.Context(), w, may, r.Body)
		var size *witness.SizeError
		switch {
		case err == nil:
			out.Header().Set("Content-Type", "text/plain; charset=utf-8")
			out.Write(line)
		case errors.As(err, &size):
			out.Header().Set("Content-Type", witness.SizeType)
			out.WriteHeader(http.StatusConflict)
			out.Write(append(strconv.AppendUint(nil, size.Kept, 10), '\n'))
		default:
			status := witnessStatus(err) // anyone may ask, as often as he likes
			repeats.Line(slog.LevelWarn, strconv.Itoa(status), "a checkpoint was not cosigned", "from", r.RemoteAddr, "err", err)
			http.Error(out, err.Error(), status)
		}
	})
}

func addCheckpoint(ctx context.Context, w *witness.Witness, may func(context.Context, tree.Checkpoint) error, body io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, witness.MaxRequest+1))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the request: %w: %w", err, tree.ErrFormat)
	}
	old, proof, signed, err := witness.ParseRequest(b)
	if err != nil {
		return nil, err
	}
	c, err := w.Open(signed)
	if err != nil {
		return nil, err
	}
	if may != nil {
		if err := may(ctx, c); err != nil {
			return nil, err
		}
	}
	return w.AddCheckpoint(old, proof, signed)
}

// witnessStatus is what the specification answers to an error; 503 is for what is the witness' own.
func witnessStatus(err error) int {
	switch {
	case errors.Is(err, witness.ErrUnknown):
		return http.StatusNotFound
	case errors.Is(err, tree.ErrSignature):
		return http.StatusForbidden
	case errors.Is(err, witness.ErrProof):
		return http.StatusUnprocessableEntity
	case errors.Is(err, tree.ErrFormat):
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}
