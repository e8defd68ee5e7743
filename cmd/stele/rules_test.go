package main

import (
	"strings"
	"testing"
	"time"

	"stele"
)

// TestRules: each line of 3-2-1-1-0 is true only for what counts as a copy, and names its own reason.
func TestRules(t *testing.T) {
	now := time.Now()
	target := func(name string, change func(*stele.TargetStatus)) stele.TargetStatus {
		t := stele.TargetStatus{TargetSpec: stele.TargetSpec{Name: name}, Size: 9, Connected: true, LastDrill: now, Disks: []string{name}}
		if change != nil {
			change(&t)
		}
		return t
	}
	ram := func(t *stele.TargetStatus) { t.NoCopy = "on a RAM disk: no copy" }
	same := func(t *stele.TargetStatus) { t.NoCopy = "on the store's own disk: no copy" }
	failed := func(t *stele.TargetStatus) { t.Drill = stele.FailedDrill{Since: now, Last: now} }
	all := func(t *stele.TargetStatus) { t.Offsite, t.LockFor = true, time.Hour }
	with := func(changes ...func(*stele.TargetStatus)) func(*stele.TargetStatus) {
		return func(t *stele.TargetStatus) {
			for _, c := range changes {
				c(t)
			}
		}
	}
	const no, yes = "no ", "yes "
	for name, c := range map[string]struct {
		targets []stele.TargetStatus
		noKit   bool
		want    [5]string // "yes " or "no ", and what the reason must contain; after a ! what it must not
	}{
		"no targets":     {nil, false, [5]string{no + "this store is the only one", no + "this disk is the only one", no + "none is declared", no + "no target locks", no + "there is no target to drill"}},
		"no kit either":  {nil, true, [5]string{no + "kit was never read back", no + "!kit", no + "!kit", no + "!kit", no + "!kit"}},
		"two good":       {[]stele.TargetStatus{target("a", nil), target("b", nil)}, false, [5]string{yes + "a, b", yes + "a, b", no + "none is declared", no + "no target locks", yes + "a, b"}},
		"good but kit":   {[]stele.TargetStatus{target("a", nil), target("b", nil)}, true, [5]string{no + "kit was never read back", yes + "!kit", no + "!kit", no + "!kit", yes + "!kit"}},
		"one good":       {[]stele.TargetStatus{target("a", all)}, false, [5]string{no + "with the store these are two", yes + "a", yes + "a", yes + "a", yes + "a"}},
		"two on RAM":     {[]stele.TargetStatus{target("a", ram), target("b", ram)}, false, [5]string{no + "a: on a RAM disk: no copy; b: on a RAM disk", no + "a: on a RAM disk", no + "none is declared", no + "no target locks", no + "a passed its drill of"}},
		"on RAM, locked": {[]stele.TargetStatus{target("a", with(ram, all))}, false, [5]string{no + "RAM", no + "RAM", no + "a is declared to be offsite, but on a RAM disk", no + "a locks what it gets, but on a RAM disk", no + "does not count: on a RAM disk"}},
		"own disk":       {[]stele.TargetStatus{target("a", same)}, false, [5]string{no + "own disk", no + "own disk", no + "!own disk", no + "!own disk", no + "does not count: on the store's own disk"}},
		"own disk, undrilled": {[]stele.TargetStatus{target("a", with(same, func(t *stele.TargetStatus) { t.LastDrill = time.Time{} }))}, false,
			[5]string{no + "own disk", no + "own disk", no, no, no + "a was never drilled"}},
		"failed drill":            {[]stele.TargetStatus{target("a", with(failed, all))}, false, [5]string{no + "did not pass", no + "did not pass", no + "did not pass", no + "did not pass", no + "did not pass"}},
		"failed, on the own disk": {[]stele.TargetStatus{target("a", with(failed, same))}, false, [5]string{no, no, no, no, no + "did not pass its drill"}},
		"one disk for two": {[]stele.TargetStatus{target("a", nil), target("b", func(t *stele.TargetStatus) { t.Disks = []string{"a", "c"} })}, false,
			[5]string{no + "b lies on the same medium as a", yes + "a", no, no, yes + "a"}},
		"an old drill":    {[]stele.TargetStatus{target("a", func(t *stele.TargetStatus) { t.LastDrill = now.Add(-2 * drillStaleAfter) })}, false, [5]string{no, yes, no, no, no + "more than 35 days ago"}},
		"lost since":      {[]stele.TargetStatus{target("a", func(t *stele.TargetStatus) { t.LastLoss = now })}, false, [5]string{no, yes, no, no, no + "lost files after its drill"}},
		"losing":          {[]stele.TargetStatus{target("a", func(t *stele.TargetStatus) { t.Lost = []string{"x"} })}, false, [5]string{no + "lost files", no + "lost files", no, no, no + "lost files"}},
		"refused":         {[]stele.TargetStatus{target("a", func(t *stele.TargetStatus) { t.Refused = true })}, false, [5]string{no + "not shipped to", no + "not shipped to", no, no, no + "not shipped to"}},
		"not reached":     {[]stele.TargetStatus{target("a", func(t *stele.TargetStatus) { t.Connected = false })}, false, [5]string{no + "not reached", no + "not reached", no, no, no + "not reached"}},
		"nothing yet":     {[]stele.TargetStatus{target("a", func(t *stele.TargetStatus) { t.Size = 0 })}, false, [5]string{no + "holds nothing", no + "holds nothing", no, no, no + "holds nothing"}},
		"good beside bad": {[]stele.TargetStatus{target("a", ram), target("b", all)}, false, [5]string{no + "a: on a RAM disk", yes + "b", yes + "b", yes + "b", yes + "b"}},
	} {
		for i, r := range rulesOf(c.targets, !c.noKit) {
			text, wantOK := strings.CutPrefix(c.want[i], yes)
			text = strings.TrimPrefix(text, no)
			banned, isBanned := strings.CutPrefix(text, "!")
			if r.OK != wantOK || isBanned && strings.Contains(r.Why, banned) || !isBanned && !strings.Contains(r.Why, text) || r.Why == "" {
				t.Errorf("%s: line %d is %t, %q; want %q", name, i, r.OK, r.Why, c.want[i])
			}
		}
	}
	bad := target("a", failed)
	if got := targetState(&bad); !strings.HasPrefix(got, "FAILED") {
		t.Errorf("target list says %q", got)
	}
	inRAM := target("a", ram)
	if got := targetState(&inRAM); got != "on a RAM disk: no copy" {
		t.Errorf("target list says %q", got)
	}
}
