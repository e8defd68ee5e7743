package crashtest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrPower is what every write-like operation returns from the power cut on.
var ErrPower = errors.New("crashtest: the power is off")

// ErrSync is what the failing fsync returns: EIO, as a disk's.
var ErrSync error = fmt.Errorf("crashtest: fsync: %w", syscall.EIO)

// FS is a crashable file system in memory with a fault ahead of it. All that changes it goes one at a time and is counted:
// create, link, remove, rename, mkdir, lock, preallocate, write and sync, of files and folders. Opening, reading and
// closing are not counted and go on after a power cut, as memory does while the lights go out.
type FS struct {
	vfs.FS // the memory, for what only reads or only handles paths

	mu    sync.Mutex // one change at a time; also keeps MemFS.Link, which takes its lock twice, apart from CrashClone
	mem   *vfs.MemFS
	nodes map[string]*node // by path; what the file system forgets of an inode's history

	cutAt    int // the write that the power does not last for; -1 for none
	writes   int // so far
	torn     func(n int) int
	failAt   int // the sync that fails; -1 for none
	syncs    int
	persist  bool // the failing sync persists, and says that it did not
	happened string
}

// node is an inode: the same under all its names.
type node struct {
	lost bool // a sync of it failed: none after it makes anything durable, though they say so
}

var _ vfs.FS = (*FS)(nil)

// NewFS returns an empty file system without a fault.
func NewFS() *FS { return newFS(vfs.NewCrashableMem()) }

func newFS(mem *vfs.MemFS) *FS {
	return &FS{FS: mem, mem: mem, nodes: make(map[string]*node), cutAt: -1, failAt: -1}
}

// CutPower lets n more write-like operations happen and none after them. If the next one is a write of data, a part
// of it of torn(length) bytes arrives; torn may be nil for none.
func (f *FS) CutPower(n int, torn func(length int) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutAt, f.torn = f.writes+n, torn
}

// FailSync lets n more fsyncs succeed and fails the next one with EIO, once. A file whose fsync failed keeps what it had
// durably and never more: the kernel dropped the dirty pages, so that reads show what the disk does not hold, and later
// fsyncs of it report success (fsyncgate). With persist the data arrived after all and only the report is wrong. A folder's fsync that
// fails makes nothing durable; a later one does.
func (f *FS) FailSync(n int, persist bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAt, f.persist = f.syncs+n, persist
}

// NoFault takes back a fault that was not met.
func (f *FS) NoFault() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutAt, f.failAt = -1, -1
}

// Happened says which operation met the fault; "" while none did.
func (f *FS) Happened() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.happened
}

// Writes returns how many write-like operations were asked for, and how many of them were fsyncs.
func (f *FS) Writes() (writes, syncs int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes, f.syncs
}

// Clone returns the file system as the power comes back, without a fault.
func (f *FS) Clone(cfg vfs.CrashCloneCfg) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return newFS(f.mem.CrashClone(cfg))
}

// change counts a write-like operation and runs it unless the power is off.
func (f *FS) change(what, path string, do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off(what, path) {
		return ErrPower
	}
	return do()
}

// off is called with mu held.
func (f *FS) off(what, path string) bool {
	n := f.writes
	f.writes++
	if f.cutAt < 0 || n < f.cutAt {
		return false
	}
	if n == f.cutAt {
		f.happened = fmt.Sprintf("power cut at write %d: %s %s", n, what, path)
	}
	return true
}

// at returns the inode at path; mu is held.
func (f *FS) at(path string) *node {
	n := f.nodes[path]
	if n == nil {
		n = new(node)
		f.nodes[path] = n
	}
	return n
}

// Create implements vfs.FS.
func (f *FS) Create(name string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.change("create", name, func() error {
		under, err := f.mem.Create(name, c)
		if err != nil {
			return err
		}
		delete(f.nodes, name)
		file = &openFile{File: under, fs: f, path: name, node: f.at(name)}
		return nil
	})
	return file, err
}

