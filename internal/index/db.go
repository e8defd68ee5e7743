// Package index is rows and places in Pebble: what S3 shows of the ledger now (current keys, versions, buckets, uploads), the history of every key as of any size, and where each chunk
// lies. All of it is derived from entries and from the packs' footers; the index decides nothing, and deleting its folder costs a rebuild.
//
// No Pebble WAL: the ledger is the WAL. Each batch carries the ledger size that it brings the rows to, so that after a crash the rows are those of an exact prefix of the ledger, and Apply of the rest is what
// recovery does.
package index

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
)

// indexFormat is the version of the rows. Another one found: the caller deletes the folder and rebuilds.
const indexFormat = "0"

// ErrFormat: the rows were written by another version of this package; delete the folder and open again.
var ErrFormat = errors.New("index rows are of another format")

var (
	metaApplied = named(famMeta, "applied")
	metaFormat  = named(famMeta, "format")
)

// DB is the index. Reads are safe at any time. Fold and the pending Reader belong to the sequencer's goroutine, Apply to the applier's.
type DB struct {
	peb     *pebble.DB
	cache   *pebble.Cache
	overlay overlay
	applied atomic.Uint64

	mu      sync.RWMutex
	buckets map[string]*Bucket // current incarnations, decoded
	totals  map[uint64]Totals

	places places
}

// Options tune the index.
type Options struct {
	FS         vfs.FS // nil: the operating system's
	ReadOnly   bool   // no lock is taken and nothing is written: the caller holds the store's shared lock
	CacheBytes int64  // block cache; 0: 64 MiB
}

// unlocked is a file system whose Lock does nothing, for readers that share a store under its own lock.
type unlocked struct{ vfs.FS }

type noLock struct{}

func (noLock) Close() error { return nil }

func (unlocked) Lock(string) (io.Closer, error) { return noLock{}, nil }

// Open opens the index in dir, making it if it is not there. ErrFormat if it is another version's.
func Open(dir string, opt Options) (*DB, error) {
	db := &DB{buckets: map[string]*Bucket{}, totals: map[uint64]Totals{}}
	db.overlay.db = db
	db.places.init(db)
	db.cache = pebble.NewCache(max(opt.CacheBytes, 64<<20))
	var err error
	if db.peb, err = pebble.Open(dir, options(opt, db.cache)); err != nil {
		db.cache.Unref()
		return nil, fmt.Errorf("couldn't open the index: %w", err)
	}
	if err := db.load(opt.ReadOnly); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func options(opt Options, cache *pebble.Cache) *pebble.Options {
	fs := opt.FS
	if fs == nil {
		fs = vfs.Default
	}
	if opt.ReadOnly {
		fs = unlocked{fs}
	}
	o := &pebble.Options{
		FS: fs, Cache: cache, DisableWAL: true, ReadOnly: opt.ReadOnly, Logger: quiet{},
		MemTableSize: 16 << 20, MemTableStopWritesThreshold: 6, MaxOpenFiles: 500,
		FormatMajorVersion:         pebble.FormatNewest,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.ZstdCompression }
	}
	return o
}

// quiet drops Pebble's progress lines; errors reach the caller as errors.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("index: "+format, args...))
}

func (db *DB) load(readOnly bool) error {
	format, err := db.get(metaFormat)
	if err != nil {
		return err
	}
	switch {
	case string(format) == indexFormat:
	case format == nil && readOnly:
		return ErrFormat
	case format == nil:
		if err := db.peb.Set(metaFormat, []byte(indexFormat), pebble.NoSync); err != nil {
			return fmt.Errorf("couldn't write the index: %w", err)
		}
	default:
		return ErrFormat
	}
	v, err := db.get(metaApplied)
	if err != nil {
		return err
	}
	if len(v) == 8 {
		db.applied.Store(binary.BigEndian.Uint64(v))
	}
	if err := db.each([]byte{famBucket}, func(k, v []byte) error {
		b, err := parseJSON[Bucket](v)
		db.buckets[b.Name] = &b
		return err
	}); err != nil {
		return err
	}
	return db.places.load()
}

// Size returns the ledger size that the rows stand for.
func (db *DB) Size() uint64 { return db.applied.Load() }

// Reader reads what is applied.
func (db *DB) Reader() Reader { return Reader{db} }

// Pending reads what is decided. Sequencer only.
func (db *DB) Pending() Reader { return Reader{&db.overlay} }

// Fold takes a decided entry into account for the decisions after it. Sequencer only, in ledger order.
func (db *DB) Fold(e *entry.Entry) error {
	c, err := fold(e, db.Pending())
	if err != nil {
		return err
	}
	db.overlay.add(c)
	return nil
}

