package stele

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stele/entry"
)

func sums(t *testing.T, s *Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := s.Log(ctx, LogQuery{Types: []entry.Type{entry.DeniedSum}}, func(e *entry.Entry) error {
		for k, v := range e.Private.Data {
			out[k] = v
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDeniedWhateverTheyAreCalled: nobody can make a minute's refusals unwritable by how he calls himself.
func TestDeniedWhateverTheyAreCalled(t *testing.T) {
	s := newMemStore(t, Options{})
	s.Denied(Actor{Key: "AKIAGOOD"}, "AccessDenied")
	s.Denied(Actor{Key: "\xff\xfe"}, "AccessDenied")
	for i := range 100 {
		s.Denied(Actor{Key: fmt.Sprint(i, strings.Repeat("x", 20<<10))}, "AccessDenied")
	}
	if err := s.appendDenials(ctx); err != nil {
		t.Fatal(err)
	}
	got := sums(t, s)
	if got["AccessDenied AKIAGOOD"] != "1" || len(got) > maxDenialKinds+1 {
		t.Errorf("%d kinds: %.300v", len(got), got)
	}
	total := 0
	for _, n := range got {
		var one int
		fmt.Sscan(n, &one)
		total += one
	}
	if total != 102 {
		t.Errorf("%d refusals of 102", total)
	}
}

// TestDeniedIsKept: what could not be written in this minute is written in the next one.
func TestDeniedIsKept(t *testing.T) {
	s := newMemStore(t, Options{})
	s.Denied(Actor{Key: "K"}, "AccessDenied")
	gone, cancel := withCancelled()
	defer cancel()
	if err := s.appendDenials(gone); err == nil {
		t.Fatal("no error")
	}
	s.Denied(Actor{Key: "K"}, "AccessDenied")
	if err := s.appendDenials(ctx); err != nil {
		t.Fatal(err)
	}
	if got := sums(t, s); got["AccessDenied K"] != "2" {
		t.Errorf("%v", got)
	}
}

// TestRefusalsAreEntries: each change that a lock refuses is an entry while few come, then a sum: a flood of them is bounded.
func TestRefusalsAreEntries(t *testing.T) {
	clock := newPartedClock()
	s := newMemStore(t, Options{Clock: clock})
	makeBucket(t, s, "locked", true, Enabled)
	v, err := s.Put(ctx, PutRequest{By: Local(), Bucket: "locked", Key: "a", Lock: &entry.Lock{Mode: compliance, Until: clock.Now().Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	before := s.Size()
	const tries = 3 * denialBurst
	for range tries {
		if _, err := s.Hide(ctx, HideRequest{By: Actor{Key: actorRoot}, Bucket: "locked", Key: "a", VersionID: v.ID}); !isLocked(err) {
			t.Fatal(err)
		}
	}
	if alone := s.Size() - before; alone != denialBurst {
		t.Errorf("%d entries of their own", alone)
	}
	if err := s.appendDenials(ctx); err != nil {
		t.Fatal(err)
	}
	if got := sums(t, s)["lock.hide root"]; got != fmt.Sprint(tries-denialBurst) {
		t.Errorf("the sum is %q", got)
	}
}
