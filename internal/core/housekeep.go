package core

import (
	"context"
	"slices"
	"sync"
	"time"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// seals are packs that were sealed and whose pack.seal entry is still to be written. A crash loses the queue, not the packs: unsealed finds them at the next start.
type seals struct {
	mu    sync.Mutex
	queue []entry.Pack
	wake  chan struct{}
}

func (s *Store) openBody(ctx context.Context) (err error) {
	s.Hooks.Prepare()
	s.Body, err = body.Open(ctx, body.Options{
		Engine: s.Engine, Keys: BodyKeys{Ring: s.Keys}, Places: BodyPlaces{DB: s.Index}, StoreID: s.Keys.StoreID, Epoch: s.Keys.Epoch,
		PackBytes: s.opt.PackBytes, ReadOnly: !s.state.recovers(), ReadTails: s.stuck != nil, Learn: s.state == Copied || s.state == Serving, Sealed: s.sealed,
		Copies: s.Hooks.Copies, Seal: s.SealOf, Healed: s.Hooks.Healed, Unhealed: s.Hooks.Unhealed, Sound: s.Hooks.Sound, Monotonic: s.Monotonic,
	})
	return err
}

// sealed takes note of a sealed pack. It is called on the goroutine that sealed it and doesn't wait for the ledger.
func (s *Store) sealed(p entry.Pack) {
	s.seals.mu.Lock()
	s.seals.queue = append(s.seals.queue, p)
	s.seals.mu.Unlock()
	s.WakeHousekeeping()
}

// WakeHousekeeping has what waits to be written looked at soon. It never waits.
func (s *Store) WakeHousekeeping() {
	select {
	case s.seals.wake <- struct{}{}:
	default:
	}
}

// appendSeals writes the pack.seal entries of all packs that were sealed. Those that could not be written stay in the queue, in their order.
func (s *Store) appendSeals(ctx context.Context) error {
	s.seals.mu.Lock()
	queue := s.seals.queue
	s.seals.queue = nil
	s.seals.mu.Unlock()
	for i, p := range queue {
		if _, err := s.Record(ctx, Who{Key: ActorStele}, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
			return ledger.Draft{Type: entry.PackSeal, Private: entry.Private{Pack: &p}}, nil
		}); err != nil {
			s.seals.mu.Lock()
			s.seals.queue = append(queue[i:len(queue):len(queue)], s.seals.queue...)
			s.seals.mu.Unlock()
			return err
		}
	}
	return nil
}

// Unsealed queues the sealed packs that have no pack.seal entry: a crash came between the two.
func (s *Store) Unsealed(ctx context.Context) error {
	var names []string
	if err := s.Engine.List(ctx, engine.Packs, func(f engine.Info) error {
		known, err := s.Index.Sealed(f.Name)
		if err == nil && !known {
			names = append(names, f.Name)
		}
		return err
	}); err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil || s.queuedSeal(name) {
			continue
		}
		// The pack is verified first: the entry says its SHA-256 for good, and what rotted since must not be sealed as it is.
		r, err := s.Body.VerifyPack(ctx, name)
		if err != nil && s.Body.Heal(ctx, name, err) == nil {
			r, err = s.Body.VerifyPack(ctx, name)
		}
		if err != nil {
			s.Hooks.Damaged(name, err)
			continue
		}
		s.sealed(r.Pack)
	}
	return nil
}

func (s *Store) queuedSeal(name string) bool {
	s.seals.mu.Lock()
	defer s.seals.mu.Unlock()
	for _, p := range s.seals.queue {
		if p.Name == name {
			return true
		}
	}
	return false
}

// housekeep writes what accrues beside requests: pack.seal entries, the minute's refusals.
func (s *Store) housekeep() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-s.stop
		cancel()
	}()
	left := s.round(ctx, s.Hooks.Chores.First)
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-s.stop:
			s.round(context.Background(), append([]Chore{s.denialsChore()}, s.Hooks.Chores.Stopping...))
			return
		case <-s.seals.wake:
			s.round(ctx, s.wokenChores())
		case <-minute.C:
			left = s.round(ctx, left) // of the start, until they have succeeded
			s.round(ctx, s.minuteChores())
		}
	}
}

