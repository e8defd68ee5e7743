package index

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"stele/entry"
)

// objects makes the entries of a store of small objects: one bucket, then one object.put an entry. Keys come in no order.
type objects struct {
	next uint64
}

func newObjects() *objects { return &objects{} }

// key is the i-th key, of 32 bytes.
func (o *objects) key(i uint64) string {
	h := rand.NewPCG(7, i)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], h.Uint64())
	return "data/" + hex.EncodeToString(b[:1]) + "/object-" + hex.EncodeToString(b[:]) + "-"
}

func (o *objects) bucket() entry.Entry {
	e := entry.Entry{Index: o.next, Time: began, Type: entry.BucketCreate, Private: entry.Private{Actor: "root", Bucket: "b"}}
	o.next++
	return e
}

func (o *objects) ref(i uint64) (id entry.ID) {
	h := rand.NewPCG(8, i)
	for n := 0; n < len(id); n += 8 {
		binary.BigEndian.PutUint64(id[n:], h.Uint64())
	}
	return id
}

// put makes the entry that puts the i-th key.
func (o *objects) put(i uint64) entry.Entry {
	h := rand.NewPCG(9, o.next)
	b := &entry.Body{Kind: entry.BodyChunk, Ref: o.ref(o.next), SHA256: entry.Hash{1}, Size: 4096}
	binary.BigEndian.PutUint64(b.MD5[:], h.Uint64())
	binary.BigEndian.PutUint64(b.MD5[8:], h.Uint64())
	e := entry.Entry{Index: o.next, Time: began.Add(time.Duration(o.next) * 37 * time.Microsecond), Type: entry.ObjectPut, Private: entry.Private{
		Actor: "STELEKEY000000000001", Address: "192.0.2.7", Bucket: "b", Inc: 0, Key: o.key(i), Body: b, Null: true, Request: "1B9F0A6C2D3E4F50"}}
	o.next++
	return e
}

func (o *objects) hide(i uint64) entry.Entry {
	e := entry.Entry{Index: o.next, Time: began.Add(time.Duration(o.next) * 37 * time.Microsecond), Type: entry.ObjectHide, Private: entry.Private{
		Actor: "STELEKEY000000000001", Address: "192.0.2.7", Bucket: "b", Inc: 0, Key: o.key(i), Null: true, Request: "1B9F0A6C2D3E4F50"}}
	o.next++
	return e
}

func (o *objects) place(e *entry.Entry) ([]entry.ID, []Place) {
	return []entry.ID{e.Private.Body.Ref}, []Place{{Pack: [16]byte{byte(e.Index >> 14)}, Offset: int64(e.Index%(1<<14)) * 4132, Length: 4096}}
}

// cpu is the processor time of the process so far, background work included.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchOpen(b *testing.B, dir string) *DB {
	b.Helper()
	db, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// fill applies n entries made by next, in batches, each with its place if it is a put.
func fill(b *testing.B, db *DB, o *objects, n, batch int, fold bool, next func() entry.Entry) {
	b.Helper()
	entries := make([]entry.Entry, 0, batch)
	for done := 0; done < n; done += len(entries) {
		for entries = entries[:0]; len(entries) < min(batch, n-done); {
			entries = append(entries, next())
		}
		fillOne(b, db, o, entries, fold)
	}
}

func fillOne(b *testing.B, db *DB, o *objects, entries []entry.Entry, fold bool) {
	var err error
	for i := range entries {
		if entries[i].Type == entry.ObjectPut {
			err = errors.Join(err, db.AddPlaces(o.place(&entries[i])))
		}
		if fold {
			err = errors.Join(err, db.Fold(&entries[i]))
		}
	}
	if err = errors.Join(err, db.Apply(entries)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkApply is the index's share of a small put: place, fold, apply, flush and compaction. An operation is an entry.
func BenchmarkApply(b *testing.B) {
	for _, batch := range []int{1, 20, 4096} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) { benchApply(b, batch, true, true) })
	}
}

// BenchmarkRebuild applies entries that were not folded before, without places, as a start without an index does.
func BenchmarkRebuild(b *testing.B) { benchApply(b, 4096, false, false) }

func benchApply(b *testing.B, batch int, fold, places bool) {
	dir := b.TempDir()
	db := benchOpen(b, dir)
	o := newObjects()
	fillOne(b, db, o, []entry.Entry{o.bucket()}, false)
	entries := make([]entry.Entry, b.N)
	for i := range entries {
		entries[i] = o.put(uint64(i))
	}
	runtime.GC()
	began := cpu()
	b.ResetTimer()
	for part := range slices.Chunk(entries, batch) {
		if places {
			fillOne(b, db, o, part, fold)
		} else if err := db.Apply(part); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu()-began)/1e3/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(cpu()-began)/1e3/float64(b.N), "cpu-us-all/op")
	db = benchOpen(b, dir)
	b.ReportMetric(float64(db.DiskBytes())/float64(b.N), "disk-B/op")
	db.Close()
}

