package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"stele/internal/engine/dir"
)

// machine is a clock whose machine may be switched off, and whose wall clock anyone may set.
type machine struct {
	testClock
	boot int
}

func newMachine() *machine {
	return &machine{testClock: testClock{wall: newClock().wall, mono: time.Hour}}
}

func (m *machine) Boot() string { return fmt.Sprint("run ", m.boot) }

// reboot switches the machine off for a while.
func (m *machine) reboot(off time.Duration) {
	m.boot++
	m.wall, m.mono = m.wall.Add(off), time.Minute
}

// bare is a clock that does not know the runs of its machine.
type bare struct{ *testClock }

// restarting is a ledger whose process is started anew again and again.
type restarting struct {
	t     testing.TB
	opt   Options
	led   *Ledger
	first time.Time // of the first entry
}

func newRestarting(t testing.TB, clock Clock) *restarting {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	opt.Clock = clock
	r := &restarting{t: t, opt: opt, led: mustCreate(t, opt)}
	r.first = mustPut(t, r.led, "first").Time
	return r
}

func (r *restarting) restart() {
	r.t.Helper()
	mustClose(r.t, r.led)
	led, err := Open(ctx, r.opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.led = led
}

// put returns how far the ledger's clock has come.
func (r *restarting) put() time.Duration {
	r.t.Helper()
	return mustPut(r.t, r.led, "next").Time.Sub(r.first)
}

// TestRestartsGrantNothing: starts of the process within one run of the machine bring the ledger's clock nowhere, however often the wall clock is set ahead in between.
func TestRestartsGrantNothing(t *testing.T) {
	m := newMachine()
	r := newRestarting(t, m)
	for range 5 {
		m.move(6*day+12*time.Hour, time.Second)
		r.restart()
		r.put()
	}
	if got := r.put(); got > time.Minute || !r.led.Drifting() {
		t.Errorf("the ledger's clock went %s ahead; held: %v", got, r.led.Drifting())
	}
	m.move(-32*day-12*time.Hour, 0)
	if got := r.put(); got > time.Minute || r.led.Drifting() {
		t.Errorf("with the clock set right: %s ahead; held: %v", got, r.led.Drifting())
	}
	mustClose(t, r.led)
}

// TestPowerOffs: after a power-off the wall clock is believed, but all power-offs together bring seven days at most within thirty.
func TestPowerOffs(t *testing.T) {
	for name, c := range map[string]struct {
		offs []time.Duration
		want time.Duration
		held bool
	}{
		"for a night":             {[]time.Duration{12 * time.Hour}, 12 * time.Hour, false},
		"five times 6.5 days":     {[]time.Duration{156 * time.Hour, 156 * time.Hour, 156 * time.Hour, 156 * time.Hour, 156 * time.Hour}, 7 * day, true},
		"into the past":           {[]time.Duration{-3 * day}, 0, true},
		"twenty years":            {[]time.Duration{7300 * day}, 7 * day, true},
		"twenty years, and right": {[]time.Duration{7300 * day, -7300*day + 8*day}, 7 * day, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			r := newRestarting(t, m)
			for _, off := range c.offs {
				m.reboot(off)
				r.restart()
				r.put()
			}
			if got := r.put(); (got-c.want).Abs() > time.Minute || r.led.Drifting() != c.held {
				t.Errorf("the ledger's clock went %s ahead, held: %v; want %s, %v", got, r.led.Drifting(), c.want, c.held)
			}
			mustClose(t, r.led)
		})
	}
}

// TestLongOff: a machine that was off for two weeks catches up in steps of seven days, thirty days apart.
func TestLongOff(t *testing.T) {
	m := newMachine()
	r := newRestarting(t, m)
	m.reboot(14 * day)
	r.restart()
	if got := r.put(); (got-7*day).Abs() > time.Minute || !r.led.Drifting() {
		t.Errorf("%s, held: %v", got, r.led.Drifting())
	}
	m.move(31*day, 31*day)
	r.put()
	m.reboot(0)
	r.restart()
	if got := r.put(); (got-45*day).Abs() > time.Minute || r.led.Drifting() {
		t.Errorf("a month later: %s, held: %v", got, r.led.Drifting())
	}
	mustClose(t, r.led)
}

