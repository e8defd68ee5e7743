package core_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/internal/storetest"
)

func sums(t *testing.T, s *stele.Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.DeniedSum}}, func(e *entry.Entry) error {
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
	s := storetest.NewMem(t, stele.Options{})
	s.Denied(stele.Actor{Key: "AKIAGOOD"}, "AccessDenied")
	s.Denied(stele.Actor{Key: "\xff\xfe"}, "AccessDenied")
	for i := range 100 {
		s.Denied(stele.Actor{Key: fmt.Sprint(i, strings.Repeat("x", 20<<10))}, "AccessDenied")
	}
	if err := s.Rooms().Core.AppendDenials(ctx); err != nil {
		t.Fatal(err)
	}
	got := sums(t, s)
	if got["AccessDenied AKIAGOOD"] != "1" || len(got) > core.MaxDenialKinds+1 {
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

// TestDeniedNamesBuckets: a minute's sum says which actions on which buckets were refused most, and however many names a client makes up the sum stays small and hides none of them.
func TestDeniedNamesBuckets(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	thief := stele.Actor{Key: "THIEF"}
	for i := range 1000 {
		s.DeniedAt(thief, "AccessDenied", "GetObject", fmt.Sprint("made-up-", i))
		if i%2 == 0 {
			s.DeniedAt(thief, "AccessDenied", "GetObject", "photos")
		}
		if i%4 == 0 {
			s.DeniedAt(thief, "AccessDenied", "DeleteObject", "docs--at-20261120t100000z")
		}
	}
	s.DeniedAt(stele.Actor{Key: "K"}, "AccessDenied", "ListBuckets", "")
	s.DeniedAt(stele.Actor{Key: "K"}, "AccessDenied", "PutObject", "a, b 9\n")
	if err := s.Rooms().Core.AppendDenials(ctx); err != nil {
		t.Fatal(err)
	}
	got := sums(t, s)
	if sum := got["AccessDenied THIEF"]; !strings.HasPrefix(sum, "1750: GetObject photos 500, DeleteObject docs 250, ") || !strings.HasSuffix(sum, ", others 994") {
		t.Errorf("the thief's sum is %q", sum)
	}
	if sum := got["AccessDenied K"]; sum != "2: ListBuckets 1, PutObject 1" {
		t.Errorf("the other's sum is %q", sum)
	}
	for k := range 200 { // as many as can be told apart, each with names as long as they get
		for b := range 20 {
			s.DeniedAt(stele.Actor{Key: fmt.Sprint(k, strings.Repeat("x", 90))}, "AccessDenied", "GetObjectLockConfiguration", fmt.Sprint(b, strings.Repeat("y", 60)))
		}
	}
	if err := s.Rooms().Core.AppendDenials(ctx); err != nil {
		t.Errorf("the flooded sum can't be written: %v", err)
	}
}

// TestDeniedClaims: refusals of requests that proved no key name the keys which they claimed, as claimed and not as theirs; whoever makes up names hides nobody's refusals by it.
func TestDeniedClaims(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	s.DeniedAt(stele.Actor{Key: "PROVEN", Claimed: "OTHER"}, "AccessDenied", "GetObject", "photos")
	for i := range 1000 {
		by := stele.Actor{Claimed: fmt.Sprint("MADE-UP-", i)}
		if i%2 == 0 {
			by.Claimed = "STOLEN"
		}
		if i == 1 {
			by.Claimed = "a, b 9\n\x1b" + strings.Repeat("x", 500)
		}
		s.DeniedAt(by, "SignatureDoesNotMatch", "GetObject", "photos")
	}
	s.DeniedAt(stele.Actor{Claimed: "a b;\xff\n" + strings.Repeat("x", 500)}, "InvalidAccessKeyId", "", "")
	s.DeniedAt(stele.Actor{}, "AccessDenied", "GetObject", "photos")
	if err := s.Rooms().Core.AppendDenials(ctx); err != nil {
		t.Fatal(err)
	}
	got := sums(t, s)
	if sum := got["SignatureDoesNotMatch"]; !strings.HasPrefix(sum, "1000: GetObject photos 1000; claimed STOLEN 500, MADE-UP-") || !strings.HasSuffix(sum, ", others 493") {
		t.Errorf("the sum of what nobody proved is %q", sum)
	}
	if sum := got["InvalidAccessKeyId"]; sum != "1; claimed a_b___"+strings.Repeat("x", core.MaxDenialClaim-6)+" 1" {
		t.Errorf("a name from outside: %q", sum)
	}
	if got["AccessDenied PROVEN"] != "1: GetObject photos 1" || got["AccessDenied"] != "1: GetObject photos 1" || len(got) != 4 {
		t.Errorf("%v", got)
	}
}

// TestDeniedIsKept: what could not be written in this minute is written in the next one.
func TestDeniedIsKept(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	s.Denied(stele.Actor{Key: "K"}, "AccessDenied")
	gone, cancel := storetest.Cancelled()
	defer cancel()
	if err := s.Rooms().Core.AppendDenials(gone); err == nil {
		t.Fatal("no error")
	}
	s.Denied(stele.Actor{Key: "K"}, "AccessDenied")
	if err := s.Rooms().Core.AppendDenials(ctx); err != nil {
		t.Fatal(err)
	}
	if got := sums(t, s); got["AccessDenied K"] != "2" {
		t.Errorf("%v", got)
	}
}

// TestRefusalsAreEntries: each change that a lock refuses is an entry while few come, then a sum: a flood of them is bounded.
func TestRefusalsAreEntries(t *testing.T) {
	clock := storetest.NewPartedClock()
	s := storetest.NewMem(t, stele.Options{Clock: clock})
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	v, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "locked", Key: "a", Lock: &entry.Lock{Mode: entry.Compliance, Until: clock.Now().Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	before := s.Ledger().Size()
	const tries = 3 * core.DenialBurst
	for range tries {
		if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Actor{Key: core.ActorRoot}, Bucket: "locked", Key: "a", VersionID: v.ID}); !storetest.IsLocked(err) {
			t.Fatal(err)
		}
	}
	if alone := s.Ledger().Size() - before; alone != core.DenialBurst {
		t.Errorf("%d entries of their own", alone)
	}
	if err := s.Rooms().Core.AppendDenials(ctx); err != nil {
		t.Fatal(err)
	}
	if got := sums(t, s)["lock.hide root"]; got != fmt.Sprintf("%d: locked %[1]d", tries-core.DenialBurst) {
		t.Errorf("the sum is %q", got)
	}
}
