// Package stele is an immutable object store whose audit ledger is its commit log.
//
// A [Store] is a folder: ledger segments, packs of chunks, a wrapped keyring, and an index that can be deleted. Every change is
// an entry in one Merkle tree and is acknowledged only when its entry is durable; what an S3 client sees is a function of the
// entries so far. So a point in time is a ledger size ([View]), and a receipt ([Store.Receipt]) is a proof about one entry.
//
// The way of a write: Put → body (cut, dedup, seal, pack fsync) → ledger (decide, append, segment fsync) → index → reply.
// docs/COMMIT.md has the steps and what a crash leaves after each.
package stele

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// Files of a data folder, beside the engine's own folders.
const (
	fileFormat    = engine.Meta + "store.format" // written last when a store is made: it says that the folder is one
	fileIdentity  = "identity"                   // the server's age identity, 0600: opens the keyring
	fileRootKey   = "root.key"                   // the root access key, 0600
	filePublished = "published"                  // the newest published checkpoint
	dirIndex      = "index"                      // derived; may be deleted while no process uses the store
)

// Clock is where time comes from. Monotonic never jumps.
type Clock = ledger.Clock

// Options say how to open a store.
type Options struct {
	FS       vfs.FS           // nil: the operating system's; another one is for tests and takes no lock on the folder
	Kit      string           // where Create writes the recovery kit; empty: stele-recovery-kit.txt beside the folder
	ReadOnly bool             // several readers may share a store that no process writes
	Clock    Clock            // nil: the system's
	Log      *slog.Logger     // nil: nothing is logged
	Identity string           // AGE-SECRET-KEY-1…: opens the keyring in place of the folder's identity file (a recovery key)
	Root     *entry.AccessKey // the root access key, always an admin's; nil: the one kept in the folder
	// Copies gives the verified copies of the store elsewhere, in the order in which to ask them for what is damaged here. It is called again at each damage, also during
	// Open, and must not wait for the store. nil: none.
	Copies func() []Copy
	// OpenTarget opens a target for the store that ships to it, or that reads it as a copy. nil: targets are kept in the ledger, and nothing is shipped.
	OpenTarget func(ctx context.Context, spec TargetSpec) (OpenedTarget, error)
	// ListTargets is how often each target is listed anew and compared with what was shipped to it; 0: every hour, below 0: only after errors, and where somebody asks (RelistTarget).
	ListTargets time.Duration
	// AskHandover asks one who follows the store, at its start, whether it has taken over; nil: nobody is asked.
	AskHandover AskHandover
	// Witnesses cosign the checkpoints of receipts (c2sp.org/tlog-witness) of a store that is open for writing: as many as RequireWitnesses must, or no receipt is given (ErrNoWitness); with 0 a
	// receipt bears the cosignatures that are at hand. nil: nobody is asked, and the status still tells of those whom the last server asked; empty: they are forgotten.
	Witnesses        []Witness
	RequireWitnesses int
	// ScrubDays is within how many days every byte of a store that is open for writing is read again and compared, in the background; 0: never.
	ScrubDays  int
	scrubSleep func(context.Context, time.Duration) error // tests'
	// SegmentBytes and PackBytes are sizes at which files are sealed; 0: the defaults.
	SegmentBytes, PackBytes int64

	still      bool                                          // nothing runs beside requests: the store is opened to be asked and closed again
	cosignWait func(time.Duration) <-chan time.Time          // tests: in place of time.After, between two checkpoints
	retryFill  func(ctx context.Context, failures int) error // tests: what is waited for before the folder is filled, and after each failure
}