// TestSameRun: what passes between two processes of one run of the machine is proven, sleep included.
func TestSameRun(t *testing.T) {
	m := newMachine()
	r := newRestarting(t, m)
	m.move(90*day, 90*day)
	r.restart()
	if got := r.put(); got < 90*day || r.led.Drifting() {
		t.Errorf("%s, held: %v", got, r.led.Drifting())
	}
	mustClose(t, r.led)
}

// TestNoBootID: where nobody knows the runs of the machine each start may have been one, and seven days are all there is.
func TestNoBootID(t *testing.T) {
	c := newMachine()
	r := newRestarting(t, bare{&c.testClock})
	for range 5 {
		c.move(6*day+12*time.Hour, time.Second)
		r.restart()
		r.put()
	}
	if got := r.put(); got > 7*day+time.Minute {
		t.Errorf("the ledger's clock went %s ahead", got)
	}
	mustClose(t, r.led)
}

// TestClockOverEpochs: a new epoch, also one that cuts entries off, goes on with the clock of the old one.
func TestClockOverEpochs(t *testing.T) {
	m := newMachine()
	r := newRestarting(t, m)
	m.reboot(6 * day)
	r.restart()
	r.put()
	cut := r.led.Size()
	for range 300 {
		r.put()
	}
	mustClose(t, r.led)
	next, err := r.opt.Keys.Next(cut)
	if err != nil {
		t.Fatal(err)
	}
	halted, err := OpenHalted(ctx, r.opt)
	if err != nil {
		t.Fatal(err)
	}
	m.reboot(6 * day)
	if err := halted.Begin(ctx, next, cut, driftDraft(true).Private); err != nil {
		t.Fatal(err)
	}
	mustClose(t, halted)
	r.opt.Keys = next
	for range 3 {
		m.reboot(6 * day)
		if r.led, err = Open(ctx, r.opt); err != nil {
			t.Fatal(err)
		}
		r.put()
		mustClose(t, r.led)
	}
	if got := r.led.Now().Sub(r.first); got > 7*day+time.Minute {
		t.Errorf("the ledger's clock went %s ahead", got)
	}
}

// TestClockProperty plays random starts, power-offs and settings of the wall clock. Between any two entries the ledger's clock goes no further than what the machine's monotonic clock says has passed,
// 10 minutes, and what jumps may bring: seven days in any thirty of its own.
func TestClockProperty(t *testing.T) {
	type at struct{ ledger, run time.Duration }
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine()
		fsys := vfs.NewMem()
		eng, err := dir.Open(fsys, "store", dir.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		opt := testOptions(eng)
		opt.Clock = m
		led, err := Create(ctx, opt, initDraft)
		if err != nil {
			rt.Fatal(err)
		}
		var passed time.Duration // that is proven
		var entries []at
		span := rapid.Int64Range(0, int64(20*day))
		start := m.wall
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			restart := true
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0: // time passes
				d := time.Duration(span.Draw(rt, "passes"))
				m.move(d, d)
				passed += d
				restart = false
			case 1: // somebody sets the clock
				m.move(time.Duration(span.Draw(rt, "set")-int64(10*day)), 0)
				restart = false
			case 2: // a little
				m.move(time.Duration(rapid.Int64Range(-int64(20*time.Minute), int64(20*time.Minute)).Draw(rt, "nudged")), 0)
				restart = false
			case 3: // the machine is off, and its clock is whatever
				m.reboot(time.Duration(span.Draw(rt, "off") - int64(5*day)))
			}
			if restart {
				if err := led.Close(); err != nil {
					rt.Fatal(err)
				}
				if led, err = Open(ctx, opt); err != nil {
					rt.Fatal(err)
				}
			}
			e, err := led.Append(ctx, put("k"))
			if err != nil {
				rt.Fatal(err)
			}
			entries = append(entries, at{e.Time.Sub(start), passed})
		}
		if err := led.Close(); err != nil {
			rt.Fatal(err)
		}
		for i, a := range entries {
			for _, b := range entries[i:] {
				went := b.ledger - a.ledger
				if went < 0 {
					rt.Fatalf("the ledger's clock went back by %s", -went)
				}
				windows := 1 + went/slackWindow
				if may := b.run - a.run + slackRunning + windows*slackOffline + time.Second; went > may {
					rt.Fatalf("the ledger's clock went %s ahead, may go %s", went, may)
				}
			}
		}
	})
}
