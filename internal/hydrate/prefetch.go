package hydrate

import (
	"context"
	"errors"
	"io"
	"sync"

	"stele/internal/engine"
)

const (
	// prefetchFiles is how many files are open and not yet asked for.
	prefetchFiles = 16
	// prefetchHead and prefetchTail are how much is read of a segment's two ends: the header, and mostly the whole footer.
	prefetchHead, prefetchTail = 4 << 10, 64 << 10
)

// prefetch reads the ends of segments before the ledger asks for them: it needs the footer of each, one after the other, and of a server each is several requests. It opens them in the order in which
// they were named, a few at a time; one that it has not begun, or could not read, is opened as ever.
type prefetch struct {
	open   func(ctx context.Context, name string) (engine.File, error)
	cancel context.CancelFunc
	room   chan struct{} // one for each that was begun and not yet taken
	work   sync.WaitGroup

	mu    sync.Mutex
	files map[string]*prefetchedFile // begun and not yet taken
	taken map[string]bool            // asked for: not to be begun any more
}

// prefetchedFile is a file of which the ends were read. It is what was asked for once ready is closed, and nobody changes it after that.
type prefetchedFile struct {
	engine.File
	ready      chan struct{}
	err        error
	head, tail []byte // the bytes from 0, and those up to the end
}

// startPrefetch begins with names, in their order. End must be called.
func startPrefetch(ctx context.Context, names []string, open func(ctx context.Context, name string) (engine.File, error)) *prefetch {
	ctx, cancel := context.WithCancel(ctx)
	a := &prefetch{open: open, cancel: cancel, room: make(chan struct{}, prefetchFiles), files: map[string]*prefetchedFile{}, taken: map[string]bool{}}
	a.work.Go(func() {
		for _, name := range names {
			select {
			case a.room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			if f := a.begin(name); f != nil {
				a.work.Go(func() { f.read(ctx, open, name) })
			} else {
				<-a.room
			}
		}
	})
	return a
}

func (a *prefetch) begin(name string) *prefetchedFile {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken[name] {
		return nil
	}
	f := &prefetchedFile{ready: make(chan struct{})}
	a.files[name] = f
	return f
}

func (f *prefetchedFile) read(ctx context.Context, open func(ctx context.Context, name string) (engine.File, error), name string) {
	defer close(f.ready)
	if f.File, f.err = open(ctx, name); f.err != nil {
		return
	}
	size := f.Size()
	f.head, f.tail = make([]byte, min(size, prefetchHead)), make([]byte, min(size, prefetchTail))
	for _, part := range []struct {
		b   []byte
		off int64
	}{{f.head, 0}, {f.tail, size - int64(len(f.tail))}} {
		if n, err := f.File.ReadAt(part.b, part.off); n < len(part.b) {
			f.err = errors.Join(err, io.ErrUnexpectedEOF, f.File.Close())
			return
		}
	}
}

// ReadAt implements io.ReaderAt.
func (f *prefetchedFile) ReadAt(p []byte, off int64) (int, error) {
	end, from := off+int64(len(p)), f.Size()-int64(len(f.tail))
	switch {
	case off < 0:
	case end <= int64(len(f.head)):
		return copy(p, f.head[off:]), nil
	case off >= from && end <= f.Size():
		return copy(p, f.tail[off-from:]), nil
	}
	return f.File.ReadAt(p, off)
}

// take opens a file: what was read ahead, once, else the file anew. A nil ahead has read nothing.
func (a *prefetch) take(ctx context.Context, name string) (engine.File, bool) {
	if a == nil {
		return nil, false
	}
	a.mu.Lock()
	f := a.files[name]
	delete(a.files, name)
	a.taken[name] = true
	a.mu.Unlock()
	if f == nil {
		return nil, false
	}
	<-f.ready
	<-a.room
	return f, f.err == nil
}

// end closes what nobody asked for.
func (a *prefetch) end() {
	a.cancel()
	a.work.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, f := range a.files {
		delete(a.files, name)
		a.taken[name] = true
		if f.err == nil {
			_ = f.Close() // only read
		}
	}
}
