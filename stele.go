// Package stele is an immutable object store whose audit ledger is its commit log.
//
// A [Store] is a folder: ledger segments, packs of chunks, a wrapped keyring, and an index that can be deleted. Every change is
// an entry in one Merkle tree and is acknowledged only when its entry is durable; what an S3 client sees is a function of the
// entries so far. So a point in time is a ledger size ([View]), and a receipt ([Ledger.Receipt]) is a proof about one entry.
//
// The way of a write: Put → body (cut, dedup, seal, pack fsync) → ledger (decide, append, segment fsync) → index → reply.
// docs/COMMIT.md has the steps and what a crash leaves after each.
package stele

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/backup"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/epoch"
	"stele/internal/hydrate"
	"stele/internal/ledger"
	"stele/internal/replica"
	"stele/internal/snapshot"
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
	// ListTargets is how often each target is listed anew and compared with what was shipped to it; 0: every hour, below 0: only after errors, and where a drill failed.
	ListTargets time.Duration
	// AskHandover asks one who follows the store, at its start, whether it has taken over; nil: nobody is asked.
	AskHandover AskHandover
	// Witnesses cosign the checkpoints of receipts (c2sp.org/tlog-witness) of a store that is open for writing: as many as RequireWitnesses must, or no receipt is given (ErrNoWitness); with 0 a
	// receipt bears the cosignatures that are at hand. nil: nobody is asked, and the status still tells of those whom the last server asked; empty: they are forgotten.
	Witnesses        []care.Witness
	RequireWitnesses int
	// ScrubDays is within how many days every byte of a store that is open for writing is read again and compared, in the background; 0: never.
	ScrubDays int
	// MaxRetentionDays is the longest retention, in days from now, that a version or a bucket's default may be given, whoever asks: what is locked by a typo stays. Locks and defaults that are
	// there stay as they are, and restoring a version keeps its lock. 0 or less: any.
	MaxRetentionDays int
	// SegmentBytes and PackBytes are sizes at which files are sealed; 0: the defaults.
	SegmentBytes, PackBytes int64

	noBackground bool // nothing runs beside requests: the store is opened to be asked and closed again
}

// Store is an open store. Its methods may be called concurrently.
type Store struct {
	core    *core.Store
	care    *care.Care
	over    *hydrate.Store
	backup  *backup.Backups
	epochs  *epoch.Epochs
	replica *replica.Replica
	opt     Options

	secrets secrets

	mu       sync.Mutex
	lastUsed map[string]time.Time // access key → last request, in memory
	docs     map[entry.ID]string  // setting documents that were read, by ref
}

// OpenOrCreate opens the store in folder, or makes one if the folder is missing or empty.
func OpenOrCreate(ctx context.Context, folder string, opt Options) (s *Store, created bool, err error) {
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	empty, err := core.IsEmpty(opt.FS, folder)
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

// Open opens the store in folder and recovers what a crash left. It waits for no one: ErrLocked if another process holds the store.
func Open(ctx context.Context, folder string, opt Options) (*Store, error) {
	return newStore(folder, opt).opened(ctx, core.Way{})
}

// opened opens s, or, where its folder takes no writes, another one for reading only.
func (s *Store) opened(ctx context.Context, w core.Way) (*Store, error) {
	err := s.core.Open(ctx, w)
	if err == nil {
		return s, nil
	}
	if why := s.core.StuckBy(w, err); why != nil {
		opt := s.opt
		opt.ReadOnly = true
		if r := newStore(s.core.Dir(), opt); r.core.OpenStuck(ctx, why) == nil {
			s.core.Log.Error("the folder takes no writes: the store is open for reading only, until a start that can write", "folder", s.core.Dir(), "err", err)
			return r, nil
		}
	}
	return nil, err
}

func newStore(folder string, opt Options) *Store {
	s := &Store{opt: opt, lastUsed: map[string]time.Time{}, docs: map[entry.ID]string{}}
	s.core = folderOf(folder, opt)
	s.replica = replica.New(s.core)
	s.care = care.New(s.core, care.Options{Witnesses: opt.Witnesses, RequireWitnesses: opt.RequireWitnesses, ScrubDays: opt.ScrubDays,
		Grown: s.replica.Changed.Wait, Refusals: s.refusals})
	s.over = hydrate.New(s.core, hydrate.Options{Copies: func() []engine.Copy { return s.backup.TargetCopies() }, Snapshots: func() snapshot.Options { return s.backup.SnapshotOptions() }, Clock: opt.Clock})
	s.backup = backup.New(s.core, s.care, s.over, backup.Options{OpenTarget: opt.OpenTarget, ListTargets: opt.ListTargets, Copies: opt.Copies, OpenCopy: s.copyForDrill})
	s.epochs = epoch.New(s.core, s.over, epoch.Options{AskHandover: opt.AskHandover, Seen: s.backup.SeenByTargets, SeenWait: backup.SeenWait})
	s.core.Hooks = s.hooks()
	return s
}

// folderOf is a data folder that is looked at, or written to, without being opened as a store.
func folderOf(folder string, opt Options) *core.Store {
	return core.New(folder, core.Options{FS: opt.FS, Kit: opt.Kit, ReadOnly: opt.ReadOnly, Clock: opt.Clock, Log: opt.Log, Identity: opt.Identity, Root: opt.Root,
		SegmentBytes: opt.SegmentBytes, PackBytes: opt.PackBytes, NoBackground: opt.noBackground})
}
