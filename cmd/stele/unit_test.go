package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stele"
	"stele/internal/rpc"
	"stele/verify"
)

// TestExitCodes holds the codes of DESIGN section 10.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("anything"), 1}, {usage{errors.New("x")}, 2}, {errPartial, 3}, {stele.ErrNoBucket, 4}, {stele.ErrNoKey, 4}, {stele.ErrNoVersion, 4}, {stele.ErrMarker, 4},
		{stele.ErrNoAccessKey, 4}, {errNoSource, 4}, {&stele.RetentionError{Mode: "COMPLIANCE"}, 5}, {verify.ErrFailed, 6}, {stele.ErrCorrupt, 6}, {stele.ErrLocked, 10},
		{stele.ErrWrongKey, 12}, {rpc.ErrWho, 12}, {context.Canceled, 130}, {stele.ErrVersion, 1}, {stele.ErrFull, 1}, {stele.ErrFailed, 1}, {stele.ErrNotStore, 1}, {rpc.ErrDenied, 1},
	} {
		for _, err := range []error{c.err, fmt.Errorf("couldn't do it: %w", c.err), withHint(c.err, "next")} {
			if got := exitCode(err); got != c.want {
				t.Errorf("%v: exit %d, want %d", err, got, c.want)
			}
		}
	}
}

func TestByteRange(t *testing.T) {
	for text, want := range map[string][2]int64{"": {0, 10}, "0-9": {0, 10}, "0-0": {0, 1}, "3-5": {3, 3}, "7-": {7, 3}, "-4": {6, 4}, "-99": {0, 10}, "5-99": {5, 5}} {
		off, n, err := byteRange(text, 10)
		if err != nil || off != want[0] || n != want[1] {
			t.Errorf("%q: %d, %d, %v", text, off, n, err)
		}
	}
	for text, code := range map[string]int{"x": 2, "-": 2, "5-2": 2, "1-2-3": 2, "-0": 2, "1-x": 2, "10-": 1, "99-100": 1, "1.5-2": 2, " 1-2x": 2} {
		if _, _, err := byteRange(text, 10); exitCode(err) != code || err == nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMtime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns"))
		got, ok := mtimeOf(map[string]string{metaMtime: mtimeText(at)})
		if !ok || !got.Equal(at) {
			t.Fatalf("%v is written %s and read as %v", at, mtimeText(at), got)
		}
	})
	for text, want := range map[string]time.Time{"1354040105.123456789": time.Unix(1354040105, 123456789), "12": time.Unix(12, 0), "1.5": time.Unix(1, 5e8), "-1.25": time.Unix(-2, 75e7), "1.1234567891": time.Unix(1, 123456789)} {
		if got, ok := mtimeOf(map[string]string{metaMtime: text}); !ok || !got.Equal(want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"", "x", "2026-11-22", "1.x", "99999999999999999999"} {
		if got, ok := mtimeOf(map[string]string{metaMtime: text}); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestMode(t *testing.T) {
	if _, perm, ok := modeOf(map[string]string{metaMode: "104755"}); !ok || perm != 0o755 {
		t.Errorf("set-user-id is given back: %v", perm)
	}
	if kind, perm, ok := modeOf(map[string]string{metaMode: "0120777"}); !ok || kind != typeSymlink || perm != 0o777 {
		t.Errorf("%o %v %v", kind, perm, ok)
	}
	for _, text := range []string{"", "rwx", "9"} {
		if _, _, ok := modeOf(map[string]string{metaMode: text}); ok {
			t.Errorf("%q is a mode", text)
		}
	}
}

// TestSafeName: what is safe stays in the folder and comes back as the same key; nothing else is let through.
func TestSafeName(t *testing.T) {
	for _, bad := range []string{"", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "./a", "a/./b", "a//b", "a\x00b", "//", "a//", "../"} {
		if safeName(bad) == nil {
			t.Errorf("%q is let through", bad)
		}
	}
	for _, good := range []string{"a", "a/b", "a/b/", "..a", "a..", "...", " ", "a\\b", "ü/\n", ".hidden/x"} {
		if err := safeName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		key := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"a", "..", ".", "/", "\x00", "b c", "//"})).Draw(t, "parts"), "")
		if safeName(key) != nil {
			return
		}
		rel := filepath.Clean(strings.TrimSuffix(key, "/"))
		if !filepath.IsLocal(rel) || rel != strings.TrimSuffix(key, "/") {
			t.Fatalf("%q is let through as %q", key, rel)
		}
	})
}

