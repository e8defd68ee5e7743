package dir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/crashtest"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
)

// oracle is what the engine said, and so what must be found.
type oracle struct {
	sealed  map[string]string // acknowledged: there, with these bytes
	maybe   map[string]string // asked for, not acknowledged: absent, or there with these bytes
	removed map[string]bool   // Remove acknowledged: absent
	tails   map[string]string // synced bytes of growing files, by sealed name, if they are not in sealed or maybe
}

func newOracle() *oracle {
	return &oracle{map[string]string{}, map[string]string{}, map[string]bool{}, map[string]string{}}
}

func (o *oracle) copy() *oracle {
	return &oracle{maps.Clone(o.sealed), maps.Clone(o.maybe), maps.Clone(o.removed), maps.Clone(o.tails)}
}

func content(name string, n int) string {
	return strings.Repeat(name+"\n", n/len(name)+1)[:n]
}

// work creates, grows, publishes and removes, and notes what it was told.
func work(fsys vfs.FS, o *oracle) error {
	*o = *newOracle()
	ctx := context.Background()
	d, err := dir.Open(fsys, "a/store", dir.Options{})
	if err != nil {
		return err
	}
	for i, name := range []string{"meta/store.format", "keyring/000001", "packs/small", "packs/large"} {
		c := content(name, 10+i*7000)
		o.maybe[name] = c
		if err := d.Create(ctx, name, int64(len(c)), strings.NewReader(c)); err != nil {
			return err
		}
		o.sealed[name] = c
	}
	for _, name := range []string{"segments/000001", "segments/000002"} {
		if err := growAndPublish(d, name, o); err != nil {
			return err
		}
	}
	delete(o.sealed, "packs/small")
	if err := d.Remove(ctx, "packs/small"); err != nil {
		return err
	}
	delete(o.maybe, "packs/small")
	o.removed["packs/small"] = true
	tail, err := d.Append(ctx, "packs/tail", engine.AppendOptions{})
	if err != nil {
		return err
	}
	defer tail.Close()
	o.tails["packs/tail"] = ""
	return appendSynced(tail, "packs/tail", 2, o)
}

func growAndPublish(d *dir.Dir, name string, o *oracle) error {
	g, err := d.Append(context.Background(), name, engine.AppendOptions{PreallocateBytes: 1 << 20})
	if err != nil {
		return err
	}
	defer g.Close()
	o.tails[name] = ""
	if err := appendSynced(g, name, 3, o); err != nil {
		return err
	}
	o.maybe[name] = o.tails[name]
	if err := g.Publish(); err != nil {
		return err
	}
	o.sealed[name] = o.tails[name]
	delete(o.tails, name)
	return nil
}

func appendSynced(g engine.Growing, name string, times int, o *oracle) error {
	for i := range times {
		c := content(fmt.Sprintf("%s-%d", name, i), 3000)
		if _, err := g.Write([]byte(c)); err != nil {
			return err
		}
		if err := g.Sync(); err != nil {
			return err
		}
		o.tails[name] += c
	}
	return nil
}

// check opens the store as a restarted process does and vouches for all that it lists.
func check(fsys vfs.FS, o *oracle) error {
	if o.sealed == nil {
		*o = *newOracle()
	}
	ctx := context.Background()
	d, err := dir.Open(fsys, "a/store", dir.Options{})
	if err != nil {
		return err
	}
	seen, err := readAll(ctx, d)
	if err != nil {
		return err
	}
	for name, want := range o.sealed {
		if got, ok := seen[name]; !ok || got != want {
			return fmt.Errorf("%s was acknowledged; there: %t, %d bytes of %d", name, ok, len(got), len(want))
		}
	}
	for name, got := range seen {
		if o.removed[name] {
			return fmt.Errorf("%s was removed and is back", name)
		}
		if want, ok := o.maybe[name]; !ok || got != want {
			return fmt.Errorf("%s: %d bytes that nobody wrote", name, len(got))
		}
	}
	if err := checkTails(ctx, d, seen, o); err != nil {
		return err
	}
	// What was listed once is there for good: others build on it.
	maps.Copy(o.sealed, seen)
	return nil
}

func checkTails(ctx context.Context, d *dir.Dir, seen map[string]string, o *oracle) error {
	tails, err := d.Tails(ctx)
	if err != nil {
		return err
	}
	found := map[string]string{}
	for _, t := range tails {
		f, err := t.Open()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		_ = f.Close()
		if err != nil {
			return err
		}
		if _, ok := seen[t.Name]; ok && string(b) == seen[t.Name] {
			return fmt.Errorf("tail of %s is the published file, and is listed", t.Name)
		}
		found[t.Name] = string(b)
	}
	for name, want := range o.tails {
		if _, ok := seen[name]; ok {
			continue // published without the word getting out
		}
		got, ok := found[name]
		if !ok || !strings.HasPrefix(got, want) {
			return fmt.Errorf("tail of %s: there: %t, %d bytes, which don't start with the %d synced ones", name, ok, len(got), len(want))
		}
	}
	return nil
}

