package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/frame"
)

var ctx = context.Background()

var update = flag.Bool("update", false, "write the golden files anew")

// testKeys has one data key.
type testKeys byte

func (k testKeys) Current() uint32 { return 1 }

func (k testKeys) Sealer(id uint32, file frame.FileID) (*frame.Sealer, error) {
	if id != 1 {
		return nil, errors.New("no such key")
	}
	return frame.NewSealer([32]byte{byte(k), 2, 3}, file)
}

func (k testKeys) DedupKey(uint32) [32]byte { return [32]byte{byte(k), 9} }

const keys = testKeys(1)

var store = [16]byte{0xaa, 0xbb}

// files is an index in memory.
type files map[string][]byte

func (f files) Names() []string { return slices.Collect(maps.Keys(f)) }

func (f files) Open(name string) (engine.File, error) {
	return memFile{bytes.NewReader(f[name])}, nil
}

type memFile struct{ *bytes.Reader }

func (m memFile) Size() int64 { return m.Reader.Size() }
func (memFile) Close() error  { return nil }

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	r.Read(b)
	return b
}

// an index of two tables, a small file and an empty one.
func index() files {
	return files{"000004.sst": noise(1, 5*ChunkBytes+17), "000007.sst": noise(2, ChunkBytes), "MANIFEST-000002": []byte("small"), "marker.manifest.000001.MANIFEST-000002": nil}
}

