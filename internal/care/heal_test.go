package care_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/storetest"
)

// TestFlippedPacksHeal flips bytes of packs: everything reads as it was written, and a deep verification with heal leaves the file as it was, with an entry that says so.
func TestFlippedPacksHeal(t *testing.T) {
	x := storetest.NewTampered(t, false)
	good := storetest.CopyOf(t, "nas", x.Files)
	stride := 97
	if testing.Short() {
		stride *= 7
	}
	for _, path := range x.InFolder("packs/") {
		for at := 0; at < len(x.Files[path]); at += stride {
			files := maps.Clone(x.Files)
			files[path] = bytes.Clone(x.Files[path])
			files[path][at] ^= 0x41
			s, fs, err := x.OpenWith(t, files, good)
			if err != nil {
				t.Fatalf("%s, byte %d: %v", path, at, err)
			}
			if clean, err := x.Honest(s); err != nil || !clean {
				t.Errorf("%s, byte %d: reads are clean: %t, %v", path, at, clean, err)
			}
			healsTo(t, x, s, fs, path)
		}
	}
}

// TestFlippedSegmentsHeal flips bytes of segments and removes each: the store opens, everything reads as it was written, and the file is what it was.
func TestFlippedSegmentsHeal(t *testing.T) {
	x := storetest.NewTampered(t, false)
	good := storetest.CopyOf(t, "nas", x.Files)
	stride := 61
	if testing.Short() {
		stride *= 7
	}
	for _, path := range x.InFolder("segments/") {
		for at := -1; at < len(x.Files[path]); at += stride {
			files := maps.Clone(x.Files)
			if at < 0 {
				delete(files, path)
			} else {
				files[path] = bytes.Clone(x.Files[path])
				files[path][at] ^= 0x41
			}
			s, fs, err := x.OpenWith(t, files, good)
			if err != nil {
				t.Fatalf("%s, byte %d: %v", path, at, err)
			}
			if clean, err := x.Honest(s); err != nil || !clean {
				t.Errorf("%s, byte %d: reads are clean: %t, %v", path, at, clean, err)
			}
			healsTo(t, x, s, fs, path)
		}
	}
}

// TestOldSegmentHealsWhereItIsMet: a byte of a sealed segment that changed while nobody had the store open is healed by the read that meets it. One that no read comes to is found by a verification that is not
// deep, is known until it is healed, and is healed by one that heals.
func TestOldSegmentHealsWhereItIsMet(t *testing.T) {
	x := storetest.NewTampered(t, false)
	good := storetest.CopyOf(t, "nas", x.Files)
	byReads, byVerifying := 0, 0
	for _, path := range x.InFolder("segments/") {
		for at := 0; at < len(x.Files[path]); at += 211 {
			what := fmt.Sprintf("%s, byte %d", path, at)
			files := maps.Clone(x.Files)
			files[path] = bytes.Clone(x.Files[path])
			files[path][at] ^= 0x41
			s, fs, err := x.OpenWith(t, files, good)
			if err != nil {
				t.Fatal(what, err)
			}
			if err := s.Ledger().Log(ctx, stele.LogQuery{}, func(*entry.Entry) error { return nil }); err != nil {
				t.Error(what, err)
			}
			whole := func() bool { return bytes.Equal(storetest.ReadFiles(t, fs, storetest.Folder)[path], x.Files[path]) }
			if whole() {
				byReads++
				knows(t, s, what+": healed by a read", "")
				storetest.MustClose(t, s)
				continue
			}
			byVerifying++
			if r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local()}); err != nil || r.OK() {
				t.Errorf("%s: neither a read nor a verification finds it: %v", what, err)
			}
			knows(t, s, what+": verified", path)
			if r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Heal: true}); err != nil || !r.OK() || len(r.Healed) != 1 || !whole() {
				t.Errorf("%s: a verification that heals: %+v, %v", what, r, err)
			}
			knows(t, s, what+": healed", "")
			storetest.MustClose(t, s)
		}
	}
	if byReads == 0 || byVerifying == 0 {
		t.Errorf("%d were healed by a read, %d by verifying: one of the ways is not tested", byReads, byVerifying)
	}
	t.Logf("%d were healed by a read, %d by verifying", byReads, byVerifying)
}

