package stele

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/heal"
)

// flipped are the files with bytes of one of them changed, wherever it is read.
func (x *tampered) flipped(path string) map[string][]byte {
	files := maps.Clone(x.files)
	b := bytes.Clone(x.files[path])
	for at := 100; at < len(b)-100; at += 40 {
		b[at] ^= 0x41
	}
	files[path] = b
	return files
}

// reopened opens the folder again, as a primary or a reader, without copies.
func (x *tampered) reopened(t testing.TB, fs vfs.FS, readOnly bool) *Store {
	t.Helper()
	opt := x.w.copy().tamperOptions(fs)
	opt.ReadOnly = readOnly
	s, err := Open(ctx, crashFolder, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
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
func knows(t testing.TB, s *Store, when, path string) {
	t.Helper()
	all, err := s.care.Damaged()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case path == "" && len(all) == 0:
	case path != "" && len(all) == 1 && crashFolder+"/"+all[0].File == path && all[0].What != "" && all[0].By != "" && !all[0].Since.IsZero():
	default:
		t.Errorf("%s: known to be damaged: %+v, want %q", when, all, path)
	}
}

// someRead reads all there is; that something can't be read is the point.
func someRead(x *tampered, s *Store) {
	_, _ = x.honest(s)
	_ = s.Log(ctx, LogQuery{}, func(*entry.Entry) error { return nil })
}

// TestDamageStaysKnown: damage that a read, a verification or the start met is known, one entry for each file, also after a restart and with an index made again, until the file is proven to be as it was.
func TestDamageStaysKnown(t *testing.T) {
	x := newTampered(t, false)
	for _, path := range []string{x.inFolder("packs/")[0], slices.Min(x.inFolder("segments/"))} {
		segment := strings.Contains(path, "/segments/")
		for _, by := range []string{care.ByRead, care.ByVerify} {
			if segment && by == care.ByRead {
				continue // it is in memory: nobody reads the file
			}
			what := fmt.Sprintf("%s, met by %s", path, by)
			files := x.flipped(path)
			if segment {
				files = x.files // nothing opens over a damaged segment without a copy: this one is damaged later, and mended before the next start
			}
			s, fs, err := x.openWith(t, files)
			if err != nil {
				t.Fatal(what, err)
			}
			if segment {
				writeOver(t, fs, path, x.flipped(path)[path])
			}
			if by == care.ByRead {
				someRead(x, s)
				someRead(x, s)
			} else if r, err := s.Verify(ctx, VerifyOptions{By: Local(), Deep: true}); err != nil || r.OK() {
				t.Errorf("%s: %v %v", what, r.Problems, err)
			}
			if segment {
				writeOver(t, fs, path, x.files[path])
			}
			mustClose(t, s) // heals that run behind a read have ended
			s = x.reopened(t, fs, false)
			knows(t, s, what+", after a restart", path)
			told := 0
			if err := s.Log(ctx, LogQuery{Types: []entry.Type{entry.VerifyDamage}}, func(*entry.Entry) error { told++; return nil }); err == nil && told != 1 {
				t.Errorf("%s: %d entries", what, told)
			}
			mustClose(t, s)
			if err := fs.RemoveAll(crashFolder + "/index"); err != nil {
				t.Fatal(err)
			}
			writeOver(t, fs, path, x.files[path]) // somebody mends it by hand: nothing has proven that yet
			s = x.reopened(t, fs, false)
			knows(t, s, what+", mended by hand", path)
			if r, err := s.Verify(ctx, VerifyOptions{By: Local(), Deep: true}); err != nil || !r.OK() {
				t.Errorf("%s: %v %v", what, r.Problems, err)
			}
			knows(t, s, what+", verified", "")
			mustClose(t, s)
			s = x.reopened(t, fs, false)
			knows(t, s, what+", verified and restarted", "")
			mustClose(t, s)
		}
	}
}

// TestReaderLeavesFindings: who opens the store for reading only and finds damage leaves word of it; it is known to the next reader, and an entry of the next one who writes.
func TestReaderLeavesFindings(t *testing.T) {
	x := newTampered(t, false)
	path := x.inFolder("packs/")[0]
	for _, by := range []string{care.ByRead, care.ByVerify} {
		fs := vfs.NewMem()
		if err := restore(fs, x.flipped(path)); err != nil {
			t.Fatal(err)
		}
		s := x.reopened(t, fs, true)
		if by == care.ByRead {
			someRead(x, s)
		} else if r, err := s.Verify(ctx, VerifyOptions{Deep: true}); err != nil || r.OK() {
			t.Errorf("%v %v", r.Problems, err)
		}
		mustClose(t, s)
		s = x.reopened(t, fs, true)
		knows(t, s, by+", the next reader", path)
		mustClose(t, s)
		mustClose(t, x.reopened(t, fs, false))
		if _, err := fs.Stat(crashFolder + "/" + core.FileFindings); !core.IsNotExist(err) {
			t.Errorf("%s: the file is still there: %v", by, err)
		}
		s = x.reopened(t, fs, true)
		knows(t, s, by+", from its entry", path)
		mustClose(t, s)
		writeOver(t, fs, path, x.files[path])
		s = x.reopened(t, fs, true)
		if r, err := s.Verify(ctx, VerifyOptions{Deep: true}); err != nil || !r.OK() {
			t.Errorf("%v %v", r.Problems, err)
		}
		mustClose(t, s)
		s = x.reopened(t, fs, true)
		knows(t, s, by+", verified by a reader", "")
		mustClose(t, s)
	}
}

// TestNoHealStorm: a pack that is damaged again each time it was replaced is not replaced each time: that is said, and is known as damage and as a failing disk. Who asks for a heal gets it.
func TestNoHealStorm(t *testing.T) {
	x := newTampered(t, false)
	good := copyOf(t, "nas", x.files)
	for _, path := range []string{x.inFolder("packs/")[0], x.inFolder("segments/")[0]} {
		s, fs, err := x.openWith(t, x.files, good)
		if err != nil {
			t.Fatal(err)
		}
		rot := func() {
			b := bytes.Clone(x.files[path])
			b[200] ^= 0x41
			writeOver(t, fs, path, b)
		}
		file := strings.TrimPrefix(path, crashFolder+"/")
		mend := s.care.HealFor(care.ByScrub)
		for i := range 20 {
			rot()
			err := mend(ctx, file, errors.New("a byte is wrong"))
			if again := new(heal.AgainError); errors.As(err, &again) != (i > 0) || err != nil && i == 0 {
				t.Fatalf("%s, time %d: %v", path, i, err)
			} else if i > 0 && !strings.Contains(err.Error(), "disk is failing") {
				t.Error(err)
			}
		}
		if clean, err := x.honest(s); err != nil || !clean {
			t.Errorf("%s: while it is not replaced again: reads are clean: %t, %v", path, clean, err)
		}
		knows(t, s, "damaged again", path)
		if err := mend(heal.AtOnce(ctx), file, errors.New("asked for")); err != nil {
			t.Errorf("%s: who asks: %v", path, err)
		}
		mustClose(t, s)
		s = x.reopened(t, fs, false)
		knows(t, s, "healed", "")
		if f, err := s.care.FailingFiles(); err != nil || len(f) != 1 || f[0].File != file || f[0].Times != 2 {
			t.Errorf("failing: %+v, %v", f, err)
		}
		mustClose(t, s)
	}
}

// TestBrokenOffIsNoDamage: a look at a file that was ended, by Close or by whoever asked, has found nothing out about it.
func TestBrokenOffIsNoDamage(t *testing.T) {
	s := newTestStore(t, Options{})
	for _, why := range []error{context.Canceled, ErrClosed, fmt.Errorf("couldn't read it: %w", context.DeadlineExceeded)} {
		s.care.NoteDamage("packs/x.pack", care.ByStart, fmt.Errorf("pack packs/x.pack: %w", why))
	}
	if all, err := s.care.Damaged(); err != nil || len(all) > 0 {
		t.Errorf("noted as damaged: %v, %v", all, err)
	}
}

// TestSoundIsKnownAtOnce: a file that was found to be sound is not among the damaged ones any more, whatever of the damage and of its end is on its way into the ledger.
func TestSoundIsKnownAtOnce(t *testing.T) {
	x := newTampered(t, false)
	s, _, err := x.openWith(t, x.files)
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimPrefix(x.inFolder("packs/")[0], crashFolder+"/")
	for range 3000 {
		s.care.NoteDamage(file, care.ByRead, errors.New("made up"))
		s.care.NoteSound(file)
		for range 3 {
			knows(t, s, "found to be sound", "")
		}
		if t.Failed() {
			break
		}
	}
	mustClose(t, s)
}
