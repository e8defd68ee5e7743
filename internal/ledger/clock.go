package ledger

import (
	"time"

	"stele/entry"
)

// Clock is where time comes from.
type Clock interface {
	Now() time.Time           // the wall clock, which anyone with root may set
	Monotonic() time.Duration // time since some start, which nobody can set; it goes on while the machine sleeps
}

// How far the ledger's clock follows the wall clock beyond what the monotonic clock says has passed.
const (
	slackRunning = 10 * time.Minute   // all together, while the ledger is open
	slackOffline = 7 * 24 * time.Hour // from the last entry to the first after Open
)

// timekeeper gives entries their times (DESIGN invariant 9). One goroutine calls next; parted may be called beside it.
type timekeeper struct {
	clock Clock
	last  time.Time // of the last entry

	// The ledger's clock runs from base at mono. The slack is counted from there and not from the last entry: else a wall clock set
	// ahead by nine minutes again and again would carry it anywhere.
	base     time.Time
	mono     time.Duration
	drifting bool // as of the newest entry
}

// start begins after last, the time of the newest entry (zero: none).
func (k *timekeeper) start(clock Clock, last time.Time) {
	now := micro(clock.Now())
	*k = timekeeper{clock: clock, last: last, base: last, mono: clock.Monotonic()}
	if last.IsZero() {
		k.base = now
	}
	// A wall clock within a week after the last entry is believed, and from then on held to the slack of a running ledger.
	if d := now.Sub(k.base); d >= 0 && d <= slackOffline {
		k.base = now
	}
}

// parted says how far the wall clock is from the ledger's, and whether that is too far.
func (k *timekeeper) parted() (wall, run time.Time, parted bool) {
	wall = micro(k.clock.Now())
	run = micro(k.base.Add(k.clock.Monotonic() - k.mono))
	off := wall.Sub(run)
	return wall, run, off > slackRunning || off < -slackRunning
}

// next returns the time of the next entry and what the wall says, and whether the two have just parted or met again.
func (k *timekeeper) next() (t, wall time.Time, changed bool) {
	was := k.drifting
	wall, run, parted := k.parted()
	k.drifting = parted
	if t = wall; k.drifting {
		t = run
	}
	if t.Before(k.last) {
		t = k.last
	}
	k.last = t
	return t, wall, k.drifting != was
}

func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Now is the time that an entry would get now: what a moment means is asked of the ledger, since anyone with root may set the wall clock. Opened read-only it is the wall clock. It is
// never before the newest entry.
func (l *Ledger) Now() time.Time {
	t := micro(l.opt.Clock.Now())
	if !l.readOnly {
		wall, run, parted := l.seq.time.parted()
		if t = wall; parted {
			t = run
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if last := time.UnixMicro(l.head.commit.Time).UTC(); l.head.size > 0 && t.Before(last) {
		return last
	}
	return t
}

// driftDraft records that the ledger's clock and the wall clock have parted or met again.
func driftDraft(drifting bool) Draft {
	state := "met"
	if drifting {
		state = "parted"
	}
	return Draft{entry.TimeDrift, entry.Private{Actor: "stele", Data: map[string]string{"state": state}}}
}
