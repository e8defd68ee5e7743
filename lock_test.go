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

// TestRetentionChanges is AWS's table of what may become of a retention that has not ended ("Object Lock retention modes"): longer in the same mode is free, all else in GOVERNANCE
// needs the bypass, a change of mode too, and COMPLIANCE only gets longer.
func TestRetentionChanges(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	now := time.Now().Truncate(time.Second)
	hours := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	for i, c := range []struct {
		from, to       string
		first, then    int // hours from now
		bypass, locked bool
	}{
		{entry.Governance, entry.Governance, 2, 3, false, false},
		{entry.Governance, entry.Governance, 2, 2, false, false},
		{entry.Governance, entry.Governance, 2, 1, false, true},
		{entry.Governance, entry.Governance, 2, 1, true, false},
		{entry.Governance, "", 2, 0, false, true},
		{entry.Governance, "", 2, 0, true, false},
		{entry.Governance, entry.Compliance, 2, 2, false, true},
		{entry.Governance, entry.Compliance, 2, 3, false, true},
		{entry.Governance, entry.Compliance, 2, 3, true, false},
		{entry.Governance, entry.Compliance, 2, 1, true, false},
		{entry.Compliance, entry.Compliance, 2, 3, false, false},
		{entry.Compliance, entry.Compliance, 2, 2, false, false},
		{entry.Compliance, entry.Compliance, 2, 1, true, true},
		{entry.Compliance, entry.Governance, 2, 3, true, true},
		{entry.Compliance, entry.Governance, 2, 2, true, true},
		{entry.Compliance, "", 2, 0, true, true},
	} {
		v := storetest.Put(t, s, "locked", "a", []byte{byte(i)})
		at := stele.Place{Bucket: "locked", Key: "a", VersionID: v.ID}
		if _, err := s.SetRetention(ctx, stele.Local(), at, c.from, hours(c.first)); err != nil {
			t.Fatal(err)
		}
		by := stele.Local()
		by.Bypass = c.bypass
		_, err := s.SetRetention(ctx, by, at, c.to, hours(c.then))
		if storetest.IsLocked(err) != c.locked || err != nil && !c.locked {
			t.Errorf("%+v: %v", c, err)
		}
		h, err := s.Head(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		mode, until := c.to, hours(c.then)
		if c.locked {
			mode, until = c.from, hours(c.first)
		} else if c.to == "" {
			until = time.Time{}
		}
		if h.Lock.Mode != mode || !h.Lock.Until.Equal(until) {
			t.Errorf("%+v: the lock is now %+v", c, h.Lock)
		}
	}
}

// TestHoldOutlivesRetention: a legal hold counts whether or not a retention has ended, and no bypass lifts it.
func TestHoldOutlivesRetention(t *testing.T) {
	clock := storetest.NewPartedClock()
	s := storetest.NewMem(t, stele.Options{Clock: clock})
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	v, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "locked", Key: "a", Lock: &entry.Lock{Hold: true, Mode: entry.Governance, Until: clock.Now().Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	by := stele.Local()
	by.Bypass = true
	q := stele.HideRequest{By: by, Bucket: "locked", Key: "a", VersionID: v.ID}
	if _, err := s.Hide(ctx, q); !storetest.IsLocked(err) {
		t.Errorf("with bypass: %v", err)
	}
	clock.Pass(2 * time.Hour)
	q.By.Bypass = false
	if _, err := s.Hide(ctx, q); !storetest.IsLocked(err) {
		t.Errorf("after the retention: %v", err)
	}
	if _, err := s.SetHold(ctx, stele.Local(), stele.Place{Bucket: "locked", Key: "a", VersionID: v.ID}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hide(ctx, q); err != nil {
		t.Errorf("free: %v", err)
	}
}

// TestCompleteAfterItsLockEnded: an upload whose explicit date passes before it is completed can be completed; nothing is locked by it.
func TestCompleteAfterItsLockEnded(t *testing.T) {
	clock := storetest.NewPartedClock()
	s := storetest.NewMem(t, stele.Options{Clock: clock})
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	u, err := s.Multipart().Create(ctx, stele.Local(), stele.Upload{Bucket: "locked", Key: "a", Lock: &entry.Lock{Mode: entry.Compliance, Until: clock.Now().Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Multipart().PutPart(ctx, stele.PartRequest{By: stele.Local(), Bucket: "locked", Key: "a", Upload: u.ID, Number: 1, Body: strings.NewReader("x"), Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	clock.Pass(2 * time.Hour)
	v, err := s.Multipart().Complete(ctx, stele.CompleteRequest{By: stele.Local(), Bucket: "locked", Key: "a", Upload: u.ID, Parts: []stele.Part{p}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "locked", Key: "a", VersionID: v.ID}); err != nil {
		t.Error(err)
	}
}

// TestDefaultRetention: it is checked when it is set, counts from the ledger's clock, and an explicit lock or hold goes before or beside it.
func TestDefaultRetention(t *testing.T) {
	clock := storetest.NewPartedClock()
	s := storetest.NewMem(t, stele.Options{Clock: clock})
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	for _, bad := range []stele.Retention{{Mode: "FOREVER", Days: 1}, {Days: 1}, {Years: 1}, {Mode: entry.Compliance}, {Mode: entry.Compliance, Days: 1, Years: 1}, {Mode: entry.Governance, Days: -1},
		{Mode: entry.Governance, Days: 36501}, {Mode: entry.Governance, Years: 101}, {Mode: entry.Governance, Years: -1}} {
		if _, err := s.SetObjectLock(ctx, stele.Local(), "locked", bad); !errors.Is(err, stele.ErrBadState) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := s.SetObjectLock(ctx, stele.Local(), "locked", stele.Retention{Mode: entry.Governance, Days: 36500}); err != nil {
		t.Error(err)
	}
	if _, err := s.SetObjectLock(ctx, stele.Local(), "locked", stele.Retention{Mode: entry.Compliance, Days: 2}); err != nil {
		t.Fatal(err)
	}
	clock.Set(1000 * time.Hour) // the wall clock runs ahead, the ledger's does not
	v, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "locked", Key: "a", Lock: &entry.Lock{Hold: true}})
	if err != nil {
		t.Fatal(err)
	}
	if want := v.Time.Add(48 * time.Hour); v.Lock != (entry.Lock{Hold: true, Mode: entry.Compliance, Until: want}) || clock.Now().Before(want) {
		t.Errorf("%+v, put at %v", v.Lock, v.Time)
	}
	until := v.Time.Add(time.Hour)
	if v, err = s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "locked", Key: "a", Lock: &entry.Lock{Mode: entry.Governance, Until: until}}); err != nil || v.Lock != (entry.Lock{Mode: entry.Governance, Until: until}) {
		t.Errorf("explicit: %+v %v", v.Lock, err)
	}
	if _, err := s.SetObjectLock(ctx, stele.Local(), "locked", stele.Retention{}); err != nil {
		t.Fatal(err)
	}
	if v := storetest.Put(t, s, "locked", "b", nil); v.Lock != (entry.Lock{}) {
		t.Errorf("without a default: %+v", v.Lock)
	}
}

// TestSettingsCannotReachTheLock: the documents of a bucket are not a way round SetVersioning and SetObjectLock.
func TestSettingsCannotReachTheLock(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "locked", true, stele.Enabled)
	for _, name := range []stele.Setting{"versioning", "object-lock", "", "other"} {
		if _, err := s.SetSetting(ctx, stele.Local(), "locked", name, "Suspended"); !errors.Is(err, stele.ErrBadName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if b, err := s.Bucket(ctx, "locked", stele.View{}); err != nil || b.Versioning != stele.Enabled {
		t.Errorf("%+v %v", b, err)
	}
	if _, err := s.SetSetting(ctx, stele.Local(), "locked", stele.SettingCORS, "x"); err != nil {
		t.Error(err)
	}
}

// TestLockEnabledLater: the versions there before, the null version too, have no lock until they get one, and then keep it.
func TestLockEnabledLater(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	null := storetest.Put(t, s, "books", "a", []byte("null"))
	if _, err := s.SetObjectLock(ctx, stele.Local(), "books", stele.Retention{}); !errors.Is(err, stele.ErrBadState) {
		t.Errorf("without versioning: %v", err)
	}
	if _, err := s.SetVersioning(ctx, stele.Local(), "books", stele.Enabled); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetObjectLock(ctx, stele.Local(), "books", stele.Retention{Mode: entry.Compliance, Days: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetVersioning(ctx, stele.Local(), "books", stele.Suspended); !errors.Is(err, stele.ErrBadState) {
		t.Errorf("suspended under object lock: %v", err)
	}
	if _, err := s.SetRetention(ctx, stele.Local(), stele.Place{Bucket: "books", Key: "a", VersionID: "null"}, entry.Compliance, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "books", "a", []byte("newer"))
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a", VersionID: "null"}); !storetest.IsLocked(err) {
		t.Errorf("the null version: %v", err)
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a", VersionID: "null"}); string(got) != "null" {
		t.Errorf("%q", got)
	}
	_ = null
}
