package stele

import (
	"context"
	"errors"

	"stele/internal/core"
)

// rooms are where the rooms above the opening take part in the life of a store.
func (s *Store) rooms() core.Hooks {
	return core.Hooks{
		Check: s.opt.checkWitnesses, Waits: s.checkFrom, Seen: s.seenByTargets, Followers: s.followersSay, Copies: s.Copies, Fetch: s.fetchPacks,
		Prepare:  s.prepareFindings,
		Rows:     s.sealedRows,
		Applied:  func() { s.changed.tell(0); s.wakeTargets() },
		Healed:   s.healed,
		Unhealed: s.unhealed,
		Sound:    s.readSound,
		Damaged:  func(name string, err error) { s.damaged(name, byStart, err) },
		Begin:    s.beginRooms,
		Stopped:  s.stopRooms,
		Leave:    s.leaveFindings,
		Chores:   s.chores(),
	}
}

func (s *Store) chores() core.Chores {
	losses, held := core.Chore{What: "recording what targets lost", Do: s.appendLosses}, core.Chore{What: "recording what targets hold", Do: s.appendHeld}
	return core.Chores{
		First: []core.Chore{{What: "wrapping the keyring for the admitted standbys", Do: s.wrapKeys}, {What: "comparing the packs with their seal entries", Do: s.comparePacks}},
		Woken: []core.Chore{{What: "recording heals", Do: s.appendHeals}, {What: "recording damage", Do: s.appendFindings}, losses,
			{What: "recording that targets hold something", Do: s.appendFirstHeld}, {What: "keeping in mind which targets are reached", Do: s.keepReached}, {What: "snapshots of the index", Do: s.snapshotTargets}},
		Minute:   []core.Chore{{What: "removing targets that are due", Do: s.removeDue}, held, {What: "keeping in mind what targets hold", Do: s.keepKnown}},
		Stopping: []core.Chore{losses, held},
		Last:     func(ctx context.Context) error { return errors.Join(s.appendHeals(ctx), s.appendFindings(ctx)) },
	}
}

func (s *Store) prepareFindings() {
	if err := s.takeFindings(); err != nil {
		s.core.Log.Error("what earlier verifications found is not known", "err", err)
	}
}

// beginRooms starts what runs beside requests in a store that takes writes.
func (s *Store) beginRooms() error {
	if s.opt.Witnesses != nil { // else the store was opened for a verb, which says nothing of them
		s.core.KnowWitnesses(witnessNames(s.opt.Witnesses))
	}
	if s.opt.ScrubDays > 0 {
		s.core.Background.Go(func() { s.runScrub(s.core.Life) })
	}
	if len(s.opt.Witnesses) > 0 {
		s.core.Background.Add(1)
		go s.keepCosigned()
	}
	return s.syncTargets()
}

// comparePacks finds the packs that lack their seal entry, and the entries that lack their pack.
func (s *Store) comparePacks(ctx context.Context) error {
	return errors.Join(s.core.Unsealed(ctx), s.healMissing(ctx))
}

// stopRooms ends what beginRooms began. Nothing else runs beside requests any more.
func (s *Store) stopRooms() {
	s.stopTargets()
	if s.core.Begun && s.core.State.TakesWrites() {
		if err := s.keepKnown(context.Background()); err != nil {
			s.core.Log.Warn("what is known of the targets is forgotten at the next start", "err", err)
		}
	}
}
