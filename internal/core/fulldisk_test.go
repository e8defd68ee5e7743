package core_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/storetest"
)

// TestCrashOnAFullDisk: after a crash a disk that becomes full at any moment of the start costs nothing: the start works and serves what was acknowledged, if need be for reading only, and says so; and with room again
// all of it is there. The index is not removed because there is no room for it.
func TestCrashOnAFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s, err := stele.Create(ctx, "data", stele.Options{FS: mem, Kit: "kit"})
	if err != nil {
		t.Fatal(err)
	}
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	for i := range 5 {
		storetest.Put(t, s, "books", fmt.Sprint("k", i), []byte(fmt.Sprint("value ", i)))
	}
	left := func() *vfs.MemFS { return mem.CrashClone(vfs.CrashCloneCfg{}) }
	check := func(k int, fs vfs.FS) error {
		s, err := stele.Open(ctx, "data", stele.Options{FS: fs})
		if err != nil {
			return err
		}
		defer s.Close()
		for i := range 5 {
			if got := string(storetest.Read(t, s, stele.Place{Bucket: "books", Key: fmt.Sprint("k", i)})); got != fmt.Sprint("value ", i) {
				t.Errorf("full from write %d on: k%d reads %q", k, i, got)
			}
		}
		return s.Rooms().Core.Stuck()
	}
	opened, onlyReads := 0, 0
	for k := 0; ; k += 3 {
		fs := left()
		var n atomic.Int64
		full := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpMkdirAll, errorfs.OpLink, errorfs.OpReuseForWrite:
				if n.Add(1) > int64(k) {
					return syscall.ENOSPC
				}
			}
			return nil
		}))
		switch err := check(k, full); {
		case err == nil:
			opened++
		case errors.As(err, new(*core.FullError)):
			onlyReads++
		default:
			t.Errorf("full from write %d on: %v", k, err)
		}
		if err := check(k, fs); err != nil {
			t.Errorf("with room again, after it was full from write %d on: %v", k, err)
		}
		if n.Load() <= int64(k) {
			break
		}
	}
	s.Close()
	t.Logf("%d starts served, %d of them for reading only", opened+onlyReads, onlyReads)
	if opened < 2 || onlyReads < 2 {
		t.Error("not all kinds of starts were met")
	}
}

// TestOpenWhereNothingCanBeWritten: a folder on a full disk or a read-only file system, with a tail of the ledger and of a pack that a crash left in it, is open for reading. It says why and what helps, changes
// nothing, and takes writes again after a start that can write.
func TestOpenWhereNothingCanBeWritten(t *testing.T) {
	for _, why := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		mem := vfs.NewCrashableMem()
		s, err := stele.Create(ctx, "data", stele.Options{FS: mem, Kit: "kit"})
		if err != nil {
			t.Fatal(err)
		}
		storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
		storetest.Put(t, s, "books", "k", []byte("acknowledged"))
		size := s.Ledger().Size()
		fs := mem.CrashClone(vfs.CrashCloneCfg{})
		s.Close()
		var written atomic.Int64
		stuck := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpMkdirAll, errorfs.OpLink, errorfs.OpReuseForWrite, errorfs.OpRemove, errorfs.OpRename, errorfs.OpRemoveAll:
				written.Add(1)
				return why
			}
			return nil
		}))
		if s, err = stele.Open(ctx, "data", stele.Options{FS: stuck}); err != nil {
			t.Errorf("%v: %v", why, err)
			continue
		}
		if got := string(storetest.Read(t, s, stele.Place{Bucket: "books", Key: "k"})); got != "acknowledged" || s.Ledger().Size() != size {
			t.Errorf("%v: read %q at size %d, was %d", why, got, s.Ledger().Size(), size)
		}
		want := stele.ErrFull
		if why == syscall.EROFS {
			want = stele.ErrReadOnly
		}
		_, err = s.CreateBucket(ctx, stele.Local(), "more", false)
		for _, err := range []error{err, s.Writable(), s.Rooms().Core.Stuck()} {
			if !errors.Is(err, want) || !strings.Contains(err.Error(), "start the server again") {
				t.Errorf("%v: it says %v", why, err)
			}
		}
		if s.Failed() != nil || !s.ReadOnly() {
			t.Errorf("%v: failed: %v", why, s.Failed())
		}
		if err := s.Close(); err != nil {
			t.Errorf("%v: close: %v", why, err)
		}
		if written.Load() == 0 {
			t.Fatal("nothing was tried")
		}
		if s, err = stele.Open(ctx, "data", stele.Options{FS: fs}); err != nil || s.Rooms().Core.Stuck() != nil {
			t.Fatalf("%v: with room again: %v", why, err)
		}
		storetest.Put(t, s, "books", "k2", []byte("more"))
		if got := string(storetest.Read(t, s, stele.Place{Bucket: "books", Key: "k"})); got != "acknowledged" {
			t.Errorf("%v: with room again: %q", why, got)
		}
		s.Close()
	}
}

// TestReadyWithoutInodes: a medium that takes no more files although it has bytes (no inodes, or a quota) is told by Room, and so by ready, until it takes them again.
func TestReadyWithoutInodes(t *testing.T) {
	var full atomic.Bool
	s := storetest.NewMem(t, stele.Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpCreate && !strings.Contains(op.Path, "/index/") {
			return syscall.EDQUOT
		}
		return nil
	}))})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	full.Store(true)
	if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "books", Key: "k", Body: strings.NewReader("x"), Size: 1}); !errors.Is(err, stele.ErrFull) {
		t.Fatalf("Put = %v", err)
	}
	if err := s.Room(); !errors.Is(err, stele.ErrFull) {
		t.Errorf("Room = %v", err)
	}
	full.Store(false)
	s.Rooms().Core.AskSpaceAgain()
	if err := s.Room(); err != nil {
		t.Errorf("Room once there is room = %v", err)
	}
	storetest.Put(t, s, "books", "k", []byte("x"))
	if err := s.Rooms().Core.Met(engine.ErrFull); !errors.Is(err, stele.ErrFull) {
		t.Error(err)
	}
}
