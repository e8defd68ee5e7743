package tree

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"filippo.io/torchwood"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"stele/entry"
)

// What is here is judged by code that is not ours: x/mod's tlog client, torchwood, Tessera's fsck.

// export is all files of the ledger as c2sp.org/tlog-tiles serves them.
func export(t testing.TB, l *ledger, s *Signer) map[string][]byte {
	t.Helper()
	size := l.frontier.Size()
	signed, _ := s.SignCheckpoint(size, l.frontier.Root())
	files := map[string][]byte{"checkpoint": signed}
	r := l.reader()
	for _, tile := range NewTiles(0, size) {
		var b []byte
		var err error
		if tile.Level == Entries {
			for _, leaf := range l.leaves[tile.N*GroupSize:][:tile.Width] {
				if b, err = AppendBundleEntry(b, leaf); err != nil {
					t.Fatal(err)
				}
			}
		} else if b, err = r.Tile(tile); err != nil {
			t.Fatal(err)
		}
		files[tile.Path()] = b
	}
	return files
}

// served gives the tiles to x/mod's client.
type served struct {
	t     *testing.T
	files map[string][]byte
}

func (s served) Height() int { return 8 }

func (s served) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		b, ok := s.files[torchwood.TilePath(tile)]
		if !ok {
			return nil, fmt.Errorf("no %s", torchwood.TilePath(tile))
		}
		data = append(data, b)
	}
	return data, nil
}

func (s served) SaveTiles([]tlog.Tile, [][]byte) {}