// Store is an open store. Its methods may be called concurrently.
type Store struct {
	dir   string
	kit   string // where Create wrote the recovery kit
	opt   Options
	fs    vfs.FS
	log   *slog.Logger
	lock  *durable.Lock
	eng   engine.Appender
	keys  *keyring.Keyring
	root  entry.AccessKey
	index *index.DB
	body  *body.Store
	// ledger is set once, before any method can be called; the body's Sealed callback may run earlier and queues then.
	ledger atomic.Pointer[ledger.Ledger]
	// state is set by the opening, before any method can be called; begun when it has ended and what runs beside requests was started.
	state state
	begun bool

	changed   changed
	denials   denials
	seals     seals
	heals     heals
	findings  findings
	scrub     scrub
	snapshots snapshots
	targets   targets
	rates     rates // the sequencer's
	secrets   secrets
	space     space
	failures  failures

	// Of a folder that is, or was, filled from a backup. Set before any method can be called.
	from       *backing // nil: the folder is all there is
	unpromoted bool     // the folder is a full copy of a backup, and no primary yet

	mu       sync.Mutex
	lastUsed map[string]time.Time // access key → last request, in memory
	docs     map[entry.ID]string  // setting documents that were read, by ref
	readers  map[*bodyReader]bool // open, and perhaps fetching ahead

	stuck error // why a store that would take writes is open for reading only; nil: it is not

	cosign cosigning

	peersMu   sync.Mutex // guards the files of addresses
	followers []string   // as in the file; nil: not read yet

	wrapping   sync.Mutex // one wraps the keyring at a time
	recipients []string   // of the newest keyring, nil: those of keys; guarded by wrapping

	inside inside
	life   context.Context // ends when Close begins
	end    context.CancelFunc
	closed sync.Once
	stop   chan struct{}
	done   sync.WaitGroup
}

// OpenOrCreate opens the store in folder, or makes one if the folder is missing or empty.
func OpenOrCreate(ctx context.Context, folder string, opt Options) (s *Store, created bool, err error) {
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	empty, err := isEmpty(opt.FS, folder)
	if err != nil {
		return nil, false, err
	}
	if empty && !opt.ReadOnly {
		s, err = Create(ctx, folder, opt)
		return s, err == nil, err
	}
	s, err = Open(ctx, folder, opt)
	return s, false, err
}

