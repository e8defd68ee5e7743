package admin

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"stele"
	"stele/entry"
	"stele/internal/node"
	"stele/internal/rpc"
	"stele/tree"
)

// ledgerRoutes are the ledger's face to verifiers: the checkpoint, and the handover by which the present epoch began, to anyone, the rest to auditors. Entries are hashed leaves in bundles, so that
// even what an auditor's key gives away holds no names; /ledger/entries opens the private parts.
func (s *Server) ledgerRoutes(mux routeTable, who admitted) {
	mux.HandleFunc("GET /ledger/checkpoint", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Write(s.opt.Store.Ledger().Published())
	})
	mux.HandleFunc("GET "+rpc.PathHandover, func(w http.ResponseWriter, r *http.Request) {
		at, data, err := s.opt.Store.Handover(r.Context())
		if errors.Is(err, stele.ErrNoKey) {
			at, data, err = 0, nil, nil
		}
		writeReply(w, rpc.LearnArgs{Entry: at, Data: data}, err)
	})
	audited := func(pattern string, serve func(q request, w http.ResponseWriter) error) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(r.URL.Path, rpc.Reads, false, who, w, r, serve) })
	}
	audited("/ledger/tile/", serveTile)
	audited("/ledger/proof", serveInclusion)
	audited("/ledger/consistency", serveConsistency)
	audited("/ledger/entries", serveEntries)
}

// serveTile serves a tile or a bundle by its C2SP tlog-tiles path.
func serveTile(q request, w http.ResponseWriter) error {
	t, err := tree.ParseTilePath(strings.TrimPrefix(q.URL.Path, "/ledger/"))
	if err != nil {
		return rpc.BadValue("the path names no tile: %w", err)
	}
	var b []byte
	if t.Level == tree.Entries {
		b, err = q.store.Ledger().Bundle(q.Context(), t.N, t.Width)
	} else {
		b, err = q.store.Ledger().Tile(q.Context(), t.Level, t.N, t.Width)
	}
	if err != nil {
		return rpc.Worded(fmt.Errorf("the ledger has no such tile: %w", err), stele.ErrNoKey)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	w.Write(b)
	return nil
}

// sizeParam reads a number from the query; otherwise names what it is when it is missing, 0: it must be there.
func (q *request) sizeParam(name string, otherwise uint64) (uint64, error) {
	text := q.URL.Query().Get(name)
	if text == "" && otherwise > 0 {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 53)
	if err != nil {
		return 0, rpc.BadValue("%s=%.64q is no number: write ?%s=N", name, text, name)
	}
	return n, nil
}

type proofReply struct {
	V     int      `json:"v"`
	Index *uint64  `json:"index,omitempty"`
	From  *uint64  `json:"from,omitempty"`
	Size  uint64   `json:"size"`
	Proof []string `json:"proof"` // base64, as RFC 6962 orders them
}

func writeProof(w http.ResponseWriter, p proofReply, hashes []tree.Hash) error {
	p.V, p.Proof = 1, make([]string, len(hashes))
	for i, h := range hashes {
		p.Proof[i] = base64.StdEncoding.EncodeToString(h[:])
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(p)
}

// serveInclusion: /ledger/proof?index=N[&size=N]; size defaults to that of the ledger.
func serveInclusion(q request, w http.ResponseWriter) error {
	size, _ := q.store.Ledger().TreeHead()
	size, err := q.sizeParam("size", size)
	if err != nil {
		return err
	}
	index, err := q.sizeParam("index", 0)
	if err != nil {
		return err
	}
	if index >= size {
		return rpc.BadValue("a ledger of size %d has no entry %d: the last one is %d", size, index, int64(size)-1)
	}
	hashes, err := q.store.Ledger().Inclusion(q.Context(), index, size)
	if err != nil {
		return rpc.Worded(err, stele.ErrBadName)
	}
	return writeProof(w, proofReply{Index: &index, Size: size}, hashes)
}

// serveConsistency: /ledger/consistency?from=N[&to=N].
func serveConsistency(q request, w http.ResponseWriter) error {
	to, _ := q.store.Ledger().TreeHead()
	to, err := q.sizeParam("to", to)
	if err != nil {
		return err
	}
	from, err := q.sizeParam("from", 0)
	if err != nil {
		return err
	}
	hashes, err := consistency(q.Context(), q.store, from, to)
	if err != nil {
		return err
	}
	return writeProof(w, proofReply{From: &from, Size: to}, hashes)
}

// consistency proves that the ledger of one size goes on from that of another.
func consistency(ctx context.Context, s *node.Node, from, to uint64) ([]tree.Hash, error) {
	if size, _ := s.Ledger().TreeHead(); from == 0 || from > to || to > size {
		return nil, rpc.BadValue("a ledger of %d entries has no proof from size %d to %d: the first is the older size, 1 at least, and the second at most %[1]d", size, from, to)
	}
	return s.Ledger().Consistency(ctx, from, to)
}

// maxEntries bounds one answer of /ledger/entries.
const maxEntries = 10_000

// errEnough ends a listing of entries at its limit.
var errEnough = errors.New("enough")

// serveEntries: /ledger/entries?from=N[&to=N], JSON lines, at most maxEntries of them. The next page begins behind the last line.
func serveEntries(q request, w http.ResponseWriter) error {
	from := uint64(0)
	var err error
	if q.URL.Query().Get("from") != "" {
		if from, err = q.sizeParam("from", 0); err != nil {
			return err
		}
	}
	to, _ := q.store.Ledger().TreeHead()
	if to, err = q.sizeParam("to", to); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jsonl")
	return writeEntries(q.Context(), q.store, stele.LogQuery{From: from, To: to}, w)
}

func writeEntries(ctx context.Context, s *node.Node, l stele.LogQuery, w io.Writer) error {
	b := bufio.NewWriter(w)
	enc := rpc.NewLineEncoder(b)
	n := 0
	err := s.Ledger().Log(ctx, l, func(e *entry.Entry) error {
		if n++; n > maxEntries {
			return errEnough
		}
		return enc.Encode(rpc.LineOf(e))
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, b.Flush())
}