// TestTileClient: x/mod's client proves leaves and growth from our tiles alone.
func TestTileClient(t *testing.T) {
	for _, n := range []int{1, 255, 256, 257, 70_000} {
		l := grow(new(ledger), n)
		head := tlog.Tree{N: int64(n), Hash: tlog.Hash(l.frontier.Root())}
		reader := tlog.TileHashReader(head, served{t, export(t, l, signer(t, "4f2a9c/0"))})
		for _, i := range []int{0, n / 3, n / 2, n - 1} {
			p, err := tlog.ProveRecord(head.N, int64(i), reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(p, head.N, head.Hash, int64(i), tlog.RecordHash(l.leaves[i])); err != nil {
				t.Fatal(err)
			}
			ours, err := l.reader().Inclusion(uint64(i), uint64(n))
			if err != nil || !slices.Equal(fromLog(p), ours) {
				t.Fatalf("size %d, leaf %d: another proof, %v", n, i, err)
			}
			old, err := l.reader().Root(uint64(i + 1))
			if err != nil {
				t.Fatal(err)
			}
			c, err := tlog.ProveTree(head.N, int64(i+1), reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(c, head.N, head.Hash, int64(i+1), tlog.Hash(old)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestTorchwoodClient: torchwood reads every entry through our tiles and bundles.
func TestTorchwoodClient(t *testing.T) {
	const n = 1000
	l := grow(new(ledger), n)
	files := fstest.MapFS{}
	for path, b := range export(t, l, signer(t, "4f2a9c/0")) {
		files[path] = &fstest.MapFile{Data: b}
	}
	tiles, err := torchwood.NewTileFS(files)
	if err != nil {
		t.Fatal(err)
	}
	c, err := torchwood.NewClient(tiles)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for i, leaf := range c.AllEntries(t.Context(), tlog.Tree{N: n, Hash: tlog.Hash(l.frontier.Root())}, 0) {
		if int(i) != next || !bytes.Equal(leaf, l.leaves[i]) {
			t.Fatalf("entry %d is %q", i, leaf)
		}
		next++
	}
	if c.Err() != nil || next != n {
		t.Errorf("%d entries, %v", next, c.Err())
	}
}

func policy(t testing.TB, s *Signer) torchwood.Policy {
	t.Helper()
	v, err := note.NewVerifier(s.String())
	if err != nil {
		t.Fatal(err)
	}
	return torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(s.Origin()), torchwood.SingleVerifierPolicy(v))
}

// TestTorchwoodVerifies: torchwood's verifiers take our checkpoints and receipts, and refuse what is changed.
func TestTorchwoodVerifies(t *testing.T) {
	l := grow(new(ledger), 1000)
	s := signer(t, Origin("4f2a9c", 3))
	signed, sig := s.SignCheckpoint(1000, l.frontier.Root())
	for _, signed := range [][]byte{signed, s.Note(1000, l.frontier.Root(), sig)} {
		c, _, err := torchwood.VerifyCheckpoint(signed, policy(t, s))
		if err != nil || c.N != 1000 || Hash(c.Hash) != l.frontier.Root() || c.Origin != "4f2a9c/3" {
			t.Errorf("%+v, %v", c, err)
		}
	}
	for _, i := range []int{0, 255, 256, 999} {
		r, err := l.reader().Receipt(uint64(i), 1000, signed, l.leaves[i], private(i), salt(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		b := r.Append(nil)
		if err := torchwood.VerifyProof(policy(t, s), tlog.RecordHash(l.leaves[i]), b); err != nil {
			t.Error(err)
		}
		if err := torchwood.VerifyProof(policy(t, s), tlog.RecordHash(l.leaves[(i+1)%1000]), b); err == nil {
			t.Error("the receipt of one leaf proves another")
		}
		extra, err := torchwood.ProofExtraData(b)
		if err != nil || !bytes.Equal(extra, r.appendExtra(nil)) {
			t.Errorf("extra data %q, %v", extra, err)
		}
		if other := torchwood.FormatProofWithExtraData(int64(i), extra, toLog(r.Proof), signed); !bytes.Equal(other, b) {
			t.Errorf("torchwood writes\n%s\nwe write\n%s", other, b)
		}
	}
}

// TestNoteOpens: x/mod's note, and a cosigned checkpoint stays one of ours.
func TestNoteOpens(t *testing.T) {
	s := signer(t, "4f2a9c/0")
	signed, _ := s.SignCheckpoint(7, Hash{1})
	v, err := note.NewVerifier(s.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	w := signer(t, "witness.example")
	cosigner, err := torchwood.NewCosignatureSigner("witness.example", w.key)
	if err != nil {
		t.Fatal(err)
	}
	cosigned, err := note.Sign(n, cosigner)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := s.Open(cosigned); err != nil || c.Size != 7 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestTesseraFsck: unmodified Tessera rebuilds the whole tree from what we export.
func TestTesseraFsck(t *testing.T) {
	s := signer(t, "4f2a9c/0")
	for _, n := range []int{1, 256, 600, 70_003} {
		if err := runFsck(t, s, export(t, grow(new(ledger), n), s)); err != nil {
			t.Errorf("size %d: %v", n, err)
		}
	}
	l := grow(new(ledger), 600)
	for path := range export(t, l, s) {
		files := export(t, l, s)
		files[path][37] ^= 1
		if err := runFsck(t, s, files); err == nil {
			t.Errorf("%s changed: fsck saw nothing", path)
		}
	}
}

func runFsck(t *testing.T, s *Signer, files map[string][]byte) error {
	t.Helper()
	dir := t.TempDir()
	for path, b := range files {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	v, err := note.NewVerifier(s.String())
	if err != nil {
		t.Fatal(err)
	}
	hashes := func(bundle []byte) ([][]byte, error) {
		var b api.EntryBundle
		if err := b.UnmarshalText(bundle); err != nil {
			return nil, err
		}
		var h [][]byte
		for _, leaf := range b.Entries {
			sum := entry.LeafHash(leaf)
			h = append(h, sum[:])
		}
		return h, nil
	}
	// Each of fsck's workers stops at its first bad tile; with fewer workers than tiles that are bad it would hang.
	const workers = 16
	return fsck.New(s.Origin(), v, client.FileFetcher{Root: dir}, hashes, fsck.Opts{N: workers}).Check(context.Background())
}

// TestTilePaths: Tessera and torchwood give tiles the same names.
func TestTilePaths(t *testing.T) {
	for _, n := range []int64{0, 1, 999, 1000, 1234567, 70_000_000_000} {
		for _, w := range []int{1, 255, 256} {
			partial := uint8(w) // 256 is 0, a full tile
			for level := range 4 {
				tile := Tile{Level: level, N: n, Width: w}
				if got, want := tile.Path(), layout.TilePath(uint64(level), uint64(n), partial); got != want {
					t.Errorf("%s, Tessera says %s", got, want)
				}
				if got, err := ParseTilePath(tile.Path()); err != nil || got != tile {
					t.Errorf("%s parsed to %+v, %v", tile.Path(), got, err)
				}
			}
			if got, want := (Tile{Level: Entries, N: n, Width: w}).Path(), layout.EntriesPath(uint64(n), partial); got != want {
				t.Errorf("%s, Tessera says %s", got, want)
			}
		}
	}
}
