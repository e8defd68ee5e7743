package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/segment"
)

// closed makes a ledger of n puts and closes it.
func closed(t testing.TB, e engine.Engine, n int) Options {
	t.Helper()
	opt := testOptions(e)
	opt.Published = new(memFile)
	l := mustCreate(t, opt)
	for i := range n {
		mustPut(t, l, fmt.Sprint(i))
	}
	mustClose(t, l)
	return opt
}

// TestBehind opens a ledger of which somebody has seen more.
func TestBehind(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 5)
	opt.Seen = []Seen{{By: "the index", Size: 6}, {By: "target nas", Size: 9}}
	var behind *BehindError
	if _, err := Open(ctx, opt); !errors.Is(err, ErrBehind) || !errors.As(err, &behind) || *behind != (BehindError{"target nas", 9, 6}) {
		t.Errorf("open behind a target: %v", err)
	}
	ro, err := OpenReadOnly(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, ro)
	opt.Seen = []Seen{{By: "the index", Size: 6}}
	l, err := Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)

	// The published checkpoint of a longer life of the same ledger.
	longer := closed(t, testEngine(t, vfs.NewMem()), 7)
	opt.Published = longer.Published
	if _, err := Open(ctx, opt); !errors.Is(err, ErrBehind) || !strings.Contains(err.Error(), "published checkpoint") {
		t.Errorf("open behind the published checkpoint: %v", err)
	}
	bug.Plant(t, bug.SkipSeen)
	if l, err = Open(ctx, opt); err != nil {
		t.Fatalf("with the check left out the ledger must open, else this test proves nothing: %v", err)
	}
	mustClose(t, l)
}

// TestForked opens a ledger of which somebody has seen another one: same name, same size, other entries.
func TestForked(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 5)
	other := closed(t, testEngine(t, vfs.NewMem()), 3) // other salts, so another root
	opt.Published = other.Published
	if _, err := Open(ctx, opt); !errors.Is(err, ErrForked) {
		t.Errorf("open of a fork: %v", err)
	}
}

