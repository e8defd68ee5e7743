package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"stele"
	"stele/internal/admin"
	"stele/internal/node"
	"stele/internal/rpc/client"
	"stele/internal/witness"
	"stele/tree"
)

// TestWitness: a store has its checkpoints cosigned over the wire, from nothing, grown, and again; each refusal has the status of the specification.
func TestWitness(t *testing.T) {
	s := newStore(t)
	w, err := witness.Open(witness.Options{Key: filepath.Join(t.TempDir(), "key"), Folder: filepath.Join(t.TempDir(), "logs"), Logs: []string{s.Ledger().VKey()}})
	if err != nil {
		t.Fatal(err)
	}
	var refuse error
	may := func(context.Context, tree.Checkpoint) error { return refuse }
	mux := http.NewServeMux()
	mux.Handle("POST /w/add-checkpoint", admin.Witness(w, may, slog.New(slog.DiscardHandler)))
	ts := httptest.NewServer(mux)
	defer ts.Close()
	key, err := tree.NewCosignature(w.VKey())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(signed []byte) error {
		line, err := client.AskWitness(t.Context(), http.DefaultTransport, ts.URL+"/w", key, signed, s.Ledger().Consistency)
		if err == nil {
			_, _, err = key.Check(append(bytes.Clone(signed), line...))
		}
		return err
	}
	first := s.Ledger().Checkpoint()
	for range 2 {
		if err := ask(first); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateBucket(t.Context(), stele.Local(), "bkt", false); err != nil {
		t.Fatal(err)
	}
	grown := s.Ledger().Checkpoint()
	refuse = errors.New("not now")
	if err := ask(grown); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("refused by the standby: %v", err)
	}
	refuse = nil
	if err := ask(grown); err != nil {
		t.Fatal(err)
	}
	if err := ask(first); !errors.Is(err, client.ErrNewer) {
		t.Errorf("a smaller one: %v", err)
	}
	stranger, err := witness.Open(witness.Options{Key: filepath.Join(t.TempDir(), "key"), Folder: filepath.Join(t.TempDir(), "logs")})
	if err != nil {
		t.Fatal(err)
	}
	other, err := tree.NewCosignature(stranger.VKey())
	if err == nil {
		_, err = client.AskWitness(t.Context(), http.DefaultTransport, ts.URL+"/w", other, grown, s.Ledger().Consistency)
	}
	if !errors.Is(err, tree.ErrSignature) {
		t.Errorf("a cosignature by another key than the expected one: %v", err)
	}
	testWitnessStatus(t, ts.URL+"/w/add-checkpoint", s, grown)
}

func testWitnessStatus(t *testing.T, url string, s *node.Node, grown []byte) {
	c, err := tree.OpenCheckpoint(grown, s.Ledger().VKey())
	if err != nil {
		t.Fatal(err)
	}
	stranger := bytes.Replace(grown, []byte(c.Origin), []byte("other/1"), 1)
	altered := bytes.Replace(grown, fmt.Appendf(nil, "\n%d\n", c.Size), fmt.Appendf(nil, "\n%d\n", c.Size+1), 1)
	for name, q := range map[string]struct {
		body   []byte
		status int
		answer string
	}{
		"malformed":       {[]byte("new 5\n\n"), 400, ""},
		"too large":       {append([]byte("old 0\n\n"), make([]byte, witness.MaxRequest)...), 400, ""},
		"old above size":  {witness.AppendRequest(nil, c.Size+1, nil, grown), 400, ""},
		"unknown origin":  {witness.AppendRequest(nil, c.Size, nil, stranger), 404, ""},
		"altered":         {witness.AppendRequest(nil, c.Size, nil, altered), 403, ""},
		"another size":    {witness.AppendRequest(nil, 0, nil, grown), 409, fmt.Sprintln(c.Size)},
		"a proof of none": {witness.AppendRequest(nil, c.Size, []tree.Hash{{1}}, grown), 422, ""},
	} {
		r, err := http.Post(url, "", bytes.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != q.status || q.answer != "" && (string(b) != q.answer || r.Header.Get("Content-Type") != "text/x.tlog.size") {
			t.Errorf("%s: %s, %q (%v), not %d %q", name, r.Status, b, err, q.status, q.answer)
		}
	}
}

// testConsistency: the tree of an earlier receipt is proven to be contained in that of a later one.
func testConsistency(t *testing.T, s client.Store) {
	must[stele.Committed](t)(s.CreateBucket(t.Context(), by, "docs", false))
	var heads []tree.Checkpoint
	for _, key := range []string{"k", "later"} {
		put(t, s, "docs", key, "proven")
		receipt, _, err := s.Ledger().Prove(t.Context(), stele.Place{Bucket: "docs", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		r := must[*tree.Receipt](t)(tree.ParseReceipt(receipt))
		heads = append(heads, must[tree.Checkpoint](t)(tree.OpenCheckpoint(r.Checkpoint, s.Ledger().VKey())))
	}
	from, to := heads[0], heads[1]
	proof := must[[]tree.Hash](t)(s.Ledger().Consistency(t.Context(), from.Size, to.Size))
	if err := tree.CheckConsistency(proof, from.Size, from.Root, to.Size, to.Root); err != nil || from.Size >= to.Size {
		t.Errorf("from %d to %d: %v", from.Size, to.Size, err)
	}
	if _, err := s.Ledger().Consistency(t.Context(), to.Size, 1<<40); err == nil {
		t.Error("a proof to a size that is not there")
	}
}