// ship brings a snapshot to a target whole, for an entry that says at.
func ship(t *testing.T, target engine.Engine, f files, size, at uint64) (*Taken, int64) {
	t.Helper()
	s, err := Take(ctx, f, size, "2", store, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Ship(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, target, at); err != nil {
		t.Fatal(err)
	}
	return s, n
}

// ledger is what backup.index entries say: the document's SHA-256 by entry.
type ledger map[uint64]entry.Hash

func (l ledger) note(t *testing.T, s *Taken, at uint64) {
	t.Helper()
	b, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	l[at] = sha256.Sum256(b)
}

func (l ledger) options(size uint64, passed *[]string) Options {
	return Options{Store: store, Keys: keys, Format: "2", Size: size,
		Confirm: func(_ context.Context, c Claim) (bool, error) { return l[c.Entry] == c.SHA256, nil },
		Passed:  func(name string, why error) { *passed = append(*passed, fmt.Sprint(name, ": ", why)) }}
}

func find(t *testing.T, target engine.Engine, l ledger, size uint64) (*Snapshot, string) {
	t.Helper()
	var passed []string
	s, err := Find(ctx, target, l.options(size, &passed))
	if err != nil {
		t.Fatal(err)
	}
	return s, strings.Join(passed, "\n")
}

// compare reads a snapshot whole and by ranges.
func compare(s *Snapshot, want files) error {
	if len(s.Sizes()) != len(want) {
		return fmt.Errorf("%d files, want %d", len(s.Sizes()), len(want))
	}
	for name, data := range want {
		w, err := s.Whole(ctx, name)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(w)
		if err = errors.Join(err, w.Close()); err != nil || !bytes.Equal(got, data) {
			return fmt.Errorf("%s, whole: %w", name, errors.Join(err, errors.New("other bytes")))
		}
		r, err := s.Open(ctx, name)
		if err != nil {
			return err
		}
		for i := range 50 {
			off := rand.IntN(len(data) + 2)
			p := make([]byte, 1+rand.IntN(1+i*ChunkBytes/20))
			n, err := r.ReadAt(p, int64(off))
			end := min(off+len(p), len(data))
			if want := data[min(off, end):end]; !bytes.Equal(p[:n], want) || n < len(p) && err != io.EOF || n == len(p) && err != nil {
				return fmt.Errorf("%s, %d bytes from %d: %d, %w", name, len(p), off, n, errors.Join(err, errors.New("other bytes")))
			}
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// contents reads a target's file, and put replaces it.
func contents(t *testing.T, e engine.Engine, name string) []byte {
	t.Helper()
	f, err := e.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, e engine.Engine, name string, b []byte) {
	t.Helper()
	if err := e.Remove(ctx, name); err != nil && !errors.Is(err, engine.ErrNotExist) {
		t.Fatal(err)
	}
	if err := e.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
}

func listed(t *testing.T, e engine.Engine, suffix string) (names []string) {
	t.Helper()
	there, err := sizes(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	for name := range there {
		if strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestShip: a snapshot reads back; the next one ships only what is new; the one before the last stays, older ones go.
func TestShip(t *testing.T) {
	target, l := mem.New(), ledger{}
	var last files
	for i := range uint64(4) {
		f := index()
		f["000010.sst"] = noise(10+i, 3*ChunkBytes)
		s, n := ship(t, target, f, 100*(i+1), 100*(i+1)+5)
		l.note(t, s, 100*(i+1)+5)
		if i > 0 && n >= 4*ChunkBytes {
			t.Fatalf("snapshot %d shipped %d bytes, one table of %d is new", i, n, 3*ChunkBytes)
		}
		if _, err := Prune(ctx, target, store, keys); err != nil {
			t.Fatal(err)
		}
		last = f
	}
	if lists, packs := listed(t, target, listSuffix), listed(t, target, packSuffix); len(lists) != 2 || len(packs) != 5 {
		t.Fatalf("%d lists, %d packs are left", len(lists), len(packs))
	}
	s, passed := find(t, target, l, 1000)
	if s == nil || s.Size != 400 || passed != "" {
		t.Fatal(s, passed)
	}
	if err := compare(s, last); err != nil {
		t.Fatal(err)
	}
	if again, err := Reopen(ctx, target, s.Name(), l.options(1000, new([]string))); err != nil || again.Size != 400 {
		t.Fatal(again, err)
	}
}

// TestKnownFiles: what an earlier snapshot of the same index says of a table is taken over, and the table is not read.
func TestKnownFiles(t *testing.T) {
	first, _ := ship(t, mem.New(), index(), 7, 8)
	known := map[string]File{}
	for _, f := range first.Files {
		known[f.Name] = f
	}
	second, err := Take(ctx, failing{index()}, 7, "2", store, keys, known)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := first.Bytes()
	b, _ := second.Bytes()
	if !bytes.Equal(a, b) {
		t.Fatal("the document differs")
	}
}

type failing struct{ files }

func (failing) Open(string) (engine.File, error) { return nil, errors.New("it should not be read") }

// TestChangedUnderneath: a file that is not what the row says is not sealed to its end under the row's key.
func TestChangedUnderneath(t *testing.T) {
	f := index()
	s, err := Take(ctx, f, 7, "2", store, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	f["000004.sst"] = noise(99, len(f["000004.sst"]))
	target := mem.New()
	if _, err := s.Ship(ctx, target); !errors.Is(err, frame.ErrCorrupt) {
		t.Fatal("shipped:", err)
	}
	if names := listed(t, target, ""); len(names) != 0 {
		t.Fatal("left behind:", names)
	}
}

// forgery is what a target may offer in place of the newest snapshot.
var forgeries = []struct {
	name string
	do   func(t *testing.T, target engine.Engine, l ledger, newest string)
}{
	{"list of noise", func(t *testing.T, e engine.Engine, _ ledger, n string) { put(t, e, n, noise(5, 4000)) }},
	{"empty list", func(t *testing.T, e engine.Engine, _ ledger, n string) { put(t, e, n, nil) }},
	{"list cut short", func(t *testing.T, e engine.Engine, _ ledger, n string) {
		b := contents(t, e, n)
		put(t, e, n, b[:len(b)/2])
	}},
	{"a byte of the list flipped", func(t *testing.T, e engine.Engine, _ ledger, n string) {
		b := contents(t, e, n)
		b[200] ^= 1
		put(t, e, n, b)
	}},
	{"the older list under the newer name", func(t *testing.T, e engine.Engine, _ ledger, n string) {
		put(t, e, n, contents(t, e, listed(t, e, listSuffix)[0]))
	}},
	{"an entry that says otherwise", func(_ *testing.T, _ engine.Engine, l ledger, _ string) { l[250] = entry.Hash{1} }},
	{"no such entry", func(_ *testing.T, _ engine.Engine, l ledger, _ string) { delete(l, 250) }},
	{"a pack is gone", func(t *testing.T, e engine.Engine, _ ledger, n string) { remove(t, e, newPack(t, e)) }},
	{"a pack cut short", func(t *testing.T, e engine.Engine, _ ledger, n string) {
		b := contents(t, e, newPack(t, e))
		put(t, e, newPack(t, e), b[:len(b)-1])
	}},
	{"a list of another store", func(t *testing.T, e engine.Engine, l ledger, n string) {
		foreign, err := Take(ctx, index(), 200, "2", [16]byte{1}, testKeys(7), nil)
		if err != nil {
			t.Fatal(err)
		}
		l.note(t, foreign, 250)
		remove(t, e, n)
		if err := foreign.Publish(ctx, e, 250); err != nil {
			t.Fatal(err)
		}
	}},
	{"rows of another format", func(t *testing.T, e engine.Engine, l ledger, n string) {
		other, err := Take(ctx, index(), 200, "1", store, keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.note(t, other, 250)
		remove(t, e, n)
		if err := other.Publish(ctx, e, 250); err != nil {
			t.Fatal(err)
		}
	}},
}

func remove(t *testing.T, e engine.Engine, name string) {
	t.Helper()
	if err := e.Remove(ctx, name); err != nil {
		t.Fatal(err)
	}
}

// newPack is a pack of the newer snapshot alone.
func newPack(t *testing.T, e engine.Engine) string {
	t.Helper()
	sum := sha256.Sum256(newer()["000010.sst"])
	return packName(fileID(keys.DedupKey(1), sum, int64(len(newer()["000010.sst"]))))
}

func newer() files {
	f := index()
	f["000010.sst"] = noise(3, 2*ChunkBytes)
	return f
}

// TestForged: whatever the target makes of the newest snapshot, the one before it is found, and the reason is told.
func TestForged(t *testing.T) {
	for _, forged := range forgeries {
		t.Run(forged.name, func(t *testing.T) {
			target, l := mem.New(), ledger{}
			older, _ := ship(t, target, index(), 100, 150)
			l.note(t, older, 150)
			s, _ := ship(t, target, newer(), 200, 250)
			l.note(t, s, 250)
			lists := listed(t, target, listSuffix)
			forged.do(t, target, l, lists[1])
			found, passed := find(t, target, l, 1000)
			if found == nil || found.Size != 100 || !strings.Contains(passed, lists[1]) {
				t.Fatalf("found %v; passed over: %s", found, passed)
			}
			if err := compare(found, index()); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("beyond the ledger", func(t *testing.T) {
		target, l := mem.New(), ledger{}
		older, _ := ship(t, target, index(), 100, 150)
		l.note(t, older, 150)
		s, _ := ship(t, target, newer(), 200, 250)
		l.note(t, s, 250)
		if found, passed := find(t, target, l, 250); found == nil || found.Size != 100 || passed == "" {
			t.Fatal(found, passed)
		}
		if found, _ := find(t, target, l, 150); found != nil {
			t.Fatal("a snapshot whose entry the ledger has not got")
		}
	})
}

// spoil changes the pack of the first table in one of the ways that a target could, and says whether reading must notice.
func spoil(b []byte, how int) {
	at := func(i int) []byte {
		f := File{SizeBytes: 5*ChunkBytes + 17}
		return b[f.at(int64(i)):f.at(int64(i+1))]
	}
	switch how {
	case 0: // two chunks change places
		a := bytes.Clone(at(1))
		copy(at(1), at(2))
		copy(at(2), a)
	case 1: // and so do their numbers
		a := bytes.Clone(at(1))
		copy(at(1), at(2))
		copy(at(2), a)
		for i := range 12 {
			at(1)[i], at(2)[i] = at(2)[i], at(1)[i]
		}
	case 2:
		at(3)[100] ^= 4
	case 3:
		at(5)[0]++ // a longer frame than there is
	case 4:
		copy(at(0), at(4))
	case 5:
		clear(at(2))
	}
}

const ways = 6

// spoiled reads a snapshot whose first table was spoiled, by ranges.
func spoiled(t *testing.T, how int) error {
	t.Helper()
	target, l := mem.New(), ledger{}
	s, _ := ship(t, target, index(), 100, 150)
	l.note(t, s, 150)
	name := s.Files[0].Pack
	b := contents(t, target, name)
	spoil(b, how)
	put(t, target, name, b)
	found, _ := find(t, target, l, 1000)
	if found == nil {
		t.Fatal("not found")
	}
	r, err := found.Open(ctx, s.Files[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, r.Size())
	n, err := r.ReadAt(got, 0)
	if want := index()[s.Files[0].Name]; !bytes.Equal(got[:n], want[:n]) {
		return fmt.Errorf("wrong bytes were served (%w)", err)
	}
	if !errors.Is(err, frame.ErrCorrupt) {
		return fmt.Errorf("read to the end: %d, %w", n, err)
	}
	return nil
}

// TestSpoiled: no byte of a chunk that is not what was sealed in its place is served.
func TestSpoiled(t *testing.T) {
	for how := range ways {
		if err := spoiled(t, how); err != nil {
			t.Errorf("way %d: %v", how, err)
		}
	}
}

// TestBugs: the tests above see what they are there for.
func TestBugs(t *testing.T) {
	count := func() (caught int) {
		for how := range ways {
			if spoiled(t, how) != nil {
				caught++
			}
		}
		return caught
	}
	pull := bug.Plant(t, bug.SnapshotAnyPlace)
	if count() == 0 {
		t.Error("chunks in another's place are not noticed")
	}
	pull()
	bug.Plant(t, bug.SnapshotSkipAuth)
	if count() == 0 {
		t.Error("chunks that GCM refuses are not noticed")
	}
}

// TestCacheIsBounded: what is read goes through, and the cache keeps to its limit.
func TestCacheIsBounded(t *testing.T) {
	target, l := mem.New(), ledger{}
	f := files{"000004.sst": noise(1, 40*ChunkBytes)}
	s, _ := ship(t, target, f, 100, 150)
	l.note(t, s, 150)
	opt := l.options(1000, new([]string))
	opt.CacheBytes = 4 * ChunkBytes
	found, err := Find(ctx, target, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(found, f); err != nil {
		t.Fatal(err)
	}
	if found.cache.bytes > opt.CacheBytes || found.cache.lru.Len() != len(found.cache.by) {
		t.Fatalf("the cache holds %d bytes in %d of %d", found.cache.bytes, found.cache.lru.Len(), len(found.cache.by))
	}
}

// TestGolden: a file's pack and the document are, byte for byte, what docs/FORMAT.md says.
func TestGolden(t *testing.T) {
	target := mem.New()
	s, _ := ship(t, target, files{"000004.sst": []byte("a table"), "MANIFEST-000002": []byte("a list of tables"), "marker.manifest.000001.MANIFEST-000002": nil}, 99, 120)
	doc, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "document-v0.json", doc)
	golden(t, "table-v0.pack", contents(t, target, s.Files[0].Pack))
	if again, err := parse(doc); err != nil || !slices.Equal(again.Files, s.Files) {
		t.Fatal(again, err)
	}
	if _, err := parse(bytes.Replace(doc, []byte(`"v":0`), []byte(`"v":1`), 1)); !errors.Is(err, frame.ErrVersion) {
		t.Fatal("a newer version is", err)
	}
}

func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile("testdata/"+name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + name)
	if err != nil || !bytes.Equal(b, want) {
		t.Errorf("%s differs (%v): %s", name, err, hex.EncodeToString(b))
	}
}

// FuzzDocument: what parses is written again to the same bytes, and no row leads out of its file.
func FuzzDocument(f *testing.F) {
	s, err := Take(ctx, index(), 99, "2", store, keys, nil)
	if err != nil {
		f.Fatal(err)
	}
	doc, _ := s.Bytes()
	f.Add(doc)
	f.Add([]byte(`{"v":0,"size":1,"format":"2","key":1,"files":[]}`))
	f.Add([]byte(`{"v":0,"size":1,"format":"2","key":1,"files":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parse(b)
		if err != nil {
			return
		}
		if again, err := d.encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatal("not the same bytes")
		}
		for i := range d.Files {
			if r := &d.Files[i]; r.at(r.chunks()) > r.PackBytes && r.SizeBytes > 0 || strings.Contains(r.Name, "/") || r.Name == ".." {
				t.Fatalf("%+v", r)
			}
		}
	})
}
