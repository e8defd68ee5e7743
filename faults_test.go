package stele

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/crashtest"
)

// deliberate lists the bugs that a file system can play; they are run here on the whole store. Those that are in the code itself are in internal/bug.
var deliberate = []struct {
	bug  string
	play func(fs vfs.FS) vfs.FS // the bug, as a file system
	by   func(crashtest.Scenario[witnessed]) (int, error)
}{
	{bug: "skip the pack fsync", play: without("open/packs_"), by: crashtest.Scenario[witnessed].CutPower},
	{bug: "skip the segment fsync", play: without("open/segments_"), by: crashtest.Scenario[witnessed].CutPower},
	{bug: "skip the fsync of folders", play: without("folder"), by: crashtest.Scenario[witnessed].CutPower},
	{bug: "acknowledge before the segment fsync", play: late("open/segments_"), by: crashtest.Scenario[witnessed].CutPower},
	{bug: "acknowledge before the pack fsync", play: late("open/packs_"), by: crashtest.Scenario[witnessed].CutPower},
	{bug: "index ahead of ledger", play: without("open/segments_", "segments/"), by: crashtest.Scenario[witnessed].CutPower},
	{bug: "retry a failed fsync", play: again, by: crashtest.Scenario[witnessed].FailSyncs},
}

// TestDeliberateBugs plays each bug and demands that the crash test of the whole store fails.
func TestDeliberateBugs(t *testing.T) {
	scenario := crashScenario(t)
	for _, d := range deliberate {
		t.Run(d.bug, func(t *testing.T) {
			s := scenario
			s.Stride, s.Clones = 7, 1
			s.Work = func(fs vfs.FS, w *witnessed) error {
				return crashWork(d.play(fs), w)
			}
			runs, err := d.by(s)
			var found *crashtest.Failure
			if !errors.As(err, &found) {
				t.Fatalf("the bug went unnoticed in %d runs: %v", runs, err)
			}
			t.Logf("caught in run %d: %.300v", runs, found)
		})
	}
}

// bugFS is a file system with a bug in how it syncs.
type bugFS struct {
	vfs.FS
	sync func(f *bugFile, do func() error) error
}

func without(paths ...string) func(vfs.FS) vfs.FS {
	return func(fs vfs.FS) vfs.FS {
		return &bugFS{FS: fs, sync: func(f *bugFile, do func() error) error {
			if contains(f.path, paths) {
				return nil
			}
			return do()
		}}
	}
}

func late(paths ...string) func(vfs.FS) vfs.FS {
	return func(fs vfs.FS) vfs.FS {
		return &bugFS{FS: fs, sync: func(f *bugFile, do func() error) error {
			if !contains(f.path, paths) {
				return do()
			}
			f.late.Go(func() { _ = do() })
			return nil
		}}
	}
}

func again(fs vfs.FS) vfs.FS {
	return &bugFS{FS: fs, sync: func(_ *bugFile, do func() error) error {
		if err := do(); err != nil {
			return do()
		}
		return nil
	}}
}

func contains(path string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(path, p) {
			return true
		}
	}
	return false
}

func (b *bugFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := b.FS.Create(name, c)
	return b.wrap(f, name, err)
}

func (b *bugFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := b.FS.OpenReadWrite(name, c, opts...)
	return b.wrap(f, name, err)
}

func (b *bugFS) OpenDir(name string) (vfs.File, error) {
	f, err := b.FS.OpenDir(name)
	return b.wrap(f, "folder "+name, err)
}

func (b *bugFS) wrap(f vfs.File, path string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &bugFile{File: f, fs: b, path: path}, nil
}

type bugFile struct {
	vfs.File
	fs   *bugFS
	path string
	late sync.WaitGroup // syncs that were promised and are still to come
}

// Close waits for what was promised: a closed file can't be synced.
func (f *bugFile) Close() error {
	f.late.Wait()
	return f.File.Close()
}

func (f *bugFile) Sync() error     { return f.fs.sync(f, f.File.Sync) }
func (f *bugFile) SyncData() error { return f.fs.sync(f, f.File.SyncData) }

