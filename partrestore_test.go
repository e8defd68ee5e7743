package stele_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/storetest"
)

// partStore has bucket docs, versioned if so.
func partStore(t *testing.T, versioned bool) *stele.Store {
	t.Helper()
	s := storetest.New(t, stele.Options{})
	if _, err := s.CreateBucket(ctx, stele.Local(), "docs", false); err != nil {
		t.Fatal(err)
	}
	if versioned {
		if _, err := s.SetVersioning(ctx, stele.Local(), "docs", stele.Enabled); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func hide(t *testing.T, s *stele.Store, bucket, key string) {
	t.Helper()
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: bucket, Key: key}); err != nil {
		t.Fatal(err)
	}
}

// TestRestorePartChangedMeanwhile changes a key between its comparison and the commit: it is compared again, and what was written meanwhile is not taken for what was compared.
func TestRestorePartChangedMeanwhile(t *testing.T) {
	tag := func(t *testing.T, s *stele.Store, value string) {
		t.Helper()
		if _, err := s.SetTags(ctx, stele.Local(), stele.Place{Bucket: "docs", Key: "k"}, map[string]string{"a": value}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		before, meanwhile func(t *testing.T, s *stele.Store)
		want              stele.PartAction // empty: kept
	}{
		"overwritten":        {func(t *testing.T, s *stele.Store) { storetest.Put(t, s, "docs", "k", []byte("two")) }, func(t *testing.T, s *stele.Store) { storetest.Put(t, s, "docs", "k", []byte("three")) }, stele.PartRestored},
		"put back by others": {func(t *testing.T, s *stele.Store) { storetest.Put(t, s, "docs", "k", []byte("two")) }, func(t *testing.T, s *stele.Store) { storetest.Put(t, s, "docs", "k", []byte("one")) }, ""},
		"appeared":           {func(t *testing.T, s *stele.Store) { hide(t, s, "docs", "k") }, func(t *testing.T, s *stele.Store) { storetest.Put(t, s, "docs", "k", []byte("three")) }, stele.PartRestored},
		"hidden":             {func(t *testing.T, s *stele.Store) { storetest.Put(t, s, "docs", "k", []byte("two")) }, func(t *testing.T, s *stele.Store) { hide(t, s, "docs", "k") }, stele.PartRestored},
		"tagged":             {func(t *testing.T, s *stele.Store) { storetest.Put(t, s, "docs", "k", []byte("two")) }, func(t *testing.T, s *stele.Store) { tag(t, s, "new") }, stele.PartRestored},
		"tagged anew":        {func(t *testing.T, s *stele.Store) { tag(t, s, "one") }, func(t *testing.T, s *stele.Store) { tag(t, s, "two") }, stele.PartRestored},
	} {
		t.Run(name, func(t *testing.T) {
			s := partStore(t, true)
			one := storetest.Put(t, s, "docs", "k", []byte("one"))
			c.before(t, s)
			k, err := stele.ComparePart(ctx, s, stele.PartRestore{By: stele.Local(), Bucket: "docs", To: "docs", At: stele.View{Size: one.Entry + 1}}, "k")
			if err != nil {
				t.Fatal(err)
			}
			c.meanwhile(t, s)
			if err := k.PutBack(ctx); !errors.Is(err, stele.ErrChanged) {
				t.Fatalf("with a stale comparison: %v", err)
			}
			cur, err := s.Head(ctx, stele.Place{Bucket: "docs", Key: "k"})
			if err != nil && !errors.Is(err, stele.ErrNoKey) {
				t.Fatal(err)
			}
			if cur.Marker {
				cur.ID = ""
			}
			made, kept, err := k.Settle(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if made.Action != c.want || kept != (c.want == "") || c.want != "" && made.Now != cur.ID {
				t.Errorf("%+v, kept %v; what was current then was %s", made, kept, cur.ID)
			}
			if got := storetest.Read(t, s, stele.Place{Bucket: "docs", Key: "k"}); string(got) != "one" {
				t.Errorf("restored to %q", got)
			}
		})
	}
}

// TestRestorePartAmongWriters restores while others write: each restored version comes, in the ledger, directly after the version that it was compared with, and nothing that was acknowledged is lost.
func TestRestorePartAmongWriters(t *testing.T) {
	s := partStore(t, true)
	key := func(i int) string { return fmt.Sprintf("k%03d", i%200) }
	for i := range 200 {
		storetest.Put(t, s, "docs", key(i), []byte("then "+key(i)))
	}
	at := stele.View{Size: s.Ledger().Size()}
	for i := range 200 {
		storetest.Put(t, s, "docs", key(i), []byte("between"))
	}
	var mu sync.Mutex
	var acknowledged []stele.Version
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := w * 50; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Appendf(nil, "writer %d, %d", w, i)
				v, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "docs", Key: key(i), Body: bytes.NewReader(text), Size: int64(len(text))})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, v)
				mu.Unlock()
			}
		})
	}
	var changes []stele.PartChange
	for range 5 {
		if _, err := s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "docs", At: at, Change: func(c stele.PartChange) error { changes = append(changes, c); return nil }}); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	writers.Wait()
	n := 0
	for _, c := range changes {
		if c.Action != stele.PartRestored {
			t.Fatalf("%+v", c)
		}
		v, err := s.Head(ctx, stele.Place{Bucket: "docs", Key: c.Key, At: stele.View{Size: c.Entry}})
		if err != nil || v.ID != c.Now {
			t.Fatalf("%+v took the place of %s (%v)", c, v.ID, err)
		}
		n++
	}
	if n < 200 {
		t.Errorf("only %d keys were restored", n)
	}
	for _, v := range acknowledged {
		if _, err := s.Head(ctx, stele.Place{Bucket: "docs", Key: v.Key, VersionID: v.ID}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestorePartLocks: a restored version is locked at least as its old one still is, and as the bucket's default says; nothing is shortened.
func TestRestorePartLocks(t *testing.T) {
	clock := storetest.NewClock()
	s := storetest.New(t, stele.Options{Clock: clock})
	if _, err := s.CreateBucket(ctx, stele.Local(), "held", true); err != nil {
		t.Fatal(err)
	}
	now := clock.Now()
	locks := map[string]*entry.Lock{
		"ended":      {Mode: entry.Governance, Until: now.Add(time.Hour)},
		"governance": {Mode: entry.Governance, Until: now.AddDate(0, 0, 30)},
		"compliance": {Mode: entry.Compliance, Until: now.AddDate(0, 0, 3)},
		"hold":       {Hold: true},
		"none":       nil,
	}
	for key, l := range locks {
		if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "held", Key: key, Body: strings.NewReader(key), Size: int64(len(key)), Lock: l}); err != nil {
			t.Fatal(err)
		}
	}
	at := stele.View{Size: s.Ledger().Size()}
	for key := range locks {
		hide(t, s, "held", key)
	}
	def := stele.Retention{Mode: entry.Governance, Days: 10}
	if _, err := s.SetObjectLock(ctx, stele.Local(), "held", def); err != nil {
		t.Fatal(err)
	}
	clock.Pass(2 * time.Hour)
	if _, err := s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "held", At: at}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]entry.Lock{
		"ended":      {Mode: entry.Governance, Until: now.AddDate(0, 0, 10)},
		"governance": {Mode: entry.Governance, Until: now.AddDate(0, 0, 30)},
		"compliance": {Mode: entry.Compliance, Until: now.AddDate(0, 0, 10)},
		"hold":       {Mode: entry.Governance, Until: now.AddDate(0, 0, 10), Hold: true},
		"none":       {Mode: entry.Governance, Until: now.AddDate(0, 0, 10)},
	} {
		v, err := s.Head(ctx, stele.Place{Bucket: "held", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if l := v.Lock; l.Mode != want.Mode || l.Hold != want.Hold || l.Until.Before(want.Until) || l.Until.After(want.Until.Add(3*time.Hour)) {
			t.Errorf("%s is locked %+v, want %+v", key, l, want)
		}
	}

	// Into a bucket without locks, and into one that is made for it.
	if _, err := s.CreateBucket(ctx, stele.Local(), "plain", false); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"plain", "fresh"} {
		r, err := s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "held", Key: "compliance", At: at, To: to})
		if err != nil || r.Restored.Keys != 1 || r.Made != (to == "fresh") {
			t.Fatalf("%+v %v", r, err)
		}
		v, err := s.Head(ctx, stele.Place{Bucket: to, Key: "compliance"})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Lock.Mode; got != map[string]string{"plain": "", "fresh": entry.Compliance}[to] {
			t.Errorf("in %s: %+v", to, v.Lock)
		}
	}
}

