package stele

import (
	"context"
	"errors"
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

type (
	ledgerSlot  = ledger.Slot
	ledgerDraft = ledger.Draft
)

// seals are packs that were sealed and whose pack.seal entry is still to be written. A crash loses the queue, not the packs: unsealed finds them at the next start.
type seals struct {
	mu    sync.Mutex
	queue []entry.Pack
	wake  chan struct{}
}

func (s *Store) openBody(ctx context.Context) (err error) {
	if err := s.takeFindings(); err != nil {
		s.log.Error("what earlier verifications found is not known", "err", err)
	}
	s.body, err = body.Open(ctx, body.Options{
		Engine: s.eng, Keys: bodyKeys{s.keys}, Places: bodyPlaces{s.index}, StoreID: s.keys.StoreID, Epoch: s.keys.Epoch,
		PackBytes: s.opt.PackBytes, ReadOnly: s.opt.ReadOnly, ReadTails: s.stuck != nil, Learn: s.state == copied || s.state == serving, Sealed: s.sealed,
		Copies: s.Copies, Seal: s.sealOf, Healed: s.healed, Unhealed: s.unhealed, Sound: s.readSound, Monotonic: s.monotonic,
	})
	return err
}

// sealed takes note of a sealed pack. It is called on the goroutine that sealed it and doesn't wait for the ledger.
func (s *Store) sealed(p entry.Pack) {
	s.seals.mu.Lock()
	s.seals.queue = append(s.seals.queue, p)
	s.seals.mu.Unlock()
	s.wakeHousekeeping()
}

func (s *Store) wakeHousekeeping() {
	select {
	case s.seals.wake <- struct{}{}:
	default:
	}
}

// appendSeals writes the pack.seal entries of all packs that were sealed.
func (s *Store) appendSeals(ctx context.Context) error {
	s.seals.mu.Lock()
	queue := s.seals.queue
	s.seals.queue = nil
	s.seals.mu.Unlock()
	for i, p := range queue {
		if _, err := s.commit(ctx, Actor{Key: actorStele}, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
			return ledgerDraft{Type: entry.PackSeal, Private: entry.Private{Pack: &p}}, nil
		}); err != nil {
			s.seals.mu.Lock()
			s.seals.queue = append(queue[i:len(queue):len(queue)], s.seals.queue...)
			s.seals.mu.Unlock()
			return err
		}
	}
	return nil
}

// unsealed queues the sealed packs that have no pack.seal entry: a crash came between the two.
func (s *Store) unsealed(ctx context.Context) error {
	var names []string
	if err := s.eng.List(ctx, engine.Packs, func(f engine.Info) error {
		known, err := s.index.Sealed(f.Name)
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
		// Verified first: what rotted since must not be sealed as it is.
		r, err := s.body.VerifyPack(ctx, name)
		if err != nil && s.body.Heal(ctx, name, err) == nil {
			r, err = s.body.VerifyPack(ctx, name)
		}
		if err != nil {
			s.damaged(name, byStart, err)
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
	defer s.done.Done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-s.stop
		cancel()
	}()
	if s.opt.ScrubDays > 0 {
		s.done.Go(func() { s.runScrub(ctx) })
	}
	left := s.round(ctx, []chore{{"wrapping the keyring for the admitted standbys", s.wrapKeys}, {"comparing the packs with their seal entries", s.comparePacks}})
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-s.stop:
			s.round(context.Background(), []chore{s.denialsChore(), s.lossesChore(), s.heldChore()})
			return
		case <-s.seals.wake:
			s.round(ctx, s.wokenChores())
		case <-minute.C:
			left = s.round(ctx, left) // of the start, until they have succeeded
			s.round(ctx, s.minuteChores())
		}
	}
}

func (s *Store) denialsChore() chore { return chore{"recording refusals", s.appendDenials} }
func (s *Store) lossesChore() chore  { return chore{"recording what targets lost", s.appendLosses} }
func (s *Store) heldChore() chore    { return chore{"recording what targets hold", s.appendHeld} }

// wokenChores are done as soon as there is something to do.
func (s *Store) wokenChores() []chore {
	return []chore{{"sealing packs", s.appendSeals}, {"recording heals", s.appendHeals}, {"recording damage", s.appendFindings}, s.lossesChore(),
		{"recording that targets hold something", s.appendFirstHeld}, {"keeping in mind which targets are reached", s.keepReached}, {"snapshots of the index", s.snapshotTargets}}
}

// minuteChores are done each minute: those that woke it too, since what failed then is tried again.
func (s *Store) minuteChores() []chore {
	return append(s.wokenChores(), chore{"recovering what a crash left on a full disk", s.recoverLeft}, s.denialsChore(), chore{"removing targets that are due", s.removeDue}, s.heldChore(), chore{"keeping in mind what targets hold", s.keepKnown})
}

// comparePacks finds the packs that lack their seal entry, and the entries that lack their pack.
func (s *Store) comparePacks(ctx context.Context) error {
	return errors.Join(s.unsealed(ctx), s.healMissing(ctx))
}

// bodyKeys gives the body the keys it needs.
type bodyKeys struct{ ring *keyring.Keyring }

func (k bodyKeys) Current() uint32 { return k.ring.Current().ID }

func (k bodyKeys) Sealer(id uint32, file frame.FileID) (*frame.Sealer, error) {
	return k.ring.Sealer(id, file)
}

func (k bodyKeys) DedupKey(id uint32) (key [32]byte) {
	for _, d := range k.ring.DataKeys {
		if d.ID == id {
			return d.Dedup
		}
	}
	return key
}

// bodyPlaces lets the body keep its places in the index.
type bodyPlaces struct{ db *index.DB }

func (p bodyPlaces) Lookup(id entry.ID) (body.Place, bool, error) {
	at, ok, err := p.db.Place(id)
	return body.Place(at), ok, err
}

func (p bodyPlaces) Add(placed []body.Placed) error {
	ids, at := make([]entry.ID, len(placed)), make([]index.Place, len(placed))
	for i := range placed {
		ids[i], at[i] = placed[i].ID, index.Place(placed[i].Place)
	}
	return p.db.AddPlaces(ids, at)
}

func (p bodyPlaces) KnowPack(pack [16]byte) error          { p.db.KnowPack(pack); return nil }
func (p bodyPlaces) KnowsPack(pack [16]byte) (bool, error) { return p.db.KnowsPack(pack), nil }
func (p bodyPlaces) ForEach(fn func(entry.ID, body.Place) error) error {
	return p.db.EachPlace(func(id entry.ID, at index.Place) error { return fn(id, body.Place(at)) })
}

// publishedFile keeps the newest published checkpoint beside the engine's folders.
type publishedFile struct{ s *Store }

func (p publishedFile) Load() ([]byte, error) {
	b, err := readFile(p.s.fs, p.s.path(filePublished))
	if isNotExist(err) {
		return nil, nil
	}
	return b, err
}

func (p publishedFile) Store(note []byte) error {
	return durable.Replace(p.s.fs, p.s.path(filePublished), note, durable.PrivateFile)
}

// unpublished takes note when the published checkpoint begins to lag behind the ledger because it can't be kept, and when it no longer does. Writes go on, and it is tried again every second. The ledger calls it from one goroutine at a time.
func (s *Store) unpublished() func(error) {
	said := false // an earlier process may have left word that it lags
	return func(err error) {
		if err != nil || !said {
			s.outcome(workPublished, "", err)
		}
		said = err == nil
	}
}