// TestFailedStaysFailed fails one fsync after the other: who waits for it gets an error, nobody writes after it, what was
// acknowledged can be read all the while, and a restart brings back all of it.
func TestFailedStaysFailed(t *testing.T) {
	files := newTemplate(t)
	failures := 0
	for k := 0; ; k++ {
		w := newWitness()
		fs := crashtest.NewFS()
		if err := restore(fs, files); err != nil {
			t.Fatal(err)
		}
		s, err := Open(ctx, crashFolder, w.options(fs))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.all(s, change{do: "createBucket", bucket: "bucket"}, change{do: "put", bucket: "bucket", key: "before", content: b("before", 2000)}); err != nil {
			t.Fatal(err)
		}
		fs.FailSync(k, k%2 == 0)
		var failed error
		for i := 0; failed == nil && i < 12; i++ {
			_, failed = w.do(s, change{do: "put", bucket: "bucket", key: fmt.Sprint(i), content: b(fmt.Sprintf("fill %d", i), 12<<10)})
		}
		if failed != nil {
			failures++
			expectFailed(t, s, w, failed)
		}
		_ = s.Close() // it says what failed
		if s, err = Open(ctx, crashFolder, w.options(fs.Clone(vfs.CrashCloneCfg{}))); err != nil {
			t.Fatalf("after %s: %v", fs.Happened(), err)
		}
		if err := w.compare(s); err != nil {
			t.Fatalf("after %s: %v", fs.Happened(), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if fs.Happened() == "" {
			break
		}
	}
	if failures < 10 {
		t.Fatalf("only %d fsyncs had a put to fail", failures)
	}
}

func expectFailed(t *testing.T, s *Store, w *witnessed, failed error) {
	t.Helper()
	if !errors.Is(failed, ErrFailed) {
		t.Errorf("the put whose fsync failed says %v", failed)
	}
	if s.Failed() == nil {
		t.Error("Failed() knows nothing of it")
	}
	for _, c := range []change{{do: "put", bucket: "bucket", key: "more", content: b("more", 10)}, {do: "createBucket", bucket: "more"}, {do: "hide", bucket: "bucket", key: "before"}} {
		if _, err := w.do(s, c); !errors.Is(err, ErrFailed) {
			t.Errorf("after a failed fsync %s says %v", c.do, err)
		}
	}
	v, err := s.Head(ctx, Place{Bucket: "bucket", Key: "before"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readBody(s, v); err != nil || !bytes.Equal(got, b("before", 2000).bytes()) {
		t.Errorf("after a failed fsync a read says %d bytes, %v", len(got), err)
	}
}

// fullFS has no room while full is set.
type fullFS struct {
	vfs.FS
	mu   sync.Mutex
	full bool
}

func (f *fullFS) fill(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

func (f *fullFS) room() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return syscall.ENOSPC
	}
	return nil
}

func (f *fullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.room(); err != nil {
		return nil, &os.PathError{Op: "create", Path: name, Err: err}
	}
	file, err := f.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return &fullFile{file, f, strings.Contains(name, "open/packs_")}, nil
}

type fullFile struct {
	vfs.File
	fs   *fullFS
	pack bool
}

// Write fails for packs only: segments have room ahead, which this file system can't play.
func (f *fullFile) Write(p []byte) (int, error) {
	if err := f.fs.room(); err != nil && f.pack {
		return 0, err
	}
	return f.File.Write(p)
}

// TestFullDisk: a full disk refuses puts with ErrFull, reads go on, and so do puts once there is room again.
func TestFullDisk(t *testing.T) {
	w := newWitness()
	fs := &fullFS{FS: vfs.NewMem()}
	if err := restore(fs, newTemplate(t)); err != nil {
		t.Fatal(err)
	}
	opt := w.options(fs)
	opt.SegmentBytes = 1 << 20
	s, err := Open(ctx, crashFolder, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.all(s, change{do: "createBucket", bucket: "bucket"}, change{do: "put", bucket: "bucket", key: "before", content: b("before", 2000)}); err != nil {
		t.Fatal(err)
	}
	fs.fill(true)
	for i := range 20 {
		if _, err := w.do(s, change{do: "put", bucket: "bucket", key: fmt.Sprint(i), content: b(fmt.Sprintf("full %d", i), 40<<10)}); !errors.Is(err, ErrFull) {
			t.Fatalf("put %d on a full disk says %v", i, err)
		}
		if v, err := s.Head(ctx, Place{Bucket: "bucket", Key: "before"}); err != nil {
			t.Fatal(err)
		} else if _, err := readBody(s, v); err != nil {
			t.Fatalf("read on a full disk: %v", err)
		}
	}
	if err := s.Failed(); err != nil {
		t.Errorf("a full disk is not for ever, but the store has failed: %v", err)
	}
	fs.fill(false)
	for s.Room() != nil { // the disk is asked once a second
		runtime.Gosched()
	}
	if err := w.all(s, change{do: "put", bucket: "bucket", key: "room again", content: b("room", 60<<10)}); err != nil {
		t.Fatal(err)
	}
	if err := w.compare(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestABadBodyMakesNoObject: a source that ends early, goes on too long or fails leaves nothing that any view shows.
func TestABadBodyMakesNoObject(t *testing.T) {
	s := newTestStore(t, Options{})
	if _, err := s.CreateBucket(ctx, Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	for _, size := range []int{0, 10, 20 << 10, 400 << 10} {
		data := b("data", size).bytes()
		for _, c := range []struct {
			r    io.Reader
			size int64
			want error
		}{
			{bytes.NewReader(data), int64(size) + 1, ErrIncomplete},
			{bytes.NewReader(append(bytes.Clone(data), 'x')), int64(size), ErrTooLong},
			{io.MultiReader(bytes.NewReader(data), broken{boom}), -1, boom},
			{io.MultiReader(bytes.NewReader(data), broken{boom}), int64(size) + 5, boom},
		} {
			_, err := s.Put(ctx, PutRequest{By: Local(), Bucket: "bucket", Key: "key", Body: c.r, Size: c.size})
			if !errors.Is(err, c.want) {
				t.Errorf("%d bytes, %d declared: %v, want %v", size, c.size, err, c.want)
			}
			if _, err := allChanges(s, "bucket", "key"); !errors.Is(err, ErrNoKey) {
				t.Fatalf("%d bytes, %d declared: history says %v", size, c.size, err)
			}
		}
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