// TestRemovedPacksHeal removes each pack, with the index and without.
func TestRemovedPacksHeal(t *testing.T) {
	x := storetest.NewTampered(t, false)
	good := storetest.CopyOf(t, "nas", x.Files)
	for _, path := range x.InFolder("packs/") {
		for _, index := range []bool{true, false} {
			files := maps.Clone(x.Files)
			delete(files, path)
			if !index {
				maps.DeleteFunc(files, func(p string, _ []byte) bool { return strings.HasPrefix(p, storetest.Folder+"/index/") })
			}
			s, fs, err := x.OpenWith(t, files, good)
			if err != nil {
				t.Fatal(err)
			}
			if clean, err := x.Honest(s); index && (err != nil || !clean) {
				t.Errorf("without %s: reads are clean: %t, %v", path, clean, err)
			}
			healsTo(t, x, s, fs, path)
		}
	}
}

// TestVerifyWithoutHeal: a verification that is not told to heal reports the damage, although there is a copy.
func TestVerifyWithoutHeal(t *testing.T) {
	x := storetest.NewTampered(t, false)
	for _, path := range x.InFolder("packs/") {
		files := maps.Clone(x.Files)
		files[path] = bytes.Clone(x.Files[path])
		files[path][200] ^= 0x41
		s, _, err := x.OpenWith(t, files, storetest.CopyOf(t, "nas", x.Files))
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
		if err != nil || r.OK() || len(r.Healed) != 0 {
			t.Errorf("%s: %v, %+v", path, err, r)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// healsTo verifies with heal, closes the store and demands that the file is as it was, and that one entry tells of the heal.
func healsTo(t testing.TB, x *storetest.Tampered, s *stele.Store, fs vfs.FS, path string) {
	t.Helper()
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true, Heal: true})
	if err != nil || !r.OK() {
		t.Errorf("%s: %v %+v", path, err, r.Problems)
	}
	if err := s.Close(); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	left := storetest.ReadFiles(t, fs, storetest.Folder)
	if !bytes.Equal(left[path], x.Files[path]) {
		t.Errorf("%s is not what it was", path)
	}
	after, err := stele.Open(ctx, storetest.Folder, x.Client.Clone().SmallOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	var heals []entry.Entry
	if err := after.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.Heal}}, func(e *entry.Entry) error { heals = append(heals, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(heals) != 1 || storetest.Folder+"/"+heals[0].Private.Name != path || heals[0].Private.Data["from"] != "nas" || heals[0].Private.Reason == "" {
		t.Errorf("%s: heal entries: %+v", path, heals)
	}
}

// TestReadOnlyReadsAround: a store that is opened for reading while a segment or a pack is damaged or gone shows everything from the copy, and writes nothing; without a copy it says what is wrong.
func TestReadOnlyReadsAround(t *testing.T) {
	x := storetest.NewTampered(t, false)
	good := storetest.CopyOf(t, "nas", x.Files)
	for _, path := range append(x.InFolder("packs/"), x.InFolder("segments/")...) {
		for _, gone := range []bool{false, true} {
			files := maps.Clone(x.Files)
			files[path] = bytes.Clone(x.Files[path])
			files[path][len(files[path])-30] ^= 0x41
			files[path][150] ^= 0x41
			if gone {
				delete(files, path)
			}
			fs := vfs.NewMem()
			if err := storetest.WriteFiles(fs, files); err != nil {
				t.Fatal(err)
			}
			opt := x.Client.Clone().SmallOptions(fs)
			opt.ReadOnly, opt.Copies = true, func() []stele.Copy { return []stele.Copy{good} }
			s, err := stele.Open(ctx, storetest.Folder, opt)
			if err != nil {
				t.Fatalf("%s, gone %t: %v", path, gone, err)
			}
			if clean, err := x.Honest(s); err != nil || !clean {
				t.Errorf("%s, gone %t: reads are clean: %t, %v", path, gone, clean, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if left := storetest.ReadFiles(t, fs, storetest.Folder); !maps.EqualFunc(left, files, bytes.Equal) {
				t.Errorf("%s, gone %t: a reader wrote", path, gone)
			}
			opt.Copies = nil
			if s, err = stele.Open(ctx, storetest.Folder, opt); err != nil {
				if !errors.Is(err, stele.ErrCorrupt) && !errors.Is(err, stele.ErrBehind) {
					t.Errorf("%s, gone %t, without a copy: %v", path, gone, err)
				}
				continue
			}
			if s.Ledger().Size() < uint64(len(x.States)-1) && gone { // the newest segment: what is left of a ledger can be read, as what it is
				_ = s.Close()
				continue
			}
			if clean, err := x.Honest(s); err != nil || clean && !gone && strings.Contains(path, "/segments/") {
				t.Errorf("%s, gone %t, without a copy: reads are clean: %t, %v", path, gone, clean, err)
			}
			_ = s.Close()
		}
	}
}
