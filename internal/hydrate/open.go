package hydrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"filippo.io/age"

	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/replicate"
	"stele/internal/segment"
	"stele/internal/snapshot"
)

// From says what to serve from.
type From struct {
	Target engine.Engine // the target, not as a source: snapshots of the index lie on it too
	Name   string        // how the target is named to people, and in the folder: a URL without credentials
	// RateBytes bounds filling the folder, in bytes a second; 0: as fast as it goes. What is asked for is read at once whatever it is.
	RateBytes int64
	// AcceptLacking lets the folder become a store of its own though packs are missing or damaged on this target and on every other one: reading what lay in them fails.
	AcceptLacking bool
	NoFill        bool // nothing is filled: what is asked for is read from the target and no more, as a drill does
}

// Mark is the content of the file of that name.
type Mark struct {
	V        int    `json:"v"`
	Store    string `json:"store"`              // store id, hex
	Target   string `json:"target"`             // From.Name
	Snapshot string `json:"snapshot,omitempty"` // the list on the target from whose files the index began, while some are missing
	Full     bool   `json:"full,omitempty"`     // the folder has everything
	Epoch    uint32 `json:"epoch,omitempty"`    // the epoch that is, or was to be, begun here
	VKey     string `json:"vkey,omitempty"`     // its verifier key
}

// Backing is what a store that serves from a backup reads beneath its folder.
type Backing struct {
	From
	Mark     Mark
	lower    *lowerLayer
	local    *dir.Dir
	promoted bool               // the folder is the primary of an epoch that began in it
	snapshot *snapshot.Snapshot // where missing tables of the index lie; nil: none are missing
	fill     filling
}

