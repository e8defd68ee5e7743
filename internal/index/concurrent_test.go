package index

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
)

// TestReadersSeeOneMoment runs sequencer, applier and readers at once over one versioned key whose versions move between row families all the time: a marker is put above version kept, hidden
// again, so that kept is current, noncurrent, current, … Whatever a reader asks, kept is shown, and the latest version is kept or a marker, never the older one.
func TestReadersSeeOneMoment(t *testing.T) {
	db, err := Open("index", Options{FS: vfs.NewMem(), CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const older, kept = 2, 3
	rounds := 2000
	if testing.Short() {
		rounds = 300
	}
	entries := seesaw(rounds)
	if err := db.Apply(entries[:4]); err != nil {
		t.Fatal(err)
	}
	decided, done := make(chan []entry.Entry, 8), make(chan struct{})
	var wg sync.WaitGroup
	run := func(fn func() error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := fn(); err != nil {
				t.Error(err)
			}
		}()
	}
	run(func() error { // sequencer
		defer close(decided)
		for rest := entries[4:]; len(rest) > 0; {
			n := min(1+len(rest)%3, len(rest))
			for i := range n {
				if err := db.Fold(&rest[i]); err != nil {
					return err
				}
				if err := sawKept(db.Pending(), older, kept); err != nil {
					return fmt.Errorf("pending: %w", err)
				}
			}
			decided <- rest[:n]
			rest = rest[n:]
		}
		return nil
	})
	run(func() (err error) { // applier
		defer close(done)
		for batch := range decided {
			err = errors.Join(err, db.Apply(batch))
			if batch[0].Index%500 == 0 {
				err = errors.Join(err, db.Flush())
			}
		}
		return err
	})
	for range 2 {
		run(func() error {
			for {
				select {
				case <-done:
					return nil
				default:
					if err := sawKept(db.Reader(), older, kept); err != nil {
						return err
					}
					if err := listedKept(db, kept); err != nil {
						return err
					}
				}
			}
		})
	}
	wg.Wait()
}

// seesaw is a versioned bucket with one key, two versions, then markers put and hidden.
func seesaw(rounds int) []entry.Entry {
	var out []entry.Entry
	add := func(typ entry.Type, p entry.Private) {
		p.Bucket, p.Key = "b", "k"
		at := len(out)
		out = append(out, entry.Entry{Index: uint64(at), Time: began.Add(time.Duration(at)), Type: typ, Private: p})
	}
	add(entry.BucketCreate, entry.Private{})
	add(entry.BucketConfig, entry.Private{Name: "versioning", Value: "Enabled"})
	for range 2 {
		add(entry.ObjectPut, entry.Private{Body: &entry.Body{Kind: entry.BodyEmpty}})
	}
	for range rounds {
		add(entry.ObjectHide, entry.Private{Marker: true})
		add(entry.ObjectHide, entry.Private{Target: uint64(len(out) - 1)})
	}
	return out
}

func sawKept(r Reader, older, kept uint64) error {
	if _, ok, err := r.Shown(0, "k", kept); !ok || err != nil {
		return fmt.Errorf("version %d is not shown: %w", kept, err)
	}
	latest, ok, err := r.Latest(0, "k")
	if !ok || err != nil || latest.Entry == older {
		return fmt.Errorf("latest is %+v, %t: %w", latest, ok, err)
	}
	empty, err := r.Empty(0)
	if empty || err != nil {
		return fmt.Errorf("empty: %t, %w", empty, err)
	}
	return nil
}

func listedKept(db *DB, kept uint64) error {
	seen, latest := 0, 0
	_, err := db.List(Scan{Versions: true, Max: 100}, func(l Listed) error {
		if l.Entry == kept {
			seen++
		}
		if l.Latest {
			latest++
		}
		return nil
	})
	if err != nil || seen != 1 || latest != 1 {
		return fmt.Errorf("the list of versions has version %d %d times, and %d latest ones: %w", kept, seen, latest, err)
	}
	return nil
}

// TestPlaces: a chunk is found from the moment its place is added, where it was added last, also while batches are written; each is told once.
func TestPlaces(t *testing.T) {
	mem := vfs.NewMem()
	db, err := Open("index", Options{FS: mem, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	const chunks, moves = 300, 40
	id := func(i int) entry.ID { return entry.ID(digest(uint64(i), 4)) }
	at := func(i, move int) Place { return Place{Pack: [16]byte{byte(move)}, Offset: int64(i), Length: 7} }
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() { // what Apply does with places, as fast as it can
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
				if err := db.places.flush(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for move := range moves {
		for i := range chunks {
			if err := db.AddPlaces([]entry.ID{id(i)}, []Place{at(i, move)}); err != nil {
				t.Fatal(err)
			}
			if got, ok, err := db.Place(id(i)); !ok || err != nil || got != at(i, move) {
				t.Fatalf("chunk %d: %+v, %t, %v; want %+v", i, got, ok, err, at(i, move))
			}
		}
	}
	close(stop)
	wg.Wait()
	db.KnowPack([16]byte{3})
	for restart := range 2 {
		if restart == 1 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if db, err = Open("index", Options{FS: mem}); err != nil {
				t.Fatal(err)
			}
		}
		told := map[entry.ID]Place{}
		if err := db.EachPlace(func(id entry.ID, at Place) error {
			if _, twice := told[id]; twice {
				return fmt.Errorf("chunk %x twice", id)
			}
			told[id] = at
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for i := range chunks {
			if told[id(i)] != at(i, moves-1) {
				t.Fatalf("chunk %d is told at %+v", i, told[id(i)])
			}
		}
		if len(told) != chunks || !db.KnowsPack([16]byte{3}) || db.KnowsPack([16]byte{4}) {
			t.Fatal(len(told))
		}
		if _, ok, err := db.Place(id(chunks)); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestQueueIsBounded: places that come without entries are written all the same.
func TestQueueIsBounded(t *testing.T) {
	db, _ := applied(t, 0)
	for i := range queueLimit + 10 {
		if err := db.AddPlaces([]entry.ID{{byte(i), byte(i >> 8), byte(i >> 16), 1}}, []Place{{Offset: int64(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(db.places.fresh); n >= queueLimit {
		t.Fatalf("%d places wait in memory", n)
	}
}
