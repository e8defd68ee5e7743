package care_test

import (
	"bytes"
	"context"
	"maps"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/care"
	"stele/internal/storetest"
)

// scrubbed opens the files with a scrub whose rests are told to the function given.
func scrubbed(t testing.TB, x *storetest.Tampered, fs vfs.FS, rest func(context.Context, time.Duration) error, copies ...stele.Copy) *stele.Store {
	t.Helper()
	opt := x.Client.Clone().SmallOptions(fs)
	opt.ScrubDays, opt.Clock = 30, storetest.Waiting{Clock: storetest.Later{Clock: opt.Clock}, Wait: rest} // a store's first round begins when it is 15 days old
	opt.Copies = func() []stele.Copy { return copies }
	s, err := stele.Open(ctx, storetest.Folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func scrubEntries(t testing.TB, s *stele.Store) (all []entry.Entry) {
	t.Helper()
	if err := s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.VerifyScrub}}, func(e *entry.Entry) error { all = append(all, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestScrubHeals damages a byte of each pack and segment, in places that no read comes to: one round finds and heals all, and says so.
func TestScrubHeals(t *testing.T) {
	x := storetest.NewTampered(t, false)
	files := maps.Clone(x.Files)
	damaged := append(x.InFolder("packs/"), x.InFolder("segments/")...)
	for _, path := range damaged {
		files[path] = bytes.Clone(files[path])
		files[path][90] ^= 1 // in the header's reserved bytes
	}
	fs := vfs.NewMem()
	if err := storetest.WriteFiles(fs, files); err != nil {
		t.Fatal(err)
	}
	rest, done := storetest.UntilDone()
	s := scrubbed(t, x, fs, rest, storetest.CopyOf(t, "nas", x.Files))
	<-done
	st := s.Rooms().Care.ScrubStatus()
	if st.Rounds != 1 || len(st.Bad) != 0 || st.Oldest.IsZero() || st.Round.Before(st.Oldest) || st.Position != "" || st.Done != st.Total || st.Total == 0 {
		t.Errorf("after a round: %+v", st)
	}
	last := scrubEntries(t, s)
	if n := len(last); n == 0 || last[n-1].Private.Data["rounds"] != "1" || last[n-1].Private.Data["bad"] != "0" {
		t.Errorf("entries: %+v", last)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left := storetest.ReadFiles(t, fs, storetest.Folder)
	for _, path := range damaged {
		if !bytes.Equal(left[path], x.Files[path]) {
			t.Errorf("%s is not what it was", path)
		}
	}
}

// TestScrubTellsWhatItCannotHeal: without a copy a damaged pack is bad in the status, and the file stays.
func TestScrubTellsWhatItCannotHeal(t *testing.T) {
	x := storetest.NewTampered(t, false)
	path := x.InFolder("packs/")[0]
	files := maps.Clone(x.Files)
	files[path] = bytes.Clone(files[path])
	files[path][90] ^= 1
	fs := vfs.NewMem()
	if err := storetest.WriteFiles(fs, files); err != nil {
		t.Fatal(err)
	}
	rest, done := storetest.UntilDone()
	s := scrubbed(t, x, fs, rest)
	<-done
	if st := s.Rooms().Care.ScrubStatus(); len(st.Bad) != 1 || st.Bad[path[len(storetest.Folder)+1:]] == "" {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := storetest.ReadFiles(t, fs, storetest.Folder)[path]; !bytes.Equal(got, files[path]) {
		t.Error("the damaged file was touched")
	}
}

// TestScrubGoesOn: a round that a restart cuts short goes on behind the file that an entry names, and its beginning stays.
func TestScrubGoesOn(t *testing.T) {
	x := storetest.NewTampered(t, false)
	fs := vfs.NewMem()
	if err := storetest.WriteFiles(fs, x.Files); err != nil {
		t.Fatal(err)
	}
	rests, stopped := 0, make(chan struct{})
	s := scrubbed(t, x, fs, func(ctx context.Context, _ time.Duration) error {
		if rests++; rests < 3 {
			return ctx.Err()
		}
		close(stopped)
		<-ctx.Done()
		return ctx.Err()
	})
	<-stopped
	begun := scrubEntries(t, s)
	if len(begun) != 1 || begun[0].Private.Data["position"] == "" || begun[0].Private.Data["begun"] == "" {
		t.Fatalf("entries: %+v", begun)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, done := 0, make(chan struct{})
	s = scrubbed(t, x, fs, func(ctx context.Context, d time.Duration) error {
		if d < time.Hour {
			again++
			return ctx.Err()
		}
		close(done)
		<-ctx.Done()
		return ctx.Err()
	})
	<-done
	st := s.Rooms().Care.ScrubStatus()
	if st.Rounds != 1 || st.Oldest.UTC().Format(time.RFC3339) != begun[0].Private.Data["begun"] {
		t.Errorf("the round began at %s, and the status says %+v", begun[0].Private.Data["begun"], st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(x.InFolder("packs/")) + len(x.InFolder("segments/")); again == 0 || again >= n+2 {
		t.Errorf("%d reads after the restart, of %d files", again, n)
	}
}

// TestScrubbed: what the scrub noted is known to a reader as well, with the days in which it is to be done.
func TestScrubbed(t *testing.T) {
	x := storetest.NewTampered(t, false)
	fs := vfs.NewMem()
	if err := storetest.WriteFiles(fs, x.Files); err != nil {
		t.Fatal(err)
	}
	read := func() care.ScrubStatus {
		t.Helper()
		opt := x.Client.Clone().SmallOptions(fs)
		opt.ReadOnly = true
		s, err := stele.Open(ctx, storetest.Folder, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		st, err := s.Rooms().Care.Scrubbed(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := read(); st.Days != 0 || st.Rounds != 0 || st.Oldest.IsZero() || st.Overdue(st.Oldest.AddDate(1, 0, 0)) {
		t.Errorf("before any round: %+v", st)
	}
	rest, done := storetest.UntilDone()
	s := scrubbed(t, x, fs, rest, storetest.CopyOf(t, "nas", x.Files))
	<-done
	live, err := s.Rooms().Care.Scrubbed(ctx)
	if err != nil || live.Rounds != 1 || live.Days != 30 || !live.Due().Equal(live.Oldest.AddDate(0, 0, 15)) {
		t.Errorf("while it runs: %+v, %v", live, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	st := read()
	if st.Days != 30 || st.Rounds != 1 || st.Oldest.Unix() != live.Oldest.Unix() || st.Overdue(st.Oldest.AddDate(0, 0, 29)) || !st.Overdue(st.Oldest.AddDate(0, 0, 31)) {
		t.Errorf("a reader: %+v", st)
	}
}
