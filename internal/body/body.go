// Package body brings an object's bytes into packs and out of them again.
//
// In. Write cuts a stream into chunks by content, names each by a keyed digest, and appends those that the store does not hold yet
// to an open pack, compressed and encrypted. That alone promises nothing. Sync returns once every chunk that the body names is durable, in one fsync shared by
// all who wait; the caller may then commit the entry. Release ends the leases that kept the body's chunks from
// being erased meanwhile.
//
// Out. Read follows a body (a chunk, a manifest of chunks, a parts document of bodies) and opens each chunk's frame under
// GCM. A chunk that does not open, or is missing, is an error. The reader never sees a shorter object or other bytes.
//
// A chunk is a source for deduplication only once its pack's fsync has returned (DESIGN, invariant 12), or within the one
// body that wrote it, whose Sync waits for it.
//
// A failed write or fsync makes the whole store refuse to write until it is opened anew (DESIGN invariant 6). A full medium
// fails only the pack that met it.
//
// It trusts neither the engine nor a copy: every chunk is authenticated before it is used. It trusts the index for places only as hints, which the chunk's own frame proves.
package body

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/pack"
)

var (
	// ErrErased: a chunk of the body is in no pack any more.
	ErrErased = errors.New("erased")
	// ErrLength: the reader yielded more or fewer bytes than it was said to.
	ErrLength = errors.New("length differs from what was declared")
	// ErrFailed: an earlier write or fsync failed; nothing is written until the store is opened anew.
	ErrFailed = errors.New("body store failed earlier")
	// ErrReadOnly: the store was opened for reading.
	ErrReadOnly = errors.New("body store is read-only")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("body store is closed")
	// ErrUnrecovered: the chunk may be in a tail, which only opening for writing recovers.
	ErrUnrecovered = errors.New("not found, and a crash left files that are recovered by opening the store for writing")
)

// Place is where a chunk's frame is.
type Place struct {
	Pack   [16]byte
	Offset int64
	Length uint32 // of the whole frame
}

// Placed is a chunk and its place.
type Placed struct {
	ID    entry.ID
	Place Place
}

// Places is the index's map of chunks. Safe for concurrent use. It may lose what was added last in a crash, not something
// earlier: what was added or known after it is lost as well.
type Places interface {
	// Lookup finds a chunk. It answers for all that Add was given.
	Lookup(id entry.ID) (Place, bool, error)
	// Add records where durable chunks are; a later place replaces an earlier one.
	Add(placed []Placed) error
	// KnowPack records that all chunks of a sealed pack were added.
	KnowPack(pack [16]byte) error
	// KnowsPack reports whether KnowPack was called, in this life or an earlier one, and not lost.
	KnowsPack(pack [16]byte) (bool, error)
	// ForEach calls fn for every chunk, in any order, until fn fails. Add may run meanwhile.
	ForEach(fn func(id entry.ID, p Place) error) error
}

// Keys gives the keys of the store's files.
type Keys interface {
	// Current is the data key for new packs.
	Current() (keyID uint32)
	// Sealer makes the sealer of a file.
	Sealer(keyID uint32, file frame.FileID) (*frame.Sealer, error)
	// DedupKey keys chunk ids.
	DedupKey(keyID uint32) [32]byte
}

// Options say what a store stands on. Engine, Keys and Places are required.
type Options struct {
	Engine  engine.Engine // an engine.Appender, unless opened read-only
	Keys    Keys
	Places  Places
	StoreID [16]byte
	Epoch   uint32
	// PackBytes is the size of a pack; 0 is 64 MiB.
	PackBytes int64
	// Sealed, if set, is told of each pack that was sealed, once it is durable under its name. It is called from several goroutines, during
	// Open (recovered tails), Flush and Close too, and must call neither of these two. A crash can lose the call: PackInfo makes up for it.
	Sealed func(entry.Pack)
	// ReadOnly writes nothing: no recovery of tails, and places of unknown packs are kept in memory.
	ReadOnly bool
	// ReadTails has a ReadOnly store read in their places what a crash left in tails: for who holds the store, and can't write in it.
	ReadTails bool
	// Learn lets Places take the places of unknown packs though the store is ReadOnly.
	Learn bool

	// Copies, if set, gives the verified copies of the store elsewhere, in the order in which to ask them for what is damaged here.
	Copies func() []engine.Copy
	// Seal returns what the pack.seal entry of a pack says, false if there is none. nil: there are none.
	Seal func(ctx context.Context, name string) (entry.Pack, bool, error)
	// Healed, if set, is told of each pack that was replaced, once that is durable; Unhealed of one that could not be when a reader met damage in it. Both are called
	// from several goroutines, during Open too, and must not wait for the store.
	Healed   func(heal.Healed)
	Unhealed func(name string, err error)
	// Sound, if set, is told of each pack that was read whole because a reader met damage in it, and is as it was sealed.
	Sound func(name string)
	// Monotonic is a clock that nobody sets; nil: the system's.
	Monotonic func() time.Duration
}

