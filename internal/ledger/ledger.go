// Package ledger is the log: the one place where a change becomes true.
//
// One goroutine, the sequencer, takes what was proposed while the last fsync ran and decides each proposal in order. It encodes, hashes and signs the batch, writes
// it with its signed tree head to the active segment, and syncs that: the commit point. A second goroutine
// applies the batch to whatever is derived (Options.Apply) and wakes those who wait; meanwhile the next batch is on its way.
//
// It promises that what was acknowledged is found by every later Open, or that Open says what is missing; that entries have one order and a time that never decreases; and that after a
// failed write nothing more is written. It trusts the keyring and a successful fsync. Files are verified when they are opened, and again where they are read.
// docs/COMMIT.md has the steps, and what a crash after each leaves.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/heal"
	"stele/internal/keyring"
	"stele/internal/segment"
	"stele/tree"
)

var (
	// ErrFailed: a write or an fsync failed, or a batch could not be applied. Nothing is written any more until the ledger is opened again
	// (DESIGN invariant 6). Whether an entry that was under way is there, only the next Open knows.
	ErrFailed = errors.New("the ledger failed and takes no more entries until it is opened again")
	// ErrClosed: the ledger was closed, or opened read-only.
	ErrClosed = errors.New("the ledger is closed for writing")
	// ErrExist: Create found a ledger.
	ErrExist = errors.New("there is a ledger already")
	// ErrNone: Open found no ledger.
	ErrNone = errors.New("there is no ledger")
	// ErrBehind: somebody has seen more of this ledger than is left of it (DESIGN invariant 5). See BehindError.
	ErrBehind = errors.New("the ledger is behind what was seen of it")
	// ErrForked: somebody has seen another ledger under the same name: history was rewritten.
	ErrForked = errors.New("the ledger is not the one that was seen before")
	// ErrSuperseded: a later epoch has begun elsewhere. This ledger takes no more entries; what it holds beyond the cut is evidence. See SupersededError.
	ErrSuperseded = errors.New("a later epoch of this ledger has begun")
	// ErrTail: entries stand in a tail that a crash left; opening the store for writing once recovers them.
	ErrTail = errors.New("the ledger was not closed")
	// ErrRange: no such entry, or no such size.
	ErrRange = errors.New("beyond the ledger")
)

// BehindError says who saw what. errors.Is(err, ErrBehind).
type BehindError struct {
	By        string
	Saw, Have uint64
}

// Error implements error.
func (e *BehindError) Error() string {
	return fmt.Sprintf("%s has seen %d entries of this ledger, but it holds only %d: it was rolled back, or files are missing. Put the newer files back, or restore from a copy into an empty folder; the reading verbs show what is here", e.By, e.Saw, e.Have)
}

// Unwrap returns ErrBehind.
func (e *BehindError) Unwrap() error { return ErrBehind }

// SupersededError says who knows of which later epoch. errors.Is(err, ErrSuperseded).
type SupersededError struct {
	By           string
	Epoch, Known uint32 // the later epoch, and the one that this ledger is in
}

// Error implements error.
func (e *SupersededError) Error() string {
	return fmt.Sprintf("%s knows of epoch %d of this ledger, which is in epoch %d: another primary has taken over", e.By, e.Epoch, e.Known)
}

// Unwrap returns ErrSuperseded.
func (e *SupersededError) Unwrap() error { return ErrSuperseded }

// Slot is the place that a proposal will have if it is accepted.
type Slot struct {
	Index uint64
	Time  time.Time
}

// Draft is what a proposal wants recorded.
type Draft struct {
	Type    entry.Type
	Private entry.Private
}

// Decide decides a proposal. It runs on the sequencer's goroutine, in commit order, and must not block. An error is a refusal: no entry
// is made, and the refusal reaches the caller only after everything decided before it is durable and applied.
type Decide func(at Slot) (Draft, error)

// Seen is how much of the ledger someone has seen.
type Seen struct {
	By    string // "the index", "target nas"
	Size  uint64
	Epoch uint32    // in which that size was; 0: not known, taken for the present one
	Root  tree.Hash // of that size; zero: not known
}

