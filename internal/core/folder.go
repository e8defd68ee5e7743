package core

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
)

// Files of a data folder, beside the engine's own folders.
const (
	FileFormat     = engine.Meta + "store.format" // written last when a store is made: it says that the folder is one
	FileIdentity   = "identity"                   // the server's age identity, 0600: opens the keyring
	FileRootKey    = "root.key"                   // the root access key, 0600
	FilePublished  = "published"                  // the newest published checkpoint
	fileFailing    = "failing"                    // what failed beside requests, so that it is known after a restart
	FileTargets    = "targets"                    // what is known of the targets, for words
	FileFindings   = "findings"                   // what readers found to be damaged, for the next one who writes
	FileSuperseded = "superseded"                 // another primary has taken over from this folder's: "epoch 3\nknown from …\n". It is never removed. In a folder to which the later epoch's files are brought it has no more effect
	FileFrom       = "from"                       // the folder is filled from a backup, and is no primary. It goes when a full folder is promoted
	FileStandby    = "standby"                    // whom a standby follows, and since when pinned (JSON); while it is there the folder is no store yet
	FileAccepted   = "accepted"                   // of a standby: the newest checkpoint that was accepted, a signed note
	FileFormer     = "former"                     // of a primary that took over: the addresses of those from which it did, until they know
	FileFollowers  = "followers"                  // of a primary: the addresses of those who follow it, who would know if one of them took over
	DirIndex       = "index"                      // derived; may be deleted while no process uses the store
	DirFreshIndex  = "index.fresh"                // an index that is begun
	DirCheckpoint  = "index.snapshot"             // the index's files while they are shipped: links, gone afterwards
	DrillPrefix    = "drill."                     // begins the names of scratch folders. What a crash leaves of them, sweep removes
)

// IsEmpty reports whether a folder is missing or holds no file. What Create makes first, a lock and folders, is none: a Create that was stopped there may be done again.
func IsEmpty(fsys vfs.FS, folder string) (bool, error) {
	names, err := fsys.List(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("couldn't read the folder %s: %w", folder, err)
	}
	for _, n := range names {
		switch {
		case n == "lost+found", n == durable.LockFile, isTemporary(n, FileIdentity), isTemporary(n, FileFrom):
			continue
		}
		path := fsys.PathJoin(folder, n)
		info, err := fsys.Stat(path)
		if err != nil || !info.IsDir() {
			return false, err
		}
		if empty, err := IsEmpty(fsys, path); err != nil || !empty {
			return false, err
		}
	}
	return true, nil
}

// isTemporary reports whether a name is that of a file on its way to be called of.
func isTemporary(name, of string) bool {
	return strings.HasPrefix(name, of+".") && strings.HasSuffix(name, ".tmp")
}

func (s *Store) onDisk() bool { return s.FS == vfs.Default }

// Path returns the path of a file in the folder.
func (s *Store) Path(name string) string { return s.FS.PathJoin(s.dir, name) }

// MakeFolder makes the folder where there is none.
func (s *Store) MakeFolder() error {
	if err := durable.MkdirAll(s.FS, s.dir); err != nil {
		return err
	}
	return nil
}

// Locked has work done in the folder of a store that nobody opens: the folder is locked meanwhile. It waits for nobody: ErrLocked.
func (s *Store) Locked(work func() error) (err error) {
	if err := s.LockFolder(); err != nil {
		return Translate(err)
	}
	defer func() { err = errors.Join(Translate(err), s.Unlock()) }() // last: whoever gets the lock finds all that was written
	return work()
}

// Unlock gives the lock back, if there is one.
func (s *Store) Unlock() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// LockFolder locks the folder for this process, or shares it among readers, until Unlock. It waits for nobody: ErrLocked.
func (s *Store) LockFolder() (err error) {
	if !s.onDisk() {
		return nil
	}
	if s.opt.ReadOnly {
		s.lock, err = durable.LockShared(s.dir)
	} else {
		s.lock, err = durable.LockExclusive(s.dir)
		if err == nil {
			s.keepPrivate()
		}
	}
	if errors.Is(err, durable.ErrLocked) {
		return fmt.Errorf("%w: %s", ErrLocked, s.dir)
	}
	return err
}

// keepPrivate takes from other users what they may do in the folder: it may have been made by hand, or copied without its modes, and keys and the names of objects are in it. The engine sees to its own folders.
func (s *Store) keepPrivate() {
	ours := []string{DirIndex, DirCheckpoint, DirFreshIndex, "evidence"} // of a standby
	err := durable.Shut(s.FS, s.dir, func(name string) bool {
		return slices.Contains(ours, name) || strings.HasPrefix(name, DrillPrefix) || slices.Contains(dir.Folders(), name)
	})
	if err != nil {
		s.Log.Warn("other users of this machine can read the folder: put it on a file system that keeps modes, or mount it with umask=077", "reason", err)
	}
}

// Sweep removes what a crash left of writing the files beside the engine's folders: nobody has their names.
func (s *Store) Sweep() error {
	if s.opt.ReadOnly {
		return nil
	}
	for _, left := range []string{DirCheckpoint, DirFreshIndex} {
		if err := s.FS.RemoveAll(s.Path(left)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("couldn't remove %s, which an interruption left: %w", s.Path(left), err)
		}
	}
	names, err := s.FS.List(s.dir)
	if err != nil {
		return fmt.Errorf("couldn't read the folder %s: %w", s.dir, err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, DrillPrefix) {
			if err := s.FS.RemoveAll(s.Path(n)); err != nil {
				return fmt.Errorf("couldn't remove what a drill left in %s: %w", s.Path(n), err)
			}
			continue
		}
		for _, ours := range []string{FilePublished, FileRootKey, FileIdentity, FileSuperseded, FileStandby, FileAccepted, FileFrom, FileFormer, FileFollowers, FileFindings, fileFailing, FileTargets} {
			if isTemporary(n, ours) {
				if err := s.FS.Remove(s.Path(n)); err != nil {
					return fmt.Errorf("couldn't remove the temporary file %s: %w", s.Path(n), err)
				}
			}
		}
	}
	return nil
}
