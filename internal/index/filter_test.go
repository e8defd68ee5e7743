package index

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
)

// applied opens an index in memory that holds a bucket and n objects.
func applied(t *testing.T, n int) (*DB, *objects) {
	t.Helper()
	db, err := Open("index", Options{FS: vfs.NewMem(), CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	o := newObjects()
	batch := []entry.Entry{o.bucket()}
	for i := range n {
		batch = append(batch, o.put(uint64(i)))
	}
	if err := db.Apply(batch); err != nil {
		t.Fatal(err)
	}
	return db, o
}

// TestFilter: no key that is there is ever absent, whether it was there before the filter, came later, was hidden and came again; few that are not there may be there; and
// beyond its limit it says nothing.
func TestFilter(t *testing.T) {
	const first = 64 // 5,440 keys in all tiers
	db, o := applied(t, 3000)
	db.makeFilter(first)
	all := func(n int, missing string) {
		t.Helper()
		for i := range n {
			if db.live.absent(currentKey(0, o.key(uint64(i)))) {
				t.Fatalf("key %d is absent, %s", i, missing)
			}
		}
	}
	all(3000, "which was there before")
	var batch []entry.Entry
	for i := range 2000 {
		batch = append(batch, o.put(uint64(3000+i)))
	}
	batch = append(batch, o.hide(7), o.put(7))
	if err := db.Apply(batch); err != nil {
		t.Fatal(err)
	}
	all(5000, "which came later")
	wrong := 0
	for i := range 10_000 {
		if !db.live.absent(currentKey(0, o.key(uint64(100_000+i)))) {
			wrong++
		}
	}
	if wrong > 100 {
		t.Errorf("%d of 10,000 keys that are not there may be there", wrong)
	}
	if got, most := db.live.bytes(), (first+4*first+16*first+64*first)*2; got > most {
		t.Errorf("%d bytes, at most %d were meant", got, most)
	}
	for i := range 1000 {
		batch[i] = o.put(uint64(5000 + i))
	}
	if err := db.Apply(batch[:1000]); err != nil {
		t.Fatal(err)
	}
	if db.live.absent(currentKey(0, "nothing")) || db.live.bytes() != 0 {
		t.Error("a full filter still answers")
	}
}

// TestFilterComesByItself: asking for keys that are not there makes the filter, once; closing meanwhile ends it.
func TestFilterComesByItself(t *testing.T) {
	db, o := applied(t, 100)
	r := db.Pending()
	for i := range missesBefore + 1 {
		if _, ok, err := r.Current(0, o.key(uint64(1000+i))); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	db.background.Wait()
	if !db.live.ready.Load() {
		t.Fatal("no filter")
	}
	if _, ok, err := r.Current(0, o.key(5)); !ok || err != nil {
		t.Fatal(ok, err)
	}
}

// TestAskedOnce: what a decision asked of the database, the fold of what was decided does not ask again, and no later entry is judged by it.
func TestAskedOnce(t *testing.T) {
	db, o := applied(t, 1)
	r := db.Pending()
	if _, ok, err := r.Current(0, o.key(50)); ok || err != nil {
		t.Fatal(ok, err)
	}
	e := o.put(50)
	if err := db.Fold(&e); err != nil {
		t.Fatal(err)
	}
	if n := db.misses.Load(); n != 2 { // one by applied's put, one by the decision
		t.Fatalf("%d look-ups in vain", n)
	}
	if cur, ok, err := r.Current(0, o.key(50)); !ok || err != nil || cur.Entry != e.Index {
		t.Fatal(cur, ok, err)
	}
	if err := db.Apply([]entry.Entry{e}); err != nil {
		t.Fatal(err)
	}
	if cur, ok, err := r.Current(0, o.key(50)); !ok || err != nil || cur.Entry != e.Index {
		t.Fatal(cur, ok, err)
	}
}