// isEmpty reports whether a folder is missing or holds no file. What Create makes first, a lock and folders, is none: a Create that was stopped there may be done again.
func isEmpty(fsys vfs.FS, folder string) (bool, error) {
	names, err := fsys.List(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("couldn't read the folder %s: %w", folder, err)
	}
	for _, n := range names {
		switch {
		case n == "lost+found", n == durable.LockFile, isTemporary(n, fileIdentity), isTemporary(n, fileFrom):
			continue
		}
		path := fsys.PathJoin(folder, n)
		info, err := fsys.Stat(path)
		if err != nil || !info.IsDir() {
			return false, err
		}
		if empty, err := isEmpty(fsys, path); err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// isTemporary reports whether a name is that of a file on its way to be called of.
func isTemporary(name, of string) bool {
	return strings.HasPrefix(name, of+".") && strings.HasSuffix(name, ".tmp")
}

// Open opens the store in folder and recovers what a crash left. It waits for no one: ErrLocked if another process holds the store.
func Open(ctx context.Context, folder string, opt Options) (*Store, error) {
	return newStore(folder, opt).opened(ctx, way{})
}

func newStore(folder string, opt Options) *Store {
	s := &Store{dir: filepath.Clean(folder), opt: opt, fs: opt.FS, log: opt.Log, stop: make(chan struct{}),
		lastUsed: map[string]time.Time{}, docs: map[entry.ID]string{}, readers: map[*bodyReader]bool{}, inside: inside{idle: make(chan struct{}, 1)}, seals: seals{wake: make(chan struct{}, 1)}}
	s.life, s.end = context.WithCancel(context.Background())
	if s.fs == nil {
		s.fs = vfs.Default
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

func (s *Store) onDisk() bool { return s.fs == vfs.Default }

func (s *Store) path(name string) string { return s.fs.PathJoin(s.dir, name) }

func (s *Store) lockFolder() (err error) {
	if !s.onDisk() {
		return nil
	}
	if s.opt.ReadOnly {
		s.lock, err = durable.LockShared(s.dir)
	} else {
		s.lock, err = durable.LockExclusive(s.dir)
		if err == nil {
			s.keepPrivate()
		}
	}
	if errors.Is(err, durable.ErrLocked) {
		return fmt.Errorf("%w: %s", ErrLocked, s.dir)
	}
	return err
}

// keepPrivate takes from other users what they may do in the folder: it may have been made by hand, or copied without its modes, and keys and the names of objects are in it. The engine sees to its own folders.
func (s *Store) keepPrivate() {
	ours := []string{dirIndex, dirCheckpoint, dirFreshIndex, "evidence"} // of a standby
	err := durable.Shut(s.fs, s.dir, func(name string) bool {
		return slices.Contains(ours, name) || strings.HasPrefix(name, drillPrefix) || slices.Contains(dir.Folders(), name)
	})
	if err != nil {
		s.log.Warn("other users of this machine can read the folder: put it on a file system that keeps modes, or mount it with umask=077", "reason", err)
	}
}

// sweep removes what a crash left of writing the files beside the engine's folders: nobody has their names.
func (s *Store) sweep() error {
	if s.opt.ReadOnly {
		return nil
	}
	for _, left := range []string{dirCheckpoint, dirFreshIndex} {
		if err := s.fs.RemoveAll(s.path(left)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("couldn't remove %s, which an interruption left: %w", s.path(left), err)
		}
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return fmt.Errorf("couldn't read the folder %s: %w", s.dir, err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, drillPrefix) {
			if err := s.fs.RemoveAll(s.path(n)); err != nil {
				return fmt.Errorf("couldn't remove what a drill left in %s: %w", s.path(n), err)
			}
			continue
		}
		for _, ours := range []string{filePublished, fileRootKey, fileIdentity, fileSuperseded, fileStandby, fileAccepted, fileFrom, fileFormer, fileFollowers, fileFindings, fileFailing, fileTargets} {
			if isTemporary(n, ours) {
				if err := s.fs.Remove(s.path(n)); err != nil {
					return fmt.Errorf("couldn't remove the temporary file %s: %w", s.path(n), err)
				}
			}
		}
	}
	return nil
}

func (s *Store) ledgerOptions() ledger.Options {
	return ledger.Options{Engine: s.eng, Keys: s.keys, Clock: s.opt.Clock, SegmentBytes: s.opt.SegmentBytes, Published: publishedFile{s}, Unpublished: s.unpublished(),
		Copies: s.Copies, Healed: s.healed, Unhealed: s.unhealed}
}

func (s *Store) led() *ledger.Ledger { return s.ledger.Load() }

// ID returns the store id, 32 hex digits.
func (s *Store) ID() string { return hex.EncodeToString(s.keys.StoreID[:]) }

// Dir returns the data folder.
func (s *Store) Dir() string { return s.dir }

// Size returns the ledger size: the number of durable, applied entries.
func (s *Store) Size() uint64 { return s.index.Size() }

// ReadOnly reports whether the store was opened for reading only.
func (s *Store) ReadOnly() bool { return s.opt.ReadOnly }

// Close takes no more calls (ErrClosed), waits for those under way, seals what is open and gives the lock back. A call that is in the middle of a body ends with ErrClosed at
// its next read or write; one that waits for its source or its reader is waited for, so cut their connections first. Readers that are open and not reading are not waited for.
// It must not be called from a function that a call of the store has called. A second Close waits for the first and returns nil.
func (s *Store) Close() (err error) {
	s.closed.Do(func() {
		s.shut()
		s.endReaders()
		close(s.stop)
		s.done.Wait() // what it still writes comes before the files are closed
		s.stopTargets()
		if s.begun && s.state.takesWrites() {
			if err := s.keepKnown(context.Background()); err != nil {
				s.log.Warn("what is known of the targets is forgotten at the next start", "err", err)
			}
		}
		err = s.closeFiles()
	})
	return err
}

func (s *Store) closeFiles() (err error) {
	if s.body != nil {
		err = errors.Join(err, s.body.Close()) // seals packs; their entries are appended below
	}
	if l := s.led(); l != nil {
		if s.begun && s.state.takesWrites() && s.body != nil && !errors.Is(l.Err(), ledger.ErrSuperseded) {
			err = errors.Join(err, s.appendSeals(context.Background()), s.appendHeals(context.Background()), s.appendFindings(context.Background()))
		}
		err = errors.Join(err, s.leaveFindings())
		err = errors.Join(err, l.Close())
	}
	if s.index != nil {
		err = errors.Join(err, s.index.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return translate(err)
}
