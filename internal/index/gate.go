package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// gate is the file system that Pebble writes through. After the first error of its background work nothing is written
// any more: Pebble would try again at once and for ever, and a manifest whose sync failed must not be written to again.
// Who still wants to write waits until Close and then gets that error; reads go on. What is lost thereby is folded
// again from the ledger at the next start.
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
	if err := g.pass(); err != nil {
		return nil, err
	}
	return g.wrap(g.FS.Create(name, c))
}

func (g *gate) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := g.pass(); err != nil {
		return nil, err
	}
	return g.wrap(g.FS.OpenReadWrite(name, c, opts...))
}

func (g *gate) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.pass(); err != nil {
		return nil, err
	}
	return g.wrap(g.FS.ReuseForWrite(oldname, newname, c))
}

func (g *gate) Link(oldname, newname string) error {
	if err := g.pass(); err != nil {
		return err
	}
	return g.met(g.FS.Link(oldname, newname))
}

func (g *gate) Rename(oldname, newname string) error {
	if err := g.pass(); err != nil {
		return err
	}
	return g.met(g.FS.Rename(oldname, newname))
}

func (g *gate) Remove(name string) error {
	if err := g.pass(); err != nil {
		return err
	}
	return g.met(g.FS.Remove(name))
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

func (g *gate) wrap(f vfs.File, err error) (vfs.File, error) {
	if err := g.met(err); err != nil {
		return nil, err
	}
	return &gated{f, g}, nil
}

// gated is a file opened for writing.
type gated struct {
	vfs.File
	gate *gate
}

func (f *gated) Write(p []byte) (int, error) {
	if err := f.gate.pass(); err != nil {
		return 0, err
	}
	n, err := f.File.Write(p)
	return n, f.gate.met(err)
}

func (f *gated) WriteAt(p []byte, off int64) (int, error) {
	if err := f.gate.pass(); err != nil {
		return 0, err
	}
	n, err := f.File.WriteAt(p, off)
	return n, f.gate.met(err)
}

func (f *gated) Sync() error {
	if err := f.gate.pass(); err != nil {
		return err
	}
	return f.gate.met(f.File.Sync())
}

func (f *gated) SyncData() error {
	if err := f.gate.pass(); err != nil {
		return err
	}
	return f.gate.met(f.File.SyncData())
}

func (f *gated) SyncTo(length int64) (bool, error) {
	if err := f.gate.pass(); err != nil {
		return false, err
	}
	full, err := f.File.SyncTo(length)
	return full, f.gate.met(err)
}

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
