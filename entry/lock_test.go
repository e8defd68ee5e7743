package entry

import (
	"testing"
	"time"
)

// TestLocksOnlyLengthen walks over all pairs of retentions: what is active may be replaced by the same mode that ends no earlier, and GOVERNANCE by anything where it may be bypassed.
func TestLocksOnlyLengthen(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var all []Lock
	for _, mode := range []string{"", Governance, Compliance} {
		for _, days := range []int{-1, 0, 1, 2} {
			l := Lock{Mode: mode}
			if mode != "" {
				l.Until = now.AddDate(0, 0, days)
			}
			all = append(all, l, Lock{Mode: l.Mode, Until: l.Until, Hold: true})
		}
	}
	for _, old := range all {
		active := old.Mode != "" && old.Until.After(now)
		if old.Active(now) != active {
			t.Errorf("%+v: active %v", old, !active)
		}
		for _, bypass := range []bool{false, true} {
			if got, want := old.Keeps(now, bypass), active && (old.Mode == Compliance || !bypass); got != want {
				t.Errorf("%+v keeps, bypass %v: %v", old, bypass, got)
			}
			for _, to := range all {
				want := !active
				switch {
				case active && old.Mode == Compliance:
					want = to.Mode == Compliance && !to.Until.Before(old.Until)
				case active && !bypass:
					want = to.Mode == Governance && !to.Until.Before(old.Until)
				case active:
					want = true
				}
				if got := old.Allows(to, now, bypass); got != want {
					t.Errorf("%+v to %+v, bypass %v: %v, want %v", old, to, bypass, got, want)
				}
			}
		}
	}
}
