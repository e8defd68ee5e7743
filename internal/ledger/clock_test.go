package ledger

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
)

const day = 24 * time.Hour

func TestTimekeeper(t *testing.T) {
	start := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	type step struct {
		wall, mono time.Duration // how far each clock moves before the entry
		want       time.Duration // the entry's time, from start
		drifting   bool
	}
	for name, c := range map[string]struct {
		offline time.Duration // from the last entry to Open, on the wall
		steps   []step
	}{
		"ordinary":                  {0, []step{{time.Second, time.Second, time.Second, false}, {time.Hour, time.Hour, time.Hour + time.Second, false}}},
		"a step back never shows":   {0, []step{{time.Hour, time.Hour, time.Hour, false}, {-time.Minute, 0, time.Hour, false}, {2 * time.Minute, 2 * time.Minute, time.Hour + time.Minute, false}}},
		"nine minutes ahead":        {0, []step{{9 * time.Minute, 0, 9 * time.Minute, false}}},
		"nine minutes ahead, twice": {0, []step{{9 * time.Minute, 0, 9 * time.Minute, false}, {9 * time.Minute, 0, 9 * time.Minute, true}}},
		"a year ahead and back": {0, []step{{365 * day, time.Second, time.Second, true}, {time.Minute, time.Minute, time.Minute + time.Second, true},
			{-365 * day, time.Second, time.Minute + time.Second, false}}},
		"a year back":             {0, []step{{-365 * day, time.Second, time.Second, true}, {time.Minute, time.Minute, time.Minute + time.Second, true}}},
		"a month passes":          {0, []step{{30 * day, 30 * day, 30 * day, false}}},
		"six days off":            {6 * day, []step{{time.Second, time.Second, 6*day + time.Second, false}}},
		"six days off, then more": {6 * day, []step{{6 * day, time.Second, 7*day + time.Second, true}}}, // set by the network a moment later, perhaps: but no more than seven in all
		"six days off, then more, too late": {6 * day, []step{{2 * time.Hour, 2 * time.Hour, 6*day + 2*time.Hour, false},
			{6 * day, time.Second, 6*day + 2*time.Hour + time.Second, true}}},
		"eight days off":              {8 * day, []step{{time.Second, time.Second, 7*day + time.Second, true}}},
		"twenty years off":            {7300 * day, []step{{time.Second, time.Second, 7*day + time.Second, true}}},
		"nine minutes back and ahead": {0, []step{{time.Hour, time.Hour, time.Hour, false}, {-9 * time.Minute, 0, time.Hour, false}, {19*time.Minute + time.Second, 0, time.Hour, true}}},
		"off into the past":           {-day, []step{{time.Second, time.Second, time.Second, true}}},
		"off into the near past":      {-5 * time.Minute, []step{{time.Second, time.Second, 0, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &machine{testClock: testClock{wall: start.Add(c.offline), mono: time.Hour}}
			mark := &entry.Clock{Boot: bootOf(clock, [16]byte{}), Mono: monotonic(clock), Run: start}
			if c.offline != 0 {
				clock.boot++
			}
			var k timekeeper
			k.start(clock, [16]byte{}, start, mark, 0)
			for i, s := range c.steps {
				clock.move(s.wall, s.mono)
				was := k.drifting
				got, wall, changed := k.next()
				if d := got.Sub(start); d != s.want || k.drifting != s.drifting || changed != (was != s.drifting) {
					t.Errorf("entry %d is at %s, drifting %v, changed %v; want %s, %v", i, d, k.drifting, changed, s.want, s.drifting)
				}
				if !wall.Equal(clock.wall) {
					t.Errorf("entry %d: wall %s, want %s", i, wall, clock.wall)
				}
			}
		})
	}
}

// TestDrift sets the wall clock ahead while the ledger runs: it is recorded, entries carry the wall time, and the ledger's time doesn't follow.
func TestDrift(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	clock := newClock()
	opt.Clock = clock
	var m memory
	opt.Apply = m.apply
	l := mustCreate(t, opt)
	before := mustPut(t, l, "before")
	clock.move(400*day, 0)
	during := mustPut(t, l, "during")
	if !l.Drifting() {
		t.Error("not drifting")
	}
	clock.move(-400*day, 0)
	after := mustPut(t, l, "after")
	if l.Drifting() {
		t.Error("still drifting")
	}
	mustClose(t, l)

	types := []entry.Type{entry.StoreInit, entry.ObjectPut, entry.TimeDrift, entry.ObjectPut, entry.TimeDrift, entry.ObjectPut}
	if len(m.entries) != len(types) {
		t.Fatalf("%d entries applied, want %d", len(m.entries), len(types))
	}
	for i, e := range m.entries {
		if e.Type != types[i] {
			t.Errorf("entry %d is %s, want %s", i, e.Type, types[i])
		}
	}
	if d := during.Time.Sub(before.Time); d < 0 || d > time.Second {
		t.Errorf("the ledger's clock went along by %s", d)
	}
	if d := during.Private.Wall.Sub(during.Time); d < 399*day {
		t.Errorf("the wall time beside it is %s ahead", d)
	}
	if m.entries[2].Private.Data["state"] != "parted" || m.entries[4].Private.Data["state"] != "met" {
		t.Errorf("recorded as %v and %v", m.entries[2].Private.Data, m.entries[4].Private.Data)
	}
	if !before.Private.Wall.IsZero() || !after.Private.Wall.IsZero() {
		t.Error("a wall time where the clocks agree")
	}
}

func TestSystemClock(t *testing.T) {
	var c SystemClock
	a := c.Monotonic()
	if b := c.Monotonic(); a <= 0 || b < a {
		t.Errorf("monotonic clock reads %s, then %s", a, b)
	}
}

func TestSizeAt(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	clock := newClock()
	clock.step = 0
	opt.Clock = clock
	l := mustCreate(t, opt)
	defer l.Close()
	var times []time.Time
	start := clock.wall
	times = append(times, start)
	for i := range 400 {
		if i%3 != 0 {
			clock.move(time.Duration(i)*time.Millisecond, time.Duration(i)*time.Millisecond)
		}
		times = append(times, mustPut(t, l, "k").Time)
	}
	if len(l.segments) < 5 {
		t.Fatalf("%d segments", len(l.segments))
	}
	at := func(q time.Time) uint64 {
		n, err := l.SizeAt(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, q := range times {
		for _, d := range []time.Duration{-time.Microsecond, 0, time.Microsecond, 300 * time.Microsecond} {
			want := uint64(0)
			for _, e := range times {
				if !e.After(q.Add(d)) {
					want++
				}
			}
			if got := at(q.Add(d)); got != want {
				t.Fatalf("size at %s is %d, want %d", q.Add(d), got, want)
			}
		}
	}
	if at(time.Time{}) != 0 || at(start.Add(1000*day)) != uint64(len(times)) {
		t.Error("before the first or after the last")
	}
}
