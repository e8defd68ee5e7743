// Package index keeps what is derived from the ledger, in Pebble, so that it can be looked up fast. Rows say what S3 shows now (current keys, versions, buckets, uploads) and
// what every key was at any ledger size; they come from entries. Places say which pack holds each chunk; they come from the packs'
// footers. The index decides nothing and is trusted with nothing: deleting its folder costs the time to make it anew.
//
// No Pebble WAL: the ledger is the WAL. Each batch carries the ledger size that it brings the rows to, so that after a
// crash the rows are those of an exact prefix of the ledger, and Apply of the rest is what recovery does.
package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// indexFormat is the version of the rows. Another one found: the caller deletes the folder and rebuilds.
const indexFormat = "5"

// ErrFormat says that the rows can't be used: they are of another format, or damaged. What to do is always the same:
// delete the folder and open again, and the ledger brings them back.
var ErrFormat = errors.New("index rows are of another format or damaged")

var (
	metaApplied = named(famMeta, "applied")
	metaFormat  = named(famMeta, "format")
)

// DB is the index. Reads are safe at any time. Fold and the pending Reader belong to the sequencer's goroutine, Apply to
// the applier's.
type DB struct {
	peb     *pebble.DB
	gate    *gate
	cache   *pebble.Cache
	overlay overlay
	applied atomic.Uint64

	readOnly bool  // what is written stays in memory
	over     *over // nil: all of it lies in the folder
	held     *heldCompactions

	writing sync.Mutex // one batch at a time, so that rows of places reach Pebble in the order they were queued
	places  places
	// rows of families c and h on their way into a batch
	currents, histories sorter

	live       filter
	misses     atomic.Int64
	closing    atomic.Bool
	background sync.WaitGroup

	mu      sync.RWMutex
	buckets map[string]*Bucket // current incarnations, decoded
	keys    map[string]*Access // access keys, decoded
	totals  map[uint64]Totals  // all incarnations
}

// Open opens the index in dir, making it if it is not there. ErrFormat says that the folder must be deleted first (a
// reader opens it on a file system in memory instead). The caller then applies the entries from Size on.
func Open(dir string, opt Options) (*DB, error) {
	fs := opt.FS
	if fs == nil {
		fs = vfs.Default
	}
	if opt.ReadOnly {
		above, err := newScratch(fs, dir)
		if err != nil {
			return nil, fmt.Errorf("couldn't open the index: %w", err)
		}
		fs = above
	}
	if _, err := fs.Stat(fs.PathJoin(dir, damagedName)); err == nil {
		return nil, fmt.Errorf("%w: %s is there", ErrFormat, damagedName)
	}
	if opt.NoSync {
		fs = unsynced{fs}
	}
	var lower *over
	if opt.Below != nil {
		lower = newOver(fs, dir, opt.Below)
		fs = lower
	}
	db := &DB{over: lower, readOnly: opt.ReadOnly, gate: newGate(fs, dir), buckets: map[string]*Bucket{}, keys: map[string]*Access{}, totals: map[uint64]Totals{}}
	db.overlay.init(db)
	db.places.init(db)
	size := opt.CacheBytes
	if size == 0 {
		size = 64 << 20
	}
	db.cache = pebble.NewCache(size)
	var err error
	o := options(opt, db.gate, db.cache)
	if lower != nil {
		db.held = new(heldCompactions)
		o.Experimental.CompactionScheduler, o.DisableTableStats = db.held, true
		db.Arrived() // perhaps all of it is here
	}
	if db.peb, err = db.gate.openPebble(dir, o); err != nil {
		db.cache.Unref()
		return nil, db.gate.openError(err)
	}
	if err := errors.Join(db.load(), db.Failed()); err != nil {
		return nil, errors.Join(db.gate.openError(err), db.Close())
	}
	return db, nil
}

