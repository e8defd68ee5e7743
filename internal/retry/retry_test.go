package retry

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	b := Backoff{First: time.Second, Most: 5 * time.Second}
	for failures, want := range []time.Duration{0, 1, 2, 4, 5, 5, 5} {
		if got := b.Wait(failures); got != want*time.Second {
			t.Errorf("after %d failures: %v, want %v s", failures, got, int(want))
		}
	}
	for _, failures := range []int{63, 64, 1 << 20, math.MaxInt} {
		if got := b.Wait(failures); got != b.Most {
			t.Errorf("after %d failures: %v", failures, got)
		}
		if got := (Backoff{First: 3, Most: math.MaxInt64}).Wait(failures); got != math.MaxInt64 {
			t.Errorf("without a bound, after %d failures: %v", failures, got)
		}
	}
	if got := (Backoff{First: time.Second, Most: time.Second}).Wait(9); got != time.Second {
		t.Errorf("always the same: %v", got)
	}
	if got := b.Wait(-1); got != 0 {
		t.Errorf("after -1 failures: %v", got)
	}
}

// TestJittered: between half and all, and not always the same.
func TestJittered(t *testing.T) {
	b := Backoff{First: time.Second, Most: time.Minute}
	for failures := range 9 {
		all, seen := b.Wait(failures), map[time.Duration]bool{}
		for range 100 {
			got := b.Jittered(failures)
			if got < all/2 || got > all {
				t.Fatalf("after %d failures: %v of %v", failures, got, all)
			}
			seen[got] = true
		}
		if failures > 0 && len(seen) < 50 {
			t.Errorf("after %d failures: only %d waits of 100 differ", failures, len(seen))
		}
	}
	if got := (Backoff{First: 1, Most: 1}).Jittered(1); got != 1 {
		t.Errorf("a nanosecond: %v", got)
	}
}

// TestSleepEnds: a context that has ended ends every wait.
func TestSleepEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := Sleep(ctx, 0); err != nil {
		t.Errorf("no wait: %v", err)
	}
	if err := Sleep(ctx, time.Nanosecond); err != nil {
		t.Errorf("a short wait: %v", err)
	}
	cancel()
	for _, d := range []time.Duration{0, time.Hour} {
		if err := Sleep(ctx, d); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", d, err)
		}
	}
}
