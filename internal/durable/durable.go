// Package durable holds every fsync, rename and link of the project, so that what a crash can leave is read in one
// place. All of it runs on a [vfs.FS]: on the operating system's files and on Pebble's crashable memory alike.
//
// What each function asks of the system, in order (Linux; golden in trace_test.go):
//
//	MkdirAll    fsync(parent of the deepest folder there); for each missing level: mkdir, fsync(parent)
//	MkdirEach   MkdirAll(parent); for each missing folder: mkdir; fsync(parent)
//	SyncDir     open(dir), fsync, close (the open again for a while, where there is no free file descriptor)
//	SyncDirs    the same for each, at once: one flush of the device serves them all
//	Create      open(tmp, O_CREAT|O_EXCL), write…, fsync, close, link(tmp, path), open(dir), fsync, close, unlink(tmp)
//	Replace     open(tmp, O_CREAT|O_EXCL), write…, fsync, close, rename(tmp, path), open(dir), fsync, close
//	            (both of a large file: open(tmp, …|O_DIRECT), fallocate, pwrite…, each while the next piece is read, ftruncate, fsync)
//	WriteFolder mkdir(tmp); for each file: open(O_CREAT|O_EXCL), write…, fsync, close; open(tmp), fsync, close, rename(tmp, dir), open(parent), fsync, close
//	Publish     link(private, path), open(dir), fsync, close, unlink(private)
//	            (no hard links there, as on FAT and some network folders: renameat2(RENAME_NOREPLACE) for the link)
//	Remove      unlink(path), open(dir), fsync, close
//	Grow        open(path, O_CREAT|O_EXCL[|O_DIRECT]), fallocate, open(dir), fsync, close
//	File.Write  pwrite; once a MiB, if buffered, preallocated and in small pieces, a pwrite of zeros after it
//	File.Sync   fdatasync
//	File.Finish ftruncate, fsync
//	ReadStream  cachestat; pread, past the page cache where that does not hold the bytes
//
// An unlink of a temporary or private name is not fsynced: a crash brings back a name that means nothing more.
//
// Nothing here retries an fsync. After a failed one the kernel may have dropped the dirty pages and call the next one a
// success, so the error is marked [ErrSync] and whoever sees it stops writing for good (DESIGN, invariant 6). The package trusts that an fsync which returned success
// has made the bytes durable.
package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrSync marks a failed fsync: what it was to make durable may be lost although reads still show it.
	ErrSync = errors.New("fsync failed")
	// ErrExist: the name is taken; what is there was not touched, and its name is durable.
	ErrExist = errors.New("file exists")
	// ErrLength: a reader yielded more or fewer bytes than were announced.
	ErrLength = errors.New("length differs from what was announced")
)

// BlockBytes is what direct I/O is aligned to: in memory, in offset and in length.
const BlockBytes = 4096

const copyBytes = 1 << 20

// How often, and how far apart, SyncDir tries to open a folder while the process or the machine has no free file descriptor: five seconds in all.
const (
	openDirTries = 500
	openDirPause = 10 * time.Millisecond
)

// SyncDir makes the names in dir durable. It waits a while for a file descriptor: nothing was fsynced yet, so that trying again hides no failure, and giving up at once
// would end all writing for a lack that passes.
func SyncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	for tries := 1; tries < openDirTries && (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)); tries++ {
		time.Sleep(openDirPause)
		d, err = fsys.OpenDir(dir)
	}
	if err != nil {
		return fmt.Errorf("couldn't open folder %s to fsync it: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return syncError("folder "+dir, err)
	}
	return nil
}

// MkdirAll makes dir and its missing parents (mode 0700), each of them durable before the next one is made.
func MkdirAll(fsys vfs.FS, dir string) error {
	var missing []string
	for {
		info, err := fsys.Stat(dir)
		if err == nil {
			if !info.IsDir() {
				return fmt.Errorf("couldn't make folder %s: a file has that name", dir)
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("couldn't look at folder %s: %w", dir, err)
		}
		missing = append(missing, dir)
		parent := fsys.PathDir(dir)
		if parent == dir {
			return fmt.Errorf("couldn't make folder %s: %w", dir, err)
		}
		dir = parent
	}
	// A process killed between mkdir and fsync leaves a folder that is there but not durable. It can only be the deepest
	// one. A parent that may not be read was not made by us.
	if err := SyncDir(fsys, fsys.PathDir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := fsys.MkdirAll(missing[i], 0o700); err != nil {
			return fmt.Errorf("couldn't make folder %s: %w", missing[i], err)
		}
		if err := SyncDir(fsys, fsys.PathDir(missing[i])); err != nil {
			return err
		}
	}
	return nil
}

// MkdirEach makes parent as MkdirAll does, and dirs, which are its children, with one fsync for all of their names.
func MkdirEach(fsys vfs.FS, parent string, dirs []string) error {
	if err := MkdirAll(fsys, parent); err != nil {
		return err
	}
	for _, dir := range dirs {
		if info, err := fsys.Stat(dir); err == nil && !info.IsDir() {
			return fmt.Errorf("couldn't make folder %s: a file has that name", dir)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("couldn't look at folder %s: %w", dir, err)
		} else if err != nil {
			if err := fsys.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("couldn't make folder %s: %w", dir, err)
			}
		}
	}
	return SyncDir(fsys, parent) // also for those that were there: a process may have been killed between their mkdir and its fsync
}

