package stele_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/storetest"
)

// TestLongestRetention: no way of asking gets a longer lock than Options.MaxRetentionDays, and what is locked longer already stays so: it may be lengthened no further, kept, and restored with its lock.
func TestLongestRetention(t *testing.T) {
	clock := storetest.NewPartedClock()
	s := storetest.NewMem(t, stele.Options{Clock: clock})
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	in := func(days int) time.Time { return clock.Now().AddDate(0, 0, days) }
	old, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "locked", Key: "old", Lock: &entry.Lock{Mode: entry.Compliance, Until: in(400)}})
	if err != nil {
		t.Fatal(err)
	}
	before := s.Ledger().Size()
	stele.SetMaxRetention(s, 365)
	put := func(until time.Time) error {
		_, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "locked", Key: "a", Lock: &entry.Lock{Mode: entry.Governance, Until: until}})
		return err
	}
	ways := map[string]func(until time.Time) error{
		"put": put,
		"copy": func(until time.Time) error {
			_, err := s.Copy(ctx, stele.CopyRequest{PutRequest: stele.PutRequest{By: stele.Local(), Bucket: "locked", Key: "b", Lock: &entry.Lock{Mode: entry.Compliance, Until: until}}, Source: old})
			return err
		},
		"upload": func(until time.Time) error {
			_, err := s.Multipart().Create(ctx, stele.Local(), stele.Upload{Bucket: "locked", Key: "c", Lock: &entry.Lock{Mode: entry.Compliance, Until: until}})
			return err
		},
		"retention": func(until time.Time) error {
			if err := put(in(1)); err != nil {
				return err
			}
			_, err := s.SetRetention(ctx, stele.Local(), stele.Place{Bucket: "locked", Key: "a"}, entry.Governance, until)
			return err
		},
	}
	for name, way := range ways {
		if err := way(in(365).Add(time.Second)); !errors.Is(err, stele.ErrBadName) || !strings.Contains(err.Error(), "max-retention-days") {
			t.Errorf("%s, a second longer: %v", name, err)
		}
		if err := way(in(365)); err != nil {
			t.Errorf("%s, as long as may be: %v", name, err)
		}
	}
	for _, long := range []stele.Retention{{Mode: entry.Compliance, Days: 366}, {Mode: entry.Governance, Years: 2}} {
		if _, err := s.SetObjectLock(ctx, stele.Local(), "locked", long); !errors.Is(err, stele.ErrBadState) {
			t.Errorf("default %+v: %v", long, err)
		}
	}
	if _, err := s.SetObjectLock(ctx, stele.Local(), "locked", stele.Retention{Mode: entry.Compliance, Years: 1}); err != nil {
		t.Error(err)
	}
	at := stele.Place{Bucket: "locked", Key: "old"}
	if _, err := s.SetRetention(ctx, stele.Local(), at, entry.Compliance, in(401)); !errors.Is(err, stele.ErrBadName) {
		t.Errorf("a long lock made longer: %v", err)
	}
	if _, err := s.SetRetention(ctx, stele.Local(), at, entry.Compliance, old.Lock.Until); err != nil {
		t.Errorf("a long lock asked for again: %v", err)
	}
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "locked", Key: "old"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "locked", Key: "old", At: stele.View{Size: before}}); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Head(ctx, at); err != nil || v.Lock.Mode != entry.Compliance || v.Lock.Until.Before(old.Lock.Until) {
		t.Errorf("restored as %+v, %v", v.Lock, err)
	}
}
