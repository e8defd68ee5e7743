package stele

import (
	"context"
	"errors"
	"strings"

	"stele/internal/backup"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/epoch"
	"stele/internal/hydrate"
	"stele/internal/replica"
)

// Rooms are the rooms below a store, for the programs of this module: internal/node makes a server's calls of them. No other module can name their types.
type Rooms struct {
	Core    *core.Store
	Care    *care.Care
	Over    *hydrate.Store
	Backups *backup.Backups
	Epochs  *epoch.Epochs
	Replica *replica.Replica
}

// Rooms returns the rooms below the store.
func (s *Store) Rooms() Rooms { return Rooms{s.core, s.care, s.over, s.backup, s.epochs, s.replica} }

// hooks are where the rooms above the opening take part in the life of a store.
func (s *Store) hooks() core.Hooks {
	return core.Hooks{
		Check: s.opt.checkWitnesses, Waits: s.over.CheckFrom, Seen: s.backup.SeenByTargets, Followers: s.epochs.FollowersSay, Copies: s.backup.Copies, Fetch: s.backup.FetchPacks,
		Prepare:  s.prepareFindings,
		Rows:     s.sealedRows,
		Applied:  func() { s.replica.Changed.Tell(0); s.backup.WakeTargets() },
		Healed:   s.care.NoteHealed,
		Unhealed: s.care.NoteUnhealed,
		Sound:    s.care.NoteSound,
		Damaged:  func(name string, err error) { s.care.NoteDamage(name, care.ByStart, err) },
		Begin:    s.beginRooms,
		Stopped:  s.stopRooms,
		Leave:    s.care.LeaveFindings,
		Chores:   s.chores(),
	}
}

func (s *Store) chores() core.Chores {
	losses, held := core.Chore{What: "recording what targets lost", Do: s.backup.AppendLosses}, core.Chore{What: "recording what targets hold", Do: s.backup.AppendHeld}
	return core.Chores{
		First: []core.Chore{{What: "wrapping the keyring for the admitted standbys", Do: s.replica.WrapKeys}, {What: "comparing the packs with their seal entries", Do: s.comparePacks}},
		Woken: []core.Chore{{What: "recording heals", Do: s.care.AppendHeals}, {What: "recording damage", Do: s.care.AppendFindings}, losses,
			{What: "recording that targets hold something", Do: s.backup.AppendFirstHeld}, {What: "keeping in mind which targets are reached", Do: s.backup.KeepReached}, {What: "snapshots of the index", Do: s.backup.SnapshotTargets}},
		Minute:   []core.Chore{{What: "removing targets that are due", Do: s.backup.RemoveDue}, held, {What: "keeping in mind what targets hold", Do: s.backup.KeepKnown}},
		Stopping: []core.Chore{losses, held},
		Last: func(ctx context.Context) error {
			return errors.Join(s.care.AppendHeals(ctx), s.care.AppendFindings(ctx))
		},
	}
}

func (s *Store) prepareFindings() {
	if err := s.care.TakeFindings(); err != nil {
		s.core.Log.Error("what earlier verifications found is not known", "err", err)
	}
}

// beginRooms starts what runs beside requests in a store that takes writes.
func (s *Store) beginRooms() error {
	if s.opt.Witnesses != nil { // else the store was opened for a verb, which says nothing of them
		s.core.KnowWitnesses(witnessNames(s.opt.Witnesses))
	}
	if s.opt.ScrubDays > 0 {
		s.core.Beside(func() { s.care.RunScrub(s.core.Life()) })
	}
	if len(s.opt.Witnesses) > 0 {
		s.core.Beside(s.care.KeepCosigned)
	}
	return s.backup.SyncTargets()
}

// comparePacks finds the packs that lack their seal entry, and the entries that lack their pack.
func (s *Store) comparePacks(ctx context.Context) error {
	return errors.Join(s.core.Unsealed(ctx), s.care.HealMissing(ctx))
}

// stopRooms ends what beginRooms began. Nothing else runs beside requests any more.
func (s *Store) stopRooms() {
	s.backup.StopTargets()
	if s.core.Begun() && s.core.TakesWrites() {
		if err := s.backup.KeepKnown(context.Background()); err != nil {
			s.core.Log.Warn("what is known of the targets is forgotten at the next start", "err", err)
		}
	}
}

// checkWitnesses refuses what can't be met.
func (o *Options) checkWitnesses() error {
	names := map[string]bool{}
	for _, w := range o.Witnesses {
		if names[w.Name] {
			return core.BadValue("witness %s is named twice", w.Name)
		}
		names[w.Name] = true
	}
	if o.RequireWitnesses < 0 || o.RequireWitnesses > len(o.Witnesses) {
		return core.BadValue("%d witnesses are required, %d are named: %s", o.RequireWitnesses, len(o.Witnesses), strings.Join(witnessNames(o.Witnesses), ", "))
	}
	return nil
}

func witnessNames(all []care.Witness) (names []string) {
	for _, w := range all {
		names = append(names, w.Name)
	}
	return names
}
