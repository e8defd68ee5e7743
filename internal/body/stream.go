package body

import (
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"stele/entry"
	"stele/internal/digest"
)

// A stream's bytes pass through blocks. A block begins with what was left of the one before, which is less than the
// largest chunk; then come fresh bytes, which are hashed, cut and sealed. With a processor to spare the hashes run on goroutines of
// their own; else one after the other, while the block is in the processor's cache.
// Blocks are few and small, because there may be many streams; a stream has a third one only while they are not.
const (
	freshBytes    = 384 << 10
	freshBytesBig = 1 << 20
	blockBytes    = freshBytes + 256<<10
	blockBytesBig = freshBytesBig + 1<<20
	blocksMost    = 3
	manyStreams   = 8
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
	a.s.streams.Add(1)
	defer a.s.streams.Add(-1)
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
	tokens := make(chan struct{}, blocksMost) // one for each block that may be in use
	for range blocksMost - 1 {
		tokens <- struct{}{}
	}
	if a.s.streams.Load() <= manyStreams {
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
		h.take(b, int(a.s.streams.Load()) < runtime.GOMAXPROCS(0))
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
		n := a.key.gear.cut(classAt(a.off, a.size), data[used:], end)
		if n == 0 {
			break
		}
		if err := a.chunk(data[used : used+n]); err != nil {
			return used, err
		}
		used += n
	}
	return used, nil
}

// hashes are those of the fresh bytes of all blocks, on up to three lanes.
type hashes struct {
	lanes []*hashLane
	wait  sync.WaitGroup
	both  *digest.Hash // MD5 and SHA-256, where that is as cheap as one of them
	sha   hash.Hash    // else
	md5   hash.Hash    // nil: not asked for
}

type hashLane struct {
	to     []io.Writer
	in     chan *block
	behind sync.WaitGroup // blocks that were sent and are not hashed
	failed error          // owned by who hashes
}

func startHashes(opt WriteOptions) *hashes {
	h := &hashes{}
	if opt.MD5 && digest.Together {
		h.both = digest.New()
		h.start([]io.Writer{h.both})
	} else {
		h.sha = sha256.New()
		h.start([]io.Writer{h.sha})
	}
	if opt.MD5 && h.both == nil {
		h.md5 = md5.New()
		h.start([]io.Writer{h.md5})
	}
	if len(opt.Tee) > 0 {
		h.start(opt.Tee)
	}
	return h
}

func (h *hashes) start(to []io.Writer) {
	l := &hashLane{to: to, in: make(chan *block, blocksMost)}
	h.lanes = append(h.lanes, l)
	h.wait.Go(func() {
		for b := range l.in {
			l.write(b.fresh)
			b.done()
			l.behind.Done()
		}
	})
}

func (l *hashLane) write(p []byte) {
	for _, w := range l.to {
		if _, err := w.Write(p); err != nil && l.failed == nil {
			l.failed = err
		}
	}
}

// take hashes the block's fresh bytes, aside or at once; one use of the block stays with the caller.
func (h *hashes) take(b *block, aside bool) {
	if !aside {
		b.users.Store(1)
		for _, l := range h.lanes {
			l.behind.Wait() // only where the last block was sent aside
			l.write(b.fresh)
		}
		return
	}
	b.users.Store(int32(len(h.lanes)) + 1)
	for _, l := range h.lanes {
		l.behind.Add(1)
		l.in <- b
	}
}

func (h *hashes) finish(b *entry.Body) (err error) {
	for _, l := range h.lanes {
		close(l.in)
	}
	h.wait.Wait()
	for _, l := range h.lanes {
		err = errors.Join(err, l.failed)
	}
	if h.both != nil {
		b.MD5, b.SHA256 = h.both.Sums()
		return err
	}
	h.sha.Sum(b.SHA256[:0])
	if h.md5 != nil {
		h.md5.Sum(b.MD5[:0])
	}
	return err
}