// copyMem copies the sealed files for which keep says so, changed by edit.
func copyMem(t testing.TB, e engine.Engine, keep func(name string) bool, edit func(name string, b []byte) []byte) *mem.Mem {
	t.Helper()
	out := mem.New()
	err := e.List(ctx, engine.Segments, func(i engine.Info) error {
		if !keep(i.Name) {
			return nil
		}
		b := readAll(t, e, i.Name)
		if edit != nil {
			b = edit(i.Name, b)
		}
		return out.Create(ctx, i.Name, int64(len(b)), bytes.NewReader(b))
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readAll(t testing.TB, e engine.Engine, name string) []byte {
	t.Helper()
	f, err := e.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return b
}

func all(string) bool { return true }

func names(t testing.TB, e engine.Engine) (out []string) {
	t.Helper()
	if err := e.List(ctx, engine.Segments, func(i engine.Info) error { out = append(out, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMissingSegment(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 100)
	segments := names(t, opt.Engine)
	if len(segments) < 4 {
		t.Fatalf("%d segments", len(segments))
	}
	for i, gone := range segments {
		bad := opt
		bad.Engine = copyMem(t, opt.Engine, func(name string) bool { return name != gone }, nil)
		_, err := Open(ctx, bad)
		switch {
		case i == len(segments)-1 && !errors.Is(err, ErrBehind):
			t.Errorf("without the last segment: %v", err)
		case i < len(segments)-1 && (!errors.Is(err, frame.ErrCorrupt) || !strings.Contains(err.Error(), "copy")):
			t.Errorf("without segment %s: %v", gone, err)
		}
	}
}

func TestForeignSegment(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 3)
	for name, c := range map[string]struct {
		edit func(name string, b []byte) []byte
		want error
	}{
		"newer version":  {func(_ string, b []byte) []byte { return newer(t, b) }, frame.ErrVersion},
		"rotten version": {func(_ string, b []byte) []byte { b[9] = 7; return b }, frame.ErrCorrupt},
		"other magic":    {func(_ string, b []byte) []byte { b[0] = 'X'; return b }, frame.ErrCorrupt},
		"empty":          {func(string, []byte) []byte { return nil }, frame.ErrCorrupt},
		"a text":         {func(string, []byte) []byte { return []byte(strings.Repeat("hello ", 100)) }, frame.ErrCorrupt},
	} {
		bad := opt
		bad.Engine = copyMem(t, opt.Engine, all, c.edit)
		if _, err := Open(ctx, bad); !errors.Is(err, c.want) || c.want == frame.ErrVersion && errors.Is(err, frame.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}

	k, err := keyring.New([16]byte{0xbb})
	if err != nil {
		t.Fatal(err)
	}
	bad := opt
	bad.Keys = k
	if _, err := Open(ctx, bad); err == nil || !strings.Contains(err.Error(), "of store aa01") {
		t.Errorf("another store's keyring: %v", err)
	}
	if k, err = keyring.New(opt.Keys.StoreID); err != nil { // the same store, other keys: a keyring restored from elsewhere
		t.Fatal(err)
	}
	bad.Keys = k
	if _, err := Open(ctx, bad); err == nil || !strings.Contains(err.Error(), "keyring") {
		t.Errorf("a keyring with another signer: %v", err)
	}

	bad = opt
	m := copyMem(t, opt.Engine, all, nil)
	if err := m.Create(ctx, engine.Segments+"notes.txt", 2, strings.NewReader("hi")); err != nil {
		t.Fatal(err)
	}
	bad.Engine = m
	l, err := Open(ctx, bad)
	if err != nil || len(l.Foreign()) != 1 || l.Foreign()[0] != engine.Segments+"notes.txt" {
		t.Fatalf("a file that is no segment: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// newer is a segment as a later program would write it.
func newer(t testing.TB, b []byte) []byte {
	t.Helper()
	h, err := frame.ParseHeader(b, frame.MagicSegment)
	if err != nil {
		t.Fatal(err)
	}
	h.Version = 7
	copy(b, h.Append(nil))
	return b
}

// TestFlips flips every byte of a small ledger: opening or reading all of it notices.
func TestFlips(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 9)
	opt.Published = nil
	for _, name := range names(t, opt.Engine) {
		for i := range readAll(t, opt.Engine, name) {
			bad := opt
			bad.Engine = copyMem(t, opt.Engine, all, func(n string, b []byte) []byte {
				if n == name {
					b[i] ^= 0x04
				}
				return b
			})
			if err := verifyAll(bad); err == nil {
				t.Errorf("flip of byte %d of %s was not noticed", i, name)
			} else if !errors.Is(err, frame.ErrCorrupt) || errors.Is(err, frame.ErrVersion) {
				t.Errorf("flip of byte %d of %s: %v", i, name, err)
			}
		}
	}
	if err := verifyAll(opt); err != nil {
		t.Error(err)
	}
}

// verifyAll opens a ledger, reads everything, and scans the segments frame by frame, which reads the commits that no reader needs.
func verifyAll(opt Options) error {
	l, err := OpenReadOnly(ctx, opt)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := checkAll(l); err != nil {
		return err
	}
	for _, f := range l.segments {
		e, err := opt.Engine.Open(ctx, f.name)
		if err != nil {
			return err
		}
		s := segment.NewScanner(e, e.Size(), f.first, opt.Keys.Sealer)
		for err == nil {
			_, err = s.Next()
		}
		if err == io.EOF {
			err = s.Whole()
		}
		if err := errors.Join(err, e.Close()); err != nil {
			return err
		}
	}
	return nil
}

// TestReadOnlyDir opens a folder without the right to write, and any engine that can't append.
func TestReadOnlyDir(t *testing.T) {
	fs := vfs.NewMem()
	opt := closed(t, testEngine(t, fs), 20)
	ro, err := dir.Open(fs, "store", dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []engine.Engine{ro, struct{ engine.Engine }{opt.Engine}} {
		opt.Engine = e
		l, err := OpenReadOnly(ctx, opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkAll(l); err != nil {
			t.Error(err)
		}
		mustClose(t, l)
	}
	if _, err := Open(ctx, opt); err == nil {
		t.Error("opened for writing an engine that can't append")
	}
}