// openError tells what a rebuild mends, and that is all but an error of the system: another holder of the lock, EIO, no space. A file that is not there is damage too: the
// power went while the folder was fsynced, and of two new names the file system kept only the one that points to the other.
func (g *gate) openError(err error) error {
	var errno syscall.Errno
	system := errors.As(err, &errno) && errno != syscall.ENOENT || g.failed() != nil || errors.Is(err, errLock)
	switch {
	case errors.Is(err, ErrFormat):
		return err
	case system && !pebble.IsCorruptionError(err):
		return fmt.Errorf("couldn't open the index: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

func (db *DB) load() error {
	format, err := db.get(metaFormat)
	if err != nil {
		return err
	}
	switch {
	case string(format) == indexFormat:
	case format == nil:
		if err := db.peb.Set(metaFormat, []byte(indexFormat), pebble.NoSync); err != nil {
			return fmt.Errorf("couldn't write the index: %w", err)
		}
	default:
		return fmt.Errorf("%w: %q", ErrFormat, format)
	}
	v, err := db.get(metaApplied)
	if err != nil {
		return err
	}
	if v != nil {
		if len(v) != 8 {
			return errRow
		}
		db.applied.Store(binary.BigEndian.Uint64(v))
	}
	if err := db.loadTables(); err != nil {
		return err
	}
	return db.places.load()
}

// loadTables reads the rows that are kept decoded.
func (db *DB) loadTables() error {
	err := db.each([]byte{famBucket}, func(k, v []byte) error {
		b, err := parseJSON[Bucket](v)
		db.buckets[string(k[1:])] = &b
		return err
	})
	if err != nil {
		return err
	}
	err = db.each([]byte{famAccess}, func(k, v []byte) error {
		a, err := parseJSON[Access](v)
		db.keys[string(k[1:])] = &a
		return err
	})
	if err != nil {
		return err
	}
	return db.each([]byte{famTotals}, func(k, v []byte) error {
		t, err := parseTotals(v)
		if len(k) != 9 || err != nil {
			return errRow
		}
		db.totals[binary.BigEndian.Uint64(k[1:])] = t
		return nil
	})
}

// Size returns the ledger size that the rows stand for.
func (db *DB) Size() uint64 { return db.applied.Load() }

// Reader reads what is applied.
func (db *DB) Reader() Reader { return Reader{db} }

// Pending reads what is decided. Sequencer only.
func (db *DB) Pending() Reader { return Reader{&db.overlay} }

// Totals returns an incarnation's counters.
func (db *DB) Totals(inc uint64) Totals {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.totals[inc]
}

// Failed returns why the index is not written to any more; nil while it is well. Reads go on, Apply refuses; a restart
// folds again what was lost.
func (db *DB) Failed() error { return db.gate.failed() }

// Flush starts writing the memtable out, so that a crash leaves fewer entries to fold again. It does not wait.
func (db *DB) Flush() error {
	if err := db.places.flush(); err != nil {
		return err
	}
	if _, err := db.peb.AsyncFlush(); err != nil {
		return fmt.Errorf("couldn't flush the index: %w", err)
	}
	return nil
}

// Close writes everything out and closes the index. Nothing else may be under way.
func (db *DB) Close() error {
	db.closing.Store(true)
	db.background.Wait()
	err := db.Failed()
	if err == nil {
		err = db.places.flush()
	}
	if err == nil && !db.readOnly {
		err = db.flushAll()
	}
	db.gate.open()
	err = errors.Join(err, db.peb.Close())
	db.cache.Unref()
	return err
}

// flushAll writes the memtable out and waits. Pebble tries a flush again for ever: one that has no rows to write, only its manifest, would not even meet the gate.
func (db *DB) flushAll() error {
	done, err := db.peb.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-done: // also when the manifest could not be written
	case <-db.gate.broken:
	}
	return db.Failed()
}

// DiskBytes returns what the index takes on disk.
func (db *DB) DiskBytes() int64 { return int64(db.peb.Metrics().DiskSpaceUsage()) }

func (db *DB) get(key []byte) ([]byte, error) {
	if key[0] != famCurrent {
		return get(db.peb, key)
	}
	if db.live.absent(key) {
		return nil, nil
	}
	v, err := get(db.peb, key)
	if v == nil {
		db.missed()
	}
	return v, err
}

func (db *DB) any(lo, hi []byte) (bool, error) {
	k, _, err := db.first(lo, hi)
	return k != nil, err
}

func (db *DB) first(lo, hi []byte) (key, val []byte, err error) { return first(db.peb, lo, hi) }
func (db *DB) iter(lo, hi []byte) (*pebble.Iterator, error)     { return iter(db.peb, lo, hi) }

func (db *DB) bucket(name string) (*Bucket, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.buckets[name], nil
}

func (db *DB) access(id string) (*Access, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.keys[id], nil
}

func (db *DB) stable() (source, func() error) {
	s := snapshot{db.peb.NewSnapshot(), db}
	return s, s.Close
}

// snapshot is the rows as they were at one moment.
type snapshot struct {
	*pebble.Snapshot
	db *DB
}

func (s snapshot) get(key []byte) ([]byte, error)                   { return get(s, key) }
func (s snapshot) first(lo, hi []byte) (key, val []byte, err error) { return first(s, lo, hi) }
func (s snapshot) access(id string) (*Access, error)                { return s.db.access(id) }
func (s snapshot) bucket(name string) (*Bucket, error)              { return s.db.bucket(name) }
func (s snapshot) any(lo, hi []byte) (bool, error) {
	k, _, err := s.first(lo, hi)
	return k != nil, err
}
func (s snapshot) stable() (source, func() error) { return s, func() error { return nil } }

func get(r pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, readError(err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closer.Close()
}

func readError(err error) error {
	switch {
	case err == nil:
		return nil
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("couldn't read the index, it is damaged and will be made anew when the server is started again: %w", err)
	}
	return fmt.Errorf("couldn't read the index: %w", err)
}

func iter(r pebble.Reader, lo, hi []byte) (*pebble.Iterator, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	return it, readError(err)
}

func first(r pebble.Reader, lo, hi []byte) (key, val []byte, err error) {
	it, err := iter(r, lo, hi)
	if err != nil {
		return nil, nil, err
	}
	if it.First() {
		key, val = append([]byte{}, it.Key()...), append([]byte{}, it.Value()...)
	}
	return key, val, readError(it.Close())
}

// each calls fn for every row with a prefix, in order. The slices are good until fn returns.
func (db *DB) each(prefix []byte, fn func(k, v []byte) error) error {
	it, err := db.iter(prefix, after(prefix))
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return readError(it.Close())
}
