package segment

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"stele/internal/frame"
)

var update = flag.Bool("update", false, "write the golden file anew")

// goldenSegment is a sealed segment of fixed items under fixed keys.
func goldenSegment(t testing.TB) []byte { return sealTest(t, testEngine(t), 5) }

// TestGolden reads a segment that was written when the format was made. (What is written today may differ in how it is compressed, so
// bytes are compared in the parts that no compressor touches: header, commits, trailer.)
func TestGolden(t *testing.T) {
	name := filepath.Join("testdata", "segment-v0.seg")
	if *update {
		if err := os.WriteFile(name, goldenSegment(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(b); err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(b)
	h, f, err := ReadFooter(r, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	rd, err := NewReader(r, h, f, testKeys)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rd.Rows() {
		p, err := rd.Pair(i)
		if err != nil {
			t.Fatal(err)
		}
		sameItems(t, p)
	}
	const header = "5354454c45534547" + "0000" + "0000" + "00000007" + "0905000000000000000000000000000000000000000000000000000000000000" +
		"00000001" + "00000000" + "0000000000000005" + "05000000000000000000000000000000" + "0000000000000000" + "00000000"
	if got := hex.EncodeToString(b[:92]); got != header[:184] {
		t.Errorf("header is\n%s\nwant\n%s", got, header[:184])
	}
	const commit = "0000000000000005" + "0000000000000006" + "0500000000000000000000000000000000000000000000000000000000000000" + "01020304" +
		"01050000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
		"00060a24181e5388"
	first := testBatch(t, 5, 1)
	if got := hex.EncodeToString(first.Commit.Append(nil)); got != commit {
		t.Errorf("commit is\n%s\nwant\n%s", got, commit)
	}
	if !bytes.Contains(b, first.Commit.Append(nil)) {
		t.Error("the golden segment hasn't got the commit")
	}
	if got := hex.EncodeToString(b[len(b)-8:]); got != hex.EncodeToString([]byte("STELEEND")) {
		t.Errorf("the file ends in %s", got)
	}
}

// TestVersion: a segment of a newer version is not damaged.
func TestVersion(t *testing.T) {
	b := goldenSegment(t)
	h, err := frame.ParseHeader(b, frame.MagicSegment)
	if err != nil {
		t.Fatal(err)
	}
	b[9] ^= 1
	if _, _, err := ReadFooter(bytes.NewReader(b), int64(len(b))); !errors.Is(err, frame.ErrCorrupt) || errors.Is(err, frame.ErrVersion) {
		t.Errorf("footer behind a version that rotted: %v", err)
	}
	h.Version++
	copy(b, h.Append(nil))
	if _, _, err := ReadFooter(bytes.NewReader(b), int64(len(b))); !errors.Is(err, frame.ErrVersion) || errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("footer of a newer version: %v", err)
	}
	s := NewScanner(bytes.NewReader(b), int64(len(b)), 5, testKeys)
	if _, err := s.Next(); !errors.Is(err, frame.ErrVersion) || errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("scan of a newer version: %v", err)
	}
}

// TestName: names sort as their entries do, and parse back.
func TestName(t *testing.T) {
	last := ""
	for _, epoch := range []uint32{1, 2, 999999} {
		for _, first := range []uint64{0, 9, 10, 1 << 40} {
			name := Name(epoch, first)
			e, f, ok := ParseName(name)
			if !ok || e != epoch || f != first || name <= last {
				t.Errorf("%s parses as %d, %d, %v", name, e, f, ok)
			}
			last = name
		}
	}
	for _, bad := range []string{"", "segments/", "segments/1-2.seg", "packs/000001-00000000000000000000.seg", "segments/000001-0000000000000000000x.seg", "segments/000001-00000000000000000000.seg.tmp"} {
		if _, _, ok := ParseName(bad); ok {
			t.Errorf("%q parses", bad)
		}
	}
}

// FuzzReader reads any bytes as a sealed segment and as a tail. What reads without an error was written by a Writer, so the commits it finds
// encode to bytes that are in the file.
func FuzzReader(f *testing.F) {
	whole := goldenSegment(f)
	f.Add(whole)
	f.Add(whole[:len(whole)-trailerSize])
	f.Add(whole[:len(whole)/2])
	f.Add(append(bytes.Clone(whole[:400]), make([]byte, 500)...))
	f.Add(whole[:frame.HeaderSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		if h, foot, err := ReadFooter(r, int64(len(b))); err == nil {
			if rd, err := NewReader(r, h, foot, testKeys); err == nil {
				for i := range rd.Rows() {
					if p, err := rd.Pair(i); err == nil {
						_, _ = p.Items()
					}
				}
			}
		}
		for _, keys := range []Keys{testKeys, nil} {
			s := NewScanner(r, int64(len(b)), 5, keys)
			for {
				batch, err := s.Next()
				if err == io.EOF {
					_, _, _ = s.Broken()
					_ = s.Whole()
					break
				}
				if err != nil {
					break
				}
				if !bytes.Contains(b, batch.Commit.Append(nil)) {
					t.Fatal("a commit was read that isn't in the file")
				}
				for i := range batch.Pairs {
					_, _ = batch.Pairs[i].Leaves()
				}
			}
		}
	})
}

// FuzzFooter parses any bytes as the body of a footer: what parses, encodes to the same bytes.
func FuzzFooter(f *testing.F) {
	whole := goldenSegment(f)
	off, err := parseTrailer(whole[len(whole)-trailerSize:], int64(len(whole)))
	if err != nil {
		f.Fatal(err)
	}
	fr, _, err := frame.Parse(whole[off:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fr.Body, fr.Flags)
	f.Fuzz(func(t *testing.T, body []byte, flags uint8) {
		foot, err := parseFooter(frame.Frame{Kind: frame.KindFooter, Flags: flags, Body: body})
		if err != nil {
			return
		}
		if got := foot.append(nil); !bytes.Equal(got, body) {
			t.Fatalf("%x parses and encodes to %x", body, got)
		}
		rows, err := foot.Rows(foot.Commit.First)
		if err != nil {
			return
		}
		again := *foot
		if err := again.setRows(rows); err != nil {
			t.Fatal(err)
		}
		if rows2, err := again.Rows(foot.Commit.First); err != nil || len(rows2) != len(rows) {
			t.Fatalf("%d rows encode to %d, %v", len(rows), len(rows2), err)
		}
	})
}
