package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"stele/entry"
)

// Clock is where time comes from. One that knows its machine's runs implements Booter too.
type Clock interface {
	Now() time.Time           // the wall clock, which anyone with root may set
	Monotonic() time.Duration // time since some start, which nobody can set; it goes on while the machine sleeps
}

// Booter is a Clock that names the run of the machine: Monotonic of two processes can be compared if they are of the same run. Empty: not known, then each start of a process counts as a run.
type Booter interface{ Boot() string }

// How far the ledger's clock follows the wall clock beyond what the monotonic clock says has passed.
const (
	slackRunning = 10 * time.Minute    // all together, in one run of the machine
	slackOffline = 7 * 24 * time.Hour  // all jumps together within slackWindow: nobody can say how long a machine was off
	slackWindow  = 30 * 24 * time.Hour // of the ledger's time

	// bootWindow is how long after the first start of the ledger in a run of the machine a jump may still come: a machine without a battery for its clock begins somewhere in the past, and is set
	// by the network a moment later.
	bootWindow = time.Hour
)

// timekeeper gives entries their times (DESIGN invariant 9). It keeps a clock of its own, run, which only the monotonic clock moves, and which jumps towards the wall clock when the machine was off
// meanwhile: by slackOffline at most within slackWindow, over all starts. An entry's time is that of the wall while the two are within slackRunning, else that of run. What it needs to go on
// after a restart is in the entries (entry.Clock), at least every markEvery of them: deleting any other file wins nothing.
type timekeeper struct {
	clock Clock

	mu       sync.Mutex // next writes what Now and State read
	last     time.Time  // of the last entry
	mark     clockMark  // run and what it may still jump, as of Mono
	drifting bool       // as of the newest entry
	stale    bool       // no entry carries what start has made of it
	markedAt uint64     // the newest entry that carries it
	carries  clockMark  // what that entry says
}

// An entry carries the clock if the newest that does is markEvery entries back, so that it is found soon; or markAge, which is then all that the proof of time loses when the machine is switched off;
// or if it says something that is off by more than markOff.
const (
	markEvery = 256
	markAge   = time.Minute
	markOff   = 10 * time.Millisecond
)

// start begins after last, the time of the newest entry (zero: none), with the clock that the newest entry to carry one has (nil: none has). id hides the machine's name for its run from those who
// read entries.
func (k *timekeeper) start(clock Clock, id [16]byte, last time.Time, mark *entry.Clock, markedAt uint64) {
	k.clock, k.last, k.markedAt, k.drifting = clock, last, markedAt, false
	wall, mono, boot := micro(clock.Now()), monotonic(clock), bootOf(clock, id)
	switch {
	case last.IsZero(): // the ledger begins: there is nothing to compare the wall clock with
		k.mark, k.stale = clockMark{Boot: boot, Mono: mono, Run: wall}, true
		return
	case mark == nil: // of an older Stele
		k.mark = clockMark{Run: last}
	default:
		k.mark = clockMark(*mark)
	}
	k.carries = k.mark
	if boot != "" && boot == k.mark.Boot {
		if mono < k.mark.Mono { // a machine that was put back to a snapshot: nothing has passed that anyone could prove
			k.mark.Mono, k.stale = mono, true
		}
		return
	}
	// Another run of the machine: it was off for nobody knows how long.
	k.mark.Boot, k.mark.Mono, k.mark.Until, k.stale = boot, mono, mono+uint64(bootWindow/time.Microsecond), true
	k.mark.jump(wall, 0)
}

// reading is what the clocks say at one moment.
type reading struct {
	wall   time.Time
	mark   clockMark
	parted bool // wall and run are too far apart
}

// read reads the clocks, and lets run jump where it may. k.mu is held.
func (k *timekeeper) read() reading {
	r := reading{wall: micro(k.clock.Now()), mark: k.mark}
	if mono := monotonic(k.clock); mono > r.mark.Mono {
		r.mark.Run = r.mark.Run.Add(time.Duration(mono-r.mark.Mono) * time.Microsecond)
		r.mark.Mono = mono
	}
	if r.mark.Mono < r.mark.Until {
		r.mark.jump(r.wall, slackRunning)
	}
	off := r.wall.Sub(r.mark.Run)
	if off < 0 && off >= -slackRunning {
		r.mark.Run, off = r.wall, 0 // so that the slack is not had twice, once below and once above
	}
	r.parted = off > slackRunning || off < -slackRunning
	return r
}

