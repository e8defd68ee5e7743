// Package dir is the engine that keeps a store in a folder of a file system.
//
//	root/segments/… packs/… keyring/… meta/…   sealed files, by their names
//	root/open/<sealed name, "_" for "/">.<16 hex>   growing files; after a crash: tails
//	root/tmp/<instance>-<n>   files that Create and Replace are writing; after a crash: rubbish, which Tails sweeps
//
// It runs on any vfs.FS. On the operating system's own (vfs.Default) growing files use fallocate, fdatasync and, for
// streams, direct I/O; elsewhere plain appends with the same contract.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/durable"
	"stele/internal/engine"
)

const (
	openFolder = "open"
	tmpFolder  = "tmp"
	filePerm   = durable.PrivateFile
)

// ErrReadOnly: the folder was opened for reading.
var ErrReadOnly = errors.New("the folder is open for reading only")

// Options tell how a folder is opened.
type Options struct {
	// ReadOnly makes nothing and refuses Create, Append, Remove and RemoveTail. The folder must be there.
	ReadOnly bool
	// Existing takes a folder only where it is: nothing is made before the first file is created. For a copy on a disk that may not be mounted, so that none begins in the empty folder below.
	Existing bool
}

// Dir is a store's folder. It implements engine.Appender. It takes no lock: who opens a folder to append holds
// durable.LockExclusive on it.
type Dir struct {
	fs       vfs.FS
	root     string
	readOnly bool
	instance string       // marks our temporary files
	temps    atomic.Int64 // how many there have been
	failed   atomic.Pointer[error]

	mu   sync.Mutex
	live map[string]bool // private names of growing files that are not closed
	bare bool            // our folders are not made yet
}

var (
	_ engine.Appender = (*Dir)(nil)
	_ engine.Replacer = (*Dir)(nil)
)

// Open opens the folder root on fsys; unless it is to be read only, it makes it and its folders first. When it returns,
// every name that a listing shows is durable, whatever an earlier process left undone.
func Open(fsys vfs.FS, root string, opt Options) (*Dir, error) {
	d := &Dir{fs: fsys, root: root, readOnly: opt.ReadOnly, instance: durable.Random(), live: make(map[string]bool)}
	if opt.ReadOnly {
		if _, err := fsys.Stat(root); err != nil {
			return nil, fmt.Errorf("couldn't open store folder: %w", translate(err))
		}
		return d, nil
	}
	if opt.Existing {
		info, err := fsys.Stat(root)
		switch {
		case err != nil:
			return nil, fmt.Errorf("couldn't open store folder: %w", translate(err))
		case !info.IsDir():
			return nil, fmt.Errorf("couldn't open store folder: %s is a file", root)
		}
		if _, err := fsys.Stat(fsys.PathJoin(root, tmpFolder)); errors.Is(err, fs.ErrNotExist) {
			d.bare = true
			return d, nil
		}
	}
	return d, d.makeFolders()
}

// makeFolders makes the folders of a store where they are missing, and all names in them durable.
func (d *Dir) makeFolders() error {
	fsys, root := d.fs, d.root
	folders := Folders()
	for i, folder := range folders {
		folders[i] = fsys.PathJoin(root, folder)
	}
	if err := durable.MkdirEach(fsys, root, folders); err != nil {
		return fmt.Errorf("couldn't open store folder: %w", translate(err))
	}
	keepPrivate(fsys, root, folders)
	// A process may have died between the link of a file and the fsync of its folder. We are going to build on that file, so
	// its name must not vanish under us.
	if err := durable.SyncDirs(fsys, folders); err != nil {
		return fmt.Errorf("couldn't open store folder: %w", err)
	}
	return nil
}

// dress makes the folders of an Existing folder that has none, before the first file is written.
func (d *Dir) dress() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.bare {
		return nil
	}
	err := d.makeFolders()
	d.bare = err != nil
	return err
}

// keepPrivate shuts other users out of the folders of a store, and out of its root if nothing else lies there: a target's root may be a disk that holds other things too. What can't be shut is used all
// the same: each file was made for this user alone, what lies on a target is sealed, and a disk whose file system has no modes is no reason to go without a copy.
func keepPrivate(fsys vfs.FS, root string, folders []string) {
	names, err := fsys.List(root)
	if err == nil && !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(Folders(), n) }) {
		_ = durable.Shut(fsys, root, nil)
	}
	for _, folder := range folders {
		_ = durable.Shut(fsys, folder, nil)
	}
}

// Folders names the folders of a store in its root.
func Folders() []string {
	folders := append(engine.Folders(), openFolder, tmpFolder)
	for i, folder := range folders {
		folders[i] = strings.TrimSuffix(folder, "/")
	}
	return folders
}

// Root returns the folder that was opened.
func (d *Dir) Root() string { return d.root }

// Create implements engine.Engine.
func (d *Dir) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	if err := d.writable(ctx, name); err != nil {
		return err
	}
	err := durable.Create(d.fs, d.temp(), d.path(name), size, engine.Until(ctx, r), filePerm)
	return d.note("couldn't create "+name, err)
}