// Published keeps the newest published checkpoint in a small file. Store replaces it, durably.
type Published interface {
	Load() ([]byte, error)   // nil, nil if there is none
	Store(note []byte) error // returns when it is durable
}

// Options say what ledger to open, and who wants to know.
type Options struct {
	Engine engine.Engine    // an engine.Appender, unless opened read-only
	Keys   *keyring.Keyring // of the newest epoch of which there is a segment
	Clock  Clock            // nil: SystemClock
	// ReadTails has OpenReadOnly read what a crash left in tails, from memory: for who holds the store, and can't write in it.
	ReadTails bool
	// VKey is for Follow without keys: the verifier key whose commits are followed. Keys then has the store id, the epoch and the reigns before it only.
	VKey string
	// Ends are for Follow: for each epoch before that of Keys whose entries count, the first entry of the next one's first segment. Up to there the epoch's segments count.
	Ends map[uint32]uint64

	// Apply derives what is derived from entries: one batch at a time, in order, on a goroutine of its own. After its error the
	// ledger has failed. nil: nothing is derived.
	Apply func(batch []entry.Entry) error
	// Decided, if set, is told of each entry as soon as it is decided and encoded, on the sequencer's goroutine before the next Decide: for
	// the overlay of entries not yet applied. The entry isn't durable yet; if that fails, the ledger has failed.
	Decided func(e *entry.Entry)
	// Rotated is called after a segment was sealed, on a goroutine of its own.
	Rotated func()

	SegmentBytes int64         // about where a segment is sealed and the next begun; 0: 16 MiB
	PublishEvery time.Duration // the least time between two published checkpoints; 0: 1 s
	Published    Published     // nil: not kept
	Unpublished  func(error)   // if set, is told of each try to keep the published checkpoint: nil, or why it could not be kept
	Seen         []Seen        // Open compares the ledger with them

	// Copies, if set, gives the verified copies of the store elsewhere, in the order in which to ask them for a sealed segment that is damaged or gone. It is called during
	// Open too.
	Copies func() []engine.Copy
	// Healed, if set, is told of each segment that was replaced, once that is durable. It must not wait for the ledger.
	Healed func(heal.Healed)
	// Unhealed, if set, is told of a sealed segment in which a reader met damage that could not be healed. It must not wait for the ledger.
	Unhealed func(name string, err error)
}

const (
	defaultSegmentBytes = 16 << 20
	defaultPublishEvery = time.Second
	applyQueue          = 4 // batches that may be durable and not applied yet
)

// Ledger is the ordered entries and their tree. Its methods may be called concurrently.
type Ledger struct {
	opt      Options
	signer   *tree.Signer
	keys     map[uint32][]*tree.Verifier // every key that may have signed commits, by epoch
	readOnly bool

	queue   queue
	seq     sequencer // owned by the sequencer's goroutine
	apply   chan applied
	sealing chan sealing
	publish publisher
	workers sync.WaitGroup
	failure atomic.Pointer[error]
	ended   atomic.Pointer[SupersededError]
	turns   heal.Turns
	spoilt  atomic.Uint64 // first entry + 1 of a segment that grows and is damaged: it is to be sealed
	closing sync.Once
	closed  error
	foreign []string // found when it was opened; not changed after

	mu       sync.RWMutex // guards the rest: what readers see
	head     head
	groups   []tree.Hash // of the 256-leaf groups complete at head.size
	blocks   []tree.Hash // see tree.Reader
	newest   []tree.Hash // leaf hashes from newestAt on: of entries appended since Open in the last two groups
	newestAt uint64
	segments []*file // ascending, without gaps
	open     openFiles
	leaves   leafCache
}

// head is the newest durable tree head.
type head struct {
	size   uint64
	root   tree.Hash
	commit segment.Commit // zero in an empty ledger
	signer *tree.Verifier // by whom commit is signed; nil in an empty ledger
}

