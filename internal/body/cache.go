package body

import (
	"container/list"
	"context"
	"fmt"
	"io"
	"sync"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
)

const (
	openFiles = 256
	listBytes = 32 << 20 // of parsed manifests
)

// packFile is a sealed pack opened for reading.
type packFile struct {
	name   [16]byte
	file   engine.File
	sealer *frame.Sealer
	keyID  uint32
	refs   int // readers, plus one while the cache holds it; guarded by fileCache.mu
}

// fileCache keeps the packs that were read last open.
type fileCache struct {
	s   *Store
	mu  sync.Mutex
	by  map[[16]byte]*list.Element // of *packFile
	lru list.List                  // the one used last in front
}

func newFileCache(s *Store) *fileCache { return &fileCache{s: s, by: map[[16]byte]*list.Element{}} }

// get opens a pack, or finds it open. The caller puts it back.
func (c *fileCache) get(ctx context.Context, name [16]byte) (*packFile, error) {
	c.mu.Lock()
	if e := c.by[name]; e != nil {
		c.lru.MoveToFront(e)
		f := e.Value.(*packFile)
		f.refs++
		c.mu.Unlock()
		return f, nil
	}
	c.mu.Unlock()
	f, err := c.s.openIn(ctx, c.s.opt.Engine, name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.by[name]; e != nil { // another reader was as fast
		_ = f.file.Close()
		f = e.Value.(*packFile)
		f.refs++
		return f, nil
	}
	f.refs = 2
	c.by[name] = c.lru.PushFront(f)
	for c.lru.Len() > openFiles {
		c.remove(c.lru.Back())
	}
	return f, nil
}

// remove takes a file out of the cache; its last reader closes it. c.mu is held.
func (c *fileCache) remove(e *list.Element) {
	f := c.lru.Remove(e).(*packFile)
	delete(c.by, f.name)
	c.unref(f)
}

func (c *fileCache) unref(f *packFile) {
	if f.refs--; f.refs == 0 {
		_ = f.file.Close() // opened for reading only
	}
}

func (c *fileCache) put(f *packFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unref(f)
}

func (c *fileCache) drop(names [][16]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if e := c.by[name]; e != nil {
			c.remove(e)
		}
	}
}

func (c *fileCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.lru.Len() > 0 {
		c.remove(c.lru.Back())
	}
}

// access is a pack to read from, sealed or growing.
type access struct {
	r      io.ReaderAt
	sealer *frame.Sealer
	keyID  uint32
	open   *openPack
	file   *packFile
}

func (s *Store) access(ctx context.Context, name [16]byte) (access, error) {
	if p := s.hold(name); p != nil {
		return access{p.grow, p.sealer, p.keyID, p, nil}, nil
	}
	f, err := s.files.get(ctx, name)
	if err != nil {
		return access{}, fmt.Errorf("couldn't open pack %x: %w", name, err)
	}
	return access{f.file, f.sealer, f.keyID, nil, f}, nil
}

func (a access) end(s *Store) {
	if a.open != nil {
		s.unhold(a.open)
	} else {
		s.files.put(a.file)
	}
}

// listCache keeps the manifests that were read last, parsed.
type listCache struct {
	mu    sync.Mutex
	by    map[entry.ID]*list.Element // of *listItem
	lru   list.List
	bytes int64
}

type listItem struct {
	id entry.ID
	m  *manifest
}

func newListCache() *listCache { return &listCache{by: map[entry.ID]*list.Element{}} }

func (m *manifest) memory() int64 { return int64(len(m.ids))*40 + 256 }

func (c *listCache) get(id entry.ID) *manifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.by[id]
	if e == nil {
		return nil
	}
	c.lru.MoveToFront(e)
	return e.Value.(*listItem).m
}

func (c *listCache) put(id entry.ID, m *manifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[id] != nil {
		return
	}
	c.by[id] = c.lru.PushFront(&listItem{id, m})
	c.bytes += m.memory()
	for c.bytes > listBytes && c.lru.Len() > 1 {
		it := c.lru.Remove(c.lru.Back()).(*listItem)
		delete(c.by, it.id)
		c.bytes -= it.m.memory()
	}
}
