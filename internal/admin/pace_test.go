package admin

import (
	"errors"
	"testing"
	"time"

	"stele"
)

// TestVerificationsOfOneKey: a key has one verification at a time, and few of them; another key and whoever is on the machine are not held up by it.
func TestVerificationsOfOneKey(t *testing.T) {
	var v verifications
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	begin := func(by stele.Actor, want error) func() {
		t.Helper()
		end, err := v.begin(by, now)
		if !errors.Is(err, want) {
			t.Fatalf("%s: %v, want %v", by.Key, err, want)
		}
		return end
	}
	greedy, other := stele.Actor{Key: "STELEGREEDY"}, stele.Actor{Key: "STELEOTHER"}
	end := begin(greedy, nil)
	begin(greedy, stele.ErrBusy)
	begin(other, nil)
	end()
	for range verifyBurst - 1 {
		begin(greedy, nil)()
	}
	begin(greedy, stele.ErrRate)
	now = now.Add(verifyEvery)
	begin(greedy, nil)()
	begin(greedy, stele.ErrRate)
	for range 3 * verifyBurst {
		begin(stele.Local(), nil)
		begin(stele.LocalUser("1000", "alice"), nil)
	}
}
