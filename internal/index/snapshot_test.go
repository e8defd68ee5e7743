package index

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
)

// shot is the files of a checkpoint, held in memory as a target holds them.
type shot struct {
	size  uint64
	files map[string][]byte
	reads atomic.Int64
	err   atomic.Pointer[error] // what every read ends in
}

// shoot takes a checkpoint of an index and removes it again.
func shoot(t *testing.T, db *DB, fsys vfs.FS) *shot {
	t.Helper()
	s := &shot{files: map[string][]byte{}}
	var err error
	if s.size, err = db.Checkpoint("shot"); err != nil {
		t.Fatal(err)
	}
	names, err := fsys.List("shot")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		s.files[n] = contents(t, fsys, fsys.PathJoin("shot", n))
	}
	if err := fsys.RemoveAll("shot"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shot) below() *Below {
	b := &Below{Sizes: map[string]int64{}}
	for name, data := range s.files {
		if IsTable(name) {
			b.Sizes[name] = int64(len(data))
		}
	}
	b.Open = func(name string) (ReaderAtCloser, error) {
		if err := s.err.Load(); err != nil {
			return nil, *err
		}
		return &shotFile{bytes.NewReader(s.files[name]), s}, nil
	}
	return b
}

type shotFile struct {
	*bytes.Reader
	s *shot
}

func (f *shotFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.s.err.Load(); err != nil {
		return 0, *err
	}
	f.s.reads.Add(1)
	return f.Reader.ReadAt(p, off)
}

func (f *shotFile) Close() error { return nil }

// unpack writes the files of a shot into a folder: those that pick names.
func (s *shot) unpack(t *testing.T, fsys vfs.FS, dir string, pick func(string) bool) {
	t.Helper()
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if pick(name) {
			replace(t, fsys, fsys.PathJoin(dir, name), s.files[name])
		}
	}
}

func notTable(name string) bool { return !IsTable(name) }

