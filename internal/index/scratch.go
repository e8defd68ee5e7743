package index

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// scratch is a file system for readers: what they write stays in memory, above a folder that is only read. So a reader
// may bring the rows to the ledger's size as every start does, beside other readers, and needs no writable disk.
// It lasts as long as nobody writes below: the caller holds the store's shared lock.
type scratch struct {
	vfs.FS // below
	mem    *vfs.MemFS

	mu   sync.Mutex
	gone map[string]bool // removed above, still there below
}

var errScratch = errors.New("not possible for a reader")

func newScratch(below vfs.FS, dir string) (*scratch, error) {
	s := &scratch{FS: below, mem: vfs.NewMem(), gone: map[string]bool{}}
	return s, s.mem.MkdirAll(dir, 0o700)
}

// above reports whether a file is in memory; err is os.ErrNotExist if it was removed.
func (s *scratch) above(name string) (bool, error) {
	if _, err := s.mem.Stat(name); err == nil {
		return true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone[filepath.Clean(name)] {
		return false, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return false, nil
}

func (s *scratch) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.mem.Create(name, c)
}

func (s *scratch) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	mem, err := s.above(name)
	if err != nil {
		return nil, err
	}
	if mem {
		return s.mem.Open(name, opts...)
	}
	return s.FS.Open(name, opts...)
}

func (s *scratch) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return s.mem.OpenReadWrite(name, c, opts...)
}

func (s *scratch) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errScratch
}

func (s *scratch) OpenDir(name string) (vfs.File, error) { return s.mem.OpenDir(name) }

func (s *scratch) MkdirAll(dir string, perm os.FileMode) error { return s.mem.MkdirAll(dir, perm) }

func (s *scratch) Remove(name string) error {
	mem, err := s.above(name)
	if err != nil {
		return err
	}
	_, below := s.FS.Stat(name)
	if below == nil {
		s.mu.Lock()
		s.gone[filepath.Clean(name)] = true
		s.mu.Unlock()
	}
	if mem {
		return s.mem.Remove(name)
	}
	return below
}

func (s *scratch) RemoveAll(string) error { return errScratch }

func (s *scratch) Link(string, string) error { return errScratch }

func (s *scratch) Rename(oldname, newname string) error {
	if mem, err := s.above(oldname); err != nil || !mem {
		return errors.Join(err, errScratch)
	}
	return s.mem.Rename(oldname, newname)
}

func (s *scratch) List(dir string) ([]string, error) {
	names := map[string]bool{}
	below, err := s.FS.List(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, n := range below {
		if _, err := s.above(s.PathJoin(dir, n)); err == nil {
			names[n] = true
		}
	}
	above, err := s.mem.List(dir)
	if err != nil {
		return nil, err
	}
	for _, n := range above {
		names[n] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func (s *scratch) Stat(name string) (vfs.FileInfo, error) {
	mem, err := s.above(name)
	if err != nil {
		return nil, err
	}
	if mem {
		return s.mem.Stat(name)
	}
	return s.FS.Stat(name)
}

func (s *scratch) Lock(string) (io.Closer, error) { return noLock{}, nil }

func (s *scratch) Unwrap() vfs.FS { return nil }

type noLock struct{}

func (noLock) Close() error { return nil }
