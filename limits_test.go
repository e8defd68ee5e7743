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

// TestLargestEntryWhileClocksDiffer: the wall time that an entry then carries must not push it over the limit after it was decided: nothing could be written any more.
func TestLargestEntryWhileClocksDiffer(t *testing.T) {
	clock := storetest.NewPartedClock()
	s := storetest.NewMem(t, stele.Options{Clock: clock})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	clock.Set(time.Hour)
	storetest.Put(t, s, "books", "small", []byte("x"))
	if !s.Rooms().Core.Ledger().Drifting() {
		t.Fatal("the clocks have not parted")
	}
	refused := 0
	clock.Pass(2 * time.Minute) // so that the next entry carries the state of the clock
	for n := entry.MaxPrivate - 1100; n < entry.MaxPrivate; n += 9 {
		_, err := s.SetTags(ctx, stele.Local(), stele.Place{Bucket: "books", Key: "small"}, map[string]string{"t": strings.Repeat("x", n)})
		if err != nil {
			if !errors.Is(err, stele.ErrTooLarge) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			refused++
		}
		if _, err := s.SetHold(ctx, stele.Local(), stele.Place{Bucket: "books", Key: "none"}, true); !errors.Is(err, stele.ErrNoKey) {
			t.Fatal(err)
		}
		if _, err := s.SetTags(ctx, stele.Local(), stele.Place{Bucket: "books", Key: "small"}, nil); err != nil {
			t.Fatalf("after tags of %d bytes nothing can be written: %v", n, err)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// unread fails the test when a body is read that had to be refused before.
type unread struct{ t *testing.T }

func (u unread) Read(p []byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}

// TestRefusedBeforeTheBody: what can't be an entry is refused before its body streams in, by the right name.
func TestRefusedBeforeTheBody(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "plain", false, stele.Unversioned)
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	later := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		q    stele.PutRequest
		want error
	}{
		"no bucket":           {stele.PutRequest{Bucket: "none"}, stele.ErrNoBucket},
		"meta not UTF-8":      {stele.PutRequest{Bucket: "plain", Meta: map[string]string{"a": "\xff"}}, stele.ErrBadName},
		"meta name not UTF-8": {stele.PutRequest{Bucket: "plain", Meta: map[string]string{"\xff": ""}}, stele.ErrBadName},
		"header not UTF-8":    {stele.PutRequest{Bucket: "plain", Headers: map[string]string{"content-type": "\xc0\x80"}}, stele.ErrBadName},
		"tag not UTF-8":       {stele.PutRequest{Bucket: "plain", Tags: map[string]string{"\xed\xa0\x80": "x"}}, stele.ErrBadName},
		"meta too large":      {stele.PutRequest{Bucket: "plain", Meta: map[string]string{"a": strings.Repeat("x", entry.MaxPrivate)}}, stele.ErrTooLarge},
		"meta just too large": {stele.PutRequest{Bucket: "plain", Meta: map[string]string{"a": strings.Repeat("x", entry.MaxPrivate-300)}}, stele.ErrTooLarge},
		"lock without lock":   {stele.PutRequest{Bucket: "plain", Lock: &entry.Lock{Hold: true}}, stele.ErrBadState},
		"mode":                {stele.PutRequest{Bucket: "locked", Lock: &entry.Lock{Mode: "FOREVER", Until: later}}, stele.ErrBadState},
		"mode alone":          {stele.PutRequest{Bucket: "locked", Lock: &entry.Lock{Mode: entry.Compliance}}, stele.ErrBadState},
		"date alone":          {stele.PutRequest{Bucket: "locked", Lock: &entry.Lock{Until: later}}, stele.ErrBadState},
		"year":                {stele.PutRequest{Bucket: "locked", Lock: &entry.Lock{Mode: entry.Compliance, Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}, stele.ErrBadState},
	} {
		q := c.q
		q.By, q.Key, q.Body, q.Size = stele.Local(), "a", unread{t}, 5
		if _, err := s.Put(ctx, q); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		_, err := s.Multipart().Create(ctx, stele.Local(), stele.Upload{Bucket: q.Bucket, Key: "a", Headers: q.Headers, Meta: q.Meta, Tags: q.Tags, Lock: q.Lock})
		if !errors.Is(err, c.want) {
			t.Errorf("upload, %s: %v", name, err)
		}
	}
}

// TestUploadCanBeCompleted: what Multipart.Create took fits into the entry that completes it; else the parts would have been sent for nothing.
func TestUploadCanBeCompleted(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	done := 0
	for n := entry.MaxPrivate - 1200; n < entry.MaxPrivate; n += 60 {
		u, err := s.Multipart().Create(ctx, stele.Local(), stele.Upload{Bucket: "books", Key: "a", Meta: map[string]string{"m": strings.Repeat("x", n)}})
		if errors.Is(err, stele.ErrTooLarge) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Multipart().PutPart(ctx, stele.PartRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Number: 10000, Body: strings.NewReader("part"), Size: 4})
		if err != nil {
			t.Fatal(err)
		}
		q := stele.CompleteRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Parts: []stele.Part{p}}
		q.Finish = func(stele.Upload, []stele.Part) (*entry.Checksum, error) {
			return &entry.Checksum{Algorithm: "SHA256", Kind: "COMPOSITE", Value: strings.Repeat("x", 50)}, nil
		}
		if _, err := s.Multipart().Complete(ctx, q); err != nil {
			t.Fatalf("metadata of %d bytes: %v", n, err)
		}
		done++
	}
	if done == 0 {
		t.Error("nothing was completed")
	}
}

// TestLockDatesAreWholeMicroseconds: entries keep no finer times. They are rounded up, so that a lock is never shorter than what was asked for.
func TestLockDatesAreWholeMicroseconds(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	until := time.Now().Add(time.Hour).Truncate(time.Second).Add(123456789).In(time.FixedZone("east", 3600))
	want := until.Truncate(time.Microsecond).Add(time.Microsecond).UTC()
	l := &entry.Lock{Mode: entry.Governance, Until: until}
	check := func(v stele.Version, err error) {
		t.Helper()
		if err == nil {
			v, err = s.Head(ctx, stele.Place{Bucket: "locked", Key: v.Key})
		}
		if err != nil || v.Lock.Until != want {
			t.Errorf("%v, want %v: %v", v.Lock.Until, want, err)
		}
	}
	check(s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "locked", Key: "put", Size: 0, Lock: l}))
	storetest.Put(t, s, "locked", "set", nil)
	check(s.SetRetention(ctx, stele.Local(), stele.Place{Bucket: "locked", Key: "set"}, entry.Governance, until))
	check(s.SetRetention(ctx, stele.Local(), stele.Place{Bucket: "locked", Key: "set"}, entry.Governance, until)) // no shorter than before
	u, err := s.Multipart().Create(ctx, stele.Local(), stele.Upload{Bucket: "locked", Key: "mp", Lock: l})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := s.Multipart().Get(ctx, "locked", "mp", u.ID); err != nil || info.Lock == nil || info.Lock.Until != want {
		t.Errorf("upload: %+v, %v", info.Lock, err)
	}
	if l.Until != until {
		t.Error("the caller's lock was changed")
	}
}
