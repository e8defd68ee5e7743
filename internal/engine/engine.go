// Package engine is the storage contract: it says what a place must do in which the sealed files of a store live.
//
// A store is a set of named, sealed, immutable files: segments (the ledger), packs (the bytes), keyrings.
// An engine creates each once, reads ranges of it and lists the names. It removes packs, and files that are superseded on a target. It knows nothing
// of entries, chunks or keys, and it cannot change a file. A primary also needs files that grow; an engine
// that has those implements [Appender].
//
// Nobody trusts what an engine returns: whoever reads a file verifies it. An engine is trusted only to make durable what it says is durable. Package enginetest holds every engine to this contract.
package engine

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"stele/internal/durable"
)

// Folders of a store. A file's name is folder/base; base holds only [a-z0-9.-].
const (
	Segments  = "segments/"  // sealed ledger segments, never removed
	Packs     = "packs/"     // sealed packs, removed by the keeper alone
	Tails     = "tails/"     // on a target: what growing files held when it was shipped; removed once a sealed file holds it
	Snapshots = "snapshots/" // on a target: snapshots of the index; removed once a newer one is there
	Keyrings  = "keyring/"   // wrapped keyrings, 000001, 000002, …; the newest counts
	Meta      = "meta/"      // store.format and the like: create once
)

var (
	// ErrExist: Create or Publish found the name taken; what is there was not touched, and it is durable.
	ErrExist = errors.New("file exists")
	// ErrNotExist: no such file.
	ErrNotExist = errors.New("no such file")
	// ErrGone: the place itself is not there: a folder whose disk is not mounted, a bucket that was deleted. Nothing is made in its stead.
	ErrGone = errors.New("its folder or its bucket is not there")
	// ErrFull: the medium has no room. Nothing was created; reads go on.
	ErrFull = errors.New("no space left")
	// ErrLocked: Remove found the file locked on the medium (Object Lock). It stays, and may be removed later.
	ErrLocked = errors.New("locked")
	// ErrNoLocks: the medium locks nothing.
	ErrNoLocks = errors.New("nothing is locked here")
	// ErrDenied: the medium's owner doesn't allow this to us. Who may create need not be allowed to read or to remove.
	ErrDenied = errors.New("access denied")
	// ErrName: the name is not one that an engine stores.
	ErrName = errors.New("not a name for a file of a store")
	// ErrFailed: an earlier write or fsync failed; this engine or file takes no more writes until the process is started anew
	// (DESIGN invariant 6: failed stays failed).
	ErrFailed = errors.New("an earlier write failed, no more are taken")
)

// Short says whether an error is for what this machine has too little of: open files, memory, or room. That passes, and says nothing of the file that was asked for: whoever judges files must not
// call it damaged. A failed fsync is none of these, for whatever reason it failed: what it was to make durable may be lost.
func Short(err error) bool {
	if errors.Is(err, durable.ErrSync) {
		return false
	}
	for _, lack := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC, syscall.EDQUOT, ErrFull} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// Engine stores sealed files. All methods may be called concurrently. What lasts is for the caller to retry; an engine over a network repeats a few times,
// within a bounded time, what is safe to repeat (give its Create an io.ReadSeeker, which it can read again).
type Engine interface {
	// Create stores r's whole content under name if no file has that name, else ErrExist. When it returns nil the
	// file, its name and its folder are durable. When it returns an error no file of that name was made by
	// this call, or (an error that does not say ErrExist after a lost reply) the caller must look.
	// size is r's length in bytes; a reader that yields more or fewer makes Create fail and leave nothing.
	Create(ctx context.Context, name string, size int64, r io.Reader) error
	// Open returns a sealed file for reading by range; ErrNotExist if there is none. The caller closes it.
	Open(ctx context.Context, name string) (File, error)
	// List calls fn for each sealed file whose name starts with prefix (a folder constant, with or without more), in
	// ascending order of name, and stops at fn's first error, which it returns. Strongly consistent: what was created before the call is listed.
	List(ctx context.Context, prefix string, fn func(Info) error) error
	// Remove removes a file of a folder that Removable names, durably; ErrNotExist if there is none, ErrName if it is of another folder.
	Remove(ctx context.Context, name string) error
}

