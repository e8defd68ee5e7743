package core

import (
	"testing"
	"time"
)

// TestRates: a key may write a minute's worth at once, then as many a second as its rate says; another key has an allowance of its own.
func TestRates(t *testing.T) {
	var r rates
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	count := func(key string, rate int) (n int) {
		for r.allow(key, rate, now) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		later time.Duration
		want  int
	}{{0, 2 * BurstSeconds}, {0, 0}, {499 * time.Millisecond, 0}, {time.Millisecond, 1}, {10 * time.Second, 20}, {24 * time.Hour, 2 * BurstSeconds}} {
		if now = now.Add(c.later); count("a", 2) != c.want {
			t.Errorf("%v later not %d entries were let through", c.later, c.want)
		}
	}
	if n := count("b", 1); n != BurstSeconds {
		t.Errorf("another key: %d", n)
	}
}

// TestDenialsAlone: a burst of lock refusals stands alone, then one a second.
func TestDenialsAlone(t *testing.T) {
	var d denials
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	count := func() (n int) {
		for d.alone(now) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		later time.Duration
		want  int
	}{{0, DenialBurst}, {time.Second, 1}, {7500 * time.Millisecond, 7}, {500 * time.Millisecond, 1}, {time.Hour, DenialBurst}} {
		if now = now.Add(c.later); count() != c.want {
			t.Errorf("%v later not %d refusals stood alone", c.later, c.want)
		}
	}
}
