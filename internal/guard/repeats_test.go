package guard

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestRepeats: the first of a kind is logged at once, the rest are counted, and a quiet minute makes the next a first one.
func TestRepeats(t *testing.T) {
	var out bytes.Buffer
	var due []func()
	r := &Repeats{Log: slog.New(slog.NewTextHandler(&out, nil)), After: func(_ time.Duration, fn func()) { due = append(due, fn) }}
	lines := func() int { return strings.Count(out.String(), "\n") }
	minute := func() {
		now := due
		due = nil
		for _, fn := range now {
			fn()
		}
	}
	for range 2607 {
		r.Line(slog.LevelError, "ServiceUnavailable", "a request failed", "err", "the disk")
	}
	r.Line(slog.LevelError, "InternalError", "a request failed")
	if lines() != 2 {
		t.Fatalf("%d lines, want one of each kind:\n%.500s", lines(), out.String())
	}
	minute()
	if lines() != 3 || !strings.Contains(out.String(), "times=2606") {
		t.Fatalf("the rest is not counted:\n%s", out.String())
	}
	minute() // quiet
	r.Line(slog.LevelError, "ServiceUnavailable", "a request failed")
	if lines() != 4 {
		t.Fatalf("%d lines, want the first one after a quiet minute:\n%s", lines(), out.String())
	}
	if len(due) != 1 {
		t.Errorf("%d timers, want one for the one kind that was seen", len(due))
	}
	for i := range 1000 {
		r.Line(slog.LevelError, string(rune('a'+i)), "many kinds")
	}
	if len(r.kinds) > maxKinds+1 {
		t.Errorf("%d kinds are remembered", len(r.kinds))
	}
}
