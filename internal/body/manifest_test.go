package body

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"testing"

	"stele/entry"
	"stele/internal/engine/mem"
	"stele/internal/frame"
)

var update = flag.Bool("update", false, "write golden files anew")

func testManifest(items int) *manifest {
	m := &manifest{}
	for i := range items {
		m.add(entry.ID(sha256.Sum256(fmt.Append(nil, i))), int64(i*i%70_000+1))
	}
	return m
}

func TestManifestGolden(t *testing.T) {
	const path = "testdata/manifest.golden"
	got := testManifest(5).appendTo(nil)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the bytes of a manifest have changed: %x", got)
	}
	m, err := parseManifest(want)
	if err != nil || !reflect.DeepEqual(m, testManifest(5)) {
		t.Fatalf("parsed %+v, %v", m, err)
	}
}

func TestManifestVersion(t *testing.T) {
	b := testManifest(2).appendTo(nil)
	b[8]++
	if _, err := parseManifest(b); !errors.Is(err, frame.ErrVersion) || errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("a newer manifest: %v", err)
	}
}

func TestFullManifestFitsInAChunk(t *testing.T) {
	m := &manifest{}
	for i := range manifestItems { // the largest differences that chunks can have
		m.add(entry.ID{byte(i)}, int64(1+i%2*(maxPlain-1)))
	}
	if n := len(m.appendTo(nil)); n > maxPlain {
		t.Fatalf("%d bytes", n)
	}
	m = &manifest{level: 1}
	for i := range manifestItems {
		m.add(entry.ID{byte(i)}, int64(1+i%2*(manifestItems*maxPlain)))
	}
	if n := len(m.appendTo(nil)); n > maxPlain {
		t.Fatalf("level 1: %d bytes", n)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(testManifest(1).appendTo(nil))
	f.Add(testManifest(100).appendTo(nil))
	two := testManifest(3)
	two.level = 2
	f.Add(two.appendTo(nil))
	f.Add([]byte(manifestMagic))
	f.Add(append(testManifest(1).appendTo(nil), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err == nil && !bytes.Equal(m.appendTo(nil), b) {
			t.Fatalf("%x parses, and is written otherwise", b)
		}
	})
}

// TestManifestsOfManifests builds three levels by hand, because a body that has them is too long for a test.
func TestManifestsOfManifests(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	a := s.newAppender(ctx, -1)
	var want []byte
	for i := range 12 {
		data := random(1000+i, uint64(i))
		want = append(want, data...)
		if err := a.chunk(data); err != nil {
			t.Fatal(err)
		}
		if i%3 == 2 {
			if err := a.shut(0); err != nil {
				t.Fatal(err)
			}
		}
		if i%6 == 5 {
			if err := a.shut(1); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.w.Body.Size, a.w.Body.SHA256 = int64(len(want)), sha256.Sum256(want)
	if err := a.finish(); err != nil {
		t.Fatal(err)
	}
	a.end()
	if err := a.w.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	m, err := s.manifest(ctx, a.w.Body.Ref)
	if err != nil || m.level != 2 {
		t.Fatalf("level %d, %v", m.level, err)
	}
	for _, r := range [][2]int64{{0, a.w.Body.Size}, {999, 2}, {1000, 1001}, {3003, 1}, {6000, 6000}, {a.w.Body.Size - 1, 1}} {
		if !bytes.Equal(get(t, s, a.w.Body, r[0], r[1]), want[r[0]:r[0]+r[1]]) {
			t.Fatalf("range %v reads otherwise", r)
		}
	}
	if err := s.Verify(ctx, a.w.Body); err != nil {
		t.Fatal(err)
	}
	chunks := 0
	if err := s.Chunks(ctx, a.w.Body, func(entry.ID) error { chunks++; return nil }); err != nil || chunks != 12+4+2+1 {
		t.Fatalf("%d chunks, %v", chunks, err)
	}
}
