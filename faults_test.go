package stele_test

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

	"stele"
	"stele/internal/crashtest"
	"stele/internal/storetest"
)

// deliberate lists the bugs that a file system can play; they are run here on the whole store. Those that are in the code itself are in internal/bug.
var deliberate = []struct {
	bug  string
	play func(fs vfs.FS) vfs.FS // the bug, as a file system
	by   func(crashtest.Scenario[storetest.Client]) (int, error)
}{
	{bug: "skip the pack fsync", play: storetest.Without("open/packs_"), by: crashtest.Scenario[storetest.Client].CutPower},
	{bug: "skip the segment fsync", play: storetest.Without("open/segments_"), by: crashtest.Scenario[storetest.Client].CutPower},
	{bug: "skip the fsync of folders", play: storetest.Without("folder"), by: crashtest.Scenario[storetest.Client].CutPower},
	{bug: "acknowledge before the segment fsync", play: storetest.Late("open/segments_"), by: crashtest.Scenario[storetest.Client].CutPower},
	{bug: "acknowledge before the pack fsync", play: storetest.Late("open/packs_"), by: crashtest.Scenario[storetest.Client].CutPower},
	{bug: "index ahead of ledger", play: storetest.Without("open/segments_", "segments/"), by: crashtest.Scenario[storetest.Client].CutPower},
	{bug: "retry a failed fsync", play: storetest.Again, by: crashtest.Scenario[storetest.Client].FailSyncs},
}

// TestDeliberateBugs plays each bug and demands that the crash test of the whole store fails.
func TestDeliberateBugs(t *testing.T) {
	scenario := crashScenario(t)
	for _, d := range deliberate {
		t.Run(d.bug, func(t *testing.T) {
			s := scenario
			s.Stride, s.Clones = 7, 1
			s.Work = func(fs vfs.FS, w *storetest.Client) error {
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

// TestFailedStaysFailed fails one fsync after the other: who waits for it gets an error, nobody writes after it, what was
// acknowledged can be read all the while, and a restart brings back all of it.
func TestFailedStaysFailed(t *testing.T) {
	files := storetest.Template(t)
	failures := 0
	for k := 0; ; k++ {
		w := storetest.NewClient()
		fs := crashtest.NewFS()
		if err := storetest.WriteFiles(fs, files); err != nil {
			t.Fatal(err)
		}
		s, err := stele.Open(ctx, storetest.Folder, w.Options(fs))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.All(s, storetest.Change{Do: "createBucket", Bucket: "bucket"}, storetest.Change{Do: "put", Bucket: "bucket", Key: "before", Content: storetest.Data("before", 2000)}); err != nil {
			t.Fatal(err)
		}
		fs.FailSync(k, k%2 == 0)
		var failed error
		for i := 0; failed == nil && i < 12; i++ {
			_, failed = w.Do(s, storetest.Change{Do: "put", Bucket: "bucket", Key: fmt.Sprint(i), Content: storetest.Data(fmt.Sprintf("fill %d", i), 12<<10)})
		}
		if failed != nil {
			failures++
			expectFailed(t, s, w, failed)
		}
		_ = s.Close() // it says what failed
		if s, err = stele.Open(ctx, storetest.Folder, w.Options(fs.Clone(vfs.CrashCloneCfg{}))); err != nil {
			t.Fatalf("after %s: %v", fs.Happened(), err)
		}
		if err := w.Compare(s); err != nil {
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

func expectFailed(t *testing.T, s *stele.Store, w *storetest.Client, failed error) {
	t.Helper()
	if !errors.Is(failed, stele.ErrFailed) {
		t.Errorf("the put whose fsync failed says %v", failed)
	}
	if s.Failed() == nil {
		t.Error("Failed() knows nothing of it")
	}
	for _, c := range []storetest.Change{{Do: "put", Bucket: "bucket", Key: "more", Content: storetest.Data("more", 10)}, {Do: "createBucket", Bucket: "more"}, {Do: "hide", Bucket: "bucket", Key: "before"}} {
		if _, err := w.Do(s, c); !errors.Is(err, stele.ErrFailed) {
			t.Errorf("after a failed fsync %s says %v", c.Do, err)
		}
	}
	v, err := s.Head(ctx, stele.Place{Bucket: "bucket", Key: "before"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := storetest.ReadBody(s, v); err != nil || !bytes.Equal(got, storetest.Data("before", 2000).Bytes()) {
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
	w := storetest.NewClient()
	fs := &fullFS{FS: vfs.NewMem()}
	if err := storetest.WriteFiles(fs, storetest.Template(t)); err != nil {
		t.Fatal(err)
	}
	opt := w.Options(fs)
	opt.SegmentBytes = 1 << 20
	s, err := stele.Open(ctx, storetest.Folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.All(s, storetest.Change{Do: "createBucket", Bucket: "bucket"}, storetest.Change{Do: "put", Bucket: "bucket", Key: "before", Content: storetest.Data("before", 2000)}); err != nil {
		t.Fatal(err)
	}
	fs.fill(true)
	for i := range 20 {
		if _, err := w.Do(s, storetest.Change{Do: "put", Bucket: "bucket", Key: fmt.Sprint(i), Content: storetest.Data(fmt.Sprintf("full %d", i), 40<<10)}); !errors.Is(err, stele.ErrFull) {
			t.Fatalf("put %d on a full disk says %v", i, err)
		}
		if v, err := s.Head(ctx, stele.Place{Bucket: "bucket", Key: "before"}); err != nil {
			t.Fatal(err)
		} else if _, err := storetest.ReadBody(s, v); err != nil {
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
	if err := w.All(s, storetest.Change{Do: "put", Bucket: "bucket", Key: "room again", Content: storetest.Data("room", 60<<10)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Compare(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestABadBodyMakesNoObject: a source that ends early, goes on too long or fails leaves nothing that any view shows.
func TestABadBodyMakesNoObject(t *testing.T) {
	s := storetest.New(t, stele.Options{})
	if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	for _, size := range []int{0, 10, 20 << 10, 400 << 10} {
		data := storetest.Data("data", size).Bytes()
		for _, c := range []struct {
			r    io.Reader
			size int64
			want error
		}{
			{bytes.NewReader(data), int64(size) + 1, stele.ErrIncomplete},
			{bytes.NewReader(append(bytes.Clone(data), 'x')), int64(size), stele.ErrTooLong},
			{io.MultiReader(bytes.NewReader(data), broken{boom}), -1, boom},
			{io.MultiReader(bytes.NewReader(data), broken{boom}), int64(size) + 5, boom},
		} {
			_, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "bucket", Key: "key", Body: c.r, Size: c.size})
			if !errors.Is(err, c.want) {
				t.Errorf("%d bytes, %d declared: %v, want %v", size, c.size, err, c.want)
			}
			if _, err := storetest.AllChanges(s, "bucket", "key"); !errors.Is(err, stele.ErrNoKey) {
				t.Fatalf("%d bytes, %d declared: history says %v", size, c.size, err)
			}
		}
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
