package backup

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

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

// installers is how many files of an index are copied at once: the small ones are many requests.
const installers = 8

// installIndex makes the index's folder from a whole snapshot. Each file has the SHA-256 that the list says before it gets its name; the folder gets its own once all of them have theirs.
func (s *Backups) installIndex(ctx context.Context, snap *snapshot.Snapshot) error {
	fresh, at := s.core.Path(core.DirFreshIndex), s.core.Path(core.DirIndex)
	for _, left := range []string{fresh, at} { // by a call that was interrupted
		if err := s.core.FS.RemoveAll(left); err != nil && !core.IsNotExist(err) {
			return fmt.Errorf("couldn't remove %s: %w", left, err)
		}
	}
	if err := durable.MkdirAll(s.core.FS, fresh); err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(installers)
	for name, size := range snap.Sizes() {
		group.Go(func() error { return installFile(gctx, s, snap, name, size, s.core.FS.PathJoin(fresh, name)) })
	}
	if err := group.Wait(); err != nil {
		return errors.Join(err, s.core.FS.RemoveAll(fresh))
	}
	if err := s.core.FS.Rename(fresh, at); err != nil {
		return fmt.Errorf("couldn't name the index: %w", err)
	}
	return durable.SyncDir(s.core.FS, s.core.Dir())
}

func installFile(ctx context.Context, s *Backups, snap *snapshot.Snapshot, name string, size int64, path string) error {
	r, err := snap.Whole(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := durable.Create(s.core.FS, path+".tmp", path, size, r, 0o600); err != nil {
		return fmt.Errorf("couldn't copy %s of the index: %w", name, err)
	}
	return nil
}