// OpenReadWrite implements vfs.FS. It may create, so it counts.
func (f *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (file vfs.File, err error) {
	err = f.change("open for writing", name, func() error {
		under, err := f.mem.OpenReadWrite(name, c, opts...)
		if err != nil {
			return err
		}
		file = &openFile{File: under, fs: f, path: name, node: f.at(name)}
		return nil
	})
	return file, err
}

// ReuseForWrite implements vfs.FS.
func (f *FS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.change("reuse", newname, func() error {
		under, err := f.mem.ReuseForWrite(oldname, newname, c)
		if err != nil {
			return err
		}
		f.move(oldname, newname)
		file = &openFile{File: under, fs: f, path: newname, node: f.at(newname)}
		return nil
	})
	return file, err
}

// Open implements vfs.FS.
func (f *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	under, err := f.mem.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return &openFile{File: under, fs: f, path: name, node: f.at(name)}, nil
}

// OpenDir implements vfs.FS.
func (f *FS) OpenDir(name string) (vfs.File, error) {
	under, err := f.mem.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &openFile{File: under, fs: f, path: name, isDir: true, node: new(node)}, nil
}

// Link implements vfs.FS.
func (f *FS) Link(oldname, newname string) error {
	return f.change("link", newname, func() error {
		if err := f.mem.Link(oldname, newname); err != nil {
			return err
		}
		f.nodes[newname] = f.at(oldname)
		return nil
	})
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldname, newname string) error {
	return f.change("rename", newname, func() error {
		if err := f.mem.Rename(oldname, newname); err != nil {
			return err
		}
		f.move(oldname, newname)
		return nil
	})
}

// move renames an inode, or all below a folder.
func (f *FS) move(oldname, newname string) {
	f.at(oldname)
	moved := make(map[string]*node)
	for path, n := range f.nodes {
		if below(path, oldname) {
			delete(f.nodes, path)
			moved[newname+path[len(oldname):]] = n
		}
	}
	maps.Copy(f.nodes, moved)
}

// below says whether path is dir or something in it.
func below(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	return f.change("remove", name, func() error {
		if err := f.mem.Remove(name); err != nil {
			return err
		}
		delete(f.nodes, name)
		return nil
	})
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	return f.change("remove all", name, func() error {
		if err := f.mem.RemoveAll(name); err != nil {
			return err
		}
		maps.DeleteFunc(f.nodes, func(path string, _ *node) bool { return below(path, name) })
		return nil
	})
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(dir string, perm os.FileMode) error {
	return f.change("mkdir", dir, func() error { return f.mem.MkdirAll(dir, perm) })
}

// Lock implements vfs.FS.
func (f *FS) Lock(name string) (c io.Closer, err error) {
	err = f.change("lock", name, func() error {
		c, err = f.mem.Lock(name)
		return err
	})
	return c, err
}

// Unwrap implements vfs.FS.
func (f *FS) Unwrap() vfs.FS { return f.mem }

// openFile is a file or folder opened on an FS.
type openFile struct {
	vfs.File
	fs    *FS
	path  string
	isDir bool
	node  *node
}

func (o *openFile) Write(p []byte) (n int, err error) {
	return o.write(p, func(p []byte) (int, error) { return o.File.Write(p) })
}

func (o *openFile) WriteAt(p []byte, off int64) (n int, err error) {
	return o.write(p, func(p []byte) (int, error) { return o.File.WriteAt(p, off) })
}

func (o *openFile) write(p []byte, do func([]byte) (int, error)) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	last := o.fs.writes == o.fs.cutAt
	if !o.fs.off("write", o.path) {
		return do(p)
	}
	if last && o.fs.torn != nil {
		if n := o.fs.torn(len(p)); n > 0 {
			_, _ = do(p[:n])
		}
	}
	return 0, ErrPower
}

func (o *openFile) Preallocate(offset, length int64) error {
	return o.fs.change("preallocate", o.path, func() error { return o.File.Preallocate(offset, length) })
}

func (o *openFile) Sync() error { return o.sync("sync", o.File.Sync) }

func (o *openFile) SyncData() error { return o.sync("sync", o.File.SyncData) }

// SyncTo is only a hint in a vfs.MemFS: it makes nothing durable.
func (o *openFile) SyncTo(length int64) (bool, error) {
	var full bool
	err := o.fs.change("sync to", o.path, func() (err error) {
		full, err = o.File.SyncTo(length)
		return err
	})
	return full, err
}

func (o *openFile) sync(what string, do func() error) error {
	return o.fs.change(what, o.path, func() error {
		n := o.fs.syncs
		o.fs.syncs++
		fails := n == o.fs.failAt
		if fails {
			o.fs.happened = fmt.Sprintf("EIO at sync %d: %s", n, o.path)
			if !o.fs.persist {
				o.node.lost = !o.isDir
				return ErrSync
			}
		}
		if o.node.lost {
			return nil
		}
		if err := do(); err != nil {
			return err
		}
		if fails {
			return ErrSync
		}
		return nil
	})
}
