package durable

import (
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// NamedFile is a file that WriteFolder stores.
type NamedFile struct {
	Name string // within the folder
	Data []byte
}

// WriteFolder stores files in a new folder dir (mode 0700), durably, if nothing has that name, else ErrExist. Its parent is there. The folder becomes visible at the rename: after it a crash leaves all of the files,
// before it none. A crash may leave dir.<random>.tmp; an error leaves nothing.
func WriteFolder(fsys vfs.FS, dir string, files []NamedFile, perm os.FileMode) (err error) {
	if _, err := fsys.Stat(dir); err == nil {
		return taken(fsys, dir)
	}
	tmp := tempName(dir)
	if err := fsys.MkdirAll(tmp, 0o700); err != nil {
		return fmt.Errorf("couldn't make folder %s: %w", tmp, err)
	}
	defer func() {
		if err != nil {
			_ = fsys.RemoveAll(tmp) // it is gone under this name once it was renamed
		}
	}()
	for _, f := range files {
		if err := writeTemp(fsys, fsys.PathJoin(tmp, f.Name), int64(len(f.Data)), &sliceReader{f.Data}, perm); err != nil {
			return err
		}
	}
	if err := SyncDir(fsys, tmp); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, dir); err != nil { // refused if somebody has made a folder meanwhile that holds anything, or a file
		return fmt.Errorf("couldn't rename %s to %s: %w", tmp, dir, err)
	}
	if err := SyncDir(fsys, fsys.PathDir(dir)); err != nil {
		_ = fsys.RemoveAll(dir) // it may be there after a crash or not: nobody is told of it
		return err
	}
	return nil
}
