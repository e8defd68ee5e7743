package index

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
)

// TestAFooterOfPlaces: as many places as a pack's footer holds are written when AddPlaces returns, and not kept in RAM.
func TestAFooterOfPlaces(t *testing.T) {
	fs := vfs.NewMem()
	db, err := Open("index", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	const n = queueWorth + 1000
	ids, at := make([]entry.ID, n), make([]Place, n)
	for i := range n {
		ids[i] = entry.ID(digest(uint64(i), 6))
		at[i] = Place{Pack: [16]byte{byte(i%3 + 1)}, Offset: int64(i) << (i % 40), Length: uint32(i)} // rows of every length
	}
	few := 7
	if err := db.AddPlaces(ids[:few], at[:few]); err != nil { // these wait
		t.Fatal(err)
	}
	if err := db.AddPlaces(ids[few:], at[few:]); err != nil {
		t.Fatal(err)
	}
	if kept := len(db.places.fresh) + len(db.places.writing) + len(db.places.queue.rows); kept != 0 {
		t.Fatalf("%d places are still in RAM", kept)
	}
	check := func() {
		t.Helper()
		for i := range n {
			if got, ok, err := db.Place(ids[i]); err != nil || !ok || got != at[i] {
				t.Fatalf("place %d is %+v (%v, %v), should be %+v", i, got, ok, err, at[i])
			}
		}
	}
	check()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open("index", Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	check()
}