// Append proposes an entry and waits until it is durable and applied, or refused. ctx withdraws a proposal that is not decided yet; later it has no effect.
// The errors: decide's own; ErrFailed; ErrClosed; ctx's; entry.ErrTooLarge and the like for a draft that can't be an entry.
func (l *Ledger) Append(ctx context.Context, decide Decide) (entry.Entry, error) {
	if l.readOnly {
		return entry.Entry{}, fmt.Errorf("%w: it was opened read-only", ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return entry.Entry{}, err
	}
	if err := l.superseded(); err != nil {
		return entry.Entry{}, err
	}
	p := &proposal{decide: decide, done: make(chan struct{})}
	if err := l.queue.add(p); err != nil {
		return entry.Entry{}, l.failedOr(err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		if p.withdraw() {
			return entry.Entry{}, ctx.Err()
		}
		<-p.done // decided: only its end tells what became of it
	}
	return p.entry, p.err
}

// fail makes the ledger fail for good, and returns the error for the callers.
func (l *Ledger) fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	l.failure.CompareAndSwap(nil, &err)
	return *l.failure.Load()
}

// failed returns the error after which nothing is written.
func (l *Ledger) failed() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *Ledger) failedOr(err error) error {
	if failed := l.failed(); failed != nil {
		return failed
	}
	return err
}

// Supersede ends writing for good: a later epoch has begun. What waits is refused with ErrSuperseded; when it returns, everything that was under way is answered. The ledger is closed as
// ever, so that what it holds is sealed.
func (l *Ledger) Supersede(why *SupersededError) {
	l.ended.CompareAndSwap(nil, why)
	last := &proposal{decide: func(Slot) (Draft, error) { return Draft{}, why }, done: make(chan struct{})}
	if !l.readOnly && l.queue.add(last) == nil { // answers come in order, and this one is the last
		<-last.done
	}
}

func (l *Ledger) superseded() error {
	if why := l.ended.Load(); why != nil {
		return why
	}
	return nil
}

// Err returns nil while the ledger takes entries, or what Append would say.
func (l *Ledger) Err() error {
	if l.readOnly {
		return ErrClosed
	}
	if err := l.superseded(); err != nil {
		return err
	}
	return l.failed()
}

// Size is the number of durable entries.
func (l *Ledger) Size() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head.size
}

// Head is the size and the root of the durable ledger.
func (l *Ledger) Head() (uint64, tree.Hash) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head.size, l.head.root
}

// Root is the root of the tree when the ledger had this size.
func (l *Ledger) Root(ctx context.Context, size uint64) (tree.Hash, error) {
	return l.reader(ctx).Root(size)
}

// Checkpoint is the signed note of the newest durable size.
func (l *Ledger) Checkpoint() []byte {
	l.mu.RLock()
	h := l.head
	l.mu.RUnlock()
	return l.note(h)
}

func (l *Ledger) note(h head) []byte {
	if h.signer == nil {
		return nil
	}
	return h.signer.Note(h.size, h.root, tree.Signature(h.commit.Signature))
}

// VKey is the verifier key of the ledger's signer.
func (l *Ledger) VKey() string { return l.signer.String() }

// Epoch is the present epoch.
func (l *Ledger) Epoch() uint32 { return l.opt.Keys.Epoch }

// Origin is the ledger's name in its checkpoints.
func (l *Ledger) Origin() string { return l.signer.Origin() }

// Drifting says whether the wall clock has now parted from the ledger's (DESIGN invariant 9): erasing must wait. A ledger opened read-only doesn't know.
func (l *Ledger) Drifting() bool {
	if l.readOnly {
		return false
	}
	return l.ClockState().Held
}

// Close commits what was proposed before, seals the active segment, publishes the last checkpoint and closes the files. After a failure it
// closes them only, leaves the tail to the next Open, and returns the failure.
func (l *Ledger) Close() error {
	l.closing.Do(func() { l.closed = l.close() })
	return l.closed
}

func (l *Ledger) close() error {
	var errs []error
	if !l.readOnly {
		l.queue.close()
		l.workers.Wait()
		errs = append(errs, l.seq.finish(l), l.failed())
		l.publish.stop(l)
	}
	return errors.Join(append(errs, l.open.close())...)
}
