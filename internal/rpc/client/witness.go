package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stele/internal/witness"
	"stele/tree"
)

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

const (
	maxAnswer       = 16 << 10    // bytes that a witness answers
	witnessPatience = time.Minute // how long it may take
)

func postCheckpoint(ctx context.Context, tr http.RoundTripper, at string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, witnessPatience)
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
		if kept, err := strconv.ParseUint(string(bytes.TrimSuffix(b, []byte("\n"))), 10, 53); err == nil && r.Header.Get("Content-Type") == witness.SizeType {
			return nil, &witness.SizeError{Kept: kept}
		}
	}
	return nil, fmt.Errorf("%s: %q", r.Status, bytes.TrimSpace(b[:min(len(b), 200)]))
}
