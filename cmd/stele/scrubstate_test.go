package main

import (
	"strings"
	"testing"
	"time"

	"stele"
)

// TestScrubState: the scrub is told in words, and is stale when a byte is older than it may be, or when damage could not be healed.
func TestScrubState(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	for what, c := range map[string]struct {
		st    stele.ScrubStatus
		says  string
		stale int
	}{
		"off":          {stele.ScrubStatus{Oldest: ago(100)}, "off: no byte", 0},
		"young":        {stele.ScrubStatus{Days: 30, Oldest: ago(3)}, "the next begins 2026-12-02", 0},
		"under way":    {stele.ScrubStatus{Days: 30, Oldest: ago(20), Position: "packs/1", Done: 1, Total: 4}, "a round is under way, 25%", 0},
		"after rounds": {stele.ScrubStatus{Days: 30, Oldest: ago(4), Round: ago(2), Rounds: 3}, "last round done 2026-11-18", 0},
		"overdue":      {stele.ScrubStatus{Days: 30, Oldest: ago(31)}, "OVERDUE", 1},
		"off now":      {stele.ScrubStatus{Oldest: ago(100), Round: ago(90), Rounds: 1}, "off now, last round done", 0},
		"damaged":      {stele.ScrubStatus{Days: 30, Oldest: ago(3), Bad: map[string]string{"packs/1": "bad"}}, "the next begins", 1},
	} {
		if got := scrubState(&c.st, now); !strings.Contains(got, c.says) {
			t.Errorf("%s: %q", what, got)
		}
		if got := staleScrub(&c.st, now); len(got) != c.stale {
			t.Errorf("%s: stale %v", what, got)
		}
	}
}

// TestFillState: how far a folder is filled, and how long the rest takes at the speed so far.
func TestFillState(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	h := &stele.Hydration{From: "dir:///nas", Bytes: 1000, BytesLeft: 400, Brought: 200, Since: now.Add(-time.Minute)}
	if got := fillState(h, now); got != "60% of dir:///nas is here, 400 B left, done in 2m0s" {
		t.Error(got)
	}
	if d := fillDocOf(h, now); d.Seconds != 120 || d.Left != 400 {
		t.Errorf("%+v", d)
	}
	h.Err = "no route" // how long the rest takes is not known while nothing comes
	if got := fillState(h, now); !strings.HasSuffix(got, "left; no route") {
		t.Error(got)
	}
	h.Full = true
	if got := fillState(h, now); got != "everything of dir:///nas is here" || fillDocOf(nil, now) != nil {
		t.Error(got)
	}
}
