package stele_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/internal/storetest"
)

// TestMomentsAreTheLedgers: what a moment means is decided by the ledger's clock, which entries have their times from, wherever somebody has set the wall clock.
func TestMomentsAreTheLedgers(t *testing.T) {
	for name, shift := range map[string]time.Duration{"ahead": 5 * 365 * 24 * time.Hour, "behind": -5 * 365 * 24 * time.Hour, "a little behind": -5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			clock := storetest.NewPartedClock()
			s := storetest.NewMem(t, stele.Options{Clock: clock})
			storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
			one := storetest.Put(t, s, "books", "a", []byte("1"))
			clock.Pass(time.Hour)
			storetest.Put(t, s, "books", "a", []byte("2"))
			clock.Pass(time.Hour)
			three := storetest.Put(t, s, "books", "a", []byte("3"))
			clock.Set(shift)
			storetest.Put(t, s, "books", "b", []byte("4")) // from here on the clocks are known to differ
			for when, want := range map[string]string{"90m": "1", "30m": "2", "1s": "2", one.Time.Format(time.RFC3339Nano): "1", three.Time.Format(time.RFC3339Nano): "3"} {
				if shift < 0 && shift > -time.Hour && when == "1s" {
					continue // the ledger's clock stands still until the wall has caught up
				}
				at, err := s.ViewAt(ctx, when)
				if err != nil {
					t.Errorf("%s: %v", when, err)
					continue
				}
				if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a", At: at}); string(got) != want {
					t.Errorf("%s shows %q, not %q", when, got, want)
				}
			}
			if _, err := s.ViewAt(ctx, three.Time.Add(time.Hour).Format(time.RFC3339)); !errors.Is(err, stele.ErrFuture) {
				t.Errorf("an hour after the newest entry: %v", err)
			}
			if _, _, err := s.ParseBucket(ctx, "books--at-"+three.Time.Add(time.Hour).Format("20060102t150405z")); !errors.Is(err, stele.ErrFuture) {
				t.Errorf("as a bucket: %v", err)
			}
			if _, v, err := s.ParseBucket(ctx, "books--at-"+one.Time.Format("20060102t150405z")); err != nil || v.Size != one.Entry+1 {
				t.Errorf("%v %v", v, err)
			}
		})
	}
}

// TestViewsOverIncarnations: a name shows at each moment the life that it had then, with its versions, settings and locks, and nothing of the others.
func TestViewsOverIncarnations(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	type moment struct {
		at   stele.View
		body string // "": no bucket; "-": no key
	}
	var moments []moment
	note := func(body string) { moments = append(moments, moment{stele.View{Size: s.Ledger().Size()}, body}) }
	note("")
	for life := range 3 {
		storetest.MakeBucket(t, s, "books", false, []stele.Versioning{stele.Unversioned, stele.Enabled, stele.Suspended}[life])
		note("-")
		body := fmt.Sprint("life ", life)
		v := storetest.Put(t, s, "books", "a", []byte(body))
		note(body)
		r, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a"})
		if err != nil {
			t.Fatal(err)
		}
		note("-")
		for _, id := range []string{v.ID, r.VersionID} {
			if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a", VersionID: id}); err != nil {
				t.Fatal(err)
			}
		}
		note("-")
		if _, err := s.DeleteBucket(ctx, stele.Local(), "books"); err != nil {
			t.Fatal(err)
		}
		note("")
	}
	for _, m := range moments {
		list, err := s.Buckets(ctx, m.at)
		if err != nil || len(list) != map[bool]int{true: 0, false: 1}[m.body == ""] {
			t.Errorf("@%d: %d buckets, %v", m.at.Size, len(list), err)
		}
		page, err := s.List(ctx, stele.ListRequest{Bucket: "books", Max: 10, At: m.at})
		switch m.body {
		case "":
			if !errors.Is(err, stele.ErrNoBucket) {
				t.Errorf("@%d: %v", m.at.Size, err)
			}
		case "-":
			if _, herr := s.Head(ctx, stele.Place{Bucket: "books", Key: "a", At: m.at}); err != nil || len(page.Versions) != 0 || !errors.Is(herr, stele.ErrNoKey) {
				t.Errorf("@%d: %+v %v %v", m.at.Size, page, err, herr)
			}
		default:
			if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a", At: m.at}); err != nil || len(page.Versions) != 1 || string(got) != m.body {
				t.Errorf("@%d: %+v %q %v", m.at.Size, page, got, err)
			}
		}
	}
	if h, err := storetest.AllChanges(s, "books", "a"); err != nil || len(h) < 9 {
		t.Errorf("%d changes, %v", len(h), err)
	}
}

// TestLongAgo: a number of weeks that no duration holds is refused and does not turn into another moment.
func TestLongAgo(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	for _, when := range []string{"2147483647w", "15251w", "9223372036854775807s", "99999999999999999999d"} {
		if v, err := s.ViewAt(ctx, when); !errors.Is(err, stele.ErrBadName) || !strings.Contains(err.Error(), "long ago") {
			t.Errorf("%s: %v %v", when, v, err)
		}
	}
	if _, err := s.ViewAt(ctx, "15000w"); !errors.Is(err, stele.ErrBadName) {
		t.Error(err)
	}
}

// TestViewAtSecond: the moment that goes into a bucket's name is a moment for the verbs too, and the same one.
func TestViewAtSecond(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	storetest.Put(t, s, "books", "a", []byte("x"))
	second := s.Rooms().Core.Ledger().Now().UTC().Format("20060102t150405z")
	at, err := s.ViewAt(ctx, second)
	if err != nil || at.Size != s.Ledger().Size() {
		t.Errorf("%v, %v", at, err)
	}
	if _, named, err := s.ParseBucket(ctx, "books--at-"+second); err != nil || named != at {
		t.Errorf("the bucket's name shows %v, %v", named, err)
	}
	if _, err := s.ViewAt(ctx, "20269920t100000z"); !errors.Is(err, stele.ErrBadName) {
		t.Error(err)
	}
}