// store makes an index of n small objects, closed cleanly, once a process, and returns its folder and objects.
func store(b *testing.B, n int) (string, *objects) {
	b.Helper()
	if made.dirs == nil {
		made.dirs = map[int]string{}
	}
	o := newObjects()
	if made.dirs[n] == "" {
		dir, err := os.MkdirTemp(made.parent, "objects")
		if err != nil {
			b.Fatal(err)
		}
		db := benchOpen(b, dir)
		fillOne(b, db, o, []entry.Entry{o.bucket()}, false)
		i := uint64(0)
		fill(b, db, o, n, 4096, false, func() entry.Entry { i++; return o.put(i - 1) })
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		made.dirs[n] = dir
	}
	o.next = uint64(n) + 1
	return made.dirs[n], o
}

// made are folders that benchmarks share; TestMain removes them.
var made struct {
	parent string
	dirs   map[int]string
}

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if made.parent, err = os.MkdirTemp("", "stele-index"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(made.parent)
	os.Exit(code)
}

// loop is b.Loop for what is measured in processor time as well: the machine may be shared.
func loop(b *testing.B, fn func()) {
	b.Helper()
	runtime.GC()
	began := cpu()
	for b.Loop() {
		fn()
	}
	b.ReportMetric(float64(cpu()-began)/1e3/float64(b.N), "cpu-us/op")
}