// Locker is an engine whose medium can lock a file, so that nobody removes it before a time, whatever rights he holds.
type Locker interface {
	// LockFor returns for how long Create locks what it makes; 0: it doesn't, or the medium can't.
	LockFor(ctx context.Context) (time.Duration, error)
	// LockedUntil returns until when a file is locked; the zero time if it is not. ErrNotExist, ErrNoLocks, ErrDenied.
	LockedUntil(ctx context.Context, name string) (time.Time, error)
	// Renew locks a file until that time, rounded up to what the medium stores. It never shortens a lock: an earlier time changes nothing and is no error. ErrNotExist, ErrNoLocks, ErrDenied.
	Renew(ctx context.Context, name string, until time.Time) error
}

// Replacer is an engine that can put a proven copy in the place of a damaged file: the one way in which a sealed file is ever
// written again, for healing alone.
type Replacer interface {
	// Replace stores r's whole content under name, the name of a pack or a segment (else ErrName), in place of the file that has it or of none.
	// After a crash at any moment the name holds the file that it had or the new one, each whole; files that are open go on
	// showing the old one. When it returns nil the new one is durable. When r fails, or yields another number of bytes than size, the old file stays:
	// so a reader that compares while it is read decides whether anything is replaced. One caller at a time for a name.
	Replace(ctx context.Context, name string, size int64, r io.Reader) error
}

// Copy is a copy of a store elsewhere, read as a store: a target, a folder.
type Copy struct {
	Name   string // what people call it
	Engine Engine // only read
}

// File is a sealed file opened for reading. ReadAt may be called concurrently.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}

// Info is what a listing says of a file.
type Info struct {
	Name      string
	SizeBytes int64
}

// Appender is what a primary needs besides: files that grow, are made durable step by step and become sealed files.
// Only one process at a time holds an Appender over a store.
type Appender interface {
	Engine
	// Append starts a growing file that Publish will store under name. It lives under a private name, which a crash
	// leaves behind as a tail (Tails). Its directory entry is durable before Append returns.
	Append(ctx context.Context, name string, opt AppendOptions) (Growing, error)
	// Tails lists growing files left by a crash or by a failed process, and those closed here without Publish, by the sealed
	// name that they were meant for; several may have one. It removes what an interrupted Create left.
	Tails(ctx context.Context) ([]Tail, error)
	// RemoveTail removes a tail, durably, once what was valid in it is held by sealed files.
	RemoveTail(ctx context.Context, t Tail) error
}

// AppendOptions tell how a growing file will be used.
type AppendOptions struct {
	// PreallocateBytes reserves room, so that an fsync need not grow the file and a full disk does not stop it; 0 for none.
	// Up to there a tail may end in zeros. What is not used is given back by Publish.
	PreallocateBytes int64
	// Stream asks for direct I/O where the system has it: for files written in large pieces, best from an AlignedBuffer and in
	// multiples of Growing.Align() between Syncs.
	Stream bool
}

// Tail is a growing file that was never published.
type Tail struct {
	Name      string // the sealed name it was meant for
	Private   string // the engine's own name for it
	SizeBytes int64  // may include preallocated zeros
	Open      func() (File, error)
	Release   func() error // gives back room that was preallocated and is not used, and changes no byte; nil if there is none
}

// Growing is a file being written. One goroutine writes at a time; ReadAt may run beside it for offsets below what a returned Sync covers.
// After any error from Write, Sync or Publish every later call returns ErrFailed: the file stays failed.
type Growing interface {
	io.Writer
	io.ReaderAt
	// Align is the multiple in bytes to which the total written is best brought before a Sync; 1 means any. A Sync of another
	// total is as durable and writes its last block twice. The last write before Publish may end anywhere.
	Align() int
	// Sync returns when every byte written before the call is durable (fdatasync). It may run concurrently with Write:
	// it then covers at least what was written before it began.
	Sync() error
	// Publish makes all bytes durable, cuts the file to what was written, and stores it under its sealed name, durably;
	// ErrExist if that is taken. ReadAt still works after it; Close ends it.
	Publish() error
	// Close closes the file. Not published, it stays as a tail. It makes nothing durable.
	Close() error
}
