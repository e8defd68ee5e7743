package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"stele/entry"
	"stele/tree"
)

func signer(t testing.TB, origin string) *tree.Signer {
	t.Helper()
	s, err := tree.NewSigner(origin, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// receipt is the receipt of p as entry 5 of a ledger of 300, all else like it.
func receipt(t testing.TB, s *tree.Signer, typ entry.Type, p entry.Private, parts []byte) []byte {
	t.Helper()
	private := entry.AppendPrivate(nil, &p)
	salt := [16]byte{1}
	leaf := entry.AppendLeaf(nil, 5, time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC), typ, entry.Commitment(salt, private))
	hashes := make([]tree.Hash, 300)
	hashes[5] = entry.LeafHash(leaf)
	var f tree.Frontier
	r := tree.Reader{Size: 300, Groups: f.AppendMany(nil, hashes...), Leaves: func(g int64) ([]tree.Hash, error) {
		return hashes[g*tree.GroupSize : min(300, (g+1)*tree.GroupSize)], nil
	}}
	signed, _ := s.SignCheckpoint(300, f.Root())
	got, err := r.Receipt(5, 300, signed, leaf, private, salt, parts)
	if err != nil {
		t.Fatal(err)
	}
	return got.Append(nil)
}

func chunk(data string) entry.Body {
	return entry.Body{Kind: entry.BodyChunk, Ref: entry.ID{1}, SHA256: sha256.Sum256([]byte(data)), Size: int64(len(data))}
}

func object(b entry.Body) entry.Private {
	return entry.Private{Bucket: "b", Inc: 1, Key: "k", Body: &b}
}

func TestReceipt(t *testing.T) {
	s := signer(t, "store/0")
	const data = "what was stored"
	good := receipt(t, s, entry.ObjectPut, object(chunk(data)), nil)
	r, err := Receipt(good, s.String(), iotest.OneByteReader(strings.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Entry.Index != 5 || r.Entry.Private.Key != "k" || r.Checkpoint.Size != 300 || r.Size != int64(len(data)) || r.SHA256 != sha256.Sum256([]byte(data)) || r.Parts != 0 {
		t.Errorf("%+v", r)
	}
	longer := chunk(data)
	longer.Size++
	for name, c := range map[string]struct {
		receipt []byte
		vkey    string
		file    string
	}{
		"changed":    {good, s.String(), "what was Stored"},
		"shorter":    {good, s.String(), data[1:]},
		"longer":     {good, s.String(), data + "\n"},
		"empty":      {good, s.String(), ""},
		"other key":  {good, signer(t, "store/1").String(), data},
		"no receipt": {nil, s.String(), data},
		"size":       {receipt(t, s, entry.ObjectPut, object(longer), nil), s.String(), data},
		"no object":  {receipt(t, s, entry.ObjectHide, object(chunk(data)), nil), s.String(), data},
		"no body":    {receipt(t, s, entry.ObjectPut, entry.Private{Key: "k"}, nil), s.String(), data},
	} {
		if _, err := Receipt(c.receipt, c.vkey, strings.NewReader(c.file)); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Receipt(good, "nonsense", strings.NewReader(data)); err == nil || errors.Is(err, ErrFailed) {
		t.Errorf("a key that is none: %v", err)
	}
	if _, err := Receipt(good, s.String(), iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrFailed) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

func TestEmpty(t *testing.T) {
	s := signer(t, "store/0")
	for _, sum := range []entry.Hash{{}, emptySum} {
		b := receipt(t, s, entry.ObjectPut, object(entry.Body{Kind: entry.BodyEmpty, SHA256: sum}), nil)
		if r, err := Receipt(b, s.String(), strings.NewReader("")); err != nil || r.SHA256 != emptySum {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := Receipt(b, s.String(), strings.NewReader("x")); !errors.Is(err, ErrFailed) {
			t.Error(err)
		}
	}
}

func TestParts(t *testing.T) {
	s := signer(t, "store/0")
	parts := entry.Parts{
		{Body: chunk("first, "), Number: 1}, {Body: chunk("second, "), Number: 4}, {Body: entry.Body{Kind: entry.BodyEmpty}, Number: 9},
	}
	const data = "first, second, "
	doc := entry.AppendParts(nil, parts)
	body := entry.Body{Kind: entry.BodyParts, Ref: entry.ID{2}, SHA256: sha256.Sum256(doc), Size: parts.Size()}
	good := receipt(t, s, entry.ObjectPut, object(body), doc)
	r, err := Receipt(good, s.String(), strings.NewReader(data))
	if err != nil || r.Parts != 3 || r.Size != int64(len(data)) || r.SHA256 != sha256.Sum256([]byte(data)) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, file := range []string{"", data[:7], data[:len(data)-1], data + "x", "First, second, ", "first, Second, ", "second, first, "} {
		if _, err := Receipt(good, s.String(), strings.NewReader(file)); !errors.Is(err, ErrFailed) {
			t.Errorf("%q: %v", file, err)
		}
	}
	if _, err := Receipt(receipt(t, s, entry.ObjectPut, object(body), nil), s.String(), strings.NewReader(data)); !errors.Is(err, ErrFailed) {
		t.Errorf("without parts: %v", err)
	}
	body.Size++
	if _, err := Receipt(receipt(t, s, entry.ObjectPut, object(body), doc), s.String(), strings.NewReader(data)); !errors.Is(err, ErrFailed) {
		t.Errorf("another size than the parts': %v", err)
	}
	short := entry.Parts{{Body: chunk(data), Number: 1}}
	short[0].Body.Size++ // the digest is of one byte less
	doc = entry.AppendParts(nil, short)
	body = entry.Body{Kind: entry.BodyParts, Ref: entry.ID{2}, SHA256: sha256.Sum256(doc), Size: short.Size()}
	if _, err := Receipt(receipt(t, s, entry.ObjectPut, object(body), doc), s.String(), strings.NewReader(data)); !errors.Is(err, ErrFailed) {
		t.Errorf("a part that is shorter than it says: %v", err)
	}
	if _, err := Receipt(good, s.String(), io.MultiReader(strings.NewReader(data), iotest.ErrReader(io.ErrUnexpectedEOF))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that cannot be read to its end: %v", err)
	}
}

// TestSha256sum: the digest that a receipt gives is the one that sha256sum prints.
func TestSha256sum(t *testing.T) {
	s := signer(t, "store/0")
	data := strings.Repeat("0123456789", 100_000)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Receipt(receipt(t, s, entry.ObjectPut, object(chunk(data)), nil), s.String(), f)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sha256sum", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want, _, _ := strings.Cut(string(out), " "); r.Entry.Private.Body.SHA256.String() != want || r.SHA256.String() != want {
		t.Errorf("%s, sha256sum says %s", r.SHA256, want)
	}
}
