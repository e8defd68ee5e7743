package witness

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"stele/entry"
	"stele/internal/durable"
	"stele/tree"
)

var logKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// history is one history of the log. All of them are signed with the log's true key.
type history struct {
	sign   *tree.Signer
	hashes []tree.Hash
	groups []tree.Hash
	blocks []tree.Hash
	edge   tree.Frontier
	roots  []tree.Hash // by size
}

// newHistory is a history of n entries that differs from others from entry fork on.
func newHistory(t testing.TB, n, fork int, other string) *history {
	t.Helper()
	s, err := tree.NewSigner("store/1", logKey)
	must(t, err)
	h := &history{sign: s}
	h.roots = append(h.roots, h.edge.Root())
	for i := range n {
		text := fmt.Sprint("entry ", i)
		if i >= fork {
			text += other
		}
		h.hashes = append(h.hashes, entry.LeafHash([]byte(text)))
		h.groups = h.edge.AppendMany(h.groups, h.hashes[i])
		h.roots = append(h.roots, h.edge.Root())
	}
	h.blocks = tree.BlockHashes(nil, h.groups)
	return h
}

func (h *history) note(size uint64) []byte {
	signed, _ := h.sign.SignCheckpoint(size, h.roots[size])
	return signed
}

func (h *history) proof(t testing.TB, from, to uint64) []tree.Hash {
	t.Helper()
	if from == 0 {
		return nil
	}
	r := &tree.Reader{Size: uint64(len(h.hashes)), Groups: h.groups, Blocks: h.blocks, Leaves: func(g int64) ([]tree.Hash, error) {
		return h.hashes[g*tree.GroupSize : min(len(h.hashes), int(g+1)*tree.GroupSize)], nil
	}}
	p, err := r.Consistency(from, to)
	must(t, err)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func options(fs vfs.FS, h *history) Options {
	return Options{FS: fs, Key: "w/key", Folder: "w/logs", Logs: []string{h.sign.String()}, Now: func() time.Time { return noon }}
}

func open(t testing.TB, fs vfs.FS, h *history) *Witness {
	t.Helper()
	must(t, durable.MkdirAll(fs, "w"))
	w, err := Open(options(fs, h))
	must(t, err)
	return w
}

// grown is a witness that has cosigned this size of h.
func grown(t testing.TB, h *history, size uint64) (*Witness, vfs.FS) {
	t.Helper()
	fs := vfs.NewMem()
	w := open(t, fs, h)
	_, err := w.AddCheckpoint(0, nil, h.note(size))
	must(t, err)
	return w, fs
}

// TestForeignTruth: what we cosign, torchwood verifies, and what torchwood cosigns, we verify.
func TestForeignTruth(t *testing.T) {
	h := newHistory(t, 300, 300, "")
	w, _ := grown(t, h, 20)
	signed := h.note(300)
	line, err := w.AddCheckpoint(20, h.proof(t, 20, 300), signed)
	must(t, err)
	theirs, err := torchwood.NewCosignatureVerifier(w.VKey())
	must(t, err)
	logs, err := note.NewVerifier(h.sign.String())
	must(t, err)
	full := append(bytes.Clone(signed), line...)
	c, n, err := torchwood.VerifyCheckpoint(full, torchwood.ThresholdPolicy(3, torchwood.SingleVerifierPolicy(logs), torchwood.SingleVerifierPolicy(theirs), torchwood.OriginPolicy("store/1")))
	if err != nil || c.N != 300 {
		t.Fatalf("torchwood says %v of size %d", err, c.N)
	}
	for _, sig := range n.Sigs {
		if sig.Name == theirs.Name() {
			if at, err := torchwood.CosignatureTimestamp(sig); err != nil || at != noon.Unix() {
				t.Errorf("the time is %d (%v), not %d", at, err, noon.Unix())
			}
		}
	}
	signer, err := torchwood.NewCosignatureSigner("example.com/w", logKey)
	must(t, err)
	foreign, err := note.Sign(&note.Note{Text: n.Text}, signer)
	must(t, err)
	ours, err := tree.NewCosignature(signer.Verifier().String())
	must(t, err)
	if _, _, err := ours.Check(foreign); err != nil {
		t.Errorf("torchwood's own cosignature: %v", err)
	}
}

// TestRefuses: each way to have another history cosigned, and each malformed request, has its error; and the size stays.
func TestRefuses(t *testing.T) {
	h, forged := newHistory(t, 100, 100, ""), newHistory(t, 100, 10, "!")
	stranger, err := tree.NewSigner("other/1", logKey)
	must(t, err)
	thief, err := tree.NewSigner("store/1", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	must(t, err)
	unknown, _ := stranger.SignCheckpoint(60, h.roots[60])
	unsigned, _ := thief.SignCheckpoint(60, h.roots[60])
	broken := h.note(60)
	broken = append(bytes.Clone(broken[:len(broken)-9]), "AAAAAAA=\n"...)
	w, _ := grown(t, h, 50)
	for name, c := range map[string]struct {
		old   uint64
		proof []tree.Hash
		note  []byte
		want  error
	}{
		"unknown origin":              {50, nil, unknown, ErrUnknown},
		"another key":                 {50, h.proof(t, 50, 60), unsigned, tree.ErrSignature},
		"broken signature":            {50, h.proof(t, 50, 60), broken, tree.ErrSignature},
		"no checkpoint":               {50, nil, []byte("store/1\n60\n"), tree.ErrFormat},
		"old above size":              {61, nil, h.note(60), tree.ErrFormat},
		"rollback":                    {40, nil, h.note(40), &SizeError{50}},
		"grown from another size":     {40, h.proof(t, 40, 60), h.note(60), &SizeError{50}},
		"from nothing":                {0, nil, h.note(60), &SizeError{50}},
		"forged, the true key":        {50, forged.proof(t, 50, 60), forged.note(60), ErrProof},
		"forged, the true proof":      {50, h.proof(t, 50, 60), forged.note(60), ErrProof},
		"no proof":                    {50, nil, h.note(60), ErrProof},
		"same size, another root":     {50, nil, forged.note(50), ErrProof},
		"same size, another, a proof": {50, h.proof(t, 50, 60), forged.note(50), ErrProof},
		"same size, with a proof":     {50, h.proof(t, 50, 60), h.note(50), ErrProof},
	} {
		t.Run(name, func(t *testing.T) {
			line, err := w.AddCheckpoint(c.old, c.proof, c.note)
			var size *SizeError
			if want, ok := c.want.(*SizeError); ok {
				if !errors.As(err, &size) || *size != *want {
					t.Errorf("%v, not %v", err, want)
				}
			} else if !errors.Is(err, c.want) {
				t.Errorf("%v, not %v", err, c.want)
			}
			if line != nil {
				t.Errorf("cosigned: %s", line)
			}
		})
	}
	if _, err := w.AddCheckpoint(50, h.proof(t, 50, 100), h.note(100)); err != nil {
		t.Errorf("the true history after all that: %v", err)
	}
}

// TestEmptyTree: size zero has one root, and a proof from it is none.
func TestEmptyTree(t *testing.T) {
	h := newHistory(t, 10, 10, "")
	w := open(t, vfs.NewMem(), h)
	wrong, _ := h.sign.SignCheckpoint(0, h.roots[1])
	if _, err := w.AddCheckpoint(0, nil, wrong); !errors.Is(err, ErrProof) {
		t.Errorf("a root of no entries: %v", err)
	}
	if _, err := w.AddCheckpoint(0, []tree.Hash{{1}}, h.note(5)); !errors.Is(err, ErrProof) {
		t.Errorf("a proof from nothing: %v", err)
	}
	if _, err := w.AddCheckpoint(0, nil, h.note(0)); err != nil {
		t.Errorf("the empty tree: %v", err)
	}
}

// TestAgain: the same size is cosigned again, with a fresh time.
func TestAgain(t *testing.T) {
	h := newHistory(t, 10, 10, "")
	w, _ := grown(t, h, 10)
	for range 2 {
		at := noon.Add(time.Hour)
		w.opt.Now = func() time.Time { return at }
		line, err := w.AddCheckpoint(10, nil, h.note(10))
		must(t, err)
		v, err := tree.NewCosignature(w.VKey())
		must(t, err)
		if _, got, err := v.Check(append(h.note(10), line...)); err != nil || !got.Equal(at) {
			t.Errorf("%s (%v), not %s", got, err, at)
		}
	}
}

// TestRestart: a witness opened again has its key and its size; what was altered on disk is an error, and no beginning at zero.
func TestRestart(t *testing.T) {
	h := newHistory(t, 60, 60, "")
	w, fs := grown(t, h, 50)
	again := open(t, fs, h)
	if again.VKey() != w.VKey() {
		t.Errorf("another key: %s, not %s", again.VKey(), w.VKey())
	}
	var size *SizeError
	if _, err := again.AddCheckpoint(0, nil, h.note(60)); !errors.As(err, &size) || size.Kept != 50 {
		t.Errorf("%v, not the size 50", err)
	}
	_, err := again.AddCheckpoint(50, h.proof(t, 50, 60), h.note(60))
	must(t, err)
	path := again.logs["store/1"].path
	must(t, durable.Replace(fs, path, bytes.Replace(h.note(60), []byte("\n60\n"), []byte("\n50\n"), 1), 0o600))
	if _, err := Open(options(fs, h)); !errors.Is(err, tree.ErrSignature) {
		t.Errorf("an altered checkpoint: %v", err)
	}
	must(t, durable.Replace(fs, "w/key", []byte("PRIVATE+KEY+x+00000000+AA==\n"), 0o600))
	if _, err := Open(options(fs, h)); !errors.Is(err, tree.ErrFormat) {
		t.Errorf("an altered key: %v", err)
	}
}

// TestKeyFile: the key is for its owner's eyes only.
func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(Options{Key: filepath.Join(dir, "key"), Folder: filepath.Join(dir, "logs")})
	must(t, err)
	info, err := os.Stat(filepath.Join(dir, "key"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	b, err := os.ReadFile(filepath.Join(dir, "key"))
	must(t, err)
	if !strings.HasPrefix(string(b), keyPrefix+"stele-witness/") {
		t.Errorf("a key file of another form, of %d bytes", len(b))
	}
}

// TestAtOnce: of many who ask at once from the same size, those are cosigned that make one history.
func TestAtOnce(t *testing.T) {
	h, forged := newHistory(t, 100, 100, ""), newHistory(t, 100, 10, "!")
	w, _ := grown(t, h, 5)
	type answer struct {
		root tree.Hash
		err  error
	}
	answers := make(chan answer)
	for size := uint64(11); size <= 100; size++ {
		for _, h := range []*history{h, forged} {
			proof, signed := h.proof(t, 5, size), h.note(size)
			go func() {
				_, err := w.AddCheckpoint(5, proof, signed)
				answers <- answer{h.roots[size], err}
			}()
		}
	}
	var cosigned []tree.Hash
	for range 180 {
		if a := <-answers; a.err == nil {
			cosigned = append(cosigned, a.root)
		}
	}
	if len(cosigned) != 1 || cosigned[0] != w.logs["store/1"].kept.Root {
		t.Errorf("%d were cosigned from one size", len(cosigned))
	}
}

// FuzzRequest: what parses is written again as it was.
func FuzzRequest(f *testing.F) {
	h := newHistory(f, 60, 60, "")
	f.Add(AppendRequest(nil, 0, nil, h.note(50)))
	f.Add(AppendRequest(nil, 50, h.proof(f, 50, 60), h.note(60)))
	f.Add([]byte("old 00\n\nx"))
	f.Add([]byte("old 1\nAAAA\n\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		old, proof, signed, err := ParseRequest(b)
		if err == nil && (!bytes.Equal(AppendRequest(nil, old, proof, signed), b) || len(proof) > maxProof) {
			t.Errorf("%q is read, and written as another", b)
		}
		if err != nil && !errors.Is(err, tree.ErrFormat) {
			t.Error(err)
		}
	})
}
