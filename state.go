package stele

import (
	"context"

	"stele/entry"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/hydrate"
)

// What the rooms below say of themselves, as the store shows it.

// FullError is an ErrFull that knows the figures.
type FullError = core.FullError

// FailingWork is work beside requests that failed the last time it was tried.
type FailingWork = core.FailingWork

// WitnessStatus is how a witness stands.
type WitnessStatus = core.WitnessStatus

// Disk is how the disk that holds the store stands.
type Disk = core.Disk

// The kinds of work whose outcome others tell the store: see Outcomes.
const (
	WorkLifecycle = core.WorkLifecycle // of a bucket
	WorkDrills    = core.WorkDrills
	WorkTLS       = core.WorkTLS
)

// ErrNoWitness: the cosignatures that receipts must bear can't be had now. What the receipt would be of is as durable as ever.
var ErrNoWitness = care.ErrNoWitness

// What takes care of a store says: see internal/care.
type (
	Witness     = care.Witness     // somebody who cosigns the store's checkpoints
	ScrubStatus = care.ScrubStatus // how far the rolling scrub is
	Damage      = care.Damage      // a file that is known to be damaged and was not healed
	Failing     = care.Failing     // a file that was healed more than once lately: its medium fails
)

// TheFolder is where a verification finds what is wrong with none of the files: the store would not be opened for writing.
const TheFolder = care.TheFolder

// Serving from a backup: see internal/hydrate.
type (
	From      = hydrate.From      // says what to serve from
	Hydration = hydrate.Hydration // how far a folder that is served from a backup is filled
)

// ClockDoubt returns why the wall clock can't be right, nil if it may be: a program does not run before it was built, and hardly ten years after. It matters when a store is made, since the ledger's clock
// begins with the wall clock then, never goes back, and locks and keep periods are reckoned by it. A day is left for time zones that were mistaken for UTC.
func (s *Store) ClockDoubt() error { return s.core.ClockDoubt() }

// Failed returns what ended writing (ErrFailed, ErrSuperseded), or nil. A failure anywhere ends it everywhere (DESIGN invariant 6). A store that is open for reading only has not failed.
func (s *Store) Failed() error { return s.core.Failed() }

// Writable returns why the store takes no writes now, as a load balancer asks; nil: it takes them.
func (s *Store) Writable() error { return s.core.Writable() }

// KitWritten returns where Create wrote the recovery kit; empty for a store that was opened.
func (s *Store) KitWritten() string { return s.core.KitWritten() }

// Root returns the root access key.
func (s *Store) Root() entry.AccessKey { return s.core.Root() }

// Outcomes takes note of how work of a kind went: failed holds what did not succeed and why, by what was worked on. Everything else of that kind is well, or is not there any more.
func (s *Store) Outcomes(work string, failed map[string]error) { s.core.Outcomes(work, failed) }

// Outcome takes note of how work went of which there is one of its kind.
func (s *Store) Outcome(work string, err error) { s.core.Outcome(work, err) }

// FailingWork returns what fails beside requests, in order of what it is.
func (s *Store) FailingWork() []FailingWork { return s.core.FailingWork() }

// Witnesses returns how the witnesses stand, in order of name; where no server runs, those of the last one.
func (s *Store) Witnesses() []WitnessStatus { return s.core.Witnesses() }

// Stuck returns why a store that would take writes is open for reading only, nil if it is not: its disk was full at the start, or takes no writes.
func (s *Store) Stuck() error { return s.core.Stuck() }

// Space returns free and total bytes of the disk that holds the store, and whether they could be told.
func (s *Store) Space() (free, total uint64, ok bool) { return s.core.Space() }

// Disk returns how the disk stands.
func (s *Store) Disk() (d Disk) { return s.core.Disk() }

// Room returns ErrFull while writes of bodies are refused for want of space, else nil.
func (s *Store) Room() error { return s.core.Room() }

// ID returns the store id, 32 hex digits.
func (s *Store) ID() string { return s.core.ID() }

// Dir returns the data folder.
func (s *Store) Dir() string { return s.core.Dir() }

// Size returns the ledger size: the number of durable, applied entries.
func (s *Store) Size() uint64 { return s.core.Size() }

// ReadOnly reports whether the store was opened for reading only.
func (s *Store) ReadOnly() bool { return s.core.ReadOnly() }

// Close takes no more calls (ErrClosed), waits for those under way, seals what is open and gives the lock back. A call that is in the middle of a body ends with ErrClosed at
// its next read or write; one that waits for its source or its reader is waited for, so cut their connections first. Readers that are open and not reading are not waited for.
// It must not be called from a function that a call of the store has called. A second Close waits for the first and returns nil.
func (s *Store) Close() (err error) { return s.core.Close() }

// Supersede ends writing for good, in this process and after it: another primary has begun a later epoch, and by says who told. When it returns, nothing is acknowledged any
// more, and unless it returns an error, a durable mark in the folder says so to every later Open. Reads go on.
//
// A present epoch that is not older is an error, and nothing ends.
func (s *Store) Supersede(epoch uint32, by string) error { return s.core.Supersede(epoch, by) }

// Damaged returns the files that are known to be damaged and were not healed, in order of name, also those whose entries are still to be written.
func (s *Store) Damaged() (out []Damage, err error) { return s.care.Damaged() }

// FailingFiles returns the files that were healed more than once lately.
func (s *Store) FailingFiles() (out []Failing, err error) { return s.care.FailingFiles() }

// ScrubStatus says how far the rolling scrub is.
func (s *Store) ScrubStatus() ScrubStatus { return s.care.ScrubStatus() }

// Scrubbed says how far the rolling scrub is, also of a store in which none runs: as its newest entry has it, with the days of the server that wrote that.
func (s *Store) Scrubbed(ctx context.Context) (ScrubStatus, error) { return s.care.Scrubbed(ctx) }

// Hydration returns how far the folder is filled; false for a store that is not served from a backup.
func (s *Store) Hydration() (Hydration, bool) { return s.over.Hydration() }

// Hydrated returns a channel that is closed when the folder has everything; nil for a store that is not served from a backup.
func (s *Store) Hydrated() <-chan struct{} { return s.over.Hydrated() }
