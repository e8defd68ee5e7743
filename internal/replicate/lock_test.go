package replicate

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// locker locks what it is asked to, on paper.
type locker struct {
	engine.Engine
	until map[string]time.Time
}

func (l *locker) LockFor(context.Context) (time.Duration, error) { return 30 * 24 * time.Hour, nil }

func (l *locker) LockedUntil(_ context.Context, name string) (time.Time, error) {
	return l.until[name], nil
}

func (l *locker) Renew(_ context.Context, name string, until time.Time) error {
	if until.After(l.until[name]) {
		l.until[name] = until
	}
	return nil
}

// TestRenew: what is needed stays locked, each file is touched at half its time, tails are not.
func TestRenew(t *testing.T) {
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	defer p.mustClose(t)
	for i := range 40 {
		p.mustPut(t, string(rune('a'+i)), random(4000, uint64(i)))
	}
	m := mem.New()
	target := &locker{m, map[string]time.Time{}}
	s := mustConnect(t, p, ShortTails(target, m))
	if err := s.shipNow(); err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1e9, 0)
	for day := range 100 {
		now := start.Add(time.Duration(day) * 24 * time.Hour)
		before := map[string]time.Time{}
		for name, until := range target.until {
			before[name] = until
		}
		if err := s.renew(ctx, now); err != nil {
			t.Fatal(err)
		}
		for name := range s.have {
			switch left := target.until[name].Sub(now); {
			case left < 15*24*time.Hour:
				t.Fatalf("day %d: %s is locked for %v only", day, name, left)
			case target.until[name] != before[name] && before[name].Sub(now) >= 15*24*time.Hour:
				t.Fatalf("day %d: %s was renewed early", day, name)
			}
		}
	}
	for name := range target.until {
		if strings.HasPrefix(name, engine.Tails) {
			t.Errorf("tail %s was renewed", name)
		}
	}
	if len(s.have) < 4 || target.until[formatFile].IsZero() {
		t.Errorf("%d files renewed, the format file until %v", len(s.have), target.until[formatFile])
	}
}
