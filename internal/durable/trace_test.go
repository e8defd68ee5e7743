package durable_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/durable"
)

var random = regexp.MustCompile(`[0-9a-f]{16}`)

// traced returns a file system with the folder d in it, and what has been asked of it since the last call of the function.
func traced(t *testing.T) (vfs.FS, func() string) {
	t.Helper()
	mem := vfs.NewMem()
	if err := mem.MkdirAll("d", 0o700); err != nil {
		t.Fatal(err)
	}
	var lines []string
	fsys := vfs.WithLogging(mem, func(format string, args ...any) {
		lines = append(lines, random.ReplaceAllString(fmt.Sprintf(format, args...), "RANDOM"))
	})
	return fsys, func() string {
		got := strings.Join(lines, "\n")
		lines = nil
		return got
	}
}

// TestTrace holds the package comment to its word: what is asked of the system, in order.
func TestTrace(t *testing.T) {
	fsys, trace := traced(t)
	create := func(path, data string) error {
		return durable.Create(fsys, "d/tmp", path, int64(len(data)), strings.NewReader(data), 0o600)
	}
	var f *durable.File
	for _, step := range []struct {
		what string
		do   func() error
		want string
	}{
		{"MkdirAll", func() error { return durable.MkdirAll(fsys, "d/x/y") }, `
open-dir: .
sync: .
close: .
mkdir-all: d/x 0700
open-dir: d
sync: d
close: d
mkdir-all: d/x/y 0700
open-dir: d/x
sync: d/x
close: d/x`},
		{"MkdirEach", func() error { return durable.MkdirEach(fsys, "d", []string{"d/x", "d/z"}) }, `
open-dir: .
sync: .
close: .
mkdir-all: d/z 0700
open-dir: d
sync: d
close: d`},
		{"SyncDirs", func() error { return durable.SyncDirs(fsys, []string{"d/z"}) }, `
open-dir: d/z
sync: d/z
close: d/z`},
		{"Create", func() error { return create("d/a", "data") }, `
create: d/tmp
sync: d/tmp
close: d/tmp
link: d/tmp -> d/a
open-dir: d
sync: d
close: d
remove: d/tmp`},
		{"WriteFolder", func() error {
			return durable.WriteFolder(fsys, "d/w", []durable.NamedFile{{Name: "1", Data: []byte("one")}, {Name: "2", Data: []byte("two")}}, 0o600)
		}, `
mkdir-all: d/w.RANDOM.tmp 0700
create: d/w.RANDOM.tmp/1
sync: d/w.RANDOM.tmp/1
close: d/w.RANDOM.tmp/1
create: d/w.RANDOM.tmp/2
sync: d/w.RANDOM.tmp/2
close: d/w.RANDOM.tmp/2
open-dir: d/w.RANDOM.tmp
sync: d/w.RANDOM.tmp
close: d/w.RANDOM.tmp
rename: d/w.RANDOM.tmp -> d/w
open-dir: d
sync: d
close: d`},
		{"Create of a taken name", func() error {
			if err := create("d/a", "other"); err == nil {
				return fmt.Errorf("created twice")
			}
			return nil
		}, `
open-dir: d
sync: d
close: d`},
		{"WriteFile", func() error { return durable.WriteFile(fsys, "d/b", []byte("data"), 0o600) }, `
create: d/b.RANDOM.tmp
sync: d/b.RANDOM.tmp
close: d/b.RANDOM.tmp
link: d/b.RANDOM.tmp -> d/b
open-dir: d
sync: d
close: d
remove: d/b.RANDOM.tmp`},
		{"Replace", func() error { return durable.Replace(fsys, "d/b", []byte("data"), 0o600) }, `
create: d/b.RANDOM.tmp
sync: d/b.RANDOM.tmp
close: d/b.RANDOM.tmp
rename: d/b.RANDOM.tmp -> d/b
open-dir: d
sync: d
close: d`},
		{"Remove", func() error { return durable.Remove(fsys, "d/b") }, `
remove: d/b
open-dir: d
sync: d
close: d`},
		{"Grow", func() (err error) {
			f, err = durable.Grow(fsys, "d/g", durable.GrowOptions{})
			return err
		}, `
create: d/g
open-dir: d
sync: d
close: d`},
		{"File.Sync", func() error {
			if _, err := f.Write([]byte("data")); err != nil {
				return err
			}
			return f.Sync()
		}, `
sync-data: d/g`},
		{"File.Finish", func() error { return f.Finish() }, `
sync: d/g`},
		{"Publish", func() error { return durable.Publish(fsys, "d/g", "d/h") }, `
link: d/g -> d/h
open-dir: d
sync: d
close: d
remove: d/g`},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s = %v", step.what, err)
		}
		if got := trace(); got != strings.TrimPrefix(step.want, "\n") {
			t.Errorf("%s asks for\n%s\nwant%s", step.what, got, step.want)
		}
	}
}
