// Package follow is a store that follows another one ([Store]): what has come is judged, then made durable, then shown. The primary is not trusted. Package standby talks to it.
//
// The files are byte copies of the primary's sealed files, and growing files that are brought up to what the primary's last fsync covers. [Files] shows both under their sealed names. [Packs] takes the
// bytes that arrive for packs and proves each chunk before it counts.
package follow

import (
	"context"
	"sync"

	"stele/internal/engine"
)

// Files is an engine whose Open finds growing files as well, as far as they are durable: for those who read a store while it follows. Growing files are not listed.
type Files struct {
	engine.Appender

	mu      sync.Mutex
	growing map[string]*growing
}

// NewFiles shows the files of e.
func NewFiles(e engine.Appender) *Files {
	return &Files{Appender: e, growing: map[string]*growing{}}
}

// growing is a file that Append began. Its users, the follower and readers, hold it open.
type growing struct {
	engine.Growing
	files   *Files
	name    string
	written int64 // the follower's
	durable int64 // guarded by files.mu
	refs    int   // guarded by files.mu
}

// Append implements engine.Appender.
func (f *Files) Append(ctx context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	g, err := f.Appender.Append(ctx, name, opt)
	if err != nil {
		return nil, err
	}
	w := &growing{Growing: g, files: f, name: name, refs: 1}
	f.mu.Lock()
	f.growing[name] = w // an older one of that name stays with its readers
	f.mu.Unlock()
	return w, nil
}

// Open implements engine.Engine.
func (f *Files) Open(ctx context.Context, name string) (engine.File, error) {
	f.mu.Lock()
	if g := f.growing[name]; g != nil {
		g.refs++
		size := g.durable
		f.mu.Unlock()
		return &handle{g: g, size: size}, nil
	}
	f.mu.Unlock()
	return f.Appender.Open(ctx, name)
}

// handle is a growing file opened for reading. Offsets behind its size may be read once they are durable.
type handle struct {
	g    *growing
	size int64
	once sync.Once
	err  error
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) { return h.g.ReadAt(p, off) }

// Size is the durable length when the file was opened.
func (h *handle) Size() int64 { return h.size }

func (h *handle) Close() error {
	h.once.Do(func() { h.err = h.g.unref() })
	return h.err
}

func (g *growing) Write(p []byte) (int, error) {
	n, err := g.Growing.Write(p)
	g.written += int64(n)
	return n, err
}

func (g *growing) Sync() error {
	written := g.written
	if err := g.Growing.Sync(); err != nil {
		return err
	}
	g.files.mu.Lock()
	g.durable = written
	g.files.mu.Unlock()
	return nil
}

func (g *growing) Publish() error {
	if err := g.Growing.Publish(); err != nil {
		return err
	}
	g.forget() // from here on it is found under its name
	return nil
}

// Close ends the follower's use. The file is closed by its last user.
func (g *growing) Close() error {
	g.forget()
	return g.unref()
}

func (g *growing) forget() {
	g.files.mu.Lock()
	if g.files.growing[g.name] == g {
		delete(g.files.growing, g.name)
	}
	g.files.mu.Unlock()
}

func (g *growing) unref() error {
	g.files.mu.Lock()
	g.refs--
	last := g.refs == 0
	g.files.mu.Unlock()
	if last {
		return g.Growing.Close()
	}
	return nil
}