// Apply brings the rows from batch[0].Index to the size after batch, in one Pebble batch. The entries are durable in the ledger: what a crash takes away here is folded again at the next start.
func (db *DB) Apply(batch []entry.Entry) error {
	if len(batch) == 0 {
		return nil
	}
	if first := batch[0].Index; first != db.Size() {
		return fmt.Errorf("couldn't apply entry %d to an index at size %d: entries must be applied in order", first, db.Size())
	}
	changes, err := db.overlay.take(batch)
	if err != nil {
		return err
	}
	b := db.peb.NewBatch()
	defer b.Close()
	placed := db.places.drain(b)
	names := db.write(b, changes)
	size := batch[len(batch)-1].Index + 1
	b.Set(metaApplied, putUint(size), nil)
	if err := db.peb.Apply(b, pebble.NoSync); err != nil {
		return fmt.Errorf("couldn't write the index: %w", err)
	}
	if err := db.refresh(names); err != nil {
		return err
	}
	db.applied.Store(size)
	db.overlay.drop(changes)
	db.places.settle(placed)
	return nil
}

// write adds the changes' rows and new totals to b and returns the buckets that they touch.
func (db *DB) write(b *pebble.Batch, changes []change) (buckets []string) {
	deltas := map[uint64]Totals{}
	for _, c := range changes {
		for _, m := range c.mutations {
			switch {
			case m.end != nil:
				b.DeleteRange(m.key, m.end, nil)
			case m.val == nil:
				b.Delete(m.key, nil)
			default:
				b.Set(m.key, m.val, nil)
			}
			if m.key[0] == famBucket {
				buckets = append(buckets, string(m.key[1:]))
			}
		}
		if c.totals != (Totals{}) {
			t := deltas[c.inc]
			t.add(c.totals)
			deltas[c.inc] = t
		}
	}
	for inc, d := range deltas {
		t := db.Totals(inc)
		t.add(d)
		db.mu.Lock()
		db.totals[inc] = t
		db.mu.Unlock()
		b.Set(incKey(famTotals, inc, 0), appendJSON(t), nil)
	}
	return buckets
}

func (db *DB) refresh(names []string) error {
	for _, name := range names {
		v, err := db.get(bucketKey(name))
		if err != nil {
			return err
		}
		db.mu.Lock()
		if delete(db.buckets, name); v != nil {
			var b Bucket
			if err = json.Unmarshal(v, &b); err == nil {
				db.buckets[name] = &b
			}
		}
		db.mu.Unlock()
		if err != nil {
			return fmt.Errorf("bucket %s: %w", name, errRow)
		}
	}
	return nil
}

// Totals returns an incarnation's counters.
func (db *DB) Totals(inc uint64) Totals {
	db.mu.RLock()
	t, ok := db.totals[inc]
	db.mu.RUnlock()
	if ok {
		return t
	}
	if v, err := db.get(incKey(famTotals, inc, 0)); err == nil && v != nil {
		t, _ = parseJSON[Totals](v)
	}
	return t
}

// Flush starts writing the memtable out, so that a crash leaves fewer entries to fold again. It does not wait.
func (db *DB) Flush() error {
	if _, err := db.peb.AsyncFlush(); err != nil {
		return fmt.Errorf("couldn't flush the index: %w", err)
	}
	return nil
}

// Close writes everything out and closes the index.
func (db *DB) Close() error {
	err := db.places.flush()
	if err == nil && db.applied.Load() > 0 {
		if err = db.peb.Flush(); errors.Is(err, pebble.ErrReadOnly) {
			err = nil
		}
	}
	err = errors.Join(err, db.peb.Close())
	db.cache.Unref()
	return err
}

// DiskBytes returns what the index takes on disk.
func (db *DB) DiskBytes() int64 { return int64(db.peb.Metrics().DiskSpaceUsage()) }

func (db *DB) get(key []byte) ([]byte, error) {
	v, closer, err := db.peb.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't read the index: %w", err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closer.Close()
}

func (db *DB) first(lo, hi []byte) (key, val []byte, err error) {
	it, err := db.peb.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't read the index: %w", err)
	}
	if it.First() {
		key, val = append([]byte{}, it.Key()...), append([]byte{}, it.Value()...)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, nil, fmt.Errorf("couldn't read the index: %w", err)
	}
	return key, val, nil
}

func (db *DB) bucket(name string) (*Bucket, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.buckets[name], nil
}

// each calls fn for every row with a prefix, in order. The slices are good until fn returns.
func (db *DB) each(prefix []byte, fn func(k, v []byte) error) error {
	it, err := db.peb.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return fmt.Errorf("couldn't read the index: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			it.Close()
			return err
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("couldn't read the index: %w", err)
	}
	return nil
}
