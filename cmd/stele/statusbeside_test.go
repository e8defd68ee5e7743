package main

import (
	"testing"
	"time"

	"stele"
)

// TestStaleBeside: what goes wrong beside requests ends `status` with 7 once it lasts, and not before.
func TestStaleBeside(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	work := func(since time.Duration) stele.Stats {
		return stele.Stats{Failing: []stele.FailingWork{{Work: stele.WorkLifecycle, Of: "b", Error: "no", Since: ago(since), Last: now}}}
	}
	witness := func(w stele.WitnessStatus) stele.Stats { return stele.Stats{Witnesses: []stele.WitnessStatus{w}} }
	const gib = 1 << 30
	disk := func(free, total, reserved uint64) stele.Stats {
		return stele.Stats{Disk: stele.Disk{Free: free, Total: total, Reserved: reserved, Known: true}}
	}
	for name, c := range map[string]struct {
		st    stele.Stats
		stale bool
	}{
		"well":                             {stele.Stats{}, false},
		"failed a minute ago":              {work(time.Minute), false},
		"fails for an hour":                {work(time.Hour), true},
		"cosigned an hour ago":             {witness(stele.WitnessStatus{Asked: ago(900 * time.Hour), Cosigned: ago(time.Hour), Error: "gone"}), false},
		"not cosigned for two days":        {witness(stele.WitnessStatus{Asked: ago(900 * time.Hour), Cosigned: ago(48 * time.Hour)}), true},
		"never cosigned, asked an hour":    {witness(stele.WitnessStatus{Asked: ago(time.Hour), Error: "no route"}), false},
		"never cosigned, asked for a week": {witness(stele.WitnessStatus{Asked: ago(168 * time.Hour), Error: "no route"}), true},
		"a tenth of the disk is free":      {disk(10*gib, 100*gib, gib), false},
		"a twentieth of the disk is left":  {disk(5*gib, 100*gib, gib), true},
		"20 GiB of a large disk are free":  {disk(20*gib, 4000*gib, 4*gib), false},
		"13 GiB of a large disk are free":  {disk(13*gib, 4000*gib, 4*gib), true},
		"few inodes":                       {stele.Stats{Disk: stele.Disk{Free: 50 * gib, Total: 100 * gib, Reserved: gib, Inodes: 500, Known: true}}, true},
		"the clock is held":                {stele.Stats{Clock: stele.ClockState{Held: true}}, true},
	} {
		if got := staleBeside(&c.st, now); len(got) > 0 != c.stale {
			t.Errorf("%s: %v", name, got)
		}
	}
}
