package main

import (
	"context"
	"slices"
	"time"

	"stele"
	"stele/internal/rpc/client"
)

// statusReport is what a store says of itself, asked once.
type statusReport struct {
	store     string // its id
	stats     stele.Stats
	confirmed time.Time // when the recovery kit was read back; zero: never
	shares    []stele.ShareSet
	targets   []stele.TargetStatus
	scrub     stele.ScrubStatus
	fill      *stele.Hydration // nil: the store is not served from a backup
	bursts    []stele.HideBurst
	refused   string // why writes are refused; empty: they are taken
	rules     []rule // of 3-2-1-1-0
}

// reportOf asks a store for its status.
func reportOf(ctx context.Context, s client.Store) (r statusReport, err error) {
	r.store = s.ID()
	if r.stats, err = s.Stats(ctx); err != nil {
		return r, err
	}
	if r.confirmed, err = s.Keys().KitConfirmed(); err != nil {
		return r, err
	}
	if r.shares, err = s.Keys().ShareSets(); err != nil {
		return r, err
	}
	if r.targets, err = s.Targets(ctx); err != nil {
		return r, err
	}
	if r.scrub, err = s.Scrubbed(ctx); err != nil {
		return r, err
	}
	if why := refusesWrites(ctx, s); why != nil {
		r.refused = why.Error()
	}
	if server, ok := serverOf(s); ok {
		if r.fill, err = server.Hydration(ctx); err != nil {
			return r, err
		}
	}
	r.bursts, err = s.HideBursts(ctx)
	r.rules = rulesOf(r.targets, !r.confirmed.IsZero())
	return r, err
}

// stale names what should be fresh and is not, and what else somebody has to look at.
func (r *statusReport) stale(now time.Time) (stale []string) {
	if r.refused != "" {
		stale = append(stale, "writes are refused")
	}
	stale = slices.Concat(stale, staleTargets(r.targets, now), staleScrub(&r.scrub, now), staleBursts(r.bursts), staleBeside(&r.stats, now))
	if r.fill != nil && r.fill.Err != "" {
		stale = append(stale, "the folder can't be filled from the backup: "+shown(r.fill.Err))
	}
	if from := r.stats.PromotedFrom; from != "" && !slices.ContainsFunc(r.targets, func(t stele.TargetStatus) bool { return t.Connected }) {
		stale = append(stale, "nothing is shipped anywhere: "+noTargetYet(from, r.targets))
	}
	return stale
}

// document is the report for a program (--json).
func (r *statusReport) document(now time.Time, stale []string) map[string]any {
	st := &r.stats
	targets := []targetDoc{}
	for i := range r.targets {
		targets = append(targets, targetDocOf(&r.targets[i]))
	}
	return map[string]any{
		"v": 1, "store": r.store, "entries": st.Entries, "objects": st.Objects, "bytes": st.Bytes, "versions": st.Versions, "stored_bytes": st.StoredBytes,
		"kit_confirmed": momentOr(r.confirmed), "shares": shareSetDocs(r.shares), "writes_refused": r.refused, "targets": targets, "scrub": scrubDocOf(&r.scrub), "filling": fillDocOf(r.fill, now), "clock": clockDocOf(&st.Clock),
		"hidden": burstDocs(r.bursts), "failing": append([]stele.FailingWork{}, st.Failing...), "witnesses": append([]stele.WitnessStatus{}, st.Witnesses...), "disk": diskDocOf(&st.Disk),
		"promoted_from": st.PromotedFrom, "foreign": append([]string{}, st.Foreign...), "rules": r.rules, "stale": append([]string{}, stale...),
	}
}