// Replace implements engine.Replacer.
func (d *Dir) Replace(ctx context.Context, name string, size int64, r io.Reader) error {
	if err := d.writable(ctx, name); err != nil {
		return err
	}
	if !engine.Replaceable(name) {
		return fmt.Errorf("couldn't replace %s: %w", name, engine.ErrName)
	}
	return d.note("couldn't replace "+name, durable.ReplaceFrom(d.fs, d.temp(), d.path(name), size, engine.Until(ctx, r), filePerm))
}

// Open implements engine.Engine.
func (d *Dir) Open(ctx context.Context, name string) (engine.File, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	return d.open(name, d.path(name))
}

// List implements engine.Engine. It holds a folder's names in memory and asks for the size of one file at a time.
func (d *Dir) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	if err := engine.CheckPrefix(prefix); err != nil {
		return err
	}
	folder, _ := engine.SplitName(prefix)
	bases, err := d.fs.List(d.fs.PathJoin(d.root, folder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("couldn't list %s: %w", folder, err)
	}
	slices.Sort(bases)
	for _, base := range bases {
		name := folder + base
		if !strings.HasPrefix(name, prefix) || engine.CheckName(name) != nil {
			continue // not asked for, or not ours
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.fs.Stat(d.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return fmt.Errorf("couldn't list %s: %w", name, err)
		}
		if info.IsDir() {
			continue
		}
		if err := fn(engine.Info{Name: name, SizeBytes: info.Size()}); err != nil {
			return err
		}
	}
	return nil
}

// Remove implements engine.Engine.
func (d *Dir) Remove(ctx context.Context, name string) error {
	if err := d.writable(ctx, name); err != nil {
		return err
	}
	if !engine.Removable(name) {
		return fmt.Errorf("couldn't remove %s: %w: it stays for ever", name, engine.ErrName)
	}
	// Asked first: not every vfs.FS says that there was nothing to remove.
	if _, err := d.fs.Stat(d.path(name)); err != nil {
		return fmt.Errorf("couldn't remove %s: %w", name, translate(err))
	}
	return d.note("couldn't remove "+name, durable.Remove(d.fs, d.path(name)))
}

// temp names a temporary file that is nobody else's.
func (d *Dir) temp() string {
	return d.fs.PathJoin(d.root, tmpFolder, fmt.Sprintf("%s-%d", d.instance, d.temps.Add(1)))
}

func (d *Dir) path(name string) string { return d.fs.PathJoin(d.root, name) }

func (d *Dir) open(name, path string) (engine.File, error) {
	f, err := d.fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't open %s: %w", name, translate(err))
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("couldn't open %s: %w", name, translate(err))
	}
	opened := &file{File: f, name: name, size: info.Size()}
	if d.fs == vfs.Default {
		opened.pages.Of(f.Fd())
	}
	return opened, nil
}

// writable says whether anything may be written under name.
func (d *Dir) writable(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	if d.readOnly {
		return fmt.Errorf("couldn't write %s: %w", name, ErrReadOnly)
	}
	if err := d.refuse(name); err != nil {
		return err
	}
	return d.dress()
}

// refuse says that an earlier fsync failed: not one byte more is written, into whatever file.
func (d *Dir) refuse(name string) error {
	if err := d.failed.Load(); err != nil {
		return fmt.Errorf("couldn't write %s: %w: %v", name, engine.ErrFailed, *err)
	}
	return nil
}

func check(ctx context.Context, name string) error {
	if err := engine.CheckName(name); err != nil {
		return err
	}
	return ctx.Err()
}

// note wraps err in what was tried, in the contract's words. A failed fsync ends all writing into this folder.
func (d *Dir) note(what string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", what, translate(err))
	if errors.Is(err, durable.ErrSync) {
		d.failed.CompareAndSwap(nil, &err)
	}
	return err
}

var sentinels = []struct{ from, to error }{
	{durable.ErrExist, engine.ErrExist},
	{fs.ErrNotExist, engine.ErrNotExist},
	{syscall.ENOSPC, engine.ErrFull},
	{syscall.EDQUOT, engine.ErrFull},
	{durable.ErrFailed, engine.ErrFailed},
}

// translate marks an error with the engine's sentinel for it.
func translate(err error) error {
	for _, s := range sentinels {
		if errors.Is(err, s.from) {
			return fmt.Errorf("%w: %w", s.to, err)
		}
	}
	return err
}

// file is a sealed file or a tail.
type file struct {
	vfs.File
	name  string
	size  int64
	pages durable.Pages
}

func (f *file) Size() int64 { return f.size }

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("couldn't read %s: negative offset", f.name)
	}
	return f.File.ReadAt(p, off)
}

// ReadStream implements engine.Streamer.
func (f *file) ReadStream(room []byte, off int64, n int) ([]byte, error) {
	if off < 0 {
		return nil, fmt.Errorf("couldn't read %s: negative offset", f.name)
	}
	return f.pages.ReadStream(f.File, room, off, n)
}

func (f *file) Close() error {
	f.pages.Close()
	return f.File.Close()
}
