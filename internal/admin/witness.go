package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"stele/internal/guard"
	"stele/internal/witness"
	"stele/tree"
)

// sizeType is the type of an answer that tells the size cosigned last (c2sp.org/tlog-witness, frozen).
const sizeType = "text/x.tlog.size"

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
			out.Header().Set("Content-Type", sizeType)
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

// AskWitness has a checkpoint, a signed note, cosigned by the witness at an address, and returns the checked signature line. prove gives the consistency proof from
// a size to the checkpoint's. A witness that tells another size is asked once more, from there; ErrNewer: it has cosigned a larger one.
func AskWitness(ctx context.Context, tr http.RoundTripper, at string, key *tree.Cosignature, signed []byte, prove func(ctx context.Context, from, to uint64) ([]tree.Hash, error)) ([]byte, error) {
	c, err := tree.ReadCheckpoint(signed)
	if err != nil {
		return nil, err
	}
	at, err = url.JoinPath(at, "add-checkpoint")
	if err != nil {
		return nil, fmt.Errorf("the witness' address: %w", err)
	}
	answer, err := postCheckpoint(ctx, tr, at, witness.AppendRequest(nil, 0, nil, signed))
	var size *witness.SizeError
	if errors.As(err, &size) {
		if size.Kept > c.Size {
			return nil, fmt.Errorf("%w: it has %d, this checkpoint is of %d", ErrNewer, size.Kept, c.Size)
		}
		var proof []tree.Hash
		if size.Kept < c.Size {
			if proof, err = prove(ctx, size.Kept, c.Size); err != nil {
				return nil, err
			}
		}
		answer, err = postCheckpoint(ctx, tr, at, witness.AppendRequest(nil, size.Kept, proof, signed))
	}
	if err != nil {
		return nil, fmt.Errorf("the witness at %s did not cosign: %w", at, err)
	}
	line, _, err := key.Check(append(bytes.Clone(signed), answer...))
	if err != nil {
		return nil, fmt.Errorf("what the witness at %s answered: %w", at, err)
	}
	return line, nil
}

// ErrNewer says that a witness has cosigned a larger checkpoint already, and cosigns no smaller one.
var ErrNewer = errors.New("the witness has seen more of the ledger")

// maxAnswer bounds what a witness answers, in bytes.
const maxAnswer = 16 << 10

func postCheckpoint(ctx context.Context, tr http.RoundTripper, at string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r, err := tr.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	switch r.StatusCode {
	case http.StatusOK:
		return b, nil
	case http.StatusConflict:
		if kept, err := strconv.ParseUint(string(bytes.TrimSuffix(b, []byte("\n"))), 10, 53); err == nil && r.Header.Get("Content-Type") == sizeType {
			return nil, &witness.SizeError{Kept: kept}
		}
	}
	return nil, fmt.Errorf("%s: %q", r.Status, bytes.TrimSpace(b[:min(len(b), 200)]))
}
