package main

import (
	"fmt"
	"strings"
	"time"

	"stele"
)

// workStaleAfter is for how long work beside requests may fail before that is an alarm: what fails once and then succeeds is none.
const workStaleAfter = 5 * time.Minute

// witnessStaleAfter is how old a witness' last cosignature may be.
const witnessStaleAfter = 24 * time.Hour

// diskDoc is the disk in status --json.
type diskDoc struct {
	Free     uint64 `json:"free_bytes"`
	Total    uint64 `json:"total_bytes"`
	Reserved uint64 `json:"reserved_bytes"`
	Low      bool   `json:"low"`
}

// diskDocOf is nil where the disk doesn't say.
func diskDocOf(d *stele.Disk) *diskDoc {
	if !d.Known {
		return nil
	}
	return &diskDoc{d.Free, d.Total, d.Reserved, d.Low()}
}

// workOf names work that fails: "lifecycle rules: photos".
func workOf(w *stele.FailingWork) string {
	if w.Of == "" {
		return w.Work
	}
	return w.Work + ": " + shown(w.Of)
}

func printBeside(a *app, st *stele.Stats) {
	for i := range st.Failing {
		w := &st.Failing[i]
		a.say("failing  %s, since %s, %s, the last %s: %s", workOf(w), moment(w.Since), count(int64(w.Times), "time"), moment(w.Last), shown(w.Error))
	}
	if d := &st.Disk; d.Low() {
		text := fmt.Sprintf("nearly full: %s of %s are free, and the last %s are reserved for the ledger", size(int64(d.Free)), size(int64(d.Total)), size(int64(d.Reserved)))
		if d.Inodes > 0 {
			text += fmt.Sprintf("; it can hold %s more files", thousands(d.Inodes))
		}
		a.say("disk     %s", text)
	}
	for i := range st.Witnesses {
		w := &st.Witnesses[i]
		text := "cosigned last " + moment(w.Cosigned)
		if w.Cosigned.IsZero() {
			text = "has never cosigned, first asked " + moment(w.Asked)
		}
		if w.Error != "" {
			text += "; did not when it was last asked: " + shown(w.Error)
		}
		a.say("witness  %s: %s", shown(w.Name), text)
	}
}

// staleBeside names what fails beside requests: work, witnesses, the disk, the clock.
func staleBeside(st *stele.Stats, now time.Time) (stale []string) {
	for i := range st.Failing {
		if w := &st.Failing[i]; now.Sub(w.Since) > workStaleAfter {
			stale = append(stale, fmt.Sprintf("%s: failing since %s: %s", workOf(w), moment(w.Since), shown(w.Error)))
		}
	}
	for i := range st.Witnesses {
		w := &st.Witnesses[i]
		if now.Sub(w.Last()) <= witnessStaleAfter {
			continue
		}
		text := fmt.Sprintf("witness %s has not cosigned since %s", shown(w.Name), moment(w.Last()))
		if w.Error != "" {
			text += ": " + shown(strings.TrimSuffix(w.Error, "."))
		}
		stale = append(stale, text+". See to it, and let `stele serve` run")
	}
	if st.Disk.Low() {
		stale = append(stale, "the disk is nearly full: make room, or move the folder to a larger one")
	}
	if st.Clock.Held {
		stale = append(stale, "the ledger's clock is held: it and this machine's are too far apart")
	}
	return stale
}