// IsWhole reports whether the folder is a store that needs no target.
func (s *Store) IsWhole() (bool, error) {
	if _, err := s.core.FS.Stat(s.core.Path(core.FileFrom)); !core.IsNotExist(err) {
		return false, err
	}
	_, err := s.core.FS.Stat(s.core.Path(core.FileFormat))
	if core.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

// openFolderOver opens the folder, which is locked, over the target.
func (s *Store) openFolderOver(ctx context.Context, b *Backing) error {
	if err := s.ReadMark(b); err != nil {
		return err
	}
	if err := s.core.Sweep(); err != nil {
		return err
	}
	return s.openLayers(ctx, b)
}

// ReadMark reads what an earlier Serve or restore left, and refuses a folder that holds anything else.
func (s *Store) ReadMark(b *Backing) error {
	text, err := core.ReadFile(s.core.FS, s.core.Path(core.FileFrom))
	if core.IsNotExist(err) {
		empty, err := core.IsEmpty(s.core.FS, s.core.Dir())
		if err == nil && !empty {
			err = fmt.Errorf("%s is not empty, and was not begun from a backup: name an empty or missing folder with --data", s.core.Dir())
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", s.core.Path(core.FileFrom), err)
	}
	b.Mark, err = parseMark(text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.core.Path(core.FileFrom), err)
	}
	return nil
}

// parseMark parses a mark. core.ErrCorrupt, core.ErrVersion.
func parseMark(text []byte) (m Mark, err error) {
	if err := json.Unmarshal(text, &m); err != nil || m.Store == "" {
		return m, fmt.Errorf("%w: it does not say from which backup the folder was begun. Copy the file back from a backup of the folder. Without one keep the folder, since it may hold what no backup has, and begin in another, empty one with --data", core.ErrCorrupt)
	}
	if m.V > 1 {
		return m, fmt.Errorf("%w: version %d", core.ErrVersion, m.V)
	}
	return m, nil
}

// WriteMark replaces the mark in the folder, durably.
func (s *Store) WriteMark(m Mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := durable.Replace(s.core.FS, s.core.Path(core.FileFrom), append(text, '\n'), durable.PrivateFile); err != nil {
		return fmt.Errorf("couldn't write %s: %w", s.core.Path(core.FileFrom), err)
	}
	return nil
}

// CheckFrom refuses to open a folder as a store of its own while it is part of one. waits: it is a full copy that waits for its promotion, and is opened for reading only; promoted: it is a full copy that
// has become a primary, and is still marked.
func (s *Store) CheckFrom(ctx context.Context) (waits, promoted bool, err error) {
	text, err := core.ReadFile(s.core.FS, s.core.Path(core.FileFrom))
	if core.IsNotExist(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("couldn't read %s: %w", s.core.Path(core.FileFrom), err)
	}
	m, err := parseMark(text)
	switch {
	case err != nil:
		return false, false, fmt.Errorf("%s: %w", s.core.Path(core.FileFrom), err)
	case !m.Full:
		return false, false, fmt.Errorf("%w: %s holds a part of the backup at %s. Start the server with --from %s, until all of it is here", core.ErrNotStore, s.core.Dir(), m.Target, m.Target)
	}
	local, err := dir.Open(s.core.FS, s.core.Dir(), dir.Options{ReadOnly: true})
	if err == nil {
		promoted, err = m.IsPromoted(ctx, local)
	}
	return err == nil && !promoted, promoted, err
}

// openLayers opens the folder over the target, and the keyring in them. A folder that was promoted is a primary of its own: its keyring is its own, and of the target it reads only what was
// there before its epoch. What it has shipped since it holds itself, and what others have begun there is not its history.
func (s *Store) openLayers(ctx context.Context, b *Backing) (err error) {
	if b.local, err = dir.Open(s.core.FS, s.core.Dir(), dir.Options{}); err != nil {
		return err
	}
	if b.promoted, err = b.Mark.IsPromoted(ctx, b.local); err != nil {
		return err
	}
	below, sealed := uint32(0), b.localPacks
	if b.promoted {
		below = b.Mark.Epoch
	} else {
		sealed = nil
	}
	source, err := replicate.OpenSourceBelow(ctx, b.Target, below)
	if err != nil {
		return err
	}
	if b.lower, err = newLowerLayer(ctx, source, sealed); err != nil {
		return err
	}
	s.core.Engine = replicate.Layer(b.local, b.lower)
	if b.promoted {
		err = s.openOwnKeys(ctx, b)
	} else {
		err = s.openKeysOver(ctx, source)
	}
	if err != nil {
		return err
	}
	if err := s.checkMark(b); err != nil {
		return err
	}
	if b.promoted {
		return nil
	}
	return s.dropStaleSegments(ctx, b)
}

// checkMark compares what an earlier start wrote down with what the target holds, or writes it down.
func (s *Store) checkMark(b *Backing) error {
	if b.Mark.Store == "" {
		b.Mark = Mark{V: 1, Store: s.core.ID(), Target: b.Name}
		return s.WriteMark(b.Mark)
	}
	if b.Mark.Store != s.core.ID() {
		return fmt.Errorf("%s was begun from a backup of store %s, the target holds store %s: name another folder, or another target", s.core.Dir(), b.Mark.Store, s.core.ID())
	}
	if b.Mark.Full { // it may lack by now what came to the target since
		b.Mark.Full = false
		return s.WriteMark(b.Mark)
	}
	return nil
}

// openKeysOver opens the keyring of the epoch that folder and target are in.
func (s *Store) openKeysOver(ctx context.Context, source *replicate.Source) error {
	id, err := s.core.Identity()
	if err == nil {
		err = s.Sift(ctx, source, id)
	}
	if err == nil {
		err = s.core.LoadKeys(ctx, id)
	}
	return err
}

// openOwnKeys opens the keyring of the epoch that began in this folder, from the folder alone: the target may hold that of a later epoch, which another primary has begun.
func (s *Store) openOwnKeys(ctx context.Context, b *Backing) error {
	id, err := s.core.Identity()
	if err != nil {
		return err
	}
	if s.core.Keys, err = keyring.LoadEpoch(ctx, b.local, b.Mark.Epoch, id); err != nil {
		return err
	}
	if s.core.Keys.Epoch != b.Mark.Epoch {
		return fmt.Errorf("%w: %s is in epoch %d and its keyring is of epoch %d: bring the folder's own keyring back from its target", core.ErrWrongKey, s.core.Dir(), b.Mark.Epoch, s.core.Keys.Epoch)
	}
	return s.ownEpoch(&b.Mark)
}

// localPacks are the packs that the folder itself holds.
func (b *Backing) localPacks(ctx context.Context) (map[string]bool, error) {
	packs := map[string]bool{}
	err := b.local.List(ctx, engine.Packs, func(i engine.Info) error { packs[i.Name] = true; return nil })
	return packs, err
}

// dropStaleSegments removes from the folder what the target has in another shape by now: the tail of a ledger that went on. A segment whose entries the target does not hold is kept: it may be the last
// copy of them.
func (s *Store) dropStaleSegments(ctx context.Context, b *Backing) error {
	epoch, size := b.lower.source.Head()
	var stale []string
	_, foreign, err := ledger.SegmentNames(ctx, b.local, s.core.Keys)
	if err != nil {
		return err
	}
	err = b.local.List(ctx, engine.Segments, func(i engine.Info) error {
		if slices.Contains(foreign, i.Name) {
			return nil
		}
		if n, ok := b.lower.size(i.Name); ok && n == i.SizeBytes {
			return nil
		}
		of, end, err := s.endOfSegment(ctx, b.local, i)
		if err == nil && of == epoch && end > size {
			s.core.Log.Error("the backup holds fewer entries than this folder got from a newer one, or from the same one before it lost some: the folder keeps the newer ones, and shows them", "backup", b.Name, "holds", size, "folder", end)
			return nil
		}
		stale = append(stale, i.Name)
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range stale {
		err = errors.Join(err, durable.Remove(s.core.FS, s.core.Path(name)))
	}
	return err
}

// endOfSegment reads in a sealed segment of which epoch it is, and the size of the ledger at its end. One that can't be read ends nowhere: it is as good as not there.
func (s *Store) endOfSegment(ctx context.Context, local *dir.Dir, i engine.Info) (epoch uint32, end uint64, err error) {
	f, err := local.Open(ctx, i.Name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	h, foot, err := segment.ReadFooter(f, f.Size())
	if err != nil {
		s.core.Log.Warn("a segment in the folder is damaged, it is read from the backup", "segment", i.Name, "reason", err)
		return 0, 0, nil
	}
	return h.Epoch, foot.Commit.Size, nil
}

// learnMoved makes known the packs that took the place of one that is gone from the target.
func (s *Store) learnMoved(ctx context.Context) {
	if err := s.core.Body.LearnMore(ctx); err != nil {
		s.core.Log.Warn("couldn't read the packs that came to the backup", "err", err)
	}
}

// Serve lets the folder be opened over a backup: what it returns is for the opening.
func (s *Store) Serve(from From) *core.Layer {
	b := &Backing{From: from}
	b.fill.full, b.fill.ended = make(chan struct{}), make(chan struct{})
	s.from = b
	return s.layer(b)
}

// OpenForPromotion opens a folder, which is locked, over its backup as far as a promotion needs it, with what the new epoch rests on in the folder. promoted: it was promoted before, and nothing was brought.
func (s *Store) OpenForPromotion(ctx context.Context, from From) (promoted bool, err error) {
	b := &Backing{From: from}
	if err := s.openFolderOver(ctx, b); err != nil || b.promoted {
		return b.promoted, err
	}
	s.from = b
	return false, s.bringTails(ctx)
}

// layer is the backup, as the opening needs it.
func (s *Store) layer(b *Backing) *core.Layer {
	return &core.Layer{
		OpenFolder: func(ctx context.Context) error {
			if err := s.core.MakeFolder(); err != nil {
				return err
			}
			if err := s.core.LockFolder(); err != nil {
				return err
			}
			return s.openFolderOver(ctx, b)
		},
		Promoted:    func() bool { return b.promoted },
		IndexStands: func() bool { return b.indexStands(s) },
		ReadAhead:   s.readAheadOver,
		OpenIndex:   s.openIndexOver,
		Settle:      s.settleOver,
		Fill:        s.startFilling,
		Below:       s.snapshotTables,
		Forget:      s.dropSnapshot,
		Name:        b.Name,
	}
}

// readAheadOver reads the ends of the segments that lie beneath the folder before the ledger asks for them, until the function that it returns is called.
func (s *Store) readAheadOver(ctx context.Context) (end func()) {
	segments, err := s.missing(ctx, engine.Segments)
	if err != nil {
		return func() {} // the ledger meets the same error, and says so
	}
	return s.from.lower.readAhead(ctx, segments)
}

// settleOver lets a folder over a backup know what is asked for, and keeps what is written from now on from depending on the backup.
func (s *Store) settleOver(ctx context.Context, st core.State) error {
	s.from.lower.tell(s.from.fill.ask, s.learnMoved)
	if st == core.Serving {
		return nil
	}
	return s.retireMissing(ctx)
}

// Backup is what the store is served from; false: the folder is all there is.
func (s *Store) Backup() (From, bool) {
	if s.from == nil {
		return From{}, false
	}
	return s.from.From, true
}

// Source is the backup as it is read; nil: there is none, or it is not open yet.
func (s *Store) Source() *replicate.Source {
	if s.from == nil || s.from.lower == nil {
		return nil
	}
	return s.from.lower.source
}

// Sift names the files that a source leaves out since nothing shows them to be segments of this store. An error if a keyring knows of their epoch: then they are what is left of its segments.
func (s *Store) Sift(ctx context.Context, source *replicate.Source, id age.Identity) error {
	foreign := source.Foreign()
	if len(foreign) == 0 {
		return nil
	}
	newest, err := core.NewestKeyring(ctx, source, id)
	if err == nil && newest != nil {
		err = source.Miss(newest)
	}
	if err == nil {
		s.core.Log.Warn("files on the target bear names of segments and are not of this store: they are left alone and not read. Find out who put them there", "files", foreign)
	}
	return err
}