func (s *Store) denialsChore() Chore { return Chore{What: "recording refusals", Do: s.appendDenials} }

// wokenChores are done as soon as there is something to do.
func (s *Store) wokenChores() []Chore {
	return append([]Chore{{What: "sealing packs", Do: s.appendSeals}}, s.Hooks.Chores.Woken...)
}

// minuteChores are done each minute: those that woke it too, since what failed then is tried again.
func (s *Store) minuteChores() []Chore {
	return slices.Concat(s.wokenChores(), []Chore{{What: "recovering what a crash left on a full disk", Do: s.recoverLeft}, s.denialsChore()}, s.Hooks.Chores.Minute)
}

// Chores are the housekeeping of the rooms above.
type Chores struct {
	First    []Chore                         // at the start; those that fail are tried again each minute
	Woken    []Chore                         // as soon as there is something to do, and each minute
	Minute   []Chore                         // each minute
	Stopping []Chore                         // when the store is closed
	Last     func(ctx context.Context) error // the last entries, before the ledger is closed
}

// BodyKeys gives the body the keys it needs.
type BodyKeys struct{ Ring *keyring.Keyring }

// Current implements body.Keys.
func (k BodyKeys) Current() uint32 { return k.Ring.Current().ID }

// Sealer implements body.Keys.
func (k BodyKeys) Sealer(id uint32, file frame.FileID) (*frame.Sealer, error) {
	return k.Ring.Sealer(id, file)
}

// DedupKey implements body.Keys.
func (k BodyKeys) DedupKey(id uint32) (key [32]byte) {
	for _, d := range k.Ring.DataKeys {
		if d.ID == id {
			return d.Dedup
		}
	}
	return key
}

// BodyPlaces lets the body keep its places in the index.
type BodyPlaces struct{ DB *index.DB }

// Lookup implements body.Places.
func (p BodyPlaces) Lookup(id entry.ID) (body.Place, bool, error) {
	at, ok, err := p.DB.Place(id)
	return body.Place(at), ok, err
}

// Add implements body.Places.
func (p BodyPlaces) Add(placed []body.Placed) error {
	ids, at := make([]entry.ID, len(placed)), make([]index.Place, len(placed))
	for i := range placed {
		ids[i], at[i] = placed[i].ID, index.Place(placed[i].Place)
	}
	return p.DB.AddPlaces(ids, at)
}

// KnowPack implements body.Places.
func (p BodyPlaces) KnowPack(pack [16]byte) error { p.DB.KnowPack(pack); return nil }

// KnowsPack implements body.Places.
func (p BodyPlaces) KnowsPack(pack [16]byte) (bool, error) { return p.DB.KnowsPack(pack), nil }

// ForEach implements body.Places.
func (p BodyPlaces) ForEach(fn func(entry.ID, body.Place) error) error {
	return p.DB.EachPlace(func(id entry.ID, at index.Place) error { return fn(id, body.Place(at)) })
}

// publishedFile keeps the newest published checkpoint beside the engine's folders.
type publishedFile struct{ s *Store }

func (p publishedFile) Load() ([]byte, error) {
	b, err := ReadFile(p.s.FS, p.s.Path(FilePublished))
	if IsNotExist(err) {
		return nil, nil
	}
	return b, err
}

func (p publishedFile) Store(note []byte) error {
	return durable.Replace(p.s.FS, p.s.Path(FilePublished), note, durable.PrivateFile)
}

// unpublished takes note when the published checkpoint begins to lag behind the ledger because it can't be kept, and when it no longer does. Writes go on, and it is tried again every second. The ledger calls it from one goroutine at a time.
func (s *Store) unpublished() func(error) {
	said := false // an earlier process may have left word that it lags
	return func(err error) {
		if err != nil || !said {
			s.OutcomeOf(workPublished, "", err)
		}
		said = err == nil
	}
}
