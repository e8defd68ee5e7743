package index

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// over is the file system of an index that began as a snapshot: its folder, above the snapshot's tables. Tables never change, so it does not matter from where one is read.
type over struct {
	vfs.FS
	dir   string
	below *Below

	arrivals atomic.Uint64 // counts the calls of Arrived

	mu   sync.Mutex
	gone map[string]bool // removed by the database
}

func newOver(fs vfs.FS, dir string, below *Below) *over {
	return &over{FS: fs, dir: dir, below: below, gone: map[string]bool{}}
}

// missing lists the tables that the folder has not got and the database may still read.
func (o *over) missing() (names []string) {
	for _, name := range o.below.names() {
		if o.lies(name) {
			names = append(names, name)
		}
	}
	return names
}

// lies reports whether a table is to be read below.
func (o *over) lies(name string) bool {
	if _, ok := o.below.Sizes[name]; !ok {
		return false
	}
	o.mu.Lock()
	gone := o.gone[name]
	o.mu.Unlock()
	return !gone && !o.here(name)
}

func (o *over) here(name string) bool {
	_, err := o.FS.Stat(o.PathJoin(o.dir, name))
	return err == nil
}

// at returns the name of a table below that a path means, if it does.
func (o *over) at(path string) (name string, ok bool) {
	name = o.PathBase(path)
	if o.PathJoin(o.dir, name) != o.PathJoin(path) || !o.lies(name) {
		return "", false
	}
	return name, true
}

func (o *over) Open(path string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := o.FS.Open(path, opts...)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	name, ok := o.at(path)
	if !ok {
		return nil, err
	}
	r, err := o.below.Open(name)
	if err != nil {
		return nil, err
	}
	return &belowFile{readOnlyFile: readOnlyFile{path}, o: o, name: name, r: r}, nil
}

func (o *over) Stat(path string) (vfs.FileInfo, error) {
	info, err := o.FS.Stat(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return info, err
	}
	if name, ok := o.at(path); ok {
		return belowInfo{name, o.below.Sizes[name]}, nil
	}
	return nil, err
}

func (o *over) List(dir string) ([]string, error) {
	names, err := o.FS.List(dir)
	if err != nil || o.PathJoin(dir) != o.PathJoin(o.dir) {
		return names, err
	}
	names = append(names, o.missing()...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (o *over) Remove(path string) error {
	name := o.PathBase(path)
	if _, below := o.below.Sizes[name]; !below || o.PathJoin(o.dir, name) != o.PathJoin(path) {
		return o.FS.Remove(path)
	}
	if o.here(name) {
		if err := o.FS.Remove(path); err != nil {
			return err
		}
	}
	o.mu.Lock()
	o.gone[name] = true // wherever it lay: a table that came and was compacted away is not missing
	o.mu.Unlock()
	return nil
}

func (o *over) Unwrap() vfs.FS { return o.FS }

// belowFile is a table that lies below. Once it is in the folder it is read there.
type belowFile struct {
	readOnlyFile
	o    *over
	name string
	r    ReaderAtCloser

	mu    sync.RWMutex
	seen  uint64 // o.arrivals when the folder was last looked into
	local vfs.File
}

func (f *belowFile) ReadAt(p []byte, off int64) (int, error) {
	f.look()
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.local != nil {
		return f.local.ReadAt(p, off)
	}
	return f.r.ReadAt(p, off)
}

// look sees whether the table came, if any came.
func (f *belowFile) look() {
	n := f.o.arrivals.Load()
	f.mu.RLock()
	same := f.seen == n
	f.mu.RUnlock()
	if same {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen = n; f.local == nil {
		if local, err := f.o.FS.Open(f.path, vfs.RandomReadsOption); err == nil {
			f.local = local
		}
	}
}

func (f *belowFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.r.Close()
	if f.local != nil {
		err = errors.Join(err, f.local.Close())
	}
	return err
}

func (f *belowFile) Stat() (vfs.FileInfo, error) {
	return belowInfo{f.name, f.o.below.Sizes[f.name]}, nil
}

// readOnlyFile is the part of a vfs.File that a table which is only read has no use for.
type readOnlyFile struct{ path string }

func (f readOnlyFile) refuse() error {
	return &os.PathError{Op: "write", Path: f.path, Err: os.ErrPermission}
}

func (f readOnlyFile) Read([]byte) (int, error)           { return 0, f.refuse() }
func (f readOnlyFile) Write([]byte) (int, error)          { return 0, f.refuse() }
func (f readOnlyFile) WriteAt([]byte, int64) (int, error) { return 0, f.refuse() }
func (f readOnlyFile) Preallocate(int64, int64) error     { return f.refuse() }
func (f readOnlyFile) Sync() error                        { return f.refuse() }
func (f readOnlyFile) SyncTo(int64) (bool, error)         { return false, f.refuse() }
func (f readOnlyFile) SyncData() error                    { return f.refuse() }
func (readOnlyFile) Prefetch(int64, int64) error          { return nil }
func (readOnlyFile) Fd() uintptr                          { return vfs.InvalidFd }

type belowInfo struct {
	name string
	size int64
}

func (i belowInfo) Name() string           { return i.name }
func (i belowInfo) Size() int64            { return i.size }
func (i belowInfo) Mode() os.FileMode      { return 0o600 }
func (i belowInfo) ModTime() time.Time     { return time.Time{} }
func (i belowInfo) IsDir() bool            { return false }
func (i belowInfo) Sys() any               { return nil }
func (i belowInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
