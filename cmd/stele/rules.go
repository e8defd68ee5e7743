package main

import (
	"slices"
	"strings"
	"time"

	"stele"
)

type rule struct {
	Digit string `json:"digit"`
	Means string `json:"means"`
	OK    bool   `json:"ok"`
	Why   string `json:"why"`
}

// noCopyBecause says why a target is no copy that counts now; empty: it is one. A target counts if it was compared with the ledger and holds all but what came last. counted are those that do.
func noCopyBecause(t *stele.TargetStatus, counted []*stele.TargetStatus) string {
	switch {
	case !t.Drill.Since.IsZero():
		return "did not pass its drill of " + moment(t.Drill.Last)
	case t.NoCopy != "":
		return t.NoCopy
	case t.Refused, t.Connected && t.Error != "":
		return "is not shipped to"
	case len(t.Lost) > 0:
		return "lost files, which are being shipped again"
	case !t.Connected:
		return "is not reached"
	case t.Size == 0:
		return "holds nothing yet"
	}
	for _, other := range counted {
		if slices.ContainsFunc(t.Disks, func(d string) bool { return slices.Contains(other.Disks, d) }) {
			return "lies on the same medium as " + other.Name + ": the two are lost together"
		}
	}
	return ""
}

// drilledBecause says whether a target's last drill proves a restore, and what there is to say of it.
func drilledBecause(t *stele.TargetStatus, now time.Time) (proven bool, why string) {
	switch {
	case t.LastDrill.IsZero():
		return false, "was never drilled: `stele drill " + t.Name + "`"
	case !t.LastDrill.After(t.LastLoss):
		return false, "lost files after its drill of " + moment(t.LastDrill) + ": `stele drill " + t.Name + "`"
	case now.Sub(t.LastDrill) >= drillStaleAfter:
		return false, "passed its last drill on " + moment(t.LastDrill) + ", more than 35 days ago: `stele drill " + t.Name + "`"
	}
	return true, "passed its drill of " + moment(t.LastDrill)
}

// line gathers what makes a rule true, and what stands against it.
type line struct{ have, not []string }

func (l *line) rule(digit, means string, ok bool, none string) rule {
	says := strings.Join(l.have, ", ")
	if says == "" {
		says = none
	}
	parts := append([]string{says}, l.not...)
	if says == "" {
		parts = l.not
	}
	return rule{digit, means, ok, strings.Join(parts, "; ")}
}

// unless is a reason that holds only where there is no other.
func (l *line) unless(text string) string {
	if len(l.not) > 0 {
		return ""
	}
	return text
}

// rulesOf computes 3-2-1-1-0 from what is proven. Each line has its own reasons: what would make it true were it not for something else is named with that.
func rulesOf(targets []stele.TargetStatus, kit bool) []rule {
	var copies, media, offsite, locked, drilled line
	var counted []*stele.TargetStatus
	now := time.Now()
	for i := range targets {
		t := &targets[i]
		note := func(l *line, good bool, bad, against string) {
			switch {
			case good && bad == "":
				l.have = append(l.have, t.Name)
			case against != "" && against == t.NoCopy: // that is no sentence of which the target is the subject
				l.not = append(l.not, t.Name+": "+against)
			case against != "":
				l.not = append(l.not, t.Name+" "+against)
			}
		}
		bad := noCopyBecause(t, counted)
		note(&copies, true, bad, bad)
		note(&media, true, bad, bad)
		if t.Offsite {
			note(&offsite, true, bad, "is declared to be offsite, but "+bad)
		}
		if t.LockFor > 0 {
			note(&locked, true, bad, "locks what it gets, but "+bad)
		}
		proven, why := drilledBecause(t, now)
		switch {
		case proven && bad != "" && t.Drill.Since.IsZero():
			why += ", but it does not count: " + bad
		case !t.Drill.Since.IsZero():
			why = bad
		}
		note(&drilled, proven, bad, why)
		if bad == "" {
			counted = append(counted, t)
		}
	}
	many := len(copies.have) >= 2
	if !kit {
		copies.not = append(copies.not, "the recovery kit was never read back")
	}
	if !many && len(copies.have) == 1 {
		copies.not = append(copies.not, "with the store these are two")
	}
	return []rule{
		copies.rule("3", "copies of the data", many && kit, "this store is the only one"),
		media.rule("2", "kinds of medium", len(media.have) >= 1, "this disk is the only one"),
		offsite.rule("1", "copy offsite", len(offsite.have) > 0, offsite.unless("none is declared to be (--offsite)")),
		locked.rule("1", "copy that nobody can remove", len(locked.have) > 0, locked.unless("no target locks what it gets (--lock-days on a bucket with Object Lock)")),
		drilled.rule("0", "errors in a drill", len(drilled.have) > 0, drilled.unless("there is no target to drill")),
	}
}