// Store is where bodies are. Safe for concurrent use.
type Store struct {
	opt     Options
	app     engine.Appender // opt.Engine; nil if that can't append
	filter  *filter
	missed  atomic.Int64 // chunks asked for in vain before the filter was begun
	files   *fileCache
	lists   *listCache
	lanes   lanes
	streams atomic.Int32    // large bodies being written
	keys    sync.Map        // data key id → *keyState
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	work    sync.WaitGroup // background: seals, preparation of packs, filter
	turns   heal.Turns
	failure atomic.Pointer[error]
	closed  atomic.Bool
	stats   stats

	recovered recovered // what Open found; not changed after it

	mu      sync.Mutex
	packs   map[[16]byte]*packState
	order   [][16]byte             // sealed packs in the order in which they became known
	grown   map[*openPack]struct{} // packs that grow
	extra   map[entry.ID]Place     // read-only: chunks of packs that Places does not know
	pending map[entry.ID]Place     // bug.DedupUnsynced only

	damagedIndexes int // packs whose index was damaged when it was learned; guarded by mu

	// Of tails for which there was no room when they were to be recovered.
	recovering sync.Mutex
	anyLeft    atomic.Bool
	left       map[[16]byte]tail  // guarded by mu, as leftPlaces
	leftPlaces map[entry.ID]Place // of their chunks
}

// packState is a pack that is there, sealed or growing.
type packState struct {
	leases  int
	retired bool         // no source for deduplication any more
	open    *openPack    // while it grows
	header  frame.Header // of one that grew since Open
	info    *entry.Pack  // sealed since Open: what its pack.seal entry says
}

type stats struct {
	written, stored, dupBytes            atomic.Int64
	chunks, dups, packsSealed, packSyncs atomic.Int64
	filterFalse                          atomic.Int64
	rescued, healed                      atomic.Int64
}

// Stats are counters since Open, in bytes where the name says so, and gauges.
type Stats struct {
	WrittenBytes     int64 // of bodies written
	StoredBytes      int64 // of frames appended for them
	DuplicateBytes   int64 // of bodies, found to be there already
	Chunks           int64 // appended
	DuplicateChunks  int64
	PackSyncs        int64 // fsyncs of growing packs
	PacksSealed      int64
	Packs            int   // there now
	FilterBytes      int64 // memory of the filter
	FilterReady      bool
	FilterFalse      int64 // looks into the index that the filter should have spared
	DamagedPacks     int   // sealed packs whose index could not be read at Open
	RescuedChunks    int64 // read from a copy
	HealedPacks      int64
	UnrecoveredTails int // tails that Open left where they are, because something in them did not open
}

// Stats returns them.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	packs, damaged := len(s.packs), s.damagedIndexes
	s.mu.Unlock()
	return Stats{
		WrittenBytes: s.stats.written.Load(), StoredBytes: s.stats.stored.Load(), DuplicateBytes: s.stats.dupBytes.Load(),
		Chunks: s.stats.chunks.Load(), DuplicateChunks: s.stats.dups.Load(), PackSyncs: s.stats.packSyncs.Load(),
		PacksSealed: s.stats.packsSealed.Load(), Packs: packs, FilterBytes: s.filter.bytes(), FilterReady: s.filter.ready.Load(),
		RescuedChunks: s.stats.rescued.Load(), HealedPacks: s.stats.healed.Load(),
		FilterFalse: s.stats.filterFalse.Load(), DamagedPacks: damaged, UnrecoveredTails: s.recovered.tailsLeft,
	}
}

// writable says why nothing may be written now.
func (s *Store) writable() error {
	if s.opt.ReadOnly {
		return ErrReadOnly
	}
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.failure.Load(); err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, *err)
	}
	return nil
}

// fail notes an error of the medium. All but a full one end writing (invariant 6).
func (s *Store) fail(err error) {
	if !errors.Is(err, engine.ErrFull) {
		s.failure.CompareAndSwap(nil, &err)
	}
}

// Failed returns what made the store refuse to write, or nil.
func (s *Store) Failed() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// lookup finds a chunk's place.
func (s *Store) lookup(id *entry.ID) (Place, bool, error) {
	p, ok, err := s.opt.Places.Lookup(*id)
	if err != nil {
		return Place{}, false, fmt.Errorf("couldn't look up chunk %x: %w", id[:8], err)
	}
	if !ok && s.extra != nil {
		s.mu.Lock()
		p, ok = s.extra[*id]
		s.mu.Unlock()
	}
	if !ok && s.anyLeft.Load() {
		s.mu.Lock()
		p, ok = s.leftPlaces[*id]
		s.mu.Unlock()
	}
	return p, ok, nil
}

// addPlaces makes durable chunks known: first to the index, then to the filter. In that order, because the filter's yes sends the writer to the index.
func (s *Store) addPlaces(name pack.Name16, chunks []pack.Chunk) error {
	if len(chunks) == 0 {
		return nil
	}
	placed := make([]Placed, len(chunks))
	for i, c := range chunks {
		placed[i] = Placed{c.ID, Place{name, c.Offset, c.Length}}
	}
	if err := s.opt.Places.Add(placed); err != nil {
		return fmt.Errorf("couldn't index the chunks of pack %x: %w", name, err)
	}
	for i := range placed {
		s.filter.add(&placed[i].ID)
	}
	return nil
}
