package backup

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/index"
	"stele/verify"
)

// What the tests of package backup_test see of the inside.

// DrillOptions say what to try.
type DrillOptions = drillOptions

// DrillRetry is how long after a drill that failed the next one comes.
const DrillRetry = drillRetry

// DrillWait is when the next drill is due.
var DrillWait = drillWait

// Drill tries a target, which need not be one of the store's.
func (s *Backups) Drill(ctx context.Context, opt DrillOptions) (c verify.Certificate, signed []byte, err error) {
	return s.drill(ctx, opt)
}

// Drills are the newest drill of a target that passed, and how it has failed since.
func (s *Backups) Drills(ctx context.Context, target string) (passed time.Time, failed FailedDrill, err error) {
	return s.drills(ctx, target)
}

// HeldBy is how many entries the ledger says that a target holds.
func (s *Backups) HeldBy(ctx context.Context, name string) (uint64, error) {
	return s.heldBy(ctx, name)
}

// LastKnown is what was known of a target when the store was last open.
func (s *Backups) LastKnown(spec TargetSpec) knownTarget { return s.lastKnown(spec) }

// NewestOf is the newest entry of a type about a target.
func (s *Backups) NewestOf(ctx context.Context, t entry.Type, name string) (entry.Entry, error) {
	return s.newestOf(ctx, t, name)
}

// Outgrown reports whether the ledger has grown enough since a snapshot of that size for another one.
func (s *Backups) Outgrown(last uint64) bool { return s.outgrown(last) }

// SnapshotOn is the ledger size of the newest snapshot that is whole on a target.
func (s *Backups) SnapshotOn(ctx context.Context, target engine.Engine) uint64 {
	return s.snapshotOn(ctx, target)
}

// takenAt is a snapshot of the index that the ledger names.
type takenAt struct{ Size, entry uint64 }

// LastSnapshot is the one that the newest backup.index entry names; size 0: there is none.
func (s *Backups) LastSnapshot(ctx context.Context) (last takenAt, err error) {
	row, ok, err := s.core.Index.Reader().Config(index.LastOf(entry.BackupIndex, indexName))
	if err != nil || !ok {
		return last, err
	}
	if last.entry, err = strconv.ParseUint(row.Value, 10, 64); err != nil {
		return last, fmt.Errorf("the index's row of its last snapshot: %w", err)
	}
	e, _, _, err := s.core.Ledger().Entry(ctx, last.entry)
	if err != nil {
		return last, core.Translate(err)
	}
	last.Size = e.Private.Target
	return last, nil
}
