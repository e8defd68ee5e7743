package storetest

import (
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// bugFS is a file system with a bug in how it syncs.
type bugFS struct {
	vfs.FS
	sync func(f *bugFile, do func() error) error
}

// Without leaves out the fsyncs of files whose path has one of these parts.
func Without(paths ...string) func(vfs.FS) vfs.FS {
	return func(fs vfs.FS) vfs.FS {
		return &bugFS{FS: fs, sync: func(f *bugFile, do func() error) error {
			if contains(f.path, paths) {
				return nil
			}
			return do()
		}}
	}
}

// Late says of such files that they are durable, and makes them so only later.
func Late(paths ...string) func(vfs.FS) vfs.FS {
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

// Again tries an fsync that failed once more, and believes it then.
func Again(fs vfs.FS) vfs.FS {
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

func (f *bugFile) Sync() error { return f.fs.sync(f, f.File.Sync) }

func (f *bugFile) SyncData() error { return f.fs.sync(f, f.File.SyncData) }
