package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// gate is the file system that Pebble writes through. After the first error of its background work nothing is written
// any more: Pebble would try again at once and for ever, and a manifest whose sync failed must not be written to again.
// Who still wants to write waits until Close and then gets that error; reads go on. What is lost thereby is folded
// again from the ledger at the next start.
//
// The manifest is the exception: its writer is told that all went well. Pebble expects its process to end when the manifest can't be written, and says so before it has put its own lists of
// tables back in order; its next look at them would panic. As it is, it goes on reading the tables that it has, old and new, and none is removed: the next Open finds those that the manifest on the disk names.
type gate struct {
	vfs.FS
	dir     string
	closing chan struct{} // closed by open
	broken  chan struct{} // closed with the first error

	serving atomic.Bool   // Open is done
	stuck   chan struct{} // closed when Open is given up
	stop    sync.Once     // closes stuck

	mu      sync.Mutex
	err     error // why nothing is written any more
	damaged error // a row or a file that failed its checksum
	locks   []io.Closer
}

// damagedName is a file whose presence says that the rows must not be used again.
const damagedName = "DAMAGED"

func newGate(fs vfs.FS, dir string) *gate {
	return &gate{FS: fs, dir: dir, closing: make(chan struct{}), broken: make(chan struct{}), stuck: make(chan struct{})}
}

func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
		close(g.broken)
	}
}

func (g *gate) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// background is told of errors of flushes and compactions.
func (g *gate) background(err error) {
	if errors.Is(err, pebble.ErrCancelledCompaction) || errors.Is(err, pebble.ErrClosed) {
		return
	}
	if pebble.IsCorruptionError(err) {
		g.damage(err)
	}
	g.fail(err)
}

// damage notes bytes that are not what was written, and leaves word of it: reads that need them fail, and the next Open
// asks for a rebuild. If the word can't be left, the damage is met again.
func (g *gate) damage(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.damaged != nil {
		return
	}
	g.damaged = err
	if f, cerr := g.FS.Create(g.FS.PathJoin(g.dir, damagedName), vfs.WriteCategoryUnspecified); cerr == nil {
		_, _ = io.WriteString(f, err.Error()+"\n")
		_, _ = f.Sync(), f.Close()
	}
}

// open lets the waiting go, with an error: Close is under way.
func (g *gate) open() { close(g.closing) }

// pass returns at once while writing is allowed.
func (g *gate) pass() error {
	err := g.failed()
	if err != nil {
		if g.serving.Load() {
			<-g.closing
		} else {
			g.giveUp()
		}
		return fmt.Errorf("the index is not written to any more: %w", err)
	}
	return nil
}

// ofManifest reports whether a file says which tables there are: a manifest, or the marker that says which manifest counts. Those of a checkpoint are somebody else's: who makes it is told.
func (g *gate) ofManifest(name string) bool {
	base := g.FS.PathBase(name)
	if g.FS.PathDir(name) != g.FS.PathDir(g.FS.PathJoin(g.dir, base)) {
		return false
	}
	return strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker.manifest.")
}

// write does what writes. If it concerns the manifest of an index that is open, a failure ends all writing and is nobody else's.
func (g *gate) write(manifest bool, do func() error) error {
	if manifest = manifest && g.serving.Load(); manifest && g.failed() != nil {
		return nil
	}
	if err := g.pass(); err != nil {
		return err
	}
	err := do()
	if manifest && err != nil {
		g.fail(fmt.Errorf("couldn't write the manifest of the index: %w", err))
		return nil
	}
	return g.met(err)
}

// met is told of each error of a write. During Open the first one ends the opening where it stands: nothing more is written, the locks are given back, and the goroutines are left behind. Pebble
// would wait for ever for a flush that fails for ever, or close under the feet of a compaction.
func (g *gate) met(err error) error {
	if err == nil || g.serving.Load() || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return err
	}
	g.fail(err)
	g.giveUp()
	return err
}

func (g *gate) giveUp() {
	g.stop.Do(func() {
		g.mu.Lock()
		for _, l := range g.locks {
			_ = l.Close() // the error that is met counts
		}
		g.mu.Unlock()
		close(g.stuck)
	})
	<-g.closing // never, unless Open came through in the same moment
}

