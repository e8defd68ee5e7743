package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stele"
	"stele/internal/rpc/client"
)

type statusCmd struct {
	Seen bool `help:"Say that the bursts of hides which status shows are in order; an entry names who said so."`
}

// errStale: something that should be fresh is not. Exit code 7.
var errStale = errors.New("stale")

// staleAfter is when a target that is shipped to as it comes, and is behind, is stale; one on a schedule gets twice its period besides.
const staleAfter = 5 * time.Minute

// drillStaleAfter is how old a drill may be to count as the 0 of 3-2-1-1-0.
const drillStaleAfter = 35 * 24 * time.Hour

// firstDrillWithin is within which time after it was added a target has to pass a drill. A server tries that within minutes: one that has not passed for days could not be tried.
const firstDrillWithin = 48 * time.Hour

func (c *statusCmd) Run(ctx context.Context, a *app) error {
	if c.Seen {
		return seeHides(ctx, a)
	}
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := reportOf(ctx, s)
	if err != nil {
		return err
	}
	now := time.Now()
	stale := r.stale(now)
	if a.cli.JSON {
		err = a.document(r.document(now, stale))
	} else {
		r.print(a, now)
	}
	if err == nil && len(stale) > 0 {
		err = staleError(stale)
	}
	return err
}

// staleError says all that is stale first, and behind it what to do about it: of several one may bring its own next step, and what comes after that in the list is no part of it.
func staleError(stale []string) error {
	said, next := apart(strings.Join(stale, "\n"))
	err := fmt.Errorf("%w: %s", errStale, said)
	if next == "" {
		return err
	}
	return withHint(err, "%s", next)
}

// refusesWrites returns why the store takes no writes, though it is, or could be, open for them; nil: it takes them.
func refusesWrites(ctx context.Context, s client.Store) error {
	switch s := plain(s).(type) {
	case *client.Client:
		return s.Ready(ctx)
	case client.Local:
		all, err := s.Refusals(ctx)
		return cmp.Or(errors.Join(all...), err, s.Stuck(), s.Room())
	}
	return nil
}

// print says all of it for a person.
func (r *statusReport) print(a *app, now time.Time) {
	st := &r.stats
	a.say("store    %s, %s", r.store, entries(st.Entries))
	if len(st.Foreign) > 0 {
		a.say("foreign  %s: not of this store, and left alone. Find out who put it there, and move it away", shown(strings.Join(st.Foreign, ", ")))
	}
	if r.refused != "" {
		a.say("writes   refused: %s", r.refused)
	}
	printBursts(a, r.bursts)
	printBeside(a, st)
	if text := clockState(&st.Clock); text != "" {
		a.say("clock    %s", text)
	}
	a.say("objects  %s, %s; %s on disk", thousands(uint64(st.Objects)), size(st.Bytes), size(st.StoredBytes))
	kit := "never read back: no copy counts as restorable until `stele kit confirm FILE`"
	if !r.confirmed.IsZero() {
		kit = "confirmed " + moment(r.confirmed)
	}
	a.say("kit      %s", kit)
	printShares(a, r.shares)
	if st.PromotedFrom != "" {
		a.say("target   %s", noTargetYet(st.PromotedFrom, r.targets))
	}
	for i := range r.targets {
		printTarget(a, &r.targets[i])
	}
	a.say("scrub    %s", scrubState(&r.scrub, now))
	for _, name := range slices.Sorted(maps.Keys(r.scrub.Bad)) {
		a.say("         damaged and not healed: %s: %s", shown(name), shown(r.scrub.Bad[name]))
	}
	if r.fill != nil {
		a.say("filling  %s", fillState(r.fill, now))
	}
	for _, rule := range r.rules {
		mark := "yes"
		if !rule.OK {
			mark = "NO "
		}
		a.say("%s  %s  %s: %s", rule.Digit, mark, rule.Means, rule.Why)
	}
}

