package body

import (
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"stele/entry"
)

// A stream's bytes pass through blocks. A block begins with what was left of the one before, which is less than the
// largest chunk; then come fresh bytes, which the hashes read while the block is cut and sealed.
const (
	freshBytes     = 1 << 20
	freshBytesBig  = 2 << 20
	blockBytes     = freshBytes + 256<<10
	blockBytesBig  = freshBytesBig + 1<<20
	blocksInFlight = 3
)

type block struct {
	b      []byte
	fresh  []byte
	users  atomic.Int32
	pool   *sync.Pool
	tokens chan struct{}
}

var (
	blocks    = sync.Pool{New: func() any { return &block{b: make([]byte, blockBytes)} }}
	blocksBig = sync.Pool{New: func() any { return &block{b: make([]byte, blockBytesBig)} }}
)

func (b *block) done() {
	if b.users.Add(-1) == 0 {
		tokens := b.tokens
		b.fresh, b.tokens = nil, nil
		b.pool.Put(b)
		tokens <- struct{}{}
	}
}

// stream stores a body of any length: first is what was read already. It returns with all its goroutines ended.
func (a *appender) stream(first []byte, release func(), in *input, opt WriteOptions) error {
	a.lane = a.s.lanes.take()
	h := startHashes(opt)
	err := a.blocks(first, release, in, h)
	if herr := h.finish(&a.w.Body); err == nil {
		err = herr
	}
	if err != nil {
		return err
	}
	a.w.Body.Size = in.got
	return a.finish()
}

// blocks reads, cuts and stores block after block.
func (a *appender) blocks(first []byte, release func(), in *input, h *hashes) error {
	tokens := make(chan struct{}, blocksInFlight) // one for each block that may be filled
	for range blocksInFlight {
		tokens <- struct{}{}
	}
	var rest []byte // of the last block, which is held until it is copied
	var last *block
	for {
		<-tokens
		c := classAt(a.off, a.size)
		pool := &blocks
		if c.max > blockBytes-freshBytes {
			pool = &blocksBig
		}
		b := pool.Get().(*block)
		b.pool, b.tokens = pool, tokens
		carried := copy(b.b, rest)
		n := carried
		if last != nil {
			last.done()
		}
		if first != nil {
			n += copy(b.b[n:], first)
			first = nil
			release()
		}
		more, err := in.fill(b.b[n:])
		n += more
		b.fresh = b.b[carried:n]
		h.send(b)
		last = b
		if err != nil {
			b.done()
			return err
		}
		used, err := a.cutBlock(b.b[:n], in.eof)
		if err != nil || in.eof {
			b.done()
			return err
		}
		rest = b.b[used:n]
	}
}

// cutBlock stores the chunks of data and returns how much of it they took: all at the body's end, else all but
// less than a largest chunk.
func (a *appender) cutBlock(data []byte, end bool) (used int, err error) {
	for used < len(data) {
		c := classAt(a.off, a.size)
		if !end && len(data)-used < c.max {
			break
		}
		n := a.key.gear.cut(c, data[used:])
		if err := a.chunk(data[used : used+n]); err != nil {
			return used, err
		}
		used += n
	}
	return used, nil
}

// hashes reads each block's fresh bytes on goroutines of its own: MD5 on one, the rest on another.
type hashes struct {
	lanes  []chan *block
	wait   sync.WaitGroup
	md5    [16]byte
	sha    entry.Hash
	mu     sync.Mutex
	failed error
}

func startHashes(opt WriteOptions) *hashes {
	h := new(hashes)
	if opt.MD5 {
		sum := md5.New()
		h.start([]io.Writer{sum}, func() { sum.Sum(h.md5[:0]) })
	}
	sum := sha256.New()
	h.start(append([]io.Writer{sum}, opt.Tee...), func() { sum.Sum(h.sha[:0]) })
	return h
}

func (h *hashes) start(to []io.Writer, end func()) {
	in := make(chan *block, blocksInFlight)
	h.lanes = append(h.lanes, in)
	h.wait.Add(1)
	go func() {
		defer h.wait.Done()
		for b := range in {
			for _, w := range to {
				if _, err := w.Write(b.fresh); err != nil {
					h.mu.Lock()
					h.failed = errors.Join(h.failed, err)
					h.mu.Unlock()
				}
			}
			b.done()
		}
		end()
	}()
}

// send shares the block with the hashes; one use of it stays with the caller.
func (h *hashes) send(b *block) {
	b.users.Store(int32(len(h.lanes)) + 1)
	for _, lane := range h.lanes {
		lane <- b
	}
}

func (h *hashes) finish(b *entry.Body) error {
	for _, lane := range h.lanes {
		close(lane)
	}
	h.wait.Wait()
	b.MD5, b.SHA256 = h.md5, h.sha
	return h.failed
}
