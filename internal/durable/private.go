package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// PrivateFile and PrivateFolder are the modes of all that Stele makes for itself: keys and the names of objects are in it. They do not depend on the umask of the process, which is not ours
// where Stele is used as a library.
const (
	PrivateFile   os.FileMode = 0o600
	PrivateFolder os.FileMode = 0o700
)

const others os.FileMode = 0o077

// Private is fsys for a program that makes files without asking for a mode, as Pebble does: each file and folder that it makes is for this user alone.
func Private(fsys vfs.FS) vfs.FS { return private{fsys} }

type private struct{ vfs.FS }

func (p private) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return shutFile(p.FS.Create(name, c))
}

func (p private) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return shutFile(p.FS.OpenReadWrite(name, c, opts...))
}

func (p private) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return shutFile(p.FS.ReuseForWrite(oldname, newname, c))
}

func (p private) MkdirAll(dir string, perm os.FileMode) error {
	return p.FS.MkdirAll(dir, perm&^others)
}

// Lock implements vfs.FS. A lock file says nothing, but whoever may open it may also hold it.
func (p private) Lock(name string) (io.Closer, error) {
	lock, err := p.FS.Lock(name)
	if err == nil && p.FS == vfs.Default {
		if err = os.Chmod(name, PrivateFile); err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, errors.Join(err, lock.Close())
		}
		err = nil
	}
	return lock, err
}

func (p private) Unwrap() vfs.FS { return p.FS }

// shutFile takes from others what the umask left them. A file system without modes (FAT, some network folders) refuses that, and is used all the same: Shut tells of it.
func shutFile(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if err := chmod(f, PrivateFile); err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, errors.Join(fmt.Errorf("couldn't set the mode of a new file: %w", err), f.Close())
	}
	return f, nil
}

// Shut takes from group and others what they may do with path and, if it is a folder, with all that lies in it; ours says which folders in it are meant (nil: all). A folder that is shut
// already is not walked: nobody gets past it. What can't be changed does not stop it, and is told at the end: the file belongs to another user, or the file system has no modes. Symbolic links
// are left as they are.
func Shut(fsys vfs.FS, path string, ours func(name string) bool) error {
	if fsys != vfs.Default || runtime.GOOS == "windows" {
		return nil
	}
	info, err := os.Stat(path) // a folder of the store may be a link to one on another disk
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	path = filepath.Clean(path)
	if err != nil {
		return fmt.Errorf("couldn't look at the mode of %s: %w", path, err)
	}
	if info.Mode()&others == 0 {
		return nil
	}
	err = shut(path, info)
	if !info.IsDir() {
		return err
	}
	walk := filepath.WalkDir(path, func(at string, d fs.DirEntry, werr error) error {
		if werr != nil || at == path || !d.IsDir() && !d.Type().IsRegular() && d.Type() != fs.ModeSocket {
			return werr
		}
		if d.IsDir() && ours != nil && filepath.Dir(at) == path && !ours(d.Name()) {
			return fs.SkipDir
		}
		info, ierr := d.Info()
		if errors.Is(ierr, fs.ErrNotExist) {
			return nil
		}
		if ierr == nil && info.Mode()&others != 0 {
			ierr = shut(at, info)
		}
		if err == nil {
			err = ierr // one is enough to say what is wrong
		}
		return nil
	})
	return errors.Join(err, walk)
}

// shut takes the bits away and looks whether they are gone: a file system without modes may say that it did so.
func shut(path string, info fs.FileInfo) error {
	err := os.Chmod(path, info.Mode()&^others)
	if err == nil {
		info, err = os.Stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("other users of this machine can open %s, and its mode can't be changed: %w", path, err)
	case info.Mode()&others != 0:
		return fmt.Errorf("other users of this machine can open %s, and its file system keeps no modes", path)
	}
	return nil
}
