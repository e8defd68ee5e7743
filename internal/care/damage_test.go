package care_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/heal"
	"stele/internal/storetest"
)

// reopened opens the folder again, as a primary or a reader, without copies.
func reopened(t testing.TB, x *storetest.Tampered, fs vfs.FS, readOnly bool) *stele.Store {
	t.Helper()
	opt := x.Client.Clone().SmallOptions(fs)
	opt.ReadOnly = readOnly
	s, err := stele.Open(ctx, storetest.Folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writeOver puts other bytes in a file's place.
func writeOver(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(b)); err != nil { // a vfs.File may scribble on what it is given
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// knows demands that exactly one file, or none if it is empty, is known to be damaged.
func knows(t testing.TB, s *stele.Store, when, path string) {
	t.Helper()
	all, err := s.Rooms().Care.Damaged()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case path == "" && len(all) == 0:
	case path != "" && len(all) == 1 && storetest.Folder+"/"+all[0].File == path && all[0].What != "" && all[0].By != "" && !all[0].Since.IsZero():
	default:
		t.Errorf("%s: known to be damaged: %+v, want %q", when, all, path)
	}
}

// someRead reads all there is; that something can't be read is the point.
func someRead(x *storetest.Tampered, s *stele.Store) {
	_, _ = x.Honest(s)
	_ = s.Ledger().Log(ctx, stele.LogQuery{}, func(*entry.Entry) error { return nil })
}

// TestDamageStaysKnown: damage that a read, a verification or the start met is known, one entry for each file, also after a restart and with an index made again, until the file is proven to be as it was.
func TestDamageStaysKnown(t *testing.T) {
	x := storetest.NewTampered(t, false)
	for _, path := range []string{x.InFolder("packs/")[0], slices.Min(x.InFolder("segments/"))} {
		segment := strings.Contains(path, "/segments/")
		for _, by := range []string{care.ByRead, care.ByVerify} {
			if segment && by == care.ByRead {
				continue // it is in memory: nobody reads the file
			}
			what := fmt.Sprintf("%s, met by %s", path, by)
			files := x.Flipped(path)
			if segment {
				files = x.Files // nothing opens over a damaged segment without a copy: this one is damaged later, and mended before the next start
			}
			s, fs, err := x.OpenWith(t, files)
			if err != nil {
				t.Fatal(what, err)
			}
			if segment {
				writeOver(t, fs, path, x.Flipped(path)[path])
			}
			if by == care.ByRead {
				someRead(x, s)
				someRead(x, s)
			} else if r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true}); err != nil || r.OK() {
				t.Errorf("%s: %v %v", what, r.Problems, err)
			}
			if segment {
				writeOver(t, fs, path, x.Files[path])
			}
			storetest.MustClose(t, s) // heals that run behind a read have ended
			s = reopened(t, x, fs, false)
			knows(t, s, what+", after a restart", path)
			told := 0
			if err := s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.VerifyDamage}}, func(*entry.Entry) error { told++; return nil }); err == nil && told != 1 {
				t.Errorf("%s: %d entries", what, told)
			}
			storetest.MustClose(t, s)
			if err := fs.RemoveAll(storetest.Folder + "/index"); err != nil {
				t.Fatal(err)
			}
			writeOver(t, fs, path, x.Files[path]) // somebody mends it by hand: nothing has proven that yet
			s = reopened(t, x, fs, false)
			knows(t, s, what+", mended by hand", path)
			if r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true}); err != nil || !r.OK() {
				t.Errorf("%s: %v %v", what, r.Problems, err)
			}
			knows(t, s, what+", verified", "")
			storetest.MustClose(t, s)
			s = reopened(t, x, fs, false)
			knows(t, s, what+", verified and restarted", "")
			storetest.MustClose(t, s)
		}
	}
}

