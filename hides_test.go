package stele_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/storetest"
)

// TestHideBursts: who hides a tenth of a bucket, a bucket, or many objects within an hour is named, with the moment before, also after a restart and with an index made again, until somebody else has seen
// it or a month has passed; who hides little, or slowly, is not.
func TestHideBursts(t *testing.T) {
	clock, fs := storetest.NewClock(), vfs.NewMem()
	s := storetest.NewMem(t, stele.Options{FS: fs, Clock: clock})
	k, err := s.Keys().Create(ctx, stele.Local(), stele.RoleAdmin, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	thief := stele.Actor{Key: k.ID, Address: "192.0.2.9"}
	for _, b := range []string{"photos", "small", "slow"} {
		if _, err := s.CreateBucket(ctx, stele.Local(), b, false); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			storetest.Put(t, s, b, fmt.Sprint("key-", i), []byte("x"))
		}
	}
	hide := func(bucket string, from, to int, wait time.Duration) {
		t.Helper()
		for i := from; i < to; i++ {
			clock.Pass(wait)
			if _, err := s.Hide(ctx, stele.HideRequest{By: thief, Bucket: bucket, Key: fmt.Sprint("key-", i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	sees := func(when string, want int) []stele.HideBurst {
		t.Helper()
		all, err := s.HideBursts(ctx)
		if err != nil || len(all) != want {
			t.Errorf("%s: %+v, %v", when, all, err)
		}
		return all
	}
	hide("small", 0, 9, time.Second)
	hide("slow", 0, 50, 10*time.Minute)
	sees("little and slowly", 0)
	before := s.Ledger().Size()
	hide("photos", 0, 20, time.Second)
	b := sees("two fifths of a bucket", 1)
	if len(b) == 1 && (b[0].Key != k.ID || b[0].Bucket != "photos" || b[0].Objects != 20 || b[0].Before != before || b[0].Began.IsZero()) {
		t.Errorf("%+v, before %d", b[0], before)
	}
	for _, index := range []bool{true, false} {
		storetest.MustClose(t, s)
		if !index {
			if err := fs.RemoveAll("data/index"); err != nil {
				t.Fatal(err)
			}
		}
		if s, err = stele.Open(ctx, "data", stele.Options{FS: fs, Clock: clock}); err != nil {
			t.Fatal(err)
		}
		sees("after a restart", 1)
	}
	defer func() { storetest.MustClose(t, s) }()
	if _, err := s.SeeHides(ctx, thief); !errors.Is(err, stele.ErrBadState) {
		t.Errorf("the thief says that it is in order: %v", err)
	}
	if _, err := s.SeeHides(ctx, stele.Local()); err != nil {
		t.Fatal(err)
	}
	sees("seen", 0)
	clock.Pass(2 * time.Hour)
	hide("small", 9, 50, time.Second)
	if _, err := s.DeleteBucket(ctx, thief, "small"); err != nil {
		t.Fatal(err)
	}
	if b := sees("a bucket", 1); len(b) == 1 && !b[0].Deleted {
		t.Errorf("%+v", b[0])
	}
	clock.Pass(31 * 24 * time.Hour)
	sees("a month later", 0)
	// A bucket with a few objects: theft by a key that comes over the network, clearing up by who is on the machine.
	for who, want := range map[stele.Actor]int{stele.Local(): 0, thief: 1} {
		if _, err := s.CreateBucket(ctx, stele.Local(), "toys", false); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			storetest.Put(t, s, "toys", fmt.Sprint("key-", i), []byte("x"))
			if _, err := s.Hide(ctx, stele.HideRequest{By: who, Bucket: "toys", Key: fmt.Sprint("key-", i)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.DeleteBucket(ctx, who, "toys"); err != nil {
			t.Fatal(err)
		}
		sees("a bucket of three objects, deleted by "+who.Key, want)
		clock.Pass(31 * 24 * time.Hour)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "empty", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteBucket(ctx, thief, "empty"); err != nil {
		t.Fatal(err)
	}
	sees("an empty bucket", 0)
}
