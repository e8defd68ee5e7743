package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/index"
	"stele/internal/ledger"
	"stele/internal/snapshot"
)

const (
	indexName = "index" // the Name of backup.index entries
)

// snapshots takes one snapshot of the index at a time.
type snapshots struct {
	Every uint64       // entries after which one is due; 0: SnapshotEntries. Set by tests before use
	Taken func()       // told of each round that the store has taken by itself. Set by tests before use
	rest  atomic.Int64 // time on the monotonic clock before which the store takes none by itself
	mu    sync.Mutex
	key   uint32                   // the data key under which known is sealed
	known map[string]snapshot.File // what the last one said of tables of this index, which never change
}

// IndexSnapshot is what SnapshotIndex did.
type IndexSnapshot struct {
	Size         uint64 // the ledger size that it is of
	Entry        uint64 // the backup.index entry
	Bytes        int64  // of the index
	ShippedBytes int64  // to all targets: what they did not have yet
}

// SnapshotIndex takes a snapshot of the index and brings it to targets, in chunks that only who holds the store's keys can read, so that `stele serve --from` need not fold the ledger anew.
// The store goes on meanwhile. What a target has of it already is not shipped again, and all but the newest two snapshots are removed there. A target that fails does not
// keep the others from theirs; the errors are joined.
func (s *Backups) SnapshotIndex(ctx context.Context, targets ...engine.Engine) (done IndexSnapshot, err error) {
	if err := s.core.Enter(); err != nil {
		return done, err
	}
	defer s.core.Leave()
	ctx, cancel := s.core.UntilClosed(ctx)
	defer cancel()
	if !s.core.TakesWrites() {
		return done, s.core.Refusal()
	}
	s.Snapshots.mu.Lock()
	defer s.Snapshots.mu.Unlock()
	at := s.core.Path(core.DirCheckpoint)
	if err := s.core.FS.RemoveAll(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return done, fmt.Errorf("couldn't remove an earlier checkpoint of the index: %w", err)
	}
	defer func() { err = s.core.ClosedOr(errors.Join(err, s.core.FS.RemoveAll(at))) }()
	if done.Size, err = s.core.Index.Checkpoint(at); err != nil {
		return done, err
	}
	taken, err := s.takeSnapshot(ctx, at, done.Size)
	if err != nil {
		return done, err
	}
	for _, f := range taken.Files {
		done.Bytes += f.SizeBytes
	}
	return done, s.shipSnapshot(ctx, taken, targets, &done)
}

func (s *Backups) takeSnapshot(ctx context.Context, at string, size uint64) (*snapshot.Taken, error) {
	files, err := checkpointFiles(s.core.FS, at)
	if err != nil {
		return nil, err
	}
	if s.Snapshots.key != s.core.Keys.Current().ID {
		s.Snapshots.key, s.Snapshots.known = s.core.Keys.Current().ID, nil
	}
	taken, err := snapshot.Take(ctx, files, size, index.Format, s.core.Keys.StoreID, core.BodyKeys{Ring: s.core.Keys}, s.Snapshots.known)
	if err != nil {
		return nil, err
	}
	s.Snapshots.known = map[string]snapshot.File{}
	for _, f := range taken.Files {
		if index.IsTable(f.Name) {
			s.Snapshots.known[f.Name] = f
		}
	}
	return taken, nil
}

// shipSnapshot brings packs to the targets, then writes the entry, then the lists: a crash in between leaves packs that the next snapshot uses or removes, or an entry without a list, which is no harm.
func (s *Backups) shipSnapshot(ctx context.Context, taken *snapshot.Taken, targets []engine.Engine, done *IndexSnapshot) error {
	var errs []error
	var have []engine.Engine
	for _, t := range targets {
		n, err := taken.Ship(ctx, t)
		done.ShippedBytes += n
		if err != nil {
			errs = append(errs, err)
			continue
		}
		have = append(have, t)
	}
	if len(have) == 0 {
		return errors.Join(errs...)
	}
	var err error
	if done.Entry, err = s.noteSnapshot(ctx, taken); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, t := range have {
		if err := taken.Publish(ctx, t, done.Entry); err != nil {
			errs = append(errs, err)
			continue
		}
		if _, err := snapshot.Prune(ctx, t, s.core.Keys.StoreID, core.BodyKeys{Ring: s.core.Keys}); err != nil {
			s.core.Log.Debug("superseded snapshots of the index stay on a target", "reason", err)
		}
	}
	return errors.Join(errs...)
}

// noteSnapshot writes the backup.index entry.
func (s *Backups) noteSnapshot(ctx context.Context, taken *snapshot.Taken) (uint64, error) {
	doc, err := taken.Bytes()
	if err != nil {
		return 0, err
	}
	w, err := s.core.WriteDocument(ctx, doc)
	if err != nil {
		return 0, err
	}
	defer w.Release()
	c, err := s.core.Record(ctx, core.Who{Key: core.ActorStele}, func(index.Reader, ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.BackupIndex, Private: entry.Private{Name: indexName, Target: taken.Size, Doc: &w.Body}}, nil
	})
	return c.Entry, err
}

// SnapshotOptions say which snapshots to believe.
func (s *Backups) SnapshotOptions() snapshot.Options {
	return snapshot.Options{Store: s.core.Keys.StoreID, Keys: core.BodyKeys{Ring: s.core.Keys}, Format: index.Format, Size: s.core.Ledger().Size(), Confirm: s.confirmSnapshot,
		Passed: func(name string, why error) {
			s.core.Log.Warn("a snapshot of the index is of no use", "name", name, "reason", why)
		}}
}

// confirmSnapshot asks the ledger whether a backup.index entry says what a target's list says.
func (s *Backups) confirmSnapshot(ctx context.Context, c snapshot.Claim) (bool, error) {
	e, _, _, err := s.core.Ledger().Entry(ctx, c.Entry)
	if err != nil {
		return false, err
	}
	p := &e.Private
	return e.Type == entry.BackupIndex && p.Name == indexName && p.Target == c.Size && p.Doc != nil && p.Doc.SHA256 == c.SHA256 && p.Doc.Size == c.Bytes, nil
}

// checkpointed is the files of a checkpoint of the index, as snapshot.Take reads them.
type checkpointed struct {
	fs    vfs.FS
	dir   string
	names []string
}

func checkpointFiles(fs vfs.FS, dir string) (*checkpointed, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("couldn't list the checkpoint of the index: %w", err)
	}
	return &checkpointed{fs, dir, names}, nil
}

func (c *checkpointed) Names() []string { return c.names }

func (c *checkpointed) Open(name string) (engine.File, error) {
	f, err := c.fs.Open(c.fs.PathJoin(c.dir, name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return sizedFile{f, info.Size()}, nil
}

type sizedFile struct {
	vfs.File
	size int64
}

func (f sizedFile) Size() int64 { return f.size }