func TestText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 1<<20 - 1: "1.0 MiB", 5 << 40: "5.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
	for s, want := range map[string]string{"plain ü": "plain ü", "a\nb": `"a\nb"`, "\x1b[2J": `"\x1b[2J"`, "": `""`, `"q"`: `"\"q\""`, "\xff": `"\xff"`, "a\u202eb": `"a\u202eb"`} {
		if got := shown(s); got != want {
			t.Errorf("shown(%q) = %s, want %s", s, got, want)
		}
	}
	if count(1, "file") != "1 file" || count(1234567, "file") != "1,234,567 files" {
		t.Error(count(1234567, "file"))
	}
}

func TestProgressLine(t *testing.T) {
	p := &progress{verb: "put", noun: "file"}
	p.things.Store(1000)
	p.bytes.Store(10 << 20)
	if got := p.line(10 * time.Second); got != "put 1,000 files, 10.0 MiB, 1.0 MiB/s, 100 files/s" {
		t.Error(got)
	}
	p.ofThings.Store(4000)
	p.ofBytes.Store(20 << 20) // bytes are half done, files a quarter: files decide
	if got := p.line(10 * time.Second); got != "put 1,000 of 4,000 files, 10.0 MiB of 20.0 MiB, 1.0 MiB/s, 100 files/s, 30s left" {
		t.Error(got)
	}
	q := &progress{verb: "verified"}
	q.bytes.Store(512)
	if got := q.line(time.Second); got != "verified 512 B, 512 B/s" {
		t.Error(got)
	}
}

func TestWords(t *testing.T) {
	a := &app{cli: &Globals{}}
	for _, c := range []struct {
		err           error
		message, hint string
	}{
		{fmt.Errorf("%w: x does not exist. `stele init` makes one", stele.ErrNotStore), "not a Stele store: x does not exist", "`stele init` makes one"},
		{errors.New("it is broken. Mend it."), "it is broken", "mend it"},
		{errors.New("no file v1. of this"), "no file v1. of this", ""},
		{withHint(errors.New("a. B"), "do this"), "a. B", "do this"},
		{errors.Join(errors.New("one"), errors.New("two")), "one; two", ""},
		{fmt.Errorf("couldn't put: %w", context.Canceled), "interrupted", ""},
	} {
		if m, h := a.words(c.err); m != c.message || h != c.hint {
			t.Errorf("%v: %q, next %q", c.err, m, h)
		}
	}
}

// TestSteady: a file that is another one at its end than at its beginning is refused, whatever changed.
func TestSteady(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grows":      func(p string) error { return appendTo(p, "more") },
		"shrinks":    func(p string) error { return os.Truncate(p, 10) },
		"rewritten":  func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("y"), 1<<16), 0o600) },
		"touched":    func(p string) error { return os.Chtimes(p, time.Time{}, time.Now().Add(time.Hour)) },
		"left alone": func(p string) error { return nil },
		"replaced":   func(p string) error { return os.Remove(p) }, // the open file is still the one it was
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<16), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		s := &steady{f: f, was: info, left: info.Size(), p: &progress{}}
		if _, err := io.CopyN(io.Discard, s, 100); err != nil {
			t.Fatal(err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, s)
		if good := name == "left alone" || name == "replaced"; good != (err == nil) || !good && !errors.Is(err, errMoving) {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// TestUnreadable: what can't be read is reported, and the rest goes on. Root reads everything, so the fault is put in by hand.
func TestUnreadable(t *testing.T) {
	var errs bytes.Buffer
	j := &putJob{app: &app{cli: &Globals{}, stderr: &errs}, p: &progress{}}
	for _, err := range []error{&fs.PathError{Op: "open", Path: "secret", Err: fs.ErrPermission}, &fs.PathError{Op: "open", Path: "gone\n", Err: fs.ErrNotExist}} {
		j.miss(sourceError(err))
	}
	if want := "stele: couldn't read secret: permission denied\nstele: no such file: \"gone\\n\"\n"; errs.String() != want || j.missed.Load() != 2 {
		t.Errorf("%q", errs.String())
	}
	// A file that vanishes between the listing and the reading.
	if err := j.one(t.Context(), source{path: filepath.Join(t.TempDir(), "vanished"), key: "k"}); err != nil || j.missed.Load() != 3 {
		t.Errorf("vanished: %v, %d missed", err, j.missed.Load())
	}
}

// TestHints: what the operating system lacks comes with the step that mends it, and not with one that looks at the disk.
func TestHints(t *testing.T) {
	a := &app{}
	for err, want := range map[error]string{syscall.EMFILE: "open files", syscall.ENFILE: "open files", syscall.ENOSPC: "make room", syscall.EROFS: "read-only", syscall.EIO: "dmesg"} {
		failed := &os.PathError{Op: "open", Path: "segments/1", Err: err}
		if hint := a.hintFor(fmt.Errorf("couldn't open: %w", errors.Join(stele.ErrFailed, failed))); !strings.Contains(hint, want) {
			t.Errorf("%v: %q", err, hint)
		}
	}
}
