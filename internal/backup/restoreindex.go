package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/ledger"
	"stele/internal/snapshot"
)

// restoreIndex brings the index to a restored folder from the newest snapshot on the target that proves itself, so that opening the folder folds what came after it and not the whole ledger. With
// none, or one that fails, the index is missing, and opening makes it from the ledger: nothing is lost but time.
func (s *Backups) restoreIndex(ctx context.Context, target, local engine.Engine) error {
	l, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: local, Keys: s.core.Keys})
	if err != nil {
		return err
	}
	s.core.SetLedger(l)
	defer func() {
		s.core.SetLedger(nil)
		_ = l.Close() // only read
	}()
	snap, err := snapshot.Find(ctx, target, s.SnapshotOptions())
	if err == nil && snap != nil {
		err = s.installIndex(ctx, snap)
	}
	if err != nil && ctx.Err() == nil {
		s.core.Log.Warn("no snapshot of the index can be had, the index will be made from the ledger", "reason", err)
		err = nil
	}
	return err
}

// installIndex makes the index's folder from a whole snapshot. Each file has the SHA-256 that the list says before it gets its name; the folder gets its own once all of them have theirs. So a crash leaves
// no index, or a whole one.
func (s *Backups) installIndex(ctx context.Context, snap *snapshot.Snapshot) error {
	at := s.core.Path(core.DirIndex)
	if err := s.core.FS.RemoveAll(at); err != nil && !core.IsNotExist(err) { // by a call that was interrupted
		return fmt.Errorf("couldn't remove %s: %w", at, err)
	}
	sizes := snap.Sizes()
	fresh, err := s.over.FreshIndex(ctx, slices.Collect(maps.Keys(sizes)), func(ctx context.Context, name, path string) error {
		r, err := snap.Whole(ctx, name)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := durable.Create(s.core.FS, path+".tmp", path, sizes[name], r, 0o600); err != nil {
			return fmt.Errorf("couldn't copy %s of the index: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, s.core.FS.RemoveAll(fresh))
	}
	if err := s.core.FS.Rename(fresh, at); err != nil {
		return fmt.Errorf("couldn't name the index: %w", err)
	}
	return durable.SyncDir(s.core.FS, s.core.Dir())
}