// checkpointed makes an index of 30 of the crash ledger's 48 entries, in several tables, with some places, and takes a checkpoint. Entries after it were applied in the meantime.
func checkpointed(t *testing.T) (*shot, ledgerOf) {
	t.Helper()
	fsys := vfs.NewMem()
	l := flushedIndex(t, fsys, "index", 29)
	db, err := Open("index", Options{FS: fsys, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	id, at := chunk(1, 1)
	if err := errors.Join(db.Apply(l.entries[29:30]), db.AddPlaces([]entry.ID{id}, []Place{at})); err != nil {
		t.Fatal(err)
	}
	s := shoot(t, db, fsys)
	if err := errors.Join(db.Apply(l.entries[30:]), db.Close()); err != nil {
		t.Fatal(err)
	}
	return s, l
}

// TestSnapshot: an index opened over a snapshot shows its rows, takes the entries after it, and is an ordinary one once its tables came.
func TestSnapshot(t *testing.T) {
	s, l := checkpointed(t)
	if s.size != 30 {
		t.Fatalf("the checkpoint is of size %d", s.size)
	}
	here := vfs.NewMem()
	s.unpack(t, here, "index", notTable)
	open := func(below *Below) *DB {
		t.Helper()
		db, err := Open("index", Options{FS: here, CacheBytes: 1 << 20, Below: below})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	check := func(db *DB, size int) {
		t.Helper()
		rows, err := dump(db)
		if err != nil || rows != l.rows[size] || db.Size() != uint64(size) {
			t.Fatalf("at size %d the rows are not those of size %d: %v", db.Size(), size, err)
		}
		id, want := chunk(1, 1)
		if at, ok, err := db.Place(id); err != nil || !ok || at != want {
			t.Fatal("the place did not come along", at, ok, err)
		}
	}
	db := open(s.below())
	check(db, 30)
	if s.reads.Load() == 0 || len(db.Missing()) == 0 {
		t.Fatal("nothing was read from the snapshot")
	}
	if _, err := db.Checkpoint("other"); !errors.Is(err, ErrPartial) {
		t.Fatal("a checkpoint of an index that is not all here:", err)
	}
	if err := errors.Join(db.Apply(l.entries[30:40]), db.Close()); err != nil {
		t.Fatal(err)
	}
	db = open(s.below()) // after a restart
	check(db, 40)
	s.unpack(t, here, "index", IsTable)
	db.Arrived()
	gone := errors.New("the target is gone")
	s.err.Store(&gone)
	check(db, 40) // also through the files that were open
	if len(db.Missing()) != 0 {
		t.Fatal("missing", db.Missing())
	}
	if err := errors.Join(db.Apply(l.entries[40:]), db.peb.Compact(t.Context(), []byte{0}, []byte{0xFF}, false)); err != nil {
		t.Fatal(err)
	}
	if len(db.Missing()) != 0 { // what was compacted away is not missing
		t.Fatal("missing", db.Missing())
	}
	check(db, 48)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(nil)
	check(db, 48)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestHeldCompactions: none runs while tables are missing; what waits runs once they came, and a table that it removes is removed though it lay below only.
func TestHeldCompactions(t *testing.T) {
	s, l := checkpointed(t)
	here := vfs.NewMem()
	s.unpack(t, here, "index", notTable)
	db, err := Open("index", Options{FS: here, CacheBytes: 1 << 20, Below: s.below()})
	if err != nil {
		t.Fatal(err)
	}
	compacted := make(chan error, 1)
	go func() { compacted <- db.peb.Compact(t.Context(), []byte{0}, []byte{0xFF}, false) }()
	if err := errors.Join(db.Apply(l.entries[30:]), db.flushAll()); err != nil {
		t.Fatal(err)
	}
	if ok, _ := db.held.TrySchedule(); ok || db.peb.Metrics().Compact.Count != 0 {
		t.Fatal("a compaction ran over a snapshot that is not here")
	}
	db.held.release()
	if err := <-compacted; err != nil {
		t.Fatal(err)
	}
	rows, err := dump(db)
	if err != nil || rows != l.rows[48] {
		t.Fatal("the rows are other ones after the compaction", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = Open("index", Options{FS: here, CacheBytes: 1 << 20, Below: s.below()}) // what was removed is listed again, and removed again
	if err != nil {
		t.Fatal(err)
	}
	rows, err = dump(db)
	if err != nil || rows != l.rows[48] {
		t.Fatal("the rows are other ones after a restart", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotUnreadable: a table that can't be read is an error of who asks for its rows, no end of the index, and no damage.
func TestSnapshotUnreadable(t *testing.T) {
	s, l := checkpointed(t)
	here := vfs.NewMem()
	s.unpack(t, here, "index", notTable)
	db, err := Open("index", Options{FS: here, CacheBytes: 1, Below: s.below()})
	if err != nil {
		t.Fatal(err)
	}
	away := errors.New("no route to the target")
	s.err.Store(&away)
	if _, err := dump(db); err == nil || !strings.Contains(err.Error(), away.Error()) {
		t.Fatal("rows without their tables:", err)
	}
	s.err.Store(nil)
	rows, err := dump(db)
	if err != nil || rows != l.rows[30] || db.Failed() != nil {
		t.Fatal("the target is back and the rows are not:", err, db.Failed())
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if names, _ := here.List("index"); slices.Contains(names, damagedName) {
		t.Fatal("an unreachable target was taken for damage")
	}
}

// TestNoFilterOverASnapshot: looking for keys in vain, as a fold of new ones does, makes no filter while tables are missing, for that reads every row of them; once they came it does.
func TestNoFilterOverASnapshot(t *testing.T) {
	s, _ := checkpointed(t)
	here := vfs.NewMem()
	s.unpack(t, here, "index", notTable)
	db, err := Open("index", Options{FS: here, CacheBytes: 1 << 20, Below: s.below()})
	if err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		for i := range 3 * missesBefore {
			if v, err := db.get(currentKey(1, fmt.Sprint("nobody's ", i))); v != nil || err != nil {
				t.Fatal("a key that nobody put:", v, err)
			}
		}
		db.background.Wait()
	}
	if look(); db.live.tiers.Load() != nil {
		t.Error("a filter was made of a snapshot that is not here")
	}
	s.unpack(t, here, "index", IsTable)
	db.Arrived()
	if look(); !db.live.ready.Load() {
		t.Error("no filter was made although every table is here")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
