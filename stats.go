package stele

import (
	"context"
	"fmt"

	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/ledger"
)

// Stats are sizes of the store.
type Stats struct {
	Entries     uint64 // ledger size
	Objects     int64  // current objects
	Bytes       int64  // their bytes
	Versions    int64  // versions ever put
	PutBytes    int64  // bytes ever put
	HiddenBytes int64  // bytes of versions that left the S3 view
	Buckets     int
	IndexBytes  int64 // on disk
	StoredBytes int64 // of segments and packs on disk, those that still grow with what is durable in them
	Packs       int
	Segments    int
	Clock       ClockState
	Foreign     []string             // files that lie among the store's segments and keyrings and are not the store's; they are left alone
	Failing     []core.FailingWork   // work beside requests that failed when it was last tried
	Witnesses   []core.WitnessStatus // where no server runs: those of the last one
	Disk        core.Disk
	// PromotedFrom is the backup from which the store was promoted, where no target has that URL, so that nothing is shipped there.
	PromotedFrom string
}

// ClockState is how the ledger's clock, by which entries and locks count, stands to the wall clock.
type ClockState = ledger.ClockState

// Stats adds the store up.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	if err := s.core.Enter(); err != nil {
		return Stats{}, err
	}
	defer s.core.Leave()
	out := Stats{Entries: s.core.Size(), IndexBytes: s.core.Index.DiskBytes(), Clock: s.core.Ledger().ClockState(), Foreign: s.core.Foreign(), Failing: s.core.FailingWork(), Witnesses: s.core.Witnesses(), Disk: s.core.Disk()}
	var err error
	if out.PromotedFrom, err = s.promotedFrom(ctx); err != nil {
		return out, err
	}
	rows, err := s.core.Index.Buckets(0)
	if err != nil {
		return out, err
	}
	out.Buckets = len(rows)
	t := s.core.Index.AllTotals()
	out.Objects, out.Bytes, out.Versions, out.PutBytes, out.HiddenBytes = t.Objects, t.Bytes, t.Versions, t.PutBytes, t.HiddenBytes
	return out, s.storedBytes(ctx, &out)
}

// storedBytes adds up segments and packs, and of those that grow what is durable in them.
func (s *Store) storedBytes(ctx context.Context, out *Stats) error {
	for prefix, n := range map[string]*int{engine.Segments: &out.Segments, engine.Packs: &out.Packs} {
		if err := s.core.Engine.List(ctx, prefix, func(i engine.Info) error { *n++; out.StoredBytes += i.SizeBytes; return nil }); err != nil {
			return fmt.Errorf("couldn't list %s: %w", prefix, err)
		}
	}
	_, _, segments := s.core.Ledger().Growing()
	for _, g := range segments {
		out.StoredBytes += g.DurableBytes
	}
	_, _, packs := s.core.Body.Packs(1 << 62)
	for _, g := range packs {
		out.StoredBytes += g.EndBytes
	}
	return nil
}
