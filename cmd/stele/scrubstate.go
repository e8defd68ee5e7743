package main

import (
	"fmt"
	"time"

	"stele"
)

// scrubDoc is the rolling scrub in status --json. Moments that are not known are empty.
type scrubDoc struct {
	Days    int               `json:"days"`   // 0: none
	Oldest  string            `json:"oldest"` // no byte was not read again, or written, since then
	Round   string            `json:"last_round"`
	Rounds  int               `json:"rounds"`
	Due     string            `json:"next_round"` // empty while one is under way
	Done    int64             `json:"done_bytes"` // of the round under way
	Total   int64             `json:"total_bytes"`
	Overdue bool              `json:"overdue"`
	Bad     map[string]string `json:"damaged"`      // and not healed, whoever met it
	Failing map[string]int    `json:"healed_again"` // files that were healed more than once lately, and how often
}

func scrubDocOf(st *stele.ScrubStatus) scrubDoc {
	bad := st.Bad
	if bad == nil {
		bad = map[string]string{}
	}
	failing := map[string]int{}
	for _, f := range st.Failing {
		failing[f.File] = f.Times
	}
	return scrubDoc{st.Days, momentOr(st.Oldest), momentOr(st.Round), st.Rounds, momentOr(st.Due()), st.Done, st.Total, st.Overdue(time.Now()), bad, failing}
}

// scrubState is the rolling scrub in a line.
func scrubState(st *stele.ScrubStatus, now time.Time) string {
	text := "off: no byte is read again by itself (`scrub-days`)"
	switch {
	case st.Days == 0 && st.Rounds > 0:
		text = "off now"
	case st.Days > 0:
		text = fmt.Sprintf("every byte was read, or written, since %s", moment(st.Oldest))
	}
	if st.Rounds > 0 {
		text += ", last round done " + moment(st.Round)
	}
	switch due := st.Due(); {
	case st.Days == 0:
	case st.Overdue(now):
		text += fmt.Sprintf("; OVERDUE: no byte is to be older than %d days", st.Days)
	case due.IsZero() && st.Total > 0:
		text += fmt.Sprintf("; a round is under way, %d%%", 100*st.Done/st.Total)
	case !due.IsZero():
		text += "; the next begins " + moment(due)
	}
	return text
}

// staleScrub names what the scrub should have done, or found and could not heal.
func staleScrub(st *stele.ScrubStatus, now time.Time) (stale []string) {
	if st.Overdue(now) {
		stale = append(stale, fmt.Sprintf("the scrub is overdue: some bytes were not read again since %s, which is to be %d days at most. Let `stele serve` run", moment(st.Oldest), st.Days))
	}
	if n := len(st.Bad); n > 0 {
		stale = append(stale, fmt.Sprintf("%s known to be damaged and not healed: `stele verify --deep --heal`", files(n)))
	}
	if n := len(st.Failing); n > 0 {
		stale = append(stale, fmt.Sprintf("the disk is failing: %s damaged again after it was healed, the last time %s. Move the store to another disk", files(n), moment(st.Failing[n-1].Last)))
	}
	return stale
}

// files is "1 file is" or "2 files are".
func files(n int) string { return count(int64(n), "file") + " " + isAre(n) }

// fillDoc is the filling of a folder that is served from a backup.
type fillDoc struct {
	From    string `json:"from"`
	Bytes   int64  `json:"bytes"`
	Left    int64  `json:"left_bytes"`
	Packs   int    `json:"left_packs"`
	Full    bool   `json:"full"`
	Seconds int64  `json:"left_seconds"` // at the speed so far; 0: not known, or done
	Err     string `json:"error,omitempty"`
}

// fillDocOf is nil for a store that is not served from a backup.
func fillDocOf(h *stele.Hydration, now time.Time) *fillDoc {
	if h == nil {
		return nil
	}
	return &fillDoc{h.From, h.Bytes, h.BytesLeft, h.PacksLeft, h.Full, int64(h.Left(now).Seconds()), h.Err}
}

func fillState(h *stele.Hydration, now time.Time) string {
	if h.Full {
		return "everything of " + shown(h.From) + " is here"
	}
	text := fmt.Sprintf("%d%% of %s is here, %s left", 100*(h.Bytes-h.BytesLeft)/max(h.Bytes, 1), shown(h.From), size(h.BytesLeft))
	if left := h.Left(now); left > 0 && h.Err == "" { // while it fails nobody knows
		text += ", done in " + left.Round(time.Second).String()
	}
	if h.Err != "" {
		text += "; " + h.Err
	}
	return text
}
