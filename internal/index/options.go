package index

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options tune the index.
type Options struct {
	FS         vfs.FS // nil: the operating system's
	ReadOnly   bool   // nothing on FS changes and no lock is taken: the caller holds the store's shared lock. Apply works, in memory
	CacheBytes int64  // block cache; 0: 64 MiB
	NoSync     bool   // nothing is fsynced: a power cut costs the index, which then does not open (ErrFormat)
	Below      *Below // tables of a snapshot that the folder began from; nil: all are in the folder
}

func options(opt Options, g *gate, cache *pebble.Cache) *pebble.Options {
	o := &pebble.Options{
		FS: g, Cache: cache, DisableWAL: true, Logger: logger{g},
		MemTableSize: 16 << 20, MemTableStopWritesThreshold: 6, MaxOpenFiles: 500,
		FormatMajorVersion:          pebble.FormatNewest,
		DisableAutomaticCompactions: opt.ReadOnly, // they would read all of it into memory
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		EventListener: &pebble.EventListener{
			BackgroundError: g.background,
			DataCorruption:  func(i pebble.DataCorruptionInfo) { g.damage(i.Details) }, // the default is to end the process
		},
	}
	// Fewer, larger compactions out of level 0: a fifth less CPU a put.
	o.L0CompactionThreshold, o.L0StopWritesThreshold = 8, 64
	for i := range o.Levels {
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		// What is soon compacted again is not worth zstd; most rows are in the last level.
		profile := sstable.SnappyCompression
		if i == len(o.Levels)-1 {
			profile = sstable.ZstdCompression
		}
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return profile }
	}
	return o
}

// logger drops Pebble's progress lines; errors reach the caller as errors.
type logger struct{ gate *gate }

func (logger) Infof(string, ...any)  {}
func (logger) Errorf(string, ...any) {}

// Fatalf is told of a manifest that could not be written, which ends all writing, and of broken invariants.
//
// Pebble says no more than the text which of the two it is. The error is among args: who acts on it (a full disk) must not have to read the text.
func (l logger) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if strings.HasPrefix(msg, "MANIFEST ") {
		l.gate.fail(fatal{msg, errors.Join(errorsOf(args)...)})
		if !l.gate.serving.Load() {
			l.gate.giveUp()
		}
		return
	}
	panic("index: " + msg)
}

// fatal is what ended all writing, in Pebble's words.
type fatal struct {
	text string
	err  error
}

func (f fatal) Error() string { return f.text }
func (f fatal) Unwrap() error { return f.err }

func errorsOf(args []any) (errs []error) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			errs = append(errs, err)
		}
	}
	return errs
}