// listAll lists an incarnation in pages of 1,000 and returns how many keys there were.
func listAll(b *testing.B, db *DB, versions bool, size uint64) (n int) {
	s := Scan{Max: 1000, Versions: versions, Size: size}
	for more := true; more; {
		var err error
		more, err = db.List(s, func(l Listed) error {
			n, s.After, s.AfterAt = n+1, l.Key, 0
			if versions {
				s.AfterAt = l.Entry
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return n
}

// BenchmarkList lists 100,000 keys in pages of 1,000: now, versions, and as of the past.
func BenchmarkList(b *testing.B) {
	const n = 100_000
	dir, _ := store(b, n)
	db := benchOpen(b, dir)
	defer db.Close()
	for _, c := range []struct {
		name     string
		versions bool
		size     uint64
	}{{"now", false, 0}, {"versions", true, 0}, {"past", false, n + 1}} {
		b.Run(c.name, func(b *testing.B) {
			loop(b, func() {
				if got := listAll(b, db, c.versions, c.size); got != n {
					b.Fatal(got)
				}
			})
		})
	}
}

// BenchmarkListLive lists 1,000 live keys among those that were put and hidden: at once after the last hide, then again and again, then after a restart.
func BenchmarkListLive(b *testing.B) {
	benchListLive(b, 1_000_000, "random")
	benchListLive(b, 1_000_000, "sorted")
	benchListLive(b, 300_000, "random")
	benchListLive(b, 100_000, "sorted")
}

func benchListLive(b *testing.B, n int, order string) {
	const keep = 1000
	{
		b.Run(fmt.Sprintf("%s/%d", order, n), func(b *testing.B) {
			dir := b.TempDir()
			db, o := benchOpen(b, dir), newObjects()
			fillOne(b, db, o, []entry.Entry{o.bucket()}, false)
			keys := make([]uint64, n)
			for i := range keys {
				keys[i] = uint64(i)
			}
			at := 0
			fill(b, db, o, n, 4096, false, func() entry.Entry { at++; return o.put(keys[at-1]) })
			if order == "sorted" {
				slices.SortFunc(keys, func(x, y uint64) int { return cmp.Compare(o.key(x), o.key(y)) })
			}
			at = 0
			fill(b, db, o, n-keep, 4096, false, func() entry.Entry {
				if at++; at%(n/keep) == 0 {
					at++
				}
				return o.hide(keys[at-1])
			})
			began := time.Now()
			if got := listAll(b, db, false, 0); got != keep {
				b.Fatal(got)
			}
			first := time.Since(began)
			loop(b, func() {
				if got := listAll(b, db, false, 0); got != keep {
					b.Fatal(got)
				}
			})
			b.ReportMetric(float64(first.Microseconds())/1e3, "first-ms")
			b.ReportMetric(float64(db.peb.Metrics().Total().TablesCount), "files")
			db.Close()
			db = benchOpen(b, dir)
			defer db.Close()
			began = time.Now()
			listAll(b, db, false, 0)
			b.ReportMetric(float64(time.Since(began).Microseconds())/1e3, "reopened-ms")
		})
	}
}

// BenchmarkGet is a GET's share of the index, warm: current row, record, place.
func BenchmarkGet(b *testing.B) {
	const n = 100_000
	dir, o := store(b, n)
	db := benchOpen(b, dir)
	defer db.Close()
	r := db.Reader()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = o.key(uint64(i))
	}
	get := func(key string) {
		cur, ok, err := r.Current(0, key)
		if !ok || err != nil {
			b.Fatal(key, err)
		}
		rec, ok, err := r.Record(0, key, cur.Entry)
		if !ok || err != nil {
			b.Fatal(key, err)
		}
		if _, ok, err := db.Place(rec.Body.Ref); !ok || err != nil {
			b.Fatal(key, err)
		}
	}
	for _, key := range keys {
		get(key)
	}
	b.Run("hit", func(b *testing.B) {
		i := 0
		loop(b, func() {
			get(keys[i%n])
			i += 7919
		})
	})
	b.Run("current", func(b *testing.B) {
		i := 0
		loop(b, func() {
			if _, ok, _ := r.Current(0, keys[i%n]); !ok {
				b.Fatal(i)
			}
			i += 7919
		})
	})
	b.Run("miss", func(b *testing.B) {
		loop(b, func() {
			if _, ok, _ := r.Current(0, keys[0]+"x"); ok {
				b.Fatal("found")
			}
		})
	})
	b.Run("latest-miss", func(b *testing.B) {
		loop(b, func() {
			if _, ok, _ := r.Latest(0, keys[0]+"x"); ok {
				b.Fatal("found")
			}
		})
	})
}

// BenchmarkMillion is what a store with 1,000,000 objects costs: open, history of a key, memory, disk.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	dir, o := store(b, n)
	b.Run("open", func(b *testing.B) {
		loop(b, func() {
			if err := benchOpen(b, dir).Close(); err != nil {
				b.Fatal(err)
			}
		})
	})
	db := benchOpen(b, dir)
	defer db.Close()
	b.Run("history", func(b *testing.B) {
		i := uint64(0)
		for b.Loop() {
			found := 0
			if err := db.History(0, o.key(i%n), func(Record) error { found++; return nil }); err != nil || found != 1 {
				b.Fatal(found, err)
			}
			i += 7919
		}
	})
	b.Run("filter", func(b *testing.B) {
		loop(b, func() {
			db.makeFilter(firstTier)
		})
		b.ReportMetric(float64(db.live.bytes())/n, "B/key")
		wrong := 0
		for i := range uint64(100_000) {
			if !db.live.absent(currentKey(0, o.key(n+i))) {
				wrong++
			}
		}
		b.ReportMetric(float64(wrong)/1000, "%false")
	})
	b.Run("disk", func(b *testing.B) {
		loop(b, func() {
			if err := db.peb.Compact(b.Context(), []byte{0}, []byte{0xFF}, true); err != nil {
				b.Fatal(err)
			}
		})
		b.ReportMetric(float64(db.DiskBytes())/n, "B/object")
		for _, fam := range []byte{famCurrent, famHistory, famPlace} {
			size, err := db.peb.EstimateDiskUsage([]byte{fam}, []byte{fam + 1})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(size)/n, string(fam)+"-B/object")
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
		b.ReportMetric(rss(b), "rss-MiB")
	})
}

// rss is the process's resident memory.
func rss(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("no /proc")
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * float64(os.Getpagesize()) / (1 << 20)
}

// BenchmarkMultipart is an upload of two parts: four entries, whose completion removes the rows of its parts.
func BenchmarkMultipart(b *testing.B) {
	db, o := benchOpen(b, b.TempDir()), newObjects()
	defer db.Close()
	fillOne(b, db, o, []entry.Entry{o.bucket()}, false)
	i := uint64(0)
	loop(b, func() {
		i++
		batch := []entry.Entry{o.put(i), o.put(i), o.put(i), o.put(i)}
		for n, typ := range []entry.Type{entry.UploadCreate, entry.UploadPart, entry.UploadPart, entry.ObjectPut} {
			p := &batch[n].Private
			batch[n].Type, p.Upload, p.Part = typ, fmt.Sprintf("%016x", i), n
		}
		fillOne(b, db, o, batch, true)
		if _, _, err := db.Reader().Record(0, o.key(i/2), 7); err != nil { // a read beside
			b.Fatal(err)
		}
	})
}
