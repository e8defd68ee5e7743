package index_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/index"
)

// TestFoldErased: the law may take an entry's private part (DESIGN section 5). What is left says nothing, and a rebuild passes over it: it must not end the store. A decision may not make such an entry.
func TestFoldErased(t *testing.T) {
	db, err := index.Open("index", index.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	at := uint64(0)
	entryOf := func(typ entry.Type, p entry.Private) entry.Entry {
		e := entry.Entry{Index: at, Time: time.Unix(int64(at), 0).UTC(), Type: typ, Private: p}
		at++
		return e
	}
	var batch []entry.Entry
	for _, typ := range entry.Types {
		batch = append(batch, entryOf(typ, entry.Private{}))
	}
	batch = append(batch, entryOf(entry.BucketCreate, entry.Private{Bucket: "books", Actor: "local"}))
	if err := db.Apply(batch); err != nil {
		t.Fatal(err)
	}
	buckets, err := db.Buckets(0)
	if err != nil || len(buckets) != 1 || buckets[0].Name != "books" {
		t.Errorf("%+v %v", buckets, err)
	}
	keys, err := db.AccessKeys()
	if err != nil || len(keys) != 0 {
		t.Errorf("%+v %v", keys, err)
	}
	pins, err := db.Pins()
	if err != nil || len(pins) != 0 {
		t.Errorf("%+v %v", pins, err)
	}
	rows := map[entry.Type]bool{entry.StoreInit: true, entry.EpochBegin: true, entry.VerifyRun: true, entry.TimeDrift: true, entry.DeniedLock: true, entry.DeniedSum: true}
	for _, typ := range entry.Types {
		e := entryOf(typ, entry.Private{})
		if err := db.Fold(&e); (err == nil) != rows[typ] {
			t.Errorf("%s that says nothing: %v", typ, err)
		}
	}
}
