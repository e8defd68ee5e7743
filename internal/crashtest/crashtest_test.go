package crashtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// journal is the least program worth a crash test: numbered records in files log-0, log-1, …; each start copies what is
// valid into a fresh file. Its bugs are there to be caught.
type journal struct {
	skipFileSync     bool // acknowledges without an fsync
	skipFolderSync   bool // doesn't fsync the folder of a new file
	ackFirst         bool // acknowledges before the fsync
	retrySync        bool // takes the second fsync's word
	trustMemory      bool // goes on in the old file after a restart, which may be only in memory
	recoverInPlace   bool // recovery overwrites what it recovers from
	renameUnsynced   bool // replaces by rename what was not fsynced
	acceptTornRecord bool // doesn't check a record
}

const records = 6

// oracle: records 0..acked-1 were acknowledged.
type oracle struct{ acked int }

func (j journal) scenario() Scenario[oracle] {
	return Scenario[oracle]{Setup: j.setup, Work: j.work, Check: j.check}
}

func (j journal) setup(fs vfs.FS, _ *oracle) error {
	if err := fs.MkdirAll("d", 0o700); err != nil {
		return err
	}
	return syncDir(fs, "")
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (j journal) create(fs vfs.FS, path string) (vfs.File, error) {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil && !j.skipFolderSync {
		err = syncDir(fs, "d")
	}
	return f, err
}

func (j journal) work(fs vfs.FS, o *oracle) error {
	f, err := j.create(fs, "d/log-0")
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range records {
		if err := j.add(f, i, o); err != nil {
			return err
		}
	}
	return nil
}

func (j journal) add(f vfs.File, i int, o *oracle) error {
	if _, err := f.Write(record(i)); err != nil {
		return err
	}
	if j.ackFirst {
		o.acked = i + 1
	}
	if !j.skipFileSync {
		err := f.Sync()
		if err != nil && j.retrySync {
			err = f.Sync()
		}
		if err != nil {
			return err
		}
	}
	o.acked = i + 1
	return nil
}

// record is more than a block, so that a part of it can survive.
func record(i int) []byte {
	b := make([]byte, 5000)
	for n := 0; n+8 <= len(b); n += 8 {
		binary.BigEndian.PutUint64(b[n:], uint64(i)+1)
	}
	return b
}

// valid returns the valid records of a file; a missing one has none.
func (j journal) valid(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	n := 0
	for i := 0; n+5000 <= len(all); i++ {
		if !j.acceptTornRecord && string(all[n:n+5000]) != string(record(i)) {
			break
		}
		n += 5000
	}
	return all[:n], nil
}

func (j journal) check(fs vfs.FS, o *oracle) error {
	var best []byte
	path := "d/log-0"
	names, err := fs.List("d")
	if err != nil {
		return err
	}
	for _, name := range names {
		b, err := j.valid(fs, "d/"+name)
		if err != nil {
			return err
		}
		if len(b) > len(best) {
			best, path = b, "d/"+name
		}
	}
	for i := 0; i < len(best); i += 5000 {
		if string(best[i:i+5000]) != string(record(i/5000)) {
			return fmt.Errorf("record %d is wrong", i/5000)
		}
	}
	if found := len(best) / 5000; found < o.acked {
		return fmt.Errorf("%d records were acknowledged, %d are there", o.acked, found)
	}
	return j.recover(fs, best, path, o)
}

// recover makes what was found durable, and vouches for it.
func (j journal) recover(fs vfs.FS, best []byte, path string, o *oracle) error {
	if len(best) == 0 {
		return nil
	}
	fresh := fmt.Sprintf("d/log-%d", len(path)+len(best)/5000*7) // any other name
	if fresh == path {
		fresh += "x"
	}
	switch {
	case j.trustMemory:
		f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
		o.acked = len(best) / 5000
		return nil
	case j.recoverInPlace:
		fresh = path
	case j.renameUnsynced:
		f, err := fs.Create("d/tmp", vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		if _, err := f.Write(best); err != nil {
			return err
		}
		if err := errors.Join(f.Close(), fs.Rename("d/tmp", path), syncDir(fs, "d")); err != nil {
			return err
		}
		o.acked = len(best) / 5000
		return nil
	}
	f, err := j.create(fs, fresh)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(best); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	o.acked = len(best) / 5000
	return nil
}

func TestASoundProgramPasses(t *testing.T) {
	Run(t, journal{}.scenario())
	s := journal{}.scenario()
	s.Stride, s.Dense, s.Seed, s.Clones = 3, 4, 99, 5
	Run(t, s)
}

func TestEveryBugIsCaught(t *testing.T) {
	for name, c := range map[string]struct {
		bug             journal
		byCut, byEIO    bool // which of the two must see it
		wantInTheReport string
	}{
		"skip the file's fsync":    {journal{skipFileSync: true}, true, false, "records were acknowledged"},
		"skip the folder's fsync":  {journal{skipFolderSync: true}, true, false, "records were acknowledged"},
		"acknowledge first":        {journal{ackFirst: true}, true, true, "records were acknowledged"},
		"retry a failed fsync":     {journal{retrySync: true}, false, true, "records were acknowledged"},
		"trust what memory shows":  {journal{trustMemory: true}, false, true, "then the power went"},
		"recover in place":         {journal{recoverInPlace: true}, true, false, "records were acknowledged"},
		"rename before the fsync":  {journal{renameUnsynced: true}, true, false, "records were acknowledged"},
		"accept a torn record":     {journal{acceptTornRecord: true}, true, false, "is wrong"},
		"fsync after the folder's": {journal{skipFileSync: true, skipFolderSync: true}, true, false, "records"},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, want := range map[string]bool{"power cut": c.byCut, "failed fsync": c.byEIO} {
				run := c.bug.scenario().CutPower
				if kind == "failed fsync" {
					run = c.bug.scenario().FailSyncs
				}
				_, err := run()
				var f *Failure
				if !want {
					continue
				}
				if !errors.As(err, &f) {
					t.Errorf("no %s caught it: %v", kind, err)
				} else if kind == "power cut" == c.byCut && !strings.Contains(err.Error(), c.wantInTheReport) {
					t.Errorf("the report of a %s says %q, want %q in it", kind, err, c.wantInTheReport)
				}
			}
		})
	}
}