// errLock: the index could not be locked, so somebody may have it open.
var errLock = errors.New("couldn't lock it")

// Lock implements vfs.FS.
func (g *gate) Lock(name string) (io.Closer, error) {
	l, err := g.FS.Lock(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLock, err)
	}
	g.mu.Lock()
	g.locks = append(g.locks, l)
	g.mu.Unlock()
	return l, nil
}

// openPebble opens Pebble, unless that is given up.
func (g *gate) openPebble(dir string, o *pebble.Options) (*pebble.DB, error) {
	type result struct {
		peb *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		peb, err := pebble.Open(dir, o)
		g.serving.Store(err == nil)
		opened <- result{peb, err}
	}()
	select {
	case r := <-opened:
		return r.peb, r.err
	case <-g.stuck:
		return nil, g.failed()
	}
}

func (g *gate) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.forWrite(name, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

func (g *gate) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.forWrite(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

func (g *gate) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.forWrite(newname, func() (vfs.File, error) { return g.FS.ReuseForWrite(oldname, newname, c) })
}

// forWrite opens a file for writing. A manifest that can't be opened is written nowhere.
func (g *gate) forWrite(name string, open func() (vfs.File, error)) (vfs.File, error) {
	f := &gated{File: nowhere{}, gate: g, manifest: g.ofManifest(name)}
	err := g.write(f.manifest, func() error {
		opened, err := open()
		if err == nil {
			f.File = opened
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (g *gate) Link(oldname, newname string) error {
	return g.write(false, func() error { return g.FS.Link(oldname, newname) })
}

func (g *gate) Rename(oldname, newname string) error {
	return g.write(g.ofManifest(newname), func() error { return g.FS.Rename(oldname, newname) })
}

func (g *gate) Remove(name string) error {
	return g.write(g.ofManifest(name), func() error { return g.FS.Remove(name) })
}

func (g *gate) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &gatedDir{f, g}, nil
}

// GetDiskUsage is a hint by which Pebble paces itself; that it can't be had is no error.
func (g *gate) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	u, err := g.FS.GetDiskUsage(path)
	if err != nil {
		return u, vfs.ErrUnsupported
	}
	return u, nil
}

func (g *gate) Unwrap() vfs.FS { return g.FS }

// gated is a file opened for writing.
type gated struct {
	vfs.File
	gate     *gate
	manifest bool
}

func (f *gated) Write(p []byte) (n int, err error) {
	err = f.gate.write(f.manifest, func() error {
		n, err = f.File.Write(p)
		return err
	})
	if err == nil {
		n = len(p) // a manifest's, of which less may have come to the disk
	}
	return n, err
}

func (f *gated) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.gate.write(f.manifest, func() error {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *gated) Sync() error     { return f.gate.write(f.manifest, f.File.Sync) }
func (f *gated) SyncData() error { return f.gate.write(f.manifest, f.File.SyncData) }

func (f *gated) SyncTo(length int64) (full bool, err error) {
	err = f.gate.write(f.manifest, func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close closes the file. A manifest is synced before, or its failure is known: its closing is no news.
func (f *gated) Close() error {
	if err := f.File.Close(); !f.manifest {
		return err
	}
	return nil
}

// nowhere takes the place of a manifest that could not be made. Nothing is written to it: the gate is closed by then.
type nowhere struct{ vfs.File }

func (nowhere) Close() error                   { return nil }
func (nowhere) Preallocate(int64, int64) error { return nil }
func (nowhere) Fd() uintptr                    { return vfs.InvalidFd }

// gatedDir is a folder opened to be fsynced.
type gatedDir struct {
	vfs.File
	gate *gate
}

// Sync says nil even if it failed, for Pebble would panic. Nothing is written after it, and nothing removed: the next Open finds the files of before or of after.
func (d *gatedDir) Sync() error {
	if err := d.File.Sync(); err != nil {
		d.gate.fail(fmt.Errorf("couldn't fsync the index's folder: %w", err))
		if !d.gate.serving.Load() {
			d.gate.giveUp()
		}
	}
	return nil
}