// TestRestorePartLostBucket: a bucket that was deleted is made anew, with versioning and default retention of then; a restore that was interrupted in between finishes that; a bucket that somebody made is left as it is.
func TestRestorePartLostBucket(t *testing.T) {
	s := storetest.New(t, stele.Options{})
	must := func(_ stele.Committed, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.CreateBucket(ctx, stele.Local(), "docs", true))
	must(s.SetObjectLock(ctx, stele.Local(), "docs", stele.Retention{Mode: entry.Governance, Days: 3}))
	must(s.SetSetting(ctx, stele.Local(), "docs", stele.SettingPolicy, "{}"))
	v, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "docs", Key: "a", Body: strings.NewReader("bytes"), Size: 5})
	if err != nil {
		t.Fatal(err)
	}
	at := stele.View{Size: s.Ledger().Size()}
	by := stele.Local()
	by.Bypass = true
	if _, err := s.Hide(ctx, stele.HideRequest{By: by, Bucket: "docs", Key: "a", VersionID: v.ID}); err != nil {
		t.Fatal(err)
	}
	must(s.DeleteBucket(ctx, stele.Local(), "docs"))

	// What an interruption leaves: the bucket, and nothing else.
	if err := stele.MakePartBucket(ctx, s, stele.PartRestore{By: stele.Local(), Bucket: "docs", To: "docs", At: at}); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Bucket(ctx, "docs", stele.View{}); err != nil || b.Default.Days != 0 {
		t.Fatalf("%+v %v", b, err)
	}
	r, err := s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "docs", At: at})
	if err != nil || r.Restored != (stele.Tally{1, 5}) {
		t.Fatalf("%+v %v", r, err)
	}
	b, err := s.Bucket(ctx, "docs", stele.View{})
	if err != nil || !b.ObjectLock || b.Versioning != stele.Enabled || b.Default != (stele.Retention{Mode: entry.Governance, Days: 3}) || len(b.Settings) != 0 {
		t.Fatalf("%+v %v", b, err)
	}
	if got, err := s.Head(ctx, stele.Place{Bucket: "docs", Key: "a"}); err != nil || got.Lock.Mode != entry.Governance || got.Inc == v.Inc {
		t.Fatalf("%+v %v", got, err)
	}

	must(s.CreateBucket(ctx, stele.Local(), "mine", false))
	if _, err := s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "docs", At: at, To: "mine"}); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Bucket(ctx, "mine", stele.View{}); err != nil || b.ObjectLock || b.Versioning != stele.Unversioned {
		t.Fatalf("a bucket that was there: %+v %v", b, err)
	}
	dry, err := s.RestorePart(ctx, stele.PartRestore{By: stele.Local(), Bucket: "docs", At: at, To: "other", DryRun: true})
	if err != nil || !dry.Made || fmt.Sprint(dry.Left) != "[policy]" || dry.Restored.Keys != 1 {
		t.Fatalf("%+v %v", dry, err)
	}
	h, err := storetest.AllChanges(s, "docs", "a")
	if err != nil || h[0].Reason != fmt.Sprintf("restore as of @%d", at.Size) || h[0].Actor != "local" {
		t.Fatalf("%+v %v", h, err)
	}
}