// printTarget says how a target stands, and what of it somebody has to see.
func printTarget(a *app, t *stele.TargetStatus) {
	a.say("target   %s (%s): %s; %s", t.Name, shown(t.URL), holds(t), targetState(t))
	if t.Beyond > 0 {
		a.say("         also holds %s of a former epoch that this store goes on without: evidence, see `stele dump epochs`", entries(t.Beyond))
	}
	for _, name := range t.Lacking {
		a.say("         lacks %s, which is damaged here: `stele verify --deep --heal`", name)
	}
	if len(t.Foreign) > 0 {
		a.say("         holds %s: not of this store, and left alone. Find out who put it there", shown(strings.Join(t.Foreign, ", ")))
	}
}

// noTargetYet says that the backup from which the store was promoted gets nothing, and how it becomes a target.
func noTargetYet(url string, targets []stele.TargetStatus) string {
	name, unless := "backup", ""
	for i := 2; slices.ContainsFunc(targets, func(t stele.TargetStatus) bool { return t.Name == name }); i++ {
		name = fmt.Sprintf("backup%d", i)
	}
	if len(targets) > 0 {
		unless = ", if it is not one of the targets by another URL"
	}
	return fmt.Sprintf("this store was promoted from %s, which is no target of it: nothing is shipped there. `stele target add %s %s` adds it%s", shown(url), name, shellWord(url), unless)
}

// staleTargets names what should be fresher than it is.
func staleTargets(targets []stele.TargetStatus, now time.Time) (stale []string) {
	for i := range targets {
		t := &targets[i]
		switch {
		case !t.Drill.Since.IsZero():
			stale = append(stale, fmt.Sprintf("target %s has failed its drills since %s: %s. `stele drill %s` tries again", t.Name, moment(t.Drill.Since), shown(t.Drill.Problem), t.Name))
		case t.LastDrill.IsZero() && !t.Added.IsZero() && now.Sub(t.Added) > firstDrillWithin:
			stale = append(stale, fmt.Sprintf("target %s was added %s and never passed a drill: `stele drill %s` says why", t.Name, moment(t.Added), t.Name))
		case !t.LastDrill.IsZero() && now.Sub(t.LastDrill) > drillStaleAfter:
			stale = append(stale, fmt.Sprintf("target %s was last drilled %s", t.Name, moment(t.LastDrill)))
		}
		if n := len(t.Lacking); n > 0 {
			stale = append(stale, fmt.Sprintf("target %s lacks %s that %s damaged here: `stele verify --deep --heal`", t.Name, count(int64(n), "file"), isAre(n)))
		}
		if !t.LastLoss.IsZero() && !t.LastDrill.After(t.LastLoss) {
			stale = append(stale, fmt.Sprintf("target %s lost files, or was begun anew, on %s and was not drilled since: `stele drill %s`", t.Name, moment(t.LastLoss), t.Name))
		}
		if len(t.Lost) > 0 {
			stale = append(stale, "target "+t.Name+" "+lostFiles(t))
		}
		switch {
		case t.Refused:
			stale = append(stale, fmt.Sprintf("target %s is not shipped to: %s", t.Name, t.Error))
		case t.Asked && t.Error != "":
			stale = append(stale, fmt.Sprintf("target %s can't be asked: %s", t.Name, t.Error))
		case t.Newer > 0:
			stale = append(stale, fmt.Sprintf("target %s %s", t.Name, newer(t)))
		case t.Asked && t.Size == 0:
			stale = append(stale, fmt.Sprintf("target %s holds nothing, and no server ships to it", t.Name))
		case t.Error != "" && now.Sub(t.ErrorSince) > staleAfter+2*t.Every:
			stale = append(stale, fmt.Sprintf("target %s is not shipped to since %s: %s", t.Name, moment(t.ErrorSince), t.Error))
		case t.Behind > 0 && !t.Restorable.IsZero() && now.Sub(t.Restorable) > staleAfter+2*t.Every:
			stale = append(stale, fmt.Sprintf("target %s is %s behind", t.Name, now.Sub(t.Restorable).Round(time.Second)))
		}
	}
	return stale
}