// TestReaderLeavesFindings: who opens the store for reading only and finds damage leaves word of it; it is known to the next reader, and an entry of the next one who writes.
func TestReaderLeavesFindings(t *testing.T) {
	x := storetest.NewTampered(t, false)
	path := x.InFolder("packs/")[0]
	for _, by := range []string{care.ByRead, care.ByVerify} {
		fs := vfs.NewMem()
		if err := storetest.WriteFiles(fs, x.Flipped(path)); err != nil {
			t.Fatal(err)
		}
		s := reopened(t, x, fs, true)
		if by == care.ByRead {
			someRead(x, s)
		} else if r, err := s.Verify(ctx, stele.VerifyOptions{Deep: true}); err != nil || r.OK() {
			t.Errorf("%v %v", r.Problems, err)
		}
		storetest.MustClose(t, s)
		s = reopened(t, x, fs, true)
		knows(t, s, by+", the next reader", path)
		storetest.MustClose(t, s)
		storetest.MustClose(t, reopened(t, x, fs, false))
		if _, err := fs.Stat(storetest.Folder + "/" + core.FileFindings); !core.IsNotExist(err) {
			t.Errorf("%s: the file is still there: %v", by, err)
		}
		s = reopened(t, x, fs, true)
		knows(t, s, by+", from its entry", path)
		storetest.MustClose(t, s)
		writeOver(t, fs, path, x.Files[path])
		s = reopened(t, x, fs, true)
		if r, err := s.Verify(ctx, stele.VerifyOptions{Deep: true}); err != nil || !r.OK() {
			t.Errorf("%v %v", r.Problems, err)
		}
		storetest.MustClose(t, s)
		s = reopened(t, x, fs, true)
		knows(t, s, by+", verified by a reader", "")
		storetest.MustClose(t, s)
	}
}

// TestNoHealStorm: a pack that is damaged again each time it was replaced is not replaced each time: that is said, and is known as damage and as a failing disk. Who asks for a heal gets it.
func TestNoHealStorm(t *testing.T) {
	x := storetest.NewTampered(t, false)
	good := storetest.CopyOf(t, "nas", x.Files)
	for _, path := range []string{x.InFolder("packs/")[0], x.InFolder("segments/")[0]} {
		s, fs, err := x.OpenWith(t, x.Files, good)
		if err != nil {
			t.Fatal(err)
		}
		rot := func() {
			b := bytes.Clone(x.Files[path])
			b[200] ^= 0x41
			writeOver(t, fs, path, b)
		}
		file := strings.TrimPrefix(path, storetest.Folder+"/")
		mend := s.Rooms().Care.HealFor(care.ByScrub)
		for i := range 20 {
			rot()
			err := mend(ctx, file, errors.New("a byte is wrong"))
			if again := new(heal.AgainError); errors.As(err, &again) != (i > 0) || err != nil && i == 0 {
				t.Fatalf("%s, time %d: %v", path, i, err)
			} else if i > 0 && !strings.Contains(err.Error(), "disk is failing") {
				t.Error(err)
			}
		}
		if clean, err := x.Honest(s); err != nil || !clean {
			t.Errorf("%s: while it is not replaced again: reads are clean: %t, %v", path, clean, err)
		}
		knows(t, s, "damaged again", path)
		if err := mend(heal.AtOnce(ctx), file, errors.New("asked for")); err != nil {
			t.Errorf("%s: who asks: %v", path, err)
		}
		storetest.MustClose(t, s)
		s = reopened(t, x, fs, false)
		knows(t, s, "healed", "")
		if f, err := s.Rooms().Care.FailingFiles(); err != nil || len(f) != 1 || f[0].File != file || f[0].Times != 2 {
			t.Errorf("failing: %+v, %v", f, err)
		}
		storetest.MustClose(t, s)
	}
}

// TestBrokenOffIsNoDamage: a look at a file that was ended, by Close or by whoever asked, has found nothing out about it.
func TestBrokenOffIsNoDamage(t *testing.T) {
	s := storetest.New(t, stele.Options{})
	for _, why := range []error{context.Canceled, stele.ErrClosed, fmt.Errorf("couldn't read it: %w", context.DeadlineExceeded)} {
		s.Rooms().Care.NoteDamage("packs/x.pack", care.ByStart, fmt.Errorf("pack packs/x.pack: %w", why))
	}
	if all, err := s.Rooms().Care.Damaged(); err != nil || len(all) > 0 {
		t.Errorf("noted as damaged: %v, %v", all, err)
	}
}

// TestSoundIsKnownAtOnce: a file that was found to be sound is not among the damaged ones any more, whatever of the damage and of its end is on its way into the ledger.
func TestSoundIsKnownAtOnce(t *testing.T) {
	x := storetest.NewTampered(t, false)
	s, _, err := x.OpenWith(t, x.Files)
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimPrefix(x.InFolder("packs/")[0], storetest.Folder+"/")
	for range 3000 {
		s.Rooms().Care.NoteDamage(file, care.ByRead, errors.New("made up"))
		s.Rooms().Care.NoteSound(file)
		for range 3 {
			knows(t, s, "found to be sound", "")
		}
		if t.Failed() {
			break
		}
	}
	storetest.MustClose(t, s)
}
