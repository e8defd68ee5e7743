package main

import (
	"errors"
	"testing"
	"time"

	"stele"
)

// TestStale: what makes `status` end with 7, and what does not.
func TestStale(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		stele.TargetStatus
		stale bool
	}{
		"well":                           {stele.TargetStatus{Size: 9, Connected: true, Restorable: ago(time.Hour)}, false},
		"behind for a minute":            {stele.TargetStatus{Size: 9, Behind: 1, Connected: true, Restorable: ago(time.Minute)}, false},
		"behind for ten":                 {stele.TargetStatus{Size: 9, Behind: 1, Connected: true, Restorable: ago(10 * time.Minute)}, true},
		"behind, on a schedule":          {stele.TargetStatus{TargetSpec: stele.TargetSpec{Every: time.Hour}, Size: 9, Behind: 1, Connected: true, Restorable: ago(2 * time.Hour)}, false},
		"late on its schedule":           {stele.TargetStatus{TargetSpec: stele.TargetSpec{Every: time.Hour}, Size: 9, Behind: 1, Connected: true, Restorable: ago(3 * time.Hour)}, true},
		"not reached for a minute":       {stele.TargetStatus{Size: 9, Error: "no route", ErrorSince: ago(time.Minute)}, false},
		"not reached for ten":            {stele.TargetStatus{Size: 9, Error: "no route", ErrorSince: ago(10 * time.Minute)}, true},
		"takes nothing for a minute":     {stele.TargetStatus{Size: 9, Connected: true, Error: "full", ErrorSince: ago(time.Minute)}, false},
		"takes nothing for ten":          {stele.TargetStatus{Size: 9, Connected: true, Error: "full", ErrorSince: ago(10 * time.Minute)}, true},
		"refused":                        {stele.TargetStatus{Size: 9, Error: "forked", ErrorSince: now, Refused: true}, true},
		"just added":                     {stele.TargetStatus{Behind: 9}, false},
		"asked, and not there":           {stele.TargetStatus{Behind: 9, Asked: true, Error: "no such file"}, true},
		"asked, and empty":               {stele.TargetStatus{Behind: 9, Asked: true, Connected: true}, true},
		"asked, and well":                {stele.TargetStatus{Size: 9, Asked: true, Connected: true, Restorable: ago(time.Hour)}, false},
		"drilled a month ago":            {stele.TargetStatus{Size: 9, Connected: true, LastDrill: ago(30 * 24 * time.Hour)}, false},
		"drilled two months ago":         {stele.TargetStatus{Size: 9, Connected: true, LastDrill: ago(60 * 24 * time.Hour)}, true},
		"its drill failed today":         {stele.TargetStatus{Size: 9, Connected: true, LastDrill: ago(time.Hour), Drill: stele.FailedDrill{Since: now, Last: now, Problem: "a pack is missing"}}, true},
		"lacks what is damaged here":     {stele.TargetStatus{Size: 9, Connected: true, Lacking: []string{"packs/x"}}, true},
		"never drilled, added yesterday": {stele.TargetStatus{TargetSpec: stele.TargetSpec{Added: ago(24 * time.Hour)}, Size: 9, Connected: true}, false},
		"never drilled for three days":   {stele.TargetStatus{TargetSpec: stele.TargetSpec{Added: ago(72 * time.Hour)}, Size: 9, Connected: true}, true},
	} {
		if got := staleTargets([]stele.TargetStatus{c.TargetStatus}, now); len(got) > 0 != c.stale {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestStaleError: bad news is not hidden in the next step of another, and each next step is told.
func TestStaleError(t *testing.T) {
	a := &app{}
	message, hint := a.words(staleError([]string{"writes are refused", "target nas has failed its drills: a pack is gone. `stele drill nas` tries again", "target b is not reached", "target c is full (no. Room). Make room there."}))
	if want := "stale: writes are refused; target nas has failed its drills: a pack is gone; target b is not reached; target c is full (no. Room)"; message != want {
		t.Errorf("message %q\nwant    %q", message, want)
	}
	if want := "`stele drill nas` tries again; make room there"; hint != want {
		t.Errorf("hint %q, want %q", hint, want)
	}
	if _, hint = a.words(staleError([]string{"target b is not reached"})); hint != "" {
		t.Errorf("hint %q, want none", hint)
	}
}

// TestSeveralErrors: of several errors at once none stands in the next step of another.
func TestSeveralErrors(t *testing.T) {
	a := &app{}
	err := errors.Join(errors.New("target a: its folder is not there. Check the path"), errors.New("target b: it is full. Make room there"), errors.New("target c: its folder is not there. Check the path"))
	message, hint := a.words(err)
	if want := "target a: its folder is not there; target b: it is full; target c: its folder is not there"; message != want {
		t.Errorf("message %q\nwant    %q", message, want)
	}
	if want := "check the path; make room there"; hint != want {
		t.Errorf("hint %q, want %q", hint, want)
	}
}

// TestTargetTakesNothing: a target that is reached and takes nothing is not said to be out of reach.
func TestTargetTakesNothing(t *testing.T) {
	since := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	st := stele.TargetStatus{TargetSpec: stele.TargetSpec{Name: "nas"}, Size: 9, Connected: true, Error: "the target is full", ErrorSince: since}
	if got, want := targetState(&st), "not shipped to since 2026-11-26T12:00:00Z: the target is full"; got != want {
		t.Errorf("state %q, want %q", got, want)
	}
	if got := staleTargets([]stele.TargetStatus{st}, since.Add(time.Hour)); len(got) != 1 || got[0] != "target nas is not shipped to since 2026-11-26T12:00:00Z: the target is full" {
		t.Errorf("stale %q", got)
	}
	if got := noCopyBecause(&st, nil); got != "is not shipped to" {
		t.Errorf("as a copy it %q", got)
	}
}

// TestSentence: an error's own next step is told apart, a server's words in brackets are not.
func TestSentence(t *testing.T) {
	for message, want := range map[string]int{
		"it failed. Try again":            9,
		"it failed":                       -1,
		"it failed (so. They say). Do it": 24,
		"it failed (so. They say":         -1,
		"version 1.8.0 failed":            -1,
	} {
		if got := sentence(message); got != want {
			t.Errorf("%q: %d, want %d", message, got, want)
		}
	}
}
