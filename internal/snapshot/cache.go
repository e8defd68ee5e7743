package snapshot

import (
	"container/list"
	"sync"
)

const defaultCacheBytes = 32 << 20

// cache keeps the chunks that were read last, opened. What lasts longer is the index's own folder, to which whole files are brought.
type cache struct {
	limit int64

	mu    sync.Mutex
	by    map[place]*list.Element // of *kept
	lru   list.List               // the one used last in front
	bytes int64
}

type place struct {
	file  string
	chunk int64
}

type kept struct {
	place
	data []byte
}

func newCache(limitBytes int64) *cache {
	if limitBytes <= 0 {
		limitBytes = defaultCacheBytes
	}
	return &cache{limit: limitBytes, by: map[place]*list.Element{}}
}

func (c *cache) get(file string, chunk int64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.by[place{file, chunk}]
	if e == nil {
		return nil
	}
	c.lru.MoveToFront(e)
	return e.Value.(*kept).data
}

func (c *cache) has(file string, chunk int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[place{file, chunk}] != nil
}

func (c *cache) put(file string, chunk int64, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := place{file, chunk}
	if c.by[at] != nil {
		return
	}
	// data is a part of the buffer of its run: a copy, or one chunk that is used would keep the whole run.
	c.by[at] = c.lru.PushFront(&kept{at, append(make([]byte, 0, len(data)), data...)})
	c.bytes += int64(len(data))
	for c.bytes > c.limit && c.lru.Len() > 1 {
		k := c.lru.Remove(c.lru.Back()).(*kept)
		delete(c.by, k.place)
		c.bytes -= int64(len(k.data))
	}
}
