// Package mem is the engine that keeps a store in memory, for tests and for trials. What it calls durable survives PowerCut
// and is lost with the process.
package mem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"stele/internal/durable"
	"stele/internal/engine"
)

// Mem is an empty store at first. It implements engine.Appender.
type Mem struct {
	mu        sync.Mutex
	sealed    map[string][]byte // by name; the bytes never change
	open      map[string]*growing
	roomBytes int64 // what may still be written; below 0: no limit
	failNext  error // what the next Sync fails with
	failed    error // the first failed Sync
	off       bool  // the power was cut: this is the old process's view
}

var (
	_ engine.Appender = (*Mem)(nil)
	_ engine.Replacer = (*Mem)(nil)
)

// New returns an empty store of unlimited size.
func New() *Mem {
	return &Mem{sealed: make(map[string][]byte), open: make(map[string]*growing), roomBytes: -1}
}

// Limit lets n bytes more be written, and then none; below 0 takes the limit away.
func (m *Mem) Limit(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roomBytes = n
}

// FailSync makes the next Sync or Publish of a growing file fail with err, its bytes since the last one lost.
func (m *Mem) FailSync(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failNext = err
}

// PowerCut returns the store as it is found after the power went: sealed files, and of each growing file the bytes that a
// returned Sync covers, as a tail. The old one takes no more writes.
func (m *Mem) PowerCut() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	after := New()
	after.sealed = maps.Clone(m.sealed)
	for private, g := range m.open {
		after.open[private] = &growing{m: after, name: g.name, private: private, closed: true,
			data: bytes.Clone(g.data[:g.synced]), synced: g.synced}
	}
	return after
}

// Create implements engine.Engine.
func (m *Mem) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	data, err := readAll(ctx, name, size, r)
	if err != nil {
		return fmt.Errorf("couldn't create %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse(); err != nil {
		return err
	}
	if _, taken := m.sealed[name]; taken {
		return fmt.Errorf("couldn't create %s: %w", name, engine.ErrExist)
	}
	if !m.take(size) {
		return fmt.Errorf("couldn't create %s: %w", name, engine.ErrFull)
	}
	m.sealed[name] = data
	return nil
}

// Replace implements engine.Replacer.
func (m *Mem) Replace(ctx context.Context, name string, size int64, r io.Reader) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	if !engine.Replaceable(name) {
		return fmt.Errorf("couldn't replace %s: %w", name, engine.ErrName)
	}
	data, err := readAll(ctx, name, size, r)
	if err != nil {
		return fmt.Errorf("couldn't replace %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse(); err != nil {
		return err
	}
	if !m.take(size) {
		return fmt.Errorf("couldn't replace %s: %w", name, engine.ErrFull)
	}
	m.sealed[name] = data
	return nil
}

// readAll reads what is to be a file.
func readAll(ctx context.Context, name string, size int64, r io.Reader) ([]byte, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	// One more than announced, to see that there is no more.
	if _, err := io.Copy(&buf, io.LimitReader(r, size+1)); err != nil {
		return nil, fmt.Errorf("couldn't read the source: %w", err)
	}
	if int64(buf.Len()) != size {
		return nil, durable.ErrLength
	}
	return buf.Bytes(), nil
}

// Open implements engine.Engine.
func (m *Mem) Open(ctx context.Context, name string) (engine.File, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.sealed[name]
	if !ok {
		return nil, fmt.Errorf("couldn't open %s: %w", name, engine.ErrNotExist)
	}
	return file{bytes.NewReader(data)}, nil
}

// List implements engine.Engine.
func (m *Mem) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	if err := engine.CheckPrefix(prefix); err != nil {
		return err
	}
	for _, info := range m.infos(prefix) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(info); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mem) infos(prefix string) []engine.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []engine.Info
	for _, name := range slices.Sorted(maps.Keys(m.sealed)) {
		if strings.HasPrefix(name, prefix) {
			infos = append(infos, engine.Info{Name: name, SizeBytes: int64(len(m.sealed[name]))})
		}
	}
	return infos
}

// Remove implements engine.Engine.
func (m *Mem) Remove(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	if !engine.Removable(name) {
		return fmt.Errorf("couldn't remove %s: %w: it stays for ever", name, engine.ErrName)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse(); err != nil {
		return err
	}
	if _, ok := m.sealed[name]; !ok {
		return fmt.Errorf("couldn't remove %s: %w", name, engine.ErrNotExist)
	}
	delete(m.sealed, name)
	return nil
}

func check(ctx context.Context, name string) error {
	if err := engine.CheckName(name); err != nil {
		return err
	}
	return ctx.Err()
}

var errPower = errors.New("the power is off")

// refuse says that nothing more is written, and why; mu is held.
func (m *Mem) refuse() error {
	if m.off {
		return errPower
	}
	if m.failed != nil {
		return fmt.Errorf("%w: %v", engine.ErrFailed, m.failed)
	}
	return nil
}

// take takes n bytes of the room; mu is held.
func (m *Mem) take(n int64) bool {
	if m.roomBytes < 0 {
		return true
	}
	if n > m.roomBytes {
		return false
	}
	m.roomBytes -= n
	return true
}

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }
