package index

import "github.com/cockroachdb/pebble/v2/vfs"

// unsynced is a file system without fsync, for an index whose loss is no loss but of time: what a power cut spoils of it fails its checksums or is missing, doesn't open, and is made anew.
type unsynced struct{ vfs.FS }

func (u unsynced) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return unsyncedFile(u.FS.Create(name, c))
}

func (u unsynced) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return unsyncedFile(u.FS.OpenReadWrite(name, c, opts...))
}

func (u unsynced) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return unsyncedFile(u.FS.ReuseForWrite(oldname, newname, c))
}

func (u unsynced) OpenDir(name string) (vfs.File, error) { return unsyncedFile(u.FS.OpenDir(name)) }

func (u unsynced) Unwrap() vfs.FS { return u.FS }

type withoutSync struct{ vfs.File }

func unsyncedFile(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return withoutSync{f}, nil
}

func (withoutSync) Sync() error                { return nil }
func (withoutSync) SyncData() error            { return nil }
func (withoutSync) SyncTo(int64) (bool, error) { return true, nil }
