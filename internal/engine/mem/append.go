package mem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"stele/internal/durable"
	"stele/internal/engine"
)

// Append implements engine.Appender. Direct I/O means nothing here: Align is 1.
func (m *Mem) Append(ctx context.Context, name string, _ engine.AppendOptions) (engine.Growing, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse(); err != nil {
		return nil, err
	}
	g := &growing{m: m, name: name, private: name + "." + durable.Random()}
	m.open[g.private] = g
	return g, nil
}

// Tails implements engine.Appender.
func (m *Mem) Tails(ctx context.Context) ([]engine.Tail, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var tails []engine.Tail
	for _, private := range slices.Sorted(maps.Keys(m.open)) {
		g := m.open[private]
		if !g.closed {
			continue
		}
		data := g.data // no longer written
		tails = append(tails, engine.Tail{Name: g.name, Private: private, SizeBytes: int64(len(data)),
			Open: func() (engine.File, error) { return file{bytes.NewReader(data)}, nil }})
	}
	return tails, nil
}

// RemoveTail implements engine.Appender.
func (m *Mem) RemoveTail(ctx context.Context, t engine.Tail) error {
	if err := check(ctx, t.Name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse(); err != nil {
		return err
	}
	g, ok := m.open[t.Private]
	if !ok {
		return fmt.Errorf("couldn't remove tail %s: %w", t.Private, engine.ErrNotExist)
	}
	if !g.closed {
		return fmt.Errorf("couldn't remove tail %s: %w: it is growing", t.Private, engine.ErrName)
	}
	delete(m.open, t.Private)
	return nil
}

// growing is a file being written; all its fields are guarded by the Mem's mu.
type growing struct {
	m             *Mem
	name, private string
	data          []byte
	synced        int // data[:synced] outlives a power cut
	failed        error
	closed        bool
}

func (g *growing) Align() int { return 1 }

func (g *growing) Write(p []byte) (int, error) {
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	if err := g.refuse(); err != nil {
		return 0, err
	}
	if !g.m.take(int64(len(p))) {
		return 0, g.fail(fmt.Errorf("couldn't append to %s: %w", g.name, engine.ErrFull))
	}
	g.data = append(g.data, p...)
	return len(p), nil
}

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	if off < 0 {
		return 0, fmt.Errorf("couldn't read %s: negative offset", g.name)
	}
	if off >= int64(len(g.data)) {
		return 0, io.EOF
	}
	n := copy(p, g.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (g *growing) Sync() error {
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	return g.sync()
}

func (g *growing) sync() error {
	if err := g.refuse(); err != nil {
		return err
	}
	if err := g.m.failNext; err != nil {
		g.m.failNext, g.m.failed = nil, err
		return g.fail(fmt.Errorf("couldn't sync %s: %w", g.name, err))
	}
	g.synced = len(g.data)
	return nil
}

func (g *growing) Publish() error {
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	if err := g.sync(); err != nil {
		return err
	}
	if _, taken := g.m.sealed[g.name]; taken {
		return g.fail(fmt.Errorf("couldn't publish %s: %w", g.name, engine.ErrExist))
	}
	g.m.sealed[g.name] = g.data
	delete(g.m.open, g.private)
	_ = g.fail(errSealed)
	return nil
}

func (g *growing) Close() error {
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	g.closed = true
	return nil
}

var errSealed = errors.New("already published")

func (g *growing) refuse() error {
	if err := g.m.refuse(); err != nil {
		return err
	}
	if g.failed != nil {
		return fmt.Errorf("%w: %s: %v", engine.ErrFailed, g.name, g.failed)
	}
	return nil
}

func (g *growing) fail(err error) error {
	g.failed = err
	return err
}
