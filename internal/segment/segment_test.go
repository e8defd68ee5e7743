package segment

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/frame"
)

var testKey = [32]byte{1, 2, 3}

func testKeys(keyID uint32, id frame.FileID) (*frame.Sealer, error) {
	if keyID != 7 {
		return nil, fmt.Errorf("no key %d", keyID)
	}
	return frame.NewSealer(testKey, id)
}

func testEngine(t testing.TB) *dir.Dir {
	t.Helper()
	d, err := dir.Open(vfs.NewMem(), "store", dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func testOptions(t testing.TB, first uint64) Options {
	t.Helper()
	id := frame.FileID{9, byte(first)}
	s, err := testKeys(7, id)
	if err != nil {
		t.Fatal(err)
	}
	return Options{StoreID: [16]byte{5}, KeyID: 7, Epoch: 1, First: first, FileID: id, Sealer: s, PreallocateBytes: 1 << 16}
}

// testItems makes n entries from index first on, the same ones for the same index.
func testItems(first uint64, n int) []Item {
	items := make([]Item, n)
	for i := range items {
		index := first + uint64(i)
		r := rand.New(rand.NewPCG(index, 1))
		binary.BigEndian.PutUint64(items[i].Salt[:], r.Uint64())
		items[i].Leaf = fmt.Appendf(nil, `{"c":"%016x%016x","i":%d,"type":"object.put"}`, r.Uint64(), r.Uint64(), index)
		items[i].Private = fmt.Appendf(nil, `{"bucket":"backups","key":"data/%02x/%016x","request":"%08x"}`, index%256, r.Uint64(), r.Uint32())
		if index%11 == 10 {
			items[i] = Item{Leaf: items[i].Leaf, Erased: true}
		}
	}
	return items
}

func testTime(index uint64) int64 { return 1_700_000_000_000_000 + int64(index)*1000 }

// testBatch makes a batch of pairs with the given counts.
func testBatch(t testing.TB, first uint64, counts ...int) Batch {
	t.Helper()
	b := Batch{Commit: Commit{First: first, Root: [32]byte{byte(first)}, KeyHash: 0x01020304, Signature: [64]byte{1, byte(first)}}}
	for _, n := range counts {
		p, err := EncodePair(first, testItems(first, n), testTime(first+uint64(n)-1))
		if err != nil {
			t.Fatal(err)
		}
		b.Pairs, first = append(b.Pairs, p), first+uint64(n)
	}
	b.Commit.Size, b.Commit.Time = first, testTime(first-1)
	return b
}

var testShape = [][]int{{1}, {3}, {20, 20, 4}, {1}, {2}}

// writeTest writes the batches of testShape; it returns the offsets at which each ends.
func writeTest(t testing.TB, e engine.Appender, first uint64) (w *Writer, ends []int64) {
	t.Helper()
	w, err := Create(context.Background(), e, testOptions(t, first))
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range testShape {
		if err := w.Append(testBatch(t, w.Next(), shape...), testTime(w.Next())); err != nil {
			t.Fatal(err)
		}
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, w.SizeBytes())
	}
	return w, ends
}

var testEdge, testGroups = [][32]byte{{1}, {2}}, [][32]byte{{3}, {4}, {5}}

func sealTest(t testing.TB, e engine.Appender, first uint64) []byte {
	t.Helper()
	w, _ := writeTest(t, e, first)
	if err := w.Seal(testEdge, 77, testGroups); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return readFile(t, e, w.Name())
}

func readFile(t testing.TB, e engine.Engine, name string) []byte {
	t.Helper()
	f, err := e.Open(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return b
}

func sameItems(t testing.TB, p Pair) {
	t.Helper()
	got, err := p.Items()
	if err != nil {
		t.Fatal(err)
	}
	want := testItems(p.First, p.Count)
	for i := range want {
		if !bytes.Equal(got[i].Leaf, want[i].Leaf) || got[i].Salt != want[i].Salt || !bytes.Equal(got[i].Private, want[i].Private) || got[i].Erased != want[i].Erased {
			t.Fatalf("entry %d is %+v, want %+v", p.First+uint64(i), got[i], want[i])
		}
	}
}

func TestSealedRead(t *testing.T) {
	b := sealTest(t, testEngine(t), 5)
	r := bytes.NewReader(b)
	h, f, err := ReadFooter(r, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if h.First != 5 || h.Epoch != 1 || h.KeyID != 7 || f.Commit.Size != 56 || f.Group != 77 || len(f.Groups) != 3 || len(f.Edge) != 2 ||
		f.FirstTime != testTime(5) || f.LastTime != testTime(55) {
		t.Fatalf("header %+v, footer %+v", h, f)
	}
	rd, err := NewReader(r, h, f, testKeys)
	if err != nil {
		t.Fatal(err)
	}
	if len(rd.Rows()) != 7 {
		t.Fatalf("%d pairs, want 7", len(rd.Rows()))
	}
	for i := range rd.Rows() {
		p, err := rd.Pair(i)
		if err != nil {
			t.Fatal(err)
		}
		sameItems(t, p)
	}
	for index := uint64(5); index < 56; index++ {
		i, ok := rd.Find(index)
		if row := rd.Rows()[max(i, 0)]; !ok || index < row.First || index >= row.First+uint64(row.Count) {
			t.Fatalf("entry %d found in pair %d, %v", index, i, ok)
		}
	}
	if _, ok := rd.Find(4); ok {
		t.Error("found an entry before the first")
	}
	if _, ok := rd.Find(56); ok {
		t.Error("found an entry behind the last")
	}
	if got := rd.FindTime(testTime(5)); got != 1 {
		t.Errorf("first pair later than entry 5 is %d, want 1", got)
	}
	keyless, err := NewReader(r, h, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := keyless.Pair(2)
	if err != nil {
		t.Fatal(err)
	}
	if leaves, err := p.Leaves(); err != nil || len(leaves) != 20 {
		t.Errorf("without a key: %d leaves, %v", len(leaves), err)
	}
	if _, err := p.Items(); err == nil {
		t.Error("private parts were read without a key")
	}
}

func TestActiveRead(t *testing.T) {
	w, _ := writeTest(t, testEngine(t), 0)
	v := w.View()
	for i := range v.Rows() {
		p, err := v.Pair(i)
		if err != nil {
			t.Fatal(err)
		}
		sameItems(t, p)
	}
}

func scanAll(s *Scanner) (size uint64, err error) {
	size = s.next
	for {
		b, err := s.Next()
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, err
		}
		for i := range b.Pairs {
			if _, err := b.Pairs[i].Items(); err != nil {
				return size, err
			}
		}
		size = b.Commit.Size
	}
}

func TestScanSealed(t *testing.T) {
	b := sealTest(t, testEngine(t), 5)
	s := NewScanner(bytes.NewReader(b), int64(len(b)), 5, testKeys)
	size, err := scanAll(s)
	if err != nil || size != 56 || s.Footer() == nil || s.SizeBytes() != int64(len(b)-trailerSize) {
		t.Fatalf("size %d, footer %v, %v", size, s.Footer(), err)
	}
}

// TestTornTail cuts a tail at every byte. What was committed before the cut is found, and nothing is called damage.
func TestTornTail(t *testing.T) {
	e := testEngine(t)
	w, ends := writeTest(t, e, 5)
	b := tail(t, e, w)
	sizes := []uint64{6, 9, 53, 54, 56}
	for cut := 0; cut <= len(b); cut++ {
		want := uint64(5)
		for i, end := range ends {
			if int64(cut) >= end {
				want = sizes[i]
			}
		}
		for _, reserved := range []int{0, 3, 5000} {
			torn := append(bytes.Clone(b[:cut]), make([]byte, reserved)...)
			s := NewScanner(bytes.NewReader(torn), int64(len(torn)), 5, testKeys)
			got, err := scanAll(s)
			if err != nil || got != want {
				t.Fatalf("cut at %d: size %d, want %d (%v)", cut, got, want, err)
			}
			if why, saw, err := s.Broken(); saw != 0 || err != nil {
				t.Fatalf("cut at %d: torn tail taken for damage: %v, saw %d, %v", cut, why, saw, err)
			}
		}
	}
}

// tail returns what was written to w so far.
func tail(t *testing.T, e engine.Appender, w *Writer) []byte {
	t.Helper()
	b := make([]byte, w.SizeBytes())
	if _, err := w.g.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return b
}

// TestDamagedTail flips every byte of a tail. Nothing of what was committed before the last batch may be cut away in silence.
func TestDamagedTail(t *testing.T) {
	e := testEngine(t)
	w, ends := writeTest(t, e, 5)
	b := append(tail(t, e, w), make([]byte, 100)...)
	lastStart := ends[len(ends)-2]
	for i := range b[:w.SizeBytes()] {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		s := NewScanner(bytes.NewReader(bad), int64(len(bad)), 5, testKeys)
		size, err := scanAll(s)
		if err != nil {
			if !errors.Is(err, frame.ErrCorrupt) || errors.Is(err, frame.ErrVersion) {
				t.Fatalf("flip of byte %d: %v", i, err)
			}
			continue
		}
		_, saw, err := s.Broken()
		if err != nil {
			t.Fatal(err)
		}
		if int64(i) < lastStart && saw != 56 && saw != 54 {
			t.Fatalf("flip of byte %d: size %d and later entries seen to %d", i, size, saw)
		}
		if int64(i) >= lastStart && (size != 54 || saw != 0) {
			t.Fatalf("flip of byte %d in the last batch: size %d, saw %d", i, size, saw)
		}
	}
}

// TestDamagedSealed flips every byte of a sealed segment: a full read notices, or the byte is one that no reader uses.
func TestDamagedSealed(t *testing.T) {
	b := sealTest(t, testEngine(t), 5)
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if err := verify(bad); err == nil {
			t.Errorf("flip of byte %d of %d was not noticed", i, len(b))
		}
	}
	for cut := range b {
		if err := verify(b[:cut]); err == nil {
			t.Errorf("cut at byte %d of %d was not noticed", cut, len(b))
		}
	}
	if err := verify(b); err != nil {
		t.Error(err)
	}
}

func verify(b []byte) error {
	r := bytes.NewReader(b)
	h, f, err := ReadFooter(r, int64(len(b)))
	if err != nil {
		return err
	}
	s := NewScanner(r, int64(len(b)), h.First, testKeys)
	if _, err := scanAll(s); err != nil {
		return err
	}
	if err := s.Whole(); err != nil {
		return err
	}
	if s.Footer().Commit != f.Commit {
		return errors.New("another footer")
	}
	_, err = NewReader(r, h, f, testKeys)
	return err
}
