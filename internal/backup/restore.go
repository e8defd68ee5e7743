package backup

import (
	"cmp"
	"context"
	"fmt"

	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/hydrate"
	"stele/internal/keyring"
	"stele/internal/replicate"
)

// RestoreOptions say what to restore.
type RestoreOptions struct {
	Target        engine.Engine
	Name          string // how the target is named to people: a URL without credentials
	AcceptLacking bool   // finish although packs are missing or damaged on the target
	Progress      func(done, total int64)
}

// Restored is what a restore of a folder did.
type Restored struct {
	replicate.RestoreReport
	Store string // its id
	Epoch uint32 // that the copy is in
}

// RestoreFolder makes the folder, which is missing, empty, or was left by an interrupted RestoreFolder of the same store, a full copy of what a target holds. All of it is verified while it is copied. The
// copy is open for reading only until Promote makes it the primary of a new epoch, from its end or from an earlier moment, or ContinueEpoch that of the old one.
//
// The mark says from which store the folder is made before anything else lies there, and that it is full once all does. A crash in between leaves whole, proven files: the same call goes on with what is missing,
// and Open refuses the folder until then.
func (s *Backups) RestoreFolder(ctx context.Context, opt RestoreOptions) (out Restored, err error) {
	if err := s.core.MakeFolder(); err != nil {
		return out, core.Translate(err)
	}
	err = s.core.Locked(func() error {
		out, err = s.restoreFolder(ctx, opt)
		return err
	})
	return out, err
}

func (s *Backups) restoreFolder(ctx context.Context, opt RestoreOptions) (Restored, error) {
	b := &hydrate.Backing{From: hydrate.From{Target: opt.Target, Name: opt.Name}}
	if err := s.over.ReadMark(b); err != nil {
		return Restored{}, err
	}
	source, err := replicate.OpenSource(ctx, opt.Target)
	if err != nil {
		return Restored{}, err
	}
	if s.core.Keys, err = s.sourceKeys(ctx, source); err != nil {
		return Restored{}, err
	}
	out := Restored{Store: s.core.ID(), Epoch: s.core.Keys.Epoch}
	switch {
	case b.Mark.Store != "" && b.Mark.Store != s.core.ID():
		return out, fmt.Errorf("%s was begun from a backup of store %s, the target holds store %s: name another folder, or another target", s.core.Dir(), b.Mark.Store, s.core.ID())
	case b.Mark.Full: // by an earlier call
		return out, s.refusePromoted(ctx, b)
	case b.Mark.Store == "":
		b.Mark = hydrate.Mark{V: 1, Store: s.core.ID(), Target: opt.Name}
		if err := s.over.WriteMark(b.Mark); err != nil {
			return out, err
		}
	}
	local, err := dir.Open(s.core.FS, s.core.Dir(), dir.Options{})
	if err != nil {
		return out, err
	}
	out.RestoreReport, err = replicate.Restore(ctx, source, local, replicate.RestoreOptions{Keys: s.core.Keys, Format: core.FormatText, AcceptLacking: opt.AcceptLacking, Progress: opt.Progress})
	if err != nil {
		return out, err
	}
	if len(out.Lacking) == 0 { // else the index has places in packs that are nowhere
		if err := s.restoreIndex(ctx, opt.Target, local); err != nil {
			return out, err
		}
	}
	b.Mark.Full = true
	return out, s.over.WriteMark(b.Mark)
}

// refusePromoted refuses a folder that was restored and promoted before.
func (s *Backups) refusePromoted(ctx context.Context, b *hydrate.Backing) error {
	local, err := dir.Open(s.core.FS, s.core.Dir(), dir.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	if promoted, err := b.Mark.IsPromoted(ctx, local); err != nil || promoted {
		return cmp.Or(err, fmt.Errorf("%s is not empty: it is the primary of epoch %d since an earlier restore. Name an empty or missing folder with --data", s.core.Dir(), b.Mark.Epoch))
	}
	return nil
}

// sourceKeys opens the keyring of the epoch that a source is in.
func (s *Backups) sourceKeys(ctx context.Context, source *replicate.Source) (*keyring.Keyring, error) {
	id, err := s.core.Identity()
	if err != nil {
		return nil, err
	}
	if err := s.over.Sift(ctx, source, id); err != nil {
		return nil, err
	}
	epoch, err := core.NewestEpoch(ctx, source, id)
	if err != nil {
		return nil, err
	}
	return keyring.LoadEpoch(ctx, source, max(epoch, 1), id)
}

// ContinueEpoch makes a full copy of a backup the primary of the same epoch: for who knows that the old primary is gone for good. If it is not, two primaries write two histories under one name, and each
// target and standby will refuse one of them; Promote has no such danger. A crash before the mark is removed leaves a full copy that waits, whose keyring this machine opens already.
func (s *Backups) ContinueEpoch(ctx context.Context) error {
	if err := s.core.CheckIsStore(); err != nil {
		return core.Translate(err)
	}
	return s.core.Locked(func() error { return s.continueEpoch(ctx) })
}

func (s *Backups) continueEpoch(ctx context.Context) (err error) {
	b := &hydrate.Backing{}
	if err := s.over.ReadMark(b); err != nil {
		return err
	}
	if !b.Mark.Full || b.Mark.Epoch > 0 {
		return core.BadState("%s is not a full copy of a backup that waits for its promotion", s.core.Dir())
	}
	if s.core.Engine, err = dir.Open(s.core.FS, s.core.Dir(), dir.Options{}); err != nil {
		return err
	}
	id, err := s.core.Identity()
	if err != nil {
		return err
	}
	if err := s.core.LoadKeys(ctx, id); err != nil {
		return err
	}
	if err := s.core.SaveKeysHere(ctx, s.core.Keys); err != nil {
		return err
	}
	return s.over.DropMark() // the commit point
}
