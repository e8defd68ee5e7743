package dir_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/enginetest"
)

// TestConformanceTmpfs runs the suite on a small file system of the system's own that really fills up.
func TestConformanceTmpfs(t *testing.T) {
	enginetest.RunAppender(t, func(t testing.TB) enginetest.Rig {
		root := smallDisk(t)
		return enginetest.Rig{Engine: open(t, vfs.Default, root), Fill: func() { fill(t, root) }}
	})
}

// smallDisk mounts 64 MiB, or skips the test where that isn't allowed: the rig in memory fills up too.
func smallDisk(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("couldn't mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Errorf("couldn't unmount: %v", err)
		}
	})
	return root
}

func fill(t testing.TB, root string) {
	t.Helper()
	f, err := os.Create(filepath.Join(root, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 1 << 20; n >= 4096; n /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, n))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("filling the disk: %v", err)
		}
	}
}

func TestAppendOnAFullDisk(t *testing.T) {
	root := smallDisk(t)
	d := open(t, vfs.Default, root)
	_, err := d.Append(t.Context(), "packs/p", engine.AppendOptions{PreallocateBytes: 1 << 30})
	if !errors.Is(err, engine.ErrFull) {
		t.Errorf("Append with more to reserve than there is = %v, want ErrFull", err)
	}
	if tails, err := d.Tails(t.Context()); err != nil || len(tails) != 0 {
		t.Errorf("it left %v, %v", tails, err)
	}
	g, err := d.Append(t.Context(), "packs/p", engine.AppendOptions{PreallocateBytes: 1 << 20})
	if err != nil {
		t.Fatalf("a smaller Append after it = %v", err)
	}
	defer g.Close()
	fill(t, root)
	// What was reserved is ours on a full disk: an open segment takes its last batches.
	for range 16 {
		if _, err := g.Write(make([]byte, 60000)); err != nil {
			t.Fatalf("Write into reserved room on a full disk = %v", err)
		}
	}
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestTailWithZeros: what follows the synced bytes of a preallocated tail is zeros.
func TestTailWithZeros(t *testing.T) {
	root := t.TempDir()
	d := open(t, vfs.Default, root)
	g, err := d.Append(t.Context(), "segments/s", engine.AppendOptions{PreallocateBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	piece := bytes.Repeat([]byte("entry"), 1000)
	const pieces = 500 // past the first zeros and not to the end
	for range pieces {
		if _, err := g.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(g.Sync(), g.Close()); err != nil {
		t.Fatal(err)
	}
	tails, err := open(t, vfs.Default, root).Tails(t.Context())
	if err != nil || len(tails) != 1 {
		t.Fatalf("Tails() = %v, %v; want one", tails, err)
	}
	f, err := tails[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	n := pieces * len(piece)
	if !bytes.Equal(got[:n], bytes.Repeat(piece, pieces)) {
		t.Error("the written part of the tail is changed")
	}
	if !bytes.Equal(got[n:], make([]byte, len(got)-n)) {
		t.Error("the rest of the tail isn't zeros")
	}
}

// TestRealFsyncFails has the system itself answer EIO: the native path, which no file system in memory runs.
func TestRealFsyncFails(t *testing.T) {
	const call = "STELE_TEST_FSYNC_FAILS"
	if root := os.Getenv(call); root != "" {
		failOnce(t, root)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("strace is missing")
		}
		t.Skip("strace is missing")
	}
	for _, inject := range []string{
		"fdatasync:error=EIO:when=2", // of a growing file
		"fdatasync:error=ENOSPC:when=2",
	} {
		cmd := exec.Command(strace, "-f", "-o", os.DevNull, "-e", "inject="+inject,
			os.Args[0], "-test.run=^TestRealFsyncFails$", "-test.v")
		cmd.Env = append(os.Environ(), call+"="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("it stays failed")) {
			t.Errorf("with %s: %v\n%s", inject, err, out)
		}
	}
}

// failOnce runs in a process whose second fdatasync fails.
func failOnce(t *testing.T, root string) {
	d := open(t, vfs.Default, root)
	g, err := d.Append(t.Context(), "segments/s", engine.AppendOptions{PreallocateBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for i, want := range []error{nil, durable.ErrSync, engine.ErrFailed, engine.ErrFailed} {
		if _, err := g.Write([]byte("entry")); i > 1 != errors.Is(err, engine.ErrFailed) {
			t.Fatalf("Write %d = %v", i, err)
		}
		if err := g.Sync(); !errors.Is(err, want) || want == nil && err != nil {
			t.Fatalf("Sync %d = %v, want %v", i, err, want)
		}
	}
	if err := d.Create(t.Context(), "packs/p", 1, strings.NewReader("x")); !errors.Is(err, engine.ErrFailed) {
		t.Fatalf("Create = %v, want ErrFailed", err)
	}
	t.Log("it stays failed")
}

func TestReadOnly(t *testing.T) {
	root := t.TempDir()
	w := open(t, vfs.Default, root)
	if err := w.Create(t.Context(), "packs/p", 4, strings.NewReader("data")); err != nil {
		t.Fatal(err)
	}
	g, err := w.Append(t.Context(), "segments/s", engine.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)

	d, err := dir.Open(vfs.Default, root, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Open(t.Context(), "packs/p")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	tails, err := d.Tails(t.Context())
	if err != nil || len(tails) != 1 {
		t.Fatalf("Tails() = %v, %v; want one", tails, err)
	}
	_, err = d.Append(t.Context(), "packs/q", engine.AppendOptions{})
	for what, err := range map[string]error{
		"Append":     err,
		"Create":     d.Create(t.Context(), "packs/q", 1, strings.NewReader("x")),
		"Remove":     d.Remove(t.Context(), "packs/p"),
		"RemoveTail": d.RemoveTail(t.Context(), tails[0]),
	} {
		if !errors.Is(err, dir.ErrReadOnly) {
			t.Errorf("%s = %v, want ErrReadOnly", what, err)
		}
	}
	if after := tree(t, root); after != before {
		t.Errorf("a reader changed the folder from\n%s\nto\n%s", before, after)
	}
	_, err = dir.Open(vfs.Default, filepath.Join(root, "absent"), dir.Options{ReadOnly: true})
	if !errors.Is(err, engine.ErrNotExist) {
		t.Errorf("opening what isn't there, to read = %v, want ErrNotExist", err)
	}
}

func tree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		b.WriteString(path + " " + info.ModTime().String() + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestStrangers: files that are not ours are neither listed nor touched; what a crash left of a Create is swept.
func TestStrangers(t *testing.T) {
	root := t.TempDir()
	open(t, vfs.Default, root)
	for _, name := range []string{"packs/.DS_Store", "packs/Thumbs.db", "packs/a b", "open/notes.txt", "open/packs_P.0123456789abcdef"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "packs/folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := tree(t, root)
	if err := os.WriteFile(filepath.Join(root, "tmp/0123456789abcdef-1"), []byte("half a pa"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, vfs.Default, root)
	if tails, err := d.Tails(t.Context()); err != nil || len(tails) != 0 {
		t.Errorf("Tails() = %v, %v; want none", tails, err)
	}
	err := d.List(t.Context(), engine.Packs, func(i engine.Info) error {
		t.Errorf("%s is listed", i.Name)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := d.Open(t.Context(), "packs/folder"); !errors.Is(err, engine.ErrNotExist) {
		t.Errorf("Open of a folder = %v, want ErrNotExist", err)
	}
	left, err := os.ReadDir(filepath.Join(root, "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("tmp holds %v, %v; want nothing", left, err)
	}
	cut := func(s string) string { // the swept folder's time has changed
		lines := strings.Split(s, "\n")
		for i, l := range lines {
			lines[i], _, _ = strings.Cut(strings.TrimPrefix(l, root), " 20")
		}
		return strings.Join(lines, "\n")
	}
	if after := tree(t, root); cut(after) != cut(before) {
		t.Errorf("the folder changed from\n%s\nto\n%s", before, after)
	}
}

// TestPublishedTwice: a crash inside Publish leaves a file under both its names. It is no tail: its bytes are sealed.
func TestPublishedTwice(t *testing.T) {
	root := t.TempDir()
	d := open(t, vfs.Default, root)
	data := strings.Repeat("x", 200_000)
	if err := d.Create(t.Context(), "packs/p", int64(len(data)), strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	same, other := filepath.Join(root, "open/packs_p.0123456789abcdef"), filepath.Join(root, "open/packs_p.0123456789abcdee")
	if err := os.Link(filepath.Join(root, "packs/p"), same); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte(data[1:]+"y"), 0o600); err != nil { // as long, and other bytes
		t.Fatal(err)
	}
	tails, err := d.Tails(t.Context())
	if err != nil || len(tails) != 1 || tails[0].Private != filepath.Base(other) {
		t.Errorf("Tails() = %v, %v; want the other file alone", tails, err)
	}
	if _, err := os.Stat(same); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second name of the sealed file is still there: %v", err)
	}
}
