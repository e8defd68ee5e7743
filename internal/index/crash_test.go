package index

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"stele/entry"
	"stele/internal/crashtest"
)

// ledgerOf is what a crash test applies: entries, and what the rows are at every size.
type ledgerOf struct {
	entries []entry.Entry
	rows    []string // by size
}

// crashLedger is made once: drawn as for the model, the same in every run.
var crashLedger = sync.OnceValues(func() (l ledgerOf, err error) {
	l.entries = rapid.Custom(func(t *rapid.T) []entry.Entry {
		w := newWriter(t)
		var out []entry.Entry
		for range 48 {
			e := w.next()
			w.m.step(&e)
			out = append(out, e)
		}
		return out
	}).Example(7)
	db, err := Open("golden", Options{FS: vfs.NewMem(), CacheBytes: 1 << 20})
	if err != nil {
		return l, err
	}
	defer db.Close()
	for i := 0; ; i++ {
		rows, err := dump(db)
		if l.rows = append(l.rows, rows); err != nil || i == len(l.entries) {
			return l, err
		}
		if err := db.Apply(l.entries[i : i+1]); err != nil {
			return l, err
		}
	}
})

// use is a program that applies a ledger to an index. Its bugs are there to be caught.
type use struct {
	ledgerOf
	aheadOfLedger bool // applies and flushes entries before they are durable
	markFirst     bool // writes the size before the rows
	rowsFirst     bool // writes the rows before the size
	knowFirst     bool // marks a pack before its places are written

	starts, rebuilt *int // by check
}

// told is what the program knows to be durable: entries in the ledger, chunks in sealed packs.
type told struct {
	durable int
	sealed  int
}

const chunksInPack = 5

func (u use) scenario() crashtest.Scenario[told] {
	return crashtest.Scenario[told]{Work: u.work, Check: u.check}
}

func chunk(pack, i int) (entry.ID, Place) {
	return entry.ID(digest(uint64(pack*100+i), 5)), Place{Pack: [16]byte{byte(pack + 1)}, Offset: int64(i) << 20, Length: 4096}
}

