package stele

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/crashtest"
)

// full says that tests take no short cuts: .ci/full sets it.
var full = os.Getenv("STELE_FULL") != ""

const crashFolder = "data"

func (w *witnessed) options(fs vfs.FS) Options {
	return Options{FS: fs, Clock: w.clock, SegmentBytes: 6 << 10, PackBytes: 96 << 10, Kit: "kit.txt"}
}

// newTemplate makes an empty store and returns its files, so that a scenario need not make keys a thousand times.
func newTemplate(t testing.TB) map[string][]byte {
	t.Helper()
	fs := vfs.NewMem()
	s, err := Create(ctx, crashFolder, newWitness().options(fs))
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return filesOf(t, fs, "")
}

// filesOf reads all files below a folder.
func filesOf(t testing.TB, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if core.IsNotExist(err) { // the index of an open store removes what it has merged
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			out[path+"/"] = nil
			maps.Copy(out, filesOf(t, fs, path))
			continue
		}
		b, err := core.ReadFile(fs, path)
		if core.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out[path] = b
	}
	return out
}

// restore writes such files, durably.
func restore(fs vfs.FS, files map[string][]byte) error {
	dirs := []string{""}
	for path, b := range files {
		dir, isDir := strings.CutSuffix(path, "/")
		if !isDir {
			dir = fs.PathDir(path)
		}
		if err := fs.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if dirs = append(dirs, dir); isDir {
			continue
		}
		f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = f.Write(append([]byte(nil), b...))
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		d, err := fs.OpenDir(dir)
		if err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func b(name string, size int) content { return content{name, size} }

// crashWork is a day in the life of a store, twice: it fills several segments and packs, and closes and opens again.
func crashWork(fs vfs.FS, w *witnessed) (err error) {
	for reign := range 2 {
		s, err := Open(ctx, crashFolder, w.options(fs))
		if err != nil {
			return err
		}
		if reign == 0 {
			err = w.firstReign(s)
		} else {
			err = w.secondReign(s)
		}
		if closed := s.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *witnessed) firstReign(s *Store) error {
	if err := w.all(s,
		change{do: "createBucket", bucket: "plain"},
		change{do: "createBucket", bucket: "kept", on: true},
		change{do: "createBucket", bucket: "brief"},
		change{do: "versioning", bucket: "brief", state: Enabled},
		change{do: "put", bucket: "plain", key: "a/small", content: b("small", 700), meta: map[string]string{"mtime": "1"}},
		change{do: "put", bucket: "plain", key: "a/large", content: b("large", 60<<10)},
		change{do: "put", bucket: "plain", key: "empty"},
		change{do: "objectLock", bucket: "kept", def: Retention{Mode: "GOVERNANCE", Days: 2}},
		change{do: "setting", bucket: "plain", setting: SettingPolicy, doc: strings.Repeat("p", 5000)},
	); err != nil {
		return err
	}
	// Several writers share fsyncs. Of those who race for one key, one wins and the others' refusals rest on its entry.
	if err := w.race(4, func(i int) error {
		return w.all(s,
			change{do: "put", bucket: "plain", key: "raced", content: b(fmt.Sprintf("raced %d", i), 900), cond: Conditions{NoneMatch: "*"}},
			change{do: "put", bucket: "brief", key: "same", content: b("large", 60<<10)}, // duplicates, perhaps of what is not durable yet
			change{do: "put", bucket: "kept", key: fmt.Sprintf("k%d", i), content: b(fmt.Sprintf("kept %d", i), 3000)},
			change{do: "put", bucket: "brief", key: fmt.Sprintf("k%d", i), content: b("shared", 20<<10)},
		)
	}); err != nil {
		return err
	}
	locked, err := w.do(s, change{do: "put", bucket: "kept", key: "locked", content: b("locked", 50), lock: &entry.Lock{Mode: "COMPLIANCE", Until: w.clock.Now().AddDate(0, 0, 1)}})
	if err != nil {
		return err
	}
	if err := w.all(s,
		change{do: "hide", bucket: "kept", key: "locked", version: locked}, // refused, and the refusal is an entry
		change{do: "hide", bucket: "kept", key: "locked"},                  // a marker
		change{do: "retention", bucket: "kept", key: "locked", version: locked, mode: "COMPLIANCE", until: w.clock.Now().AddDate(0, 0, 3)},
		change{do: "hold", bucket: "kept", key: "k1", on: true},
		change{do: "tags", bucket: "plain", key: "a/small", tags: map[string]string{"is": "tagged"}},
		change{do: "hide", bucket: "plain", key: "empty"},
		change{do: "hide", bucket: "plain", key: "nothing there"},
		change{do: "versioning", bucket: "plain", state: Enabled},
		change{do: "put", bucket: "plain", key: "a/small", content: b("newer", 800)},
	); err != nil {
		return err
	}
	return w.uploads(s)
}

func (w *witnessed) uploads(s *Store) error {
	up, err := w.do(s, change{do: "create", bucket: "plain", key: "multi", meta: map[string]string{"is": "multipart"}})
	if err != nil {
		return err
	}
	gone, err := w.do(s, change{do: "create", bucket: "plain", key: "aborted"})
	if err != nil {
		return err
	}
	return w.all(s,
		change{do: "part", bucket: "plain", key: "multi", upload: up, number: 1, content: b("part", 9000)},
		change{do: "part", bucket: "plain", key: "aborted", upload: gone, number: 7, content: b("lost part", 100)},
		change{do: "part", bucket: "plain", key: "multi", upload: up, number: 1, content: b("part again", 18<<10)},
		change{do: "abort", bucket: "plain", key: "aborted", upload: gone},
		change{do: "complete", bucket: "plain", key: "multi", upload: up, parts: []int{1}},
		change{do: "create", bucket: "plain", key: "left open"},
	)
}

func (w *witnessed) secondReign(s *Store) error {
	w.clock.pass(50 * time.Hour) // beyond the default retention, within the other
	if err := w.all(s,
		change{do: "hide", bucket: "kept", key: "k0", version: w.version("kept", "k0")},
		change{do: "hide", bucket: "kept", key: "k1", version: w.version("kept", "k1")}, // under a hold
		change{do: "hide", bucket: "kept", key: "locked", version: w.version("kept", "locked")},
		change{do: "versioning", bucket: "plain", state: Suspended},
		change{do: "put", bucket: "plain", key: "a/small", content: b("null", 300)},
		change{do: "put", bucket: "plain", key: "a/large", content: b("large", 60<<10), cond: Conditions{Match: b("large", 60<<10).etag()}},
		change{do: "copy", bucket: "brief", key: "copy", srcKey: "same"},
		change{do: "hide", bucket: "plain", key: "a/small"},
		change{do: "setting", bucket: "plain", setting: SettingPolicy},
		change{do: "pin", name: "monday"},
	); err != nil {
		return err
	}
	return w.race(3, func(i int) error {
		return w.all(s,
			change{do: "put", bucket: "plain", key: fmt.Sprintf("late/%d", i), content: b("shared", 20<<10)},
			change{do: "put", bucket: "plain", key: fmt.Sprintf("late/%d", i), content: b(fmt.Sprintf("stream %d", i), 300<<10)},
			change{do: "hide", bucket: "brief", key: "same"},
		)
	})
}

// version is the id of the version that the last acknowledged put of a key in a versioned bucket made.
func (w *witnessed) version(bucket, key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last uint64
	for request, at := range w.acked {
		if c := w.changes[request]; c.do == "put" && c.bucket == bucket && c.key == key {
			last = max(last, at.Entry)
		}
	}
	return (&refVersion{entry: last}).id()
}

// race runs fn n times at once and waits for all.
func (w *witnessed) race(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { errs[i] = fn(i) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// rebuilds counts checks: each third one rebuilds the index as well.
var rebuilds atomic.Int64

// crashCheck opens what is left, compares it with what was told, and uses it.
func crashCheck(fs vfs.FS, w *witnessed) error {
	s, err := Open(ctx, crashFolder, w.options(fs))
	if err != nil {
		return fmt.Errorf("couldn't open what is left: %w", err)
	}
	err = w.compare(s)
	if err == nil {
		err = w.vouch(s)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	if rebuilds.Add(1)%3 != 0 {
		return nil
	}
	// The index is derived: without it the same is shown.
	if err := fs.RemoveAll(fs.PathJoin(crashFolder, core.DirIndex)); err != nil {
		return err
	}
	if s, err = Open(ctx, crashFolder, w.options(fs)); err != nil {
		return fmt.Errorf("couldn't open without the index: %w", err)
	}
	if err = w.compare(s); err != nil {
		err = fmt.Errorf("with the index rebuilt: %w", err)
	}
	return errors.Join(err, s.Close())
}

// vouch verifies the store, and writes to it as ever.
func (w *witnessed) vouch(s *Store) error {
	r, err := s.Verify(ctx, VerifyOptions{By: Local(), Deep: true})
	if err != nil || !r.OK() {
		return fmt.Errorf("verify: %+v %w", r.Problems, err)
	}
	return w.all(s,
		change{do: "createBucket", bucket: "after"},
		change{do: "put", bucket: "after", key: "new", content: b(fmt.Sprintf("after %d", s.Size()), 1500)},
		change{do: "put", bucket: "after", key: "large", content: b("large", 60<<10)},
	)
}

func crashScenario(t testing.TB) crashtest.Scenario[witnessed] {
	files := newTemplate(t)
	return crashtest.Scenario[witnessed]{
		Setup: func(fs vfs.FS, w *witnessed) error {
			n := newWitness()
			w.clock, w.changes, w.acked, w.refused, w.heads = n.clock, n.changes, n.acked, n.refused, n.heads
			return restore(fs, files)
		},
		Work: crashWork, Check: crashCheck, Copy: (*witnessed).copy,
	}
}

// TestCrash cuts the power at writes, and fails fsyncs, of the whole store at work.
func TestCrash(t *testing.T) {
	s := crashScenario(t)
	switch {
	case testing.Short():
		s.Stride, s.Clones = 97, 1
	case !full:
		s.Stride, s.Clones = 29, 2
	}
	crashtest.Run(t, s)
}
