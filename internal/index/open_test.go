package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
)

// flushedIndex makes an index of the crash test's ledger on fsys, flushed every few entries, so that there are several
// files and a compaction's, and closes it at the size of upTo.
func flushedIndex(t *testing.T, fsys vfs.FS, dir string, upTo int) ledgerOf {
	t.Helper()
	l, err := crashLedger()
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(dir, Options{FS: fsys, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for at := range upTo {
		err = errors.Join(err, db.Apply(l.entries[at:at+1]))
		if at%7 == 6 {
			err = errors.Join(err, db.flushAll())
		}
		if at == upTo/2 {
			err = errors.Join(err, db.flushAll(), db.peb.Compact(t.Context(), []byte{0}, []byte{0xFF}, false))
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return l
}

// folder is what a folder holds: name, size and time of change of each file.
func folder(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		fmt.Fprintln(&out, path, i.Size(), i.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestReaders: several readers at once, each bringing the rows to the ledger's size by itself, and nothing in the folder changes.
func TestReaders(t *testing.T) {
	dir := t.TempDir()
	const upTo = 30
	l := flushedIndex(t, vfs.Default, dir, upTo)
	writer, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || errors.Is(err, ErrFormat) { // ErrFormat would have the caller delete what another one has open
		t.Fatalf("an index that another one has open: %v", err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	before := folder(t, dir)
	var readers []*DB
	for range 3 {
		db, err := Open(dir, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, db)
	}
	for i, db := range readers {
		if err := (use{ledgerOf: l}).same(db, upTo); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue
		}
		if err := errors.Join(db.Apply(l.entries[upTo:]), db.flushAll()); err != nil {
			t.Fatal(err)
		}
		if err := (use{ledgerOf: l}).same(db, len(l.entries)); err != nil {
			t.Fatal(err)
		}
	}
	for _, db := range readers {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after := folder(t, dir); after != before {
		t.Fatalf("readers changed the folder from\n%s\nto\n%s", before, after)
	}
}

// TestReaderWithoutIndex: where there is none, a reader starts at size 0, in memory.
func TestReaderWithoutIndex(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	db, err := Open(dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if db.Size() != 0 {
		t.Fatal(db.Size())
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("a reader made a folder")
	}
}

// TestFormat: rows that this version can't use are ErrFormat, for writers and readers, and nothing else is.
func TestFormat(t *testing.T) {
	put := func(key, val []byte) func(*testing.T, *DB) {
		return func(t *testing.T, db *DB) {
			if err := errors.Join(db.peb.Set(key, val, pebble.NoSync), db.flushAll()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, spoil := range map[string]func(*testing.T, *DB){
		"format":          put(metaFormat, []byte(indexFormat+"x")),
		"no format":       put(metaFormat, nil),
		"size":            put(metaApplied, []byte("x")),
		"bucket":          put(bucketKey("b9"), []byte("{")),
		"access key":      put(named(famAccess, "K9"), []byte("{")),
		"totals":          put(incKey(famTotals, 99, 0), []byte{1}),
		"pack":            put(append([]byte{famPack}, make([]byte, 16)...), []byte{1}),
		"number of packs": put(append([]byte{famPack}, make([]byte, 16)...), append(putUint(1 << 60)[:0], 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1)),
		"damage noted":    func(t *testing.T, db *DB) { db.gate.damage(errors.New("a test says so")) },
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			flushedIndex(t, mem, "index", 10)
			db, err := Open("index", Options{FS: mem})
			if err != nil {
				t.Fatal(err)
			}
			spoil(t, db)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			for _, readOnly := range []bool{true, false} {
				if _, err := Open("index", Options{FS: mem, ReadOnly: readOnly}); !errors.Is(err, ErrFormat) {
					t.Fatalf("read-only %t: %v", readOnly, err)
				}
			}
		})
	}
}

// reads are the ways to ask for rows, each on its own: one that meets damage must not hide what another makes of it.
func reads(db *DB) (answers []string, errs []error) {
	answer := func(text string, err error) {
		answers, errs = append(answers, text), append(errs, err)
	}
	for inc := range uint64(48) {
		for _, s := range []Scan{{}, {Versions: true}, {Size: 40}, {Size: 40, Versions: true}} {
			var out strings.Builder
			s.Inc, s.Max = inc, 1000
			_, err := db.List(s, func(l Listed) error { fmt.Fprintf(&out, "%+v\n", l); return nil })
			answer(out.String(), err)
		}
		for _, key := range someKeys {
			cur, ok, err := db.Reader().Latest(inc, key)
			answer(fmt.Sprintf("%+v %t", cur, ok), err)
			rec, latest, ok, err := db.At(inc, key, 30, nil)
			answer(fmt.Sprintf("%s %t %t", appendJSON(rec), latest, ok), err)
		}
	}
	answer(dump(db))
	return answers, errs
}

// TestDamage flips bytes of every file: what is read then is an error, or what was written, of this or of an earlier size.
func TestDamage(t *testing.T) {
	stride := 61
	if testing.Short() {
		stride = 211
	}
	mem := vfs.NewMem()
	l := flushedIndex(t, mem, "index", 40)
	names, err := mem.List("index")
	if err != nil {
		t.Fatal(err)
	}
	want := readClean(t, l, 40)
	caught := map[string]int{}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		whole := contents(t, mem, "index/"+name)
		for at := 0; at < len(whole); at += stride {
			bad := slices.Clone(whole)
			bad[at] ^= 0x41
			copied := vfs.NewMem()
			if _, err := vfs.Clone(mem, copied, "index", "index"); err != nil {
				t.Fatal(err)
			}
			replace(t, copied, "index/"+name, bad)
			switch err := readDamaged(copied, l, want); {
			case errors.Is(err, errWrong):
				t.Fatalf("byte %d of %s: %v", at, name, err)
			case err != nil:
				caught[filepath.Ext(name)]++
			}
		}
	}
	t.Logf("errors by kind of file: %v", caught)
	if caught[".sst"] == 0 {
		t.Fatal("no damage of a table was noticed")
	}
}

var errWrong = errors.New("wrong rows")

// readClean returns the answers of an undamaged index.
func readClean(t *testing.T, l ledgerOf, size int) []string {
	t.Helper()
	db, err := Open("clean", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Apply(l.entries[:size]); err != nil {
		t.Fatal(err)
	}
	out, errs := reads(db)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return out
}

// readDamaged opens the index, brings it to size 40 and reads all of it.
func readDamaged(fsys vfs.FS, l ledgerOf, want []string) (err error) {
	db, err := Open("index", Options{FS: fsys, CacheBytes: 1 << 20})
	if err != nil {
		if !errors.Is(err, ErrFormat) {
			return fmt.Errorf("%w: Open does not say that a rebuild helps: %w", errWrong, err)
		}
		return err
	}
	defer func() {
		damaged := db.gate.damaged != nil
		if cerr := db.Close(); cerr != nil && err == nil {
			err = cerr
		}
		if _, again := Open("index", Options{FS: fsys}); damaged && !errors.Is(again, ErrFormat) {
			err = fmt.Errorf("%w: damage was met, and the next Open says %v", errWrong, again)
		}
	}()
	size := int(db.Size()) // a damaged manifest may show an earlier state
	if size > 40 {
		return fmt.Errorf("%w: size %d", errWrong, size)
	}
	if err := db.Apply(l.entries[size:40]); err != nil {
		return err
	}
	answers, errs := reads(db)
	for i := range answers {
		if errs[i] == nil && answers[i] != want[i] {
			return fmt.Errorf("%w: question %d:\n%s\nwant\n%s", errWrong, i, answers[i], want[i])
		}
	}
	return errors.Join(errs...)
}

func contents(t *testing.T, fsys vfs.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func replace(t *testing.T, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedLists flips bytes of a table of many blocks, so that one of the iterators of a listing meets damage and the other does not.
func TestDamagedLists(t *testing.T) {
	mem := vfs.NewMem()
	db, err := Open("index", Options{FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	o := newObjects()
	batch := []entry.Entry{o.bucket()}
	for i := range 3000 {
		e := o.put(uint64(i / 2))
		e.Private.Null = false
		batch = append(batch, e)
	}
	if err := errors.Join(db.Apply(batch), db.flushAll(), db.peb.Compact(t.Context(), []byte{0}, []byte{0xFF}, false), db.Close()); err != nil {
		t.Fatal(err)
	}
	lists := func(db *DB) (out [3]string, errs [3]error) {
		for i, s := range []Scan{{}, {Versions: true}, {Size: 2500}} {
			var text strings.Builder
			s.Max = 100
			for more := true; more && errs[i] == nil; {
				more, errs[i] = db.List(s, func(l Listed) error {
					if s.After = l.Key; s.Versions {
						s.AfterAt = l.Entry
					}
					fmt.Fprintln(&text, l.Key, l.Entry, l.Latest)
					return nil
				})
			}
			out[i] = text.String()
		}
		return out, errs
	}
	var want [3]string
	caught := [3]int{}
	for at := -1; at < 60; at++ {
		copied := vfs.NewMem()
		if _, err := vfs.Clone(mem, copied, "index", "index"); err != nil {
			t.Fatal(err)
		}
		if at >= 0 {
			spoilTable(t, copied, float64(at)/60)
		}
		db, err := Open("index", Options{FS: copied, CacheBytes: 1 << 20})
		if err != nil {
			continue
		}
		got, errs := lists(db)
		_ = db.Close()
		for i := range got {
			switch {
			case at < 0 && errs[i] == nil:
				want[i] = got[i]
			case errs[i] != nil:
				caught[i]++
			case got[i] != want[i]:
				t.Fatalf("listing %d shows %d bytes of %d, and no error", i, len(got[i]), len(want[i]))
			}
		}
	}
	if caught[0] == 0 || caught[1] <= caught[0] || caught[2] == 0 {
		t.Fatalf("damage was noticed %v times", caught)
	}
}

// spoilTable flips a byte of the largest table.
func spoilTable(t *testing.T, fsys vfs.FS, part float64) {
	t.Helper()
	names, err := fsys.List("index")
	if err != nil {
		t.Fatal(err)
	}
	var largest string
	var bytes []byte
	for _, name := range names {
		if b := contents(t, fsys, "index/"+name); strings.HasSuffix(name, ".sst") && len(b) > len(bytes) {
			largest, bytes = name, b
		}
	}
	bytes[int(part*float64(len(bytes)))] ^= 0x10
	replace(t, fsys, "index/"+largest, bytes)
}

// TestRefused: entries that make no sense, or come in the wrong order, change nothing.
func TestRefused(t *testing.T) {
	db, err := Open("index", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	o := newObjects()
	bucket := o.bucket()
	for _, typ := range []entry.Type{entry.ObjectPut, entry.UploadPart, entry.KeyCreate, entry.KeyRevoke} {
		if err := db.Fold(&entry.Entry{Type: typ, Time: began}); !errors.Is(err, errEntry) {
			t.Errorf("%s without what it needs: %v", typ, err)
		}
	}
	if err := db.Fold(&bucket); err != nil {
		t.Fatal(err)
	}
	if err := db.Fold(&bucket); err == nil {
		t.Error("one entry was folded twice")
	}
	if err := db.Apply([]entry.Entry{o.put(1)}); err == nil {
		t.Error("entry 1 was applied at size 0")
	}
	if err := db.Apply([]entry.Entry{bucket}); err != nil {
		t.Fatal(err)
	}
	o.next = 1
	skipped, folded := o.put(2), o.put(3)
	if err := db.Fold(&folded); err != nil {
		t.Fatal(err)
	}
	if err := db.Apply([]entry.Entry{skipped, folded}); err == nil || db.Failed() == nil {
		t.Error("an entry with rows was applied that was not folded in its place")
	}
}
