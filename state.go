package stele

import (
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

// Failed returns what ended writing (ErrFailed, ErrSuperseded), or nil. A failure anywhere ends it everywhere (DESIGN invariant 6). A store that is open for reading only has not failed.
func (s *Store) Failed() error { return s.core.Failed() }

// Writable returns why the store takes no writes now, as a load balancer asks; nil: it takes them.
func (s *Store) Writable() error { return s.core.Writable() }

// Room returns ErrFull while writes of bodies are refused for want of space, else nil.
func (s *Store) Room() error { return s.core.Room() }

// Stuck returns why a store that would take writes is open for reading only, nil if it is not: its disk was full at the start, or takes no writes.
func (s *Store) Stuck() error { return s.core.Stuck() }

// ID returns the store id, 32 hex digits.
func (s *Store) ID() string { return s.core.ID() }

// Dir returns the data folder.
func (s *Store) Dir() string { return s.core.Dir() }

// ReadOnly reports whether the store was opened for reading only.
func (s *Store) ReadOnly() bool { return s.core.ReadOnly() }

// Close takes no more calls (ErrClosed), waits for those under way, seals what is open and gives the lock back. A call that is in the middle of a body ends with ErrClosed at
// its next read or write; one that waits for its source or its reader is waited for, so cut their connections first. Readers that are open and not reading are not waited for.
// It must not be called from a function that a call of the store has called. A second Close waits for the first and returns nil.
func (s *Store) Close() (err error) { return s.core.Close() }