func readAll(ctx context.Context, d *dir.Dir) (map[string]string, error) {
	seen := map[string]string{}
	for _, folder := range engine.Folders() {
		err := d.List(ctx, folder, func(i engine.Info) error {
			f, err := d.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			defer f.Close()
			var b bytes.Buffer
			if _, err := io.Copy(&b, io.NewSectionReader(f, 0, f.Size())); err != nil {
				return err
			}
			seen[i.Name] = b.String()
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return seen, nil
}

func scenario() crashtest.Scenario[oracle] {
	return crashtest.Scenario[oracle]{Work: work, Check: check, Copy: (*oracle).copy}
}

func TestCrash(t *testing.T) { crashtest.Run(t, scenario()) }

// buggy is a file system with one of durable's steps left out.
type buggy struct {
	vfs.FS
	skip func(path string, isDir bool) bool
}

func (b buggy) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := b.FS.Create(name, c)
	return lazyFile{f, b.skip(name, false)}, err
}

func (b buggy) OpenDir(name string) (vfs.File, error) {
	f, err := b.FS.OpenDir(name)
	return lazyFile{f, b.skip(name, true)}, err
}

type lazyFile struct {
	vfs.File
	skip bool
}

func (f lazyFile) Sync() error {
	if f.skip {
		return nil
	}
	return f.File.Sync()
}

func (f lazyFile) SyncData() error {
	if f.skip {
		return nil
	}
	return f.File.SyncData()
}

// TestCrashFindsASkippedFsync shows that every fsync of the engine is needed, and that TestCrash would say so.
func TestCrashFindsASkippedFsync(t *testing.T) {
	for what, skip := range map[string]func(path string, isDir bool) bool{
		"a created file":            func(p string, isDir bool) bool { return !isDir && strings.Contains(p, "/tmp/") },
		"a growing file":            func(p string, isDir bool) bool { return !isDir && strings.Contains(p, "/open/") },
		"a folder of sealed files":  func(p string, isDir bool) bool { return isDir && strings.HasSuffix(p, "/segments") },
		"the folder of packs":       func(p string, isDir bool) bool { return isDir && strings.HasSuffix(p, "/packs") },
		"the folder of growing":     func(p string, isDir bool) bool { return isDir && strings.HasSuffix(p, "/open") },
		"the root":                  func(p string, isDir bool) bool { return isDir && p == "a/store" },
		"the parent of the root":    func(p string, isDir bool) bool { return isDir && p == "a" },
		"the parent of that parent": func(p string, isDir bool) bool { return isDir && p == "." },
	} {
		t.Run(what, func(t *testing.T) {
			s := scenario()
			s.Work = func(fsys vfs.FS, o *oracle) error { return work(buggy{fsys, skip}, o) }
			s.Check = func(fsys vfs.FS, o *oracle) error { return check(buggy{fsys, skip}, o) }
			runs, err := s.CutPower()
			if f := (*crashtest.Failure)(nil); !errors.As(err, &f) {
				t.Errorf("%d runs without the fsync of %s, and nothing was found: %v", runs, what, err)
			}
		})
	}
}

// TestRestartAfterAKill: a process is killed after the link of a file and before the fsync of its folder. The next one lists the
// file, others build on it, so it may not vanish when the power goes.
func TestRestartAfterAKill(t *testing.T) {
	fsys := crashtest.NewFS()
	open(t, fsys, "store")
	f, err := fsys.Create("store/tmp/x", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close(), fsys.Link("store/tmp/x", "store/packs/x")); err != nil {
		t.Fatal(err)
	}
	open(t, fsys, "store")
	after := open(t, fsys.Clone(vfs.CrashCloneCfg{}), "store")
	if _, err := after.Open(t.Context(), "packs/x"); err != nil {
		t.Errorf("a file that a restarted process listed is gone after the power went: %v", err)
	}
}

// TestErrExistIsDurable: whoever is told that a name is taken builds on that file, even if its maker hasn't fsynced the folder yet.
func TestErrExistIsDurable(t *testing.T) {
	fsys := crashtest.NewFS()
	d := open(t, fsys, "store")
	f, err := fsys.Create("store/packs/x", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(t.Context(), "packs/x", 1, strings.NewReader("y")); !errors.Is(err, engine.ErrExist) {
		t.Fatalf("Create = %v, want ErrExist", err)
	}
	after := open(t, fsys.Clone(vfs.CrashCloneCfg{}), "store")
	if _, err := after.Open(t.Context(), "packs/x"); err != nil {
		t.Errorf("a file that ErrExist told of is gone after the power went: %v", err)
	}
}

// TestFailedFolderSync: an fsync of a folder that fails stops all writing, as one of a file does.
func TestFailedFolderSync(t *testing.T) {
	fsys := crashtest.NewFS()
	d := open(t, fsys, "store")
	fsys.FailSync(1, false) // the file's passes, the folder's fails
	err := d.Create(t.Context(), "packs/x", 1, strings.NewReader("x"))
	if !errors.Is(err, durable.ErrSync) {
		t.Fatalf("Create = %v, want a failed fsync", err)
	}
	if err := d.Create(t.Context(), "packs/y", 1, strings.NewReader("y")); !errors.Is(err, engine.ErrFailed) {
		t.Errorf("Create after a failed fsync of a folder = %v, want ErrFailed", err)
	}
}