func TestAWorkloadThatFailsByItself(t *testing.T) {
	broken := errors.New("broken")
	s := Scenario[oracle]{
		Work:  func(vfs.FS, *oracle) error { return broken },
		Check: func(vfs.FS, *oracle) error { return nil },
	}
	if _, err := s.CutPower(); !errors.Is(err, broken) {
		t.Errorf("CutPower() = %v, want the workload's own error", err)
	}
	if _, err := s.FailSyncs(); !errors.Is(err, broken) {
		t.Errorf("FailSyncs() = %v, want the workload's own error", err)
	}
}

func TestTheCutIsAtTheWriteAskedFor(t *testing.T) {
	fs := NewFS()
	fs.CutPower(2, func(n int) int { return n / 2 })
	f, err := fs.Create("f", vfs.WriteCategoryUnspecified) // 0
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("first")); err != nil { // 1
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Write([]byte("second")); !errors.Is(err, ErrPower) {
			t.Fatalf("write after the cut = %v, want ErrPower", err)
		}
	}
	if err := fs.Remove("f"); !errors.Is(err, ErrPower) {
		t.Errorf("remove after the cut = %v, want ErrPower", err)
	}
	if got, want := fs.Happened(), "power cut at write 2: write f"; got != want {
		t.Errorf("Happened() = %q, want %q", got, want)
	}
	b := make([]byte, 20)
	if n, err := f.ReadAt(b, 0); string(b[:n]) != "firstsec" || err != io.EOF {
		t.Errorf("the file holds %q, %v; want half of the write that the cut met", b[:n], err)
	}
}

func TestAFailedSyncLosesTheFileUnderAllItsNames(t *testing.T) {
	fs := NewFS()
	f, err := fs.Create("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte("kept"))
	fs.FailSync(1, false)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte(" lost"))
	if err := f.Sync(); !errors.Is(err, ErrSync) {
		t.Fatalf("Sync() = %v, want ErrSync", err)
	}
	_ = f.Close()
	if err := errors.Join(fs.Link("a", "b"), fs.Rename("b", "c")); err != nil {
		t.Fatal(err)
	}
	again, err := fs.OpenReadWrite("c", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Sync(); err != nil {
		t.Errorf("a later Sync() = %v; the kernel would say nil", err)
	}
	if err := syncDir(fs, ""); err != nil {
		t.Fatal(err)
	}
	left, err := fs.Clone(vfs.CrashCloneCfg{}).Open("c")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(left); string(b) != "kept" || err != nil {
		t.Errorf("after the power cut the file holds %q, %v; want %q", b, err, "kept")
	}
}
