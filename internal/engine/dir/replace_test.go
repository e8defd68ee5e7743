package dir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/enginetest"
)

func TestReplacer(t *testing.T) {
	t.Run("OS", func(t *testing.T) {
		enginetest.RunReplacer(t, func(t testing.TB) engine.Engine { return open(t, vfs.Default, t.TempDir()) })
	})
	t.Run("Mem", func(t *testing.T) {
		enginetest.RunReplacer(t, func(t testing.TB) engine.Engine { return open(t, vfs.NewMem(), "store") })
	})
}

// replaced is what was acknowledged of a name whose file is replaced again and again: one of these must be there, whole.
type replaced struct{ may []string }

const replacedName = "packs/p"

// replacing is a scenario that replaces a file with the function given.
func replacing(replace func(fsys vfs.FS, d *dir.Dir, size int64, r io.Reader) error) crashtest.Scenario[replaced] {
	ctx := context.Background()
	return crashtest.Scenario[replaced]{
		Setup: func(fsys vfs.FS, o *replaced) error {
			d, err := dir.Open(fsys, "a/store", dir.Options{})
			if err != nil {
				return err
			}
			o.may = []string{content("damaged", 9000)}
			return d.Create(ctx, replacedName, 9000, strings.NewReader(o.may[0]))
		},
		Work: func(fsys vfs.FS, o *replaced) error {
			d, err := dir.Open(fsys, "a/store", dir.Options{})
			if err != nil {
				return err
			}
			for i, n := range []int{9000, 3 << 20, 4000} {
				c := content(fmt.Sprint("proven", i), n)
				o.may = append(o.may[len(o.may)-1:], c)
				if err := replace(fsys, d, int64(n), strings.NewReader(c)); err != nil {
					return err
				}
				o.may = o.may[1:]
			}
			return nil
		},
		Check: func(fsys vfs.FS, o *replaced) error {
			d, err := dir.Open(fsys, "a/store", dir.Options{})
			if err != nil {
				return err
			}
			if _, err := d.Tails(ctx); err != nil { // sweeps what was being written
				return err
			}
			f, err := d.Open(ctx, replacedName)
			if err != nil {
				return err
			}
			defer f.Close()
			got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			if err != nil {
				return err
			}
			for _, c := range o.may {
				if string(got) == c {
					o.may = []string{c} // vouched for
					return nil
				}
			}
			return fmt.Errorf("%d bytes, which are none of the %d files that may be there", len(got), len(o.may))
		},
	}
}

func byReplace(_ vfs.FS, d *dir.Dir, size int64, r io.Reader) error {
	return d.Replace(context.Background(), replacedName, size, r)
}

// TestReplaceCrash cuts the power at every write of a Replace, and fails each of its fsyncs.
func TestReplaceCrash(t *testing.T) { crashtest.Run(t, replacing(byReplace)) }

// TestReplaceBugs: the two ways to get it wrong are noticed.
func TestReplaceBugs(t *testing.T) {
	for bug, replace := range map[string]func(vfs.FS, *dir.Dir, int64, io.Reader) error{
		"in place, without an fsync": func(fsys vfs.FS, d *dir.Dir, _ int64, r io.Reader) error {
			f, err := fsys.Create(fsys.PathJoin(d.Root(), replacedName), vfs.WriteCategoryUnspecified)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(f, r)
			return err
		},
		"renamed over before its fsync": func(fsys vfs.FS, d *dir.Dir, _ int64, r io.Reader) error {
			tmp := fsys.PathJoin(d.Root(), "tmp", "x")
			f, err := fsys.Create(tmp, vfs.WriteCategoryUnspecified)
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := io.Copy(f, r); err != nil {
				return err
			}
			if err := fsys.Rename(tmp, fsys.PathJoin(d.Root(), replacedName)); err != nil {
				return err
			}
			folder, err := fsys.OpenDir(fsys.PathJoin(d.Root(), "packs"))
			if err != nil {
				return err
			}
			defer folder.Close()
			return folder.Sync()
		},
	} {
		_, err := replacing(replace).CutPower()
		var found *crashtest.Failure
		if !errors.As(err, &found) {
			t.Errorf("%s: the bug went unnoticed: %v", bug, err)
		}
	}
}

// TestReplaceOnAFullDisk: the old file stays, and nothing has failed.
func TestReplaceOnAFullDisk(t *testing.T) {
	var full bool
	d := open(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full && op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	})), "store")
	ctx := t.Context()
	if err := d.Create(ctx, replacedName, 3, strings.NewReader("old")); err != nil {
		t.Fatal(err)
	}
	full = true
	if err := byReplace(nil, d, 3, strings.NewReader("new")); !errors.Is(err, engine.ErrFull) {
		t.Errorf("Replace on a full disk = %v", err)
	}
	full = false
	f, err := d.Open(ctx, replacedName)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 3)
	if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF || string(got) != "old" {
		t.Errorf("then it reads %q, %v", got, err)
	}
	if err := byReplace(nil, d, 3, strings.NewReader("new")); err != nil {
		t.Errorf("Replace once there is room = %v", err)
	}
}