// SyncDirs makes the names in all of dirs durable.
func SyncDirs(fsys vfs.FS, dirs []string) error {
	errs := make([]error, len(dirs))
	var all sync.WaitGroup
	for i, dir := range dirs {
		all.Go(func() { errs[i] = SyncDir(fsys, dir) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Create stores size bytes of r as path if no file has that name, else ErrExist. It writes to tmp, which must be on the
// same file system, be nobody else's, and may be left behind by a crash. The file becomes visible at the link; after it
// a crash leaves the whole file or none. A reader of another length gives ErrLength and leaves nothing.
func Create(fsys vfs.FS, tmp, path string, size int64, r io.Reader, perm os.FileMode) error {
	if _, err := fsys.Stat(path); err == nil {
		return taken(fsys, path)
	}
	if err := writeTemp(fsys, tmp, size, r, perm); err != nil {
		return err
	}
	err := Publish(fsys, tmp, path)
	if err != nil {
		_ = fsys.Remove(tmp) // nobody takes it up again, and it may hold a secret
	}
	return err
}

// WriteFile stores data as path, durably, if no file has that name, else ErrExist. A crash may leave path.<random>.tmp.
func WriteFile(fsys vfs.FS, path string, data []byte, perm os.FileMode) error {
	return Create(fsys, tempName(path), path, int64(len(data)), &sliceReader{data}, perm)
}

// Replace stores data as path, durably, in place of what had that name: a crash leaves the old file or the new one.
func Replace(fsys vfs.FS, path string, data []byte, perm os.FileMode) error {
	return ReplaceFrom(fsys, tempName(path), path, int64(len(data)), &sliceReader{data}, perm)
}

// ReplaceFrom stores size bytes of r as path, durably, in place of what had that name, if anything had: a crash leaves the old
// file or the new one, whole. tmp is as in Create. A reader that fails, or yields another length (ErrLength), leaves the old file.
func ReplaceFrom(fsys vfs.FS, tmp, path string, size int64, r io.Reader, perm os.FileMode) error {
	if err := writeTemp(fsys, tmp, size, r, perm); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		_ = fsys.Remove(tmp)
		return fmt.Errorf("couldn't rename %s to %s: %w", tmp, path, err)
	}
	return SyncDir(fsys, fsys.PathDir(path))
}

// Publish gives a fsynced file its final name, durably, and takes its private one away; ErrExist if the final name is
// taken, and then the private one stays. A crash after the link may leave both names, with the same bytes.
func Publish(fsys vfs.FS, private, path string) error {
	err := fsys.Link(private, path)
	if err != nil && fsys == vfs.Default {
		err = withoutLinks(private, path, err)
	}
	if errors.Is(err, fs.ErrExist) {
		return taken(fsys, path)
	}
	if err != nil {
		return fmt.Errorf("couldn't link %s to %s: %w", private, path, err)
	}
	if err := SyncDir(fsys, fsys.PathDir(path)); err != nil {
		return err
	}
	// Durable from here on: what fails below loses nothing, the name is swept later.
	_ = fsys.Remove(private)
	return nil
}

// Remove removes path durably.
func Remove(fsys vfs.FS, path string) error {
	if err := fsys.Remove(path); err != nil {
		return fmt.Errorf("couldn't remove %s: %w", path, err)
	}
	return SyncDir(fsys, fsys.PathDir(path))
}

// taken answers ErrExist only when the name that is in the way is durable: who made it may not have fsynced the
// folder yet, and whoever hears ErrExist builds on the file.
func taken(fsys vfs.FS, path string) error {
	if err := SyncDir(fsys, fsys.PathDir(path)); err != nil {
		return err
	}
	return fmt.Errorf("couldn't create %s: %w", path, ErrExist)
}

// temp is a new file that is written from its start to its end.
type temp interface {
	io.Writer
	Finish() error // fsync; ErrSync
	Close() error
}

type vfsTemp struct {
	vfs.File
	name string
}

func (t vfsTemp) Finish() error {
	if err := t.Sync(); err != nil {
		return syncError(t.name, err)
	}
	return nil
}

// streamFrom is the size from which on a new file is written past the page cache: that costs less CPU than to fill the cache and to write it out, does not throw out what is
// read often, and leaves the fsync little to wait for.
const streamFrom = copyBytes

// behind is a file that is written behind its writer: Write returns while p is on its way, so that the next piece is read and hashed meanwhile. What it was given must not be changed
// before the next call has returned. One goroutine calls it, and one write at a time is under way: each call takes the end of the one before out of pending first.
type behind struct {
	f       *File
	pending chan error // holds one: how the last write ended
}

func newBehind(f *File) *behind {
	b := &behind{f: f, pending: make(chan error, 1)}
	b.pending <- nil
	return b
}

func (b *behind) Write(p []byte) (int, error) {
	if err := <-b.pending; err != nil {
		b.pending <- err
		return 0, err
	}
	go func() {
		_, err := b.f.Write(p)
		b.pending <- err
	}()
	return len(p), nil
}

func (b *behind) wait() error {
	err := <-b.pending
	b.pending <- err
	return err
}

func (b *behind) Finish() error {
	if err := b.wait(); err != nil {
		return err
	}
	return b.f.Finish()
}

func (b *behind) Close() error {
	_ = b.wait() // Write or Finish has told of it
	return b.f.Close()
}

// openTemp makes the file, and the memory by way of which it is written, piece by piece in turns.
func openTemp(fsys vfs.FS, tmp string, size int64, perm os.FileMode) (temp, [][]byte, error) {
	if fsys == vfs.Default && size >= streamFrom {
		f, err := newStream(tmp, size, perm)
		if err != nil {
			return nil, nil, err
		}
		if f != nil {
			return newBehind(f), [][]byte{AlignedBuffer(copyBytes), AlignedBuffer(copyBytes)}, nil
		}
	}
	f, err := fsys.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't create %s: %w", tmp, err)
	}
	if err := chmod(f, perm); err != nil {
		_ = f.Close()
		_ = fsys.Remove(tmp)
		return nil, nil, fmt.Errorf("couldn't set the mode of %s: %w", tmp, err)
	}
	return vfsTemp{f, tmp}, [][]byte{make([]byte, min(size+1, copyBytes))}, nil
}

// writeTemp writes and fsyncs a new file; on an error it leaves none.
func writeTemp(fsys vfs.FS, tmp string, size int64, r io.Reader, perm os.FileMode) (err error) {
	f, rooms, err := openTemp(fsys, tmp, size, perm)
	if err != nil {
		return err
	}
	defer func() {
		if f != nil {
			_ = f.Close()
		}
		if err != nil {
			_ = fsys.Remove(tmp)
		}
	}()
	if err := copyExactly(f, r, size, rooms); err != nil {
		return fmt.Errorf("couldn't write %s: %w", tmp, err)
	}
	if err := f.Finish(); err != nil {
		return fmt.Errorf("couldn't write %s: %w", tmp, err)
	}
	err = f.Close()
	f = nil
	if err != nil {
		return fmt.Errorf("couldn't close %s: %w", tmp, err)
	}
	return nil
}

// copyExactly copies size bytes by way of rooms, of which it fills one after the other before each write, and makes sure that r has no more.
func copyExactly(w io.Writer, r io.Reader, size int64, rooms [][]byte) error {
	var n int64
	for i, ended := 0, false; !ended; i++ {
		room := rooms[i%len(rooms)]
		m, err := io.ReadFull(r, room)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			ended = true
		case err != nil:
			return fmt.Errorf("couldn't read the source: %w", err)
		}
		if n += int64(m); n > size {
			return fmt.Errorf("%w: more than %d bytes", ErrLength, size)
		}
		if m == 0 {
			continue
		}
		if _, err := w.Write(room[:m]); err != nil {
			return err
		}
	}
	if n < size {
		return fmt.Errorf("%w: %d bytes of %d", ErrLength, n, size)
	}
	return nil
}

// sliceReader hands out copies only, since a vfs.File may scribble on what it is given.
type sliceReader struct{ rest []byte }

func (s *sliceReader) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func syncError(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrSync, what, err)
}

func tempName(path string) string { return path + "." + Random() + ".tmp" }

// Random returns 16 hex digits for a name that nobody else uses.
func Random() string {
	var b [8]byte
	rand.Read(b[:]) // never fails, per its documentation
	return hex.EncodeToString(b[:])
}

// random matches names that Random made, and the longer ids of files.
var random = regexp.MustCompile(`[0-9a-f]{16,}(-[0-9a-f]+)*`)

// Alike says whether two messages say the same but for names that were made at random, such as a temporary file's: who tells of what goes on failing need not say it again for another of those.
func Alike(a, b string) bool {
	return a == b || random.ReplaceAllString(a, "…") == random.ReplaceAllString(b, "…")
}

// AlignedBuffer returns n bytes whose first is aligned for direct I/O, so that a File in direct mode writes them without
// copying.
func AlignedBuffer(n int) []byte {
	b := make([]byte, n+BlockBytes)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (BlockBytes - 1)
	return b[skip : skip+n : skip+n]
}

func aligned(p []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))&(BlockBytes-1) == 0
}