// time is what an entry gets at that moment.
func (r *reading) time(last time.Time) time.Time {
	t := r.wall
	if r.parted {
		t = r.mark.Run
	}
	if t.Before(last) {
		return last
	}
	return t
}

// next returns the time of the next entry and what the wall says, and whether the two have just parted or met again.
func (k *timekeeper) next() (t, wall time.Time, changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.read()
	k.mark = r.mark
	changed = r.parted != k.drifting
	k.drifting = r.parted
	k.last = r.time(k.last)
	return k.last, r.wall, changed
}

// now is the time that next would return, and how the clocks stand.
func (k *timekeeper) now() (t time.Time, r reading) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r = k.read()
	return r.time(k.last), r
}

// due is the clock that entry index has to carry, nil if an entry shortly before it does.
func (k *timekeeper) due(index uint64) *entry.Clock {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := time.Duration(k.mark.Mono-k.carries.Mono) * time.Microsecond
	off := k.mark.origin().Sub(k.carries.origin())
	if !k.stale && index-k.markedAt < markEvery && old < markAge && off.Abs() <= markOff {
		return nil
	}
	m := entry.Clock(k.mark)
	return &m
}

// carried notes that an entry carries the clock that due gave.
func (k *timekeeper) carried(index uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stale, k.markedAt, k.carries = false, index, k.mark
}

// clockMark is an entry.Clock that jumps.
type clockMark entry.Clock

// origin is where the clock would have been at Mono 0: it changes when the clock is moved by anything but the passing of time.
func (m *clockMark) origin() time.Time { return m.Run.Add(-time.Duration(m.Mono) * time.Microsecond) }

// jump moves the clock to the wall, or as far towards it as the jumps of the last slackWindow leave, if the wall is more than least ahead. Jumps count until slackWindow has passed since the newest of
// them: so those of any such span are among those that were counted together.
func (m *clockMark) jump(wall time.Time, least time.Duration) {
	ahead := wall.Sub(m.Run)
	if ahead <= least {
		return
	}
	if !m.Jumped.IsZero() && m.Run.Sub(m.Jumped) >= slackWindow {
		m.Spent = 0
	}
	by := min(ahead, slackOffline-time.Duration(m.Spent)*time.Microsecond)
	if by <= 0 {
		return
	}
	m.Run = m.Run.Add(by)
	m.Spent += uint64(by / time.Microsecond)
	m.Jumped = m.Run
}

func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// monotonic is in whole microseconds, in which the mark counts: so that carrying it on at each entry loses nothing.
func monotonic(c Clock) uint64 { return uint64(max(0, c.Monotonic()/time.Microsecond)) }

// bootOf names the run of the machine as entries do. Entries are read by others: what they see tells two runs apart and is no name that the machine has elsewhere.
func bootOf(c Clock, id [16]byte) string {
	b, ok := c.(Booter)
	if !ok || b.Boot() == "" {
		return ""
	}
	sum := sha256.Sum256(append(append([]byte("stele boot\x00"), id[:]...), b.Boot()...))
	return hex.EncodeToString(sum[:16])
}

// ClockState is how the ledger's clock and the wall clock stand to one another.
type ClockState struct {
	Ledger, Wall time.Time
	Held         bool // they are too far apart: the ledger's goes on by the monotonic clock alone
}

// ClockState tells how the clocks stand now. A ledger opened read-only has no clock of its own.
func (l *Ledger) ClockState() ClockState {
	if l.readOnly {
		t := micro(l.opt.Clock.Now())
		return ClockState{Ledger: t, Wall: t}
	}
	t, r := l.seq.time.now()
	return ClockState{Ledger: t, Wall: r.wall, Held: r.parted}
}

// Now is the time that an entry would get now: what a moment means is asked of the ledger, since anyone with root may set the wall clock. Opened read-only it is the wall clock. It is
// never before the newest entry.
func (l *Ledger) Now() time.Time {
	t := micro(l.opt.Clock.Now())
	if !l.readOnly {
		t, _ = l.seq.time.now()
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
