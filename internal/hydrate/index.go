package hydrate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/index"
	"stele/internal/replicate"
	"stele/internal/snapshot"
)

// indexStands reports whether the index in the folder can be opened before the ledger: it is there, and rests on no snapshot.
func (b *Backing) indexStands(s *Store) bool {
	_, err := s.core.FS.Stat(s.core.Path(core.DirIndex))
	return err == nil && b.Mark.Snapshot == ""
}

// openIndexOver opens the index of the folder, or begins one from the newest snapshot that proves itself, or an empty one, into which the whole ledger is folded.
func (s *Store) openIndexOver(ctx context.Context) (err error) {
	b := s.from
	opt := s.Opt.Snapshots()
	_, statErr := s.core.FS.Stat(s.core.Path(core.DirIndex))
	if begun := statErr == nil; begun {
		if b.Mark.Snapshot == "" {
			return s.core.OpenIndex()
		}
		if b.snapshot, err = snapshot.Reopen(ctx, b.Target, b.Mark.Snapshot, opt); err == nil {
			return s.core.OpenIndex()
		}
		s.core.Log.Warn("the index is begun anew", "reason", err)
		if err := s.core.FS.RemoveAll(s.core.Path(core.DirIndex)); err != nil {
			return fmt.Errorf("couldn't remove the index: %w", err)
		}
	}
	if b.snapshot, err = snapshot.Find(ctx, b.Target, opt); err != nil {
		s.core.Log.Warn("no snapshot of the index can be had, the whole ledger is read", "reason", err)
	}
	if b.snapshot != nil {
		if err := s.beginIndex(ctx); err != nil {
			return err
		}
	}
	return s.core.OpenIndex()
}

// beginIndex makes the index's folder from the small files of the snapshot; its tables stay on the target. Nothing of it is fsynced: what a power cut spoils doesn't open, and an index
// that doesn't open is made anew.
func (s *Store) beginIndex(ctx context.Context) error {
	b := s.from
	var small []string
	for name := range b.snapshot.Sizes() {
		if !index.IsTable(name) {
			small = append(small, name)
		}
	}
	fresh, err := s.FreshIndex(ctx, small, s.copySmall)
	if err != nil {
		return fmt.Errorf("couldn't begin the index: %w", err)
	}
	// The mark comes before the name: an index whose tables lie on the target must not be met without the word where. After a crash the mark names a snapshot and there is no index, and it is begun anew.
	b.Mark.Snapshot = b.snapshot.Name()
	if err := s.WriteMark(b.Mark); err != nil {
		return err
	}
	if err := s.core.FS.Rename(fresh, s.core.Path(core.DirIndex)); err != nil {
		return fmt.Errorf("couldn't begin the index: %w", err)
	}
	return nil
}

// copySmall copies a small file of the snapshot.
func (s *Store) copySmall(ctx context.Context, name, path string) error {
	r, err := s.from.snapshot.Whole(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := s.core.FS.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// snapshotTables are the tables of the snapshot, for the index that began from it; nil if it did not.
func (s *Store) snapshotTables() *index.Below {
	if s.from.snapshot == nil {
		return nil
	}
	b := s.from
	below := &index.Below{Sizes: map[string]int64{}, Open: func(name string) (index.ReaderAtCloser, error) { return b.snapshot.Open(s.core.Life(), name) }}
	for name, size := range b.snapshot.Sizes() {
		if index.IsTable(name) {
			below.Sizes[name] = size
		}
	}
	return below
}

// dropSnapshot notes that the index does not rest on a snapshot any more.
func (s *Store) dropSnapshot() error {
	if s.from.Mark.Snapshot == "" {
		return nil
	}
	s.from.snapshot, s.from.Mark.Snapshot = nil, ""
	return s.WriteMark(s.from.Mark)
}

// parallelSmall is how many files of an index are brought at once: the small ones are many requests.
const parallelSmall = 8

// FreshIndex makes a folder for an index that is begun, index.fresh, and brings files of a snapshot into it, several at once: copy brings one, by its name, to a path. It returns the folder, to which the
// caller gives its name once it has all that the caller needs. A crash leaves the folder, and the next start sweeps it: nobody opens an index by that name.
func (s *Store) FreshIndex(ctx context.Context, names []string, copy func(ctx context.Context, name, path string) error) (fresh string, err error) {
	fresh = s.core.Path(core.DirFreshIndex)
	if err := s.core.FS.RemoveAll(fresh); err != nil && !core.IsNotExist(err) {
		return fresh, fmt.Errorf("couldn't remove %s: %w", fresh, err)
	}
	if err := s.core.FS.MkdirAll(fresh, 0o700); err != nil {
		return fresh, err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelSmall)
	for _, name := range names {
		group.Go(func() error { return copy(gctx, name, s.core.FS.PathJoin(fresh, name)) })
	}
	return fresh, group.Wait()
}

// bringIndex brings the tables that the index still reads from the snapshot.
func (s *Store) bringIndex(ctx context.Context) error {
	b := s.from
	if b.snapshot == nil {
		return nil
	}
	sizes := b.snapshot.Sizes()
	for _, name := range s.core.Index.Missing() {
		if err := s.bring(ctx, name, sizes[name], s.core.FS.PathJoin(s.core.Path(core.DirIndex), name), b.fill.limit); err != nil && !errors.Is(err, durable.ErrExist) {
			return err
		}
		s.core.Index.Arrived()
	}
	s.core.Index.Arrived()
	if b.Mark.Snapshot == "" {
		return nil
	}
	b.Mark.Snapshot = ""
	return s.WriteMark(b.Mark)
}

// bring copies a file of the snapshot to a path, durably, once it has proven itself.
func (s *Store) bring(ctx context.Context, name string, size int64, path string, limit *rate.Limiter) error {
	r, err := s.from.snapshot.Whole(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	err = durable.Create(s.core.FS, path+"."+durable.Random()+".tmp", path, size, replicate.PacedReader(ctx, r, limit, s.from.fill.count), 0o600)
	if err != nil {
		return fmt.Errorf("couldn't bring %s of the index: %w", name, err)
	}
	return nil
}
