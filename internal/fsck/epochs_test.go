package fsck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/segment"
	"stele/tree"
	"stele/verify"
)

var ctx = context.Background()

// reigns is a ledger of several epochs.
type reigns struct {
	t   *testing.T
	opt ledger.Options
}

func newReigns(t *testing.T) *reigns {
	t.Helper()
	e, err := dir.Open(vfs.NewMem(), "store", dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.New([16]byte{0xcc})
	if err != nil {
		t.Fatal(err)
	}
	x := &reigns{t, ledger.Options{Engine: e, Keys: keys, SegmentBytes: 8 << 10}}
	l, err := ledger.Create(ctx, x.opt, ledger.Draft{Type: entry.StoreInit, Private: entry.Private{Actor: "local"}})
	if err != nil {
		t.Fatal(err)
	}
	x.fill(l, 300)
	return x
}

func (x *reigns) fill(l *ledger.Ledger, n int) {
	x.t.Helper()
	for i := range n {
		if _, err := l.Append(ctx, func(ledger.Slot) (ledger.Draft, error) {
			return ledger.Draft{Type: entry.ConfigSet, Private: entry.Private{Name: fmt.Sprint(i), Value: "x"}}, nil
		}); err != nil {
			x.t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		x.t.Fatal(err)
	}
}

func (x *reigns) open() *ledger.Ledger {
	x.t.Helper()
	l, err := ledger.Open(ctx, x.opt)
	if err != nil {
		x.t.Fatal(err)
	}
	return l
}

// promote begins an epoch with the first cut entries and writes more in it.
func (x *reigns) promote(cut uint64) {
	x.t.Helper()
	l, err := ledger.OpenHalted(ctx, x.opt)
	if err != nil {
		x.t.Fatal(err)
	}
	next, err := x.opt.Keys.Next(cut)
	if err == nil {
		err = l.Begin(ctx, next, cut, entry.Private{Actor: "local"})
	}
	if err := errors.Join(err, l.Close()); err != nil {
		x.t.Fatal(err)
	}
	x.opt.Keys = next
	x.fill(x.open(), 20)
}

func (x *reigns) verify(size uint64) Report {
	x.t.Helper()
	r, err := Check(ctx, Options{Engine: x.opt.Engine, Keys: x.opt.Keys, Body: new(body.Store), Size: size})
	if err != nil {
		x.t.Fatal(err)
	}
	return r
}

// TestEpochs verifies a ledger of four epochs, one of which counts no more.
func TestEpochs(t *testing.T) {
	x := newReigns(t)
	x.promote(280) // 301
	x.promote(301)
	x.promote(290)
	r := x.verify(311)
	if !r.OK() || r.Size != 311 {
		t.Fatalf("%+v", r)
	}
	var got []string
	for _, e := range r.Evidence {
		got = append(got, fmt.Sprintf("%d: %d-%d %s", e.Epoch, e.From, e.To, e.Broken))
	}
	if want := []string{"1: 280-301 ", "2: 290-301 ", "3: 301-322 "}; !slices.Equal(got, want) {
		t.Errorf("evidence is %q, want %q", got, want)
	}
	l := x.open()
	defer l.Close()
	foreign(t, l)
}

// foreign reads the whole tree by x/mod's tile client, which knows nothing of epochs.
func foreign(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	head, err := tree.OpenCheckpoint(l.Checkpoint(), l.VKey())
	if err != nil {
		t.Fatal(err)
	}
	client := tlog.TileHashReader(tlog.Tree{N: int64(head.Size), Hash: tlog.Hash(head.Root)}, tiles{l})
	for i := range int64(head.Size) {
		h, err := client.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
		if err != nil {
			t.Fatal(err)
		}
		_, leaf, _, err := l.Entry(ctx, uint64(i))
		if err != nil || tlog.RecordHash(leaf) != h[0] {
			t.Fatalf("leaf %d is not the one in the tiles: %v", i, err)
		}
	}
}

type tiles struct{ l *ledger.Ledger }

func (c tiles) Height() int { return 8 }

func (c tiles) ReadTiles(list []tlog.Tile) (data [][]byte, err error) {
	for _, k := range list {
		b, err := c.l.Tile(ctx, k.L, k.N, k.W)
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}

func (c tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// TestSuccession walks from a pinned key of the first epoch to the newest one, with receipts alone.
func TestSuccession(t *testing.T) {
	x := newReigns(t)
	pinned, err := x.opt.Keys.VKey()
	if err != nil {
		t.Fatal(err)
	}
	x.promote(301)
	x.promote(310)
	l := x.open()
	defer l.Close()
	receipt := func(index uint64) []byte {
		b, err := l.Receipt(ctx, index)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	second, third := receipt(301), receipt(310)
	if got, err := verify.Succession(pinned, second, third); err != nil || got != l.VKey() {
		t.Errorf("succession: %s, %v", got, err)
	}
	stranger, err := keyring.New([16]byte{0xcc})
	if err != nil {
		t.Fatal(err)
	}
	other, err := stranger.VKey()
	if err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() (string, error){
		"another key pinned": func() (string, error) { return verify.Succession(other, second, third) },
		"an epoch left out":  func() (string, error) { return verify.Succession(pinned, third) },
		"out of order":       func() (string, error) { return verify.Succession(pinned, third, second) },
		"older receipts":     func() (string, error) { return verify.Succession(pinned, second) }, // under the third epoch's checkpoint
		"another entry":      func() (string, error) { return verify.Succession(pinned, receipt(5), third) },
		"altered": func() (string, error) {
			return verify.Succession(pinned, []byte(strings.Replace(string(second), "index 301", "index 300", 1)), third)
		},
	} {
		if got, err := try(); !errors.Is(err, verify.ErrFailed) {
			t.Errorf("%s: %s, %v", what, got, err)
		}
	}
}

// TestForgedBegin: an epoch whose entries and signatures are in order, and whose parent is another tree, is a problem.
func TestForgedBegin(t *testing.T) {
	x := newReigns(t)
	l, err := ledger.OpenHalted(ctx, x.opt)
	if err != nil {
		t.Fatal(err)
	}
	size, root := l.Head()
	next, err := x.opt.Keys.Next(size)
	if err != nil {
		t.Fatal(err)
	}
	old := signerOf(t, x.opt.Keys)
	for name, wrong := range map[string]bool{"as it should be": false, "another parent": true} {
		h := tree.Handover{Epoch: 2, Cut: size, Parent: l.Checkpoint()}
		if h.VKey, err = next.VKey(); err != nil {
			t.Fatal(err)
		}
		claimed := root
		if wrong {
			claimed[0] ^= 1
			h.Parent = old.Note(size, claimed, old.Sign(size, claimed))
		}
		old.HandOver(&h, claimed)
		forged := &reigns{t, x.opt}
		forged.opt.Keys, forged.opt.Engine = next, beginBy(t, l, x.opt.Engine, next, h)
		r := forged.verify(size + 1)
		if r.OK() == wrong {
			t.Errorf("%s: %+v", name, r.Problems)
		}
		if wrong && (len(r.Problems) != 1 || r.Problems[0].Where != "epoch 2") {
			t.Errorf("%s: %+v", name, r.Problems)
		}
	}
}

func signerOf(t *testing.T, keys *keyring.Keyring) *tree.Signer {
	t.Helper()
	key, err := keys.SigningKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := tree.NewSigner(keys.Origin(), key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// beginBy copies a ledger's segments and adds, by hand, a first segment of the next epoch.
func beginBy(t *testing.T, l *ledger.Ledger, from engine.Engine, next *keyring.Keyring, h tree.Handover) engine.Engine {
	t.Helper()
	e, err := dir.Open(vfs.NewMem(), "store", dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := from.List(ctx, engine.Segments, func(i engine.Info) error {
		f, err := from.Open(ctx, i.Name)
		if err != nil {
			return err
		}
		defer f.Close()
		return e.Create(ctx, i.Name, f.Size(), &readerAt{f, 0})
	}); err != nil {
		t.Fatal(err)
	}
	var edge tree.Frontier
	if err := l.Entries(ctx, 0, h.Cut, func(en *entry.Entry) error {
		_, leaf, _, err := l.Entry(ctx, en.Index)
		edge.Append(entry.LeafHash(leaf))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	private := entry.AppendPrivate(nil, &entry.Private{Actor: "local", Data: h.Data()})
	at := l.Now()
	leaf := entry.AppendLeaf(nil, h.Cut, at, entry.EpochBegin, entry.Commitment([16]byte{1}, private))
	edge.Append(entry.LeafHash(leaf))
	pair, err := segment.EncodePair(h.Cut, []segment.Item{{Leaf: leaf, Salt: [16]byte{1}, Private: private}}, at.UnixMicro())
	if err != nil {
		t.Fatal(err)
	}
	id, signer := frame.NewFileID(), signerOf(t, next)
	sealer, err := next.Sealer(next.Current().ID, id)
	if err != nil {
		t.Fatal(err)
	}
	w, err := segment.Create(ctx, e, segment.Options{StoreID: next.StoreID, KeyID: next.Current().ID, Epoch: 2, First: h.Cut, FileID: id, Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	root := edge.Root()
	err = w.Append(segment.Batch{Pairs: []segment.Pair{pair}, Commit: segment.Commit{First: h.Cut, Size: h.Cut + 1, Root: root, KeyHash: signer.KeyHash(),
		Signature: signer.Sign(h.Cut+1, root), Time: at.UnixMicro()}}, at.UnixMicro())
	b, _ := edge.MarshalBinary()
	var hashes [][32]byte
	for b = b[8:]; len(b) > 0; b = b[32:] {
		hashes = append(hashes, [32]byte(b[:32]))
	}
	if err == nil {
		err = w.Seal(hashes, h.Cut/tree.GroupSize, nil)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return e
}

// readerAt reads a file from front to end.
type readerAt struct {
	f   engine.File
	off int64
}

func (r *readerAt) Read(p []byte) (int, error) {
	n, err := r.f.ReadAt(p, r.off)
	r.off += int64(n)
	return n, err
}
