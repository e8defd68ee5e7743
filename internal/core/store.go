// Package core keeps ledger, index and body of a store in step, in its folder: the one opening with its guards (opening.go), the one commit (commit.go), what is written beside requests
// (housekeep.go), and how Close waits for who is inside (calls.go).
//
// It knows no objects, no backups and no standbys. What these have to say in the life of a store it takes as functions: [Hooks], and [Layer] for a backup that lies beneath the folder.
package core

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

var started = time.Now()

// Monotonic is a clock that nobody sets.
func (s *Store) Monotonic() time.Duration {
	if s.opt.Clock != nil {
		return s.opt.Clock.Monotonic()
	}
	return time.Since(started)
}

// Options say how to open a store's folder.
type Options struct {
	FS           vfs.FS           // nil: the operating system's
	Kit          string           // where Create writes the recovery kit; empty: beside the folder
	ReadOnly     bool             // several readers may share a store that no process writes
	Clock        ledger.Clock     // nil: the system's
	Log          *slog.Logger     // nil: nothing is logged
	Identity     string           // opens the keyring in place of the folder's identity file
	Root         *entry.AccessKey // the root access key; nil: the one kept in the folder
	SegmentBytes int64            // at which files are sealed; 0: the defaults
	PackBytes    int64
	NoBackground bool // nothing runs beside requests: the store is opened to be asked and closed again
}

// Store is index, ledger and body in step, in a folder. Its methods may be called concurrently. The exported fields are its parts, which the rooms above use by the parts' own methods:
// whoever opens the folder sets them, and nobody sets them after that. How the store stands, who is inside and what has to end is behind methods.
type Store struct {
	opt    Options
	dir    string
	kit    string // where Create wrote the recovery kit
	FS     vfs.FS
	Log    *slog.Logger
	Hooks  Hooks
	lock   *durable.Lock
	Engine engine.Appender
	Keys   *keyring.Keyring
	root   entry.AccessKey
	Index  *index.DB
	Body   *body.Store
	// ledgerNow is set once, before any method can be called; the body's Sealed callback may run earlier and queues then.
	ledgerNow atomic.Pointer[ledger.Ledger]
	// state is set by the opening, before any method can be called; begun when it has ended and what runs beside requests was started.
	state      State
	begun      atomic.Bool
	over       *Layer // what lies beneath the folder; nil: nothing
	unpromoted bool   // the folder is a full copy of a backup, and no primary yet
	stuck      error  // why a store that would take writes is open for reading only; nil: it is not

	denials  denials
	seals    seals
	rates    rates // the sequencer's
	space    space
	failures failures

	readersMu sync.Mutex
	readers   map[*bodyReader]bool // open, and perhaps fetching ahead

	calls      calls
	life       context.Context // ends when Close begins
	end        context.CancelFunc
	closed     sync.Once
	stop       chan struct{}  // closed when nobody is inside any more
	background sync.WaitGroup // what runs beside requests
}

// New is the store in a folder, before it is opened.
func New(folder string, opt Options) *Store {
	s := &Store{opt: opt, dir: filepath.Clean(folder), FS: opt.FS, Log: opt.Log, stop: make(chan struct{}),
		readers: map[*bodyReader]bool{}, calls: calls{idle: make(chan struct{}, 1)}, seals: seals{wake: make(chan struct{}, 1)}}
	s.life, s.end = context.WithCancel(context.Background())
	if s.FS == nil {
		s.FS = vfs.Default
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return s
}

// LedgerOptions are those with which the ledger in the folder is opened; keys and engine are open by then.
func (s *Store) LedgerOptions() ledger.Options {
	return ledger.Options{Engine: s.Engine, Keys: s.Keys, Clock: s.opt.Clock, SegmentBytes: s.opt.SegmentBytes, Published: publishedFile{s}, Unpublished: s.unpublished(),
		Copies: s.Hooks.Copies, Healed: s.Hooks.Healed, Unhealed: s.Hooks.Unhealed}
}

// Ledger returns the ledger; nil before it is open.
func (s *Store) Ledger() *ledger.Ledger { return s.ledgerNow.Load() }

// ID returns the store id, 32 hex digits.
func (s *Store) ID() string { return hex.EncodeToString(s.Keys.StoreID[:]) }

// Dir returns the data folder.
func (s *Store) Dir() string { return s.dir }

// Size returns the ledger size: the number of durable, applied entries.
func (s *Store) Size() uint64 { return s.Index.Size() }

// State is what the store is, as the opening has found it.
func (s *Store) State() State { return s.state }

// TakesWrites reports whether the store is a primary's that is open for writing.
func (s *Store) TakesWrites() bool { return s.state.TakesWrites() }

// IsCopy reports whether the store is a copy of another one, which may be ahead of it: a standby's, or that of a backup before its promotion.
func (s *Store) IsCopy() bool { return s.unpromoted || s.state == Serving || s.state == Following }

// ReadOnly reports whether the store was opened for reading only.
func (s *Store) ReadOnly() bool { return !s.TakesWrites() }

// Close takes no more calls (ErrClosed), waits for those under way, seals what is open and gives the lock back. A call that is in the middle of a body ends with ErrClosed at
// its next read or write; one that waits for its source or its reader is waited for, so cut their connections first. Readers that are open and not reading are not waited for.
// It must not be called from a function that a call of the store has called. A second Close waits for the first and returns nil.
func (s *Store) Close() (err error) {
	return s.CloseBy(func() error {
		s.Hooks.Stopped()
		return s.closeFiles()
	})
}

// CloseBy is Close for who has opened the folder's parts by itself, and closes them by itself.
func (s *Store) CloseBy(closeFiles func() error) (err error) {
	s.closed.Do(func() {
		s.shut()
		s.endReaders()
		close(s.stop)
		s.background.Wait() // what it still writes comes before the files are closed
		err = closeFiles()
	})
	return err
}

// closeFiles closes what is open in the order in which each needs the next: the body seals packs, whose entries the ledger takes, which the index applies. The lock comes last: whoever gets it finds all
// that was written. A crash in between leaves what any crash leaves: the next start writes the entries that are missing (Unsealed) and folds those that the index lacks (Replay).
func (s *Store) closeFiles() (err error) {
	if s.Body != nil {
		err = errors.Join(err, s.Body.Close())
	}
	if l := s.Ledger(); l != nil {
		if s.begun.Load() && s.TakesWrites() && s.Body != nil && !errors.Is(l.Err(), ledger.ErrSuperseded) {
			err = errors.Join(err, s.appendSeals(context.Background()), s.Hooks.Chores.Last(context.Background()))
		}
		err = errors.Join(err, s.Hooks.Leave())
		err = errors.Join(err, l.Close())
	}
	if s.Index != nil {
		err = errors.Join(err, s.Index.Close())
	}
	return Translate(errors.Join(err, s.Unlock()))
}
