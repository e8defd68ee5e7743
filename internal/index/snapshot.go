package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Format is the version of the rows: a snapshot of another one is of no use.
const Format = indexFormat

// ErrPartial: the index still lies in part in the snapshot that it began from.
var ErrPartial = errors.New("the index is not all here yet")

// Checkpoint makes dir, which must not exist, the index as it is, by links to the same tables, and returns the ledger size that it stands for: at least Size when it was called. It has been
// opened and closed again. Reads and Apply go on. The caller removes dir; its files never change.
func (db *DB) Checkpoint(dir string) (size uint64, err error) {
	if db.readOnly || len(db.Missing()) > 0 {
		return 0, ErrPartial
	}
	if err := db.Failed(); err != nil {
		return 0, err
	}
	if err := db.places.flush(); err != nil {
		return 0, err
	}
	if err := db.flushAll(); err != nil {
		return 0, fmt.Errorf("couldn't flush the index: %w", err)
	}
	if err := db.peb.Checkpoint(dir); err != nil {
		return 0, fmt.Errorf("couldn't make a checkpoint of the index: %w", err)
	}
	size, err = sizeOf(db.gate.FS, dir)
	if err != nil {
		return 0, fmt.Errorf("the checkpoint of the index doesn't read back: %w", err)
	}
	return size, nil
}

// sizeOf reads the applied size of the rows in dir, as a reader would.
func sizeOf(fs vfs.FS, dir string) (uint64, error) {
	above, err := newScratch(fs, dir)
	if err != nil {
		return 0, err
	}
	o := &pebble.Options{FS: above, ReadOnly: true, DisableWAL: true, Logger: logger{}, FormatMajorVersion: pebble.FormatNewest}
	peb, err := pebble.Open(dir, o)
	if err != nil {
		return 0, err
	}
	v, err := get(peb, metaApplied)
	if err == nil && len(v) != 8 {
		err = errRow
	}
	if err = errors.Join(err, peb.Close()); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

// IsTable reports whether a file of the index is one of its tables, which are read by range and never change. The others are small.
func IsTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// Missing returns the names of the tables that are still read from the snapshot, in ascending order. A table brought into the folder, whole, durable and under its name, is no longer.
func (db *DB) Missing() []string {
	if db.over == nil {
		return nil
	}
	return db.over.missing()
}

// Arrived tells the index that tables came into its folder: they are read there from now on, and once none is missing it compacts again. One goroutine calls it.
func (db *DB) Arrived() {
	if db.over == nil {
		return
	}
	db.over.arrivals.Add(1)
	if len(db.Missing()) == 0 {
		db.held.release()
	}
}

// Below is the tables of a snapshot, read where the folder has none of that name. The small files lie in the folder.
type Below struct {
	Sizes map[string]int64 // of the tables, in bytes, by name
	Open  func(name string) (ReaderAtCloser, error)
}

// ReaderAtCloser is a file opened for reading by range, by several at once.
type ReaderAtCloser interface {
	io.ReaderAt
	io.Closer
}

func (b *Below) names() []string {
	var names []string
	for name := range b.Sizes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