func (u use) work(fs vfs.FS, o *told) error {
	ledger, err := fs.Create("ledger", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer ledger.Close()
	db, err := Open("index", Options{FS: fs, CacheBytes: 1 << 20})
	if err != nil {
		return err
	}
	for at := 0; at < len(u.entries) && err == nil; {
		n := min(1+at%5, len(u.entries)-at)
		err = u.step(db, ledger, o, u.entries[at:at+n])
		at += n
	}
	return errors.Join(err, db.Close())
}

// step decides a batch, makes it durable and applies it.
func (u use) step(db *DB, ledger vfs.File, o *told, batch []entry.Entry) (err error) {
	at := int(batch[0].Index)
	for i := range batch {
		if at%2 == 0 && err == nil {
			err = db.Fold(&batch[i])
		}
	}
	commit := func() error {
		_, err := ledger.Write(make([]byte, len(batch)))
		if err = errors.Join(err, ledger.Sync()); err == nil {
			o.durable = at + len(batch)
		}
		return err
	}
	apply := func() error {
		err := u.apply(db, batch)
		if err == nil && at%3 == 0 {
			err = db.flushAll()
		}
		return err
	}
	steps := []func() error{commit, apply}
	if u.aheadOfLedger {
		steps = []func() error{apply, commit}
	}
	for _, do := range steps {
		if err == nil {
			err = do()
		}
	}
	if err == nil && at%4 == 0 {
		o.sealed++
		err = u.pack(db, o.sealed-1)
	}
	return err
}

// apply is DB.Apply, or one of the bugs.
func (u use) apply(db *DB, batch []entry.Entry) error {
	first, size := batch[0].Index, batch[len(batch)-1].Index+1
	if u.markFirst {
		if err := errors.Join(db.peb.Set(metaApplied, putUint(size), pebble.NoSync), db.flushAll()); err != nil {
			return err
		}
	}
	if u.rowsFirst {
		changes, err := db.overlay.take(batch)
		if err != nil {
			return err
		}
		decoded, err := db.commit(changes, first, [16]byte{})
		if err := errors.Join(err, db.refresh(decoded), db.flushAll()); err != nil {
			return err
		}
		db.applied.Store(size)
		db.overlay.drop(changes)
		return db.peb.Set(metaApplied, putUint(size), pebble.NoSync)
	}
	return db.Apply(batch)
}

// pack adds the places of a sealed pack and then marks it as known.
func (u use) pack(db *DB, pack int) error {
	if u.knowFirst {
		db.KnowPack([16]byte{byte(pack + 1)})
		if err := db.places.flush(); err != nil {
			return err
		}
	}
	for i := range chunksInPack {
		id, at := chunk(pack, i)
		if err := db.AddPlaces([]entry.ID{id}, []Place{at}); err != nil {
			return err
		}
		if i == 2 && pack%2 == 0 {
			if err := db.places.flush(); err != nil {
				return err
			}
		}
	}
	db.KnowPack([16]byte{byte(pack + 1)})
	return nil
}

// check opens the index as a start does and brings it to the ledger's size.
func (u use) check(fs vfs.FS, o *told) error {
	*u.starts++
	db, err := Open("index", Options{FS: fs, CacheBytes: 1 << 20})
	if errors.Is(err, ErrFormat) {
		*u.rebuilt++
		if err := fs.RemoveAll("index"); err != nil {
			return err
		}
		db, err = Open("index", Options{FS: fs, CacheBytes: 1 << 20})
	}
	if err != nil {
		return err
	}
	return errors.Join(u.compare(db, o), db.Close())
}

func (u use) compare(db *DB, o *told) error {
	size := db.Size()
	if size > uint64(o.durable) {
		return fmt.Errorf("the index is at size %d, the ledger has %d entries", size, o.durable)
	}
	if err := u.same(db, int(size)); err != nil {
		return err
	}
	for pack := range o.sealed {
		if err := u.placed(db, pack); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(u.entries[size:o.durable], 7) {
		if err := db.Apply(part); err != nil {
			return err
		}
	}
	return u.same(db, o.durable)
}

func (u use) same(db *DB, size int) error {
	rows, err := dump(db)
	if err != nil {
		return err
	}
	if size > 0 && rows != u.rows[size] {
		return fmt.Errorf("rows at size %d:\n%s\nwant:\n%s", size, rows, u.rows[size])
	}
	return nil
}

// placed: a known pack has all its places; another one is read again, and is then known.
func (u use) placed(db *DB, pack int) error {
	known := db.KnowsPack([16]byte{byte(pack + 1)})
	if !known {
		if err := (use{}).pack(db, pack); err != nil {
			return err
		}
	}
	for i := range chunksInPack {
		id, want := chunk(pack, i)
		at, ok, err := db.Place(id)
		if err != nil {
			return err
		}
		if !ok || at != want {
			return fmt.Errorf("chunk %d of pack %d (known: %t): place %v, %t; want %v", i, pack, known, at, ok, want)
		}
	}
	return nil
}

func TestCrash(t *testing.T) {
	l, err := crashLedger()
	if err != nil {
		t.Fatal(err)
	}
	var starts, rebuilt int
	s := use{ledgerOf: l, starts: &starts, rebuilt: &rebuilt}.scenario()
	if testing.Short() {
		s.Stride = 7
	}
	crashtest.Run(t, s)
	t.Logf("%d starts, of which %d made the index anew", starts, rebuilt)
	if rebuilt*20 > starts {
		t.Fatal("too many starts find an index that can't be used")
	}
}

// TestCrashBugs: each deliberate bug is caught.
func TestCrashBugs(t *testing.T) {
	l, err := crashLedger()
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range map[string]use{
		"index ahead of the ledger": {aheadOfLedger: true},
		"size before rows":          {markFirst: true},
		"rows before size":          {rowsFirst: true},
		"pack known before places":  {knowFirst: true},
	} {
		t.Run(name, func(t *testing.T) {
			u.ledgerOf, u.starts, u.rebuilt = l, new(int), new(int)
			var f *crashtest.Failure
			if _, err := u.scenario().CutPower(); !errors.As(err, &f) {
				t.Fatalf("not caught: %v", err)
			}
		})
	}
}
