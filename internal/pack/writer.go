package pack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
)

const (
	// MaxData bounds a chunk's data (after compression), in bytes.
	MaxData = 1 << 20
	// gatherBytes is how much is gathered before it is written. A buffer that is not closed holds less, and has room for
	// one more frame of any length and a pad.
	gatherBytes = 1 << 20
	bufferBytes = gatherBytes + MaxData + 64<<10
	maxQueue    = 2 // closed buffers that may wait for the medium before Append waits too
	asideBytes  = 128 << 10
)

// ErrSealed: the pack takes no more chunks.
var ErrSealed = errors.New("pack is sealed")

// Writer writes one pack. Append may be called by many goroutines at once: it reserves a place under the lock, then
// seals outside it straight into the buffer that will be written. Sync and Seal must not run beside each other or
// themselves; both may run beside Append (Append after Seal began: ErrSealed). After an error the writer stays failed.
type Writer struct {
	grow   engine.Growing
	sealer *frame.Sealer
	header frame.Header
	align  int

	mu       sync.Mutex
	moved    sync.Cond // signals: written grew, a buffer left the queue, err was set
	cur      *buffer   // being filled
	queue    []*buffer // closed, in file order
	draining bool      // somebody runs drain, who alone calls grow.Write
	closed   int       // how many buffers were closed,
	drained  int       // and how many of them are written and have handed on their carry
	end      int64     // of what is reserved
	written  int64     // end of what grow.Write took
	number   uint32    // of the next frame
	chunks   []Chunk   // reserved, in file order
	synced   int       // chunks[:synced] are durable
	sealed   bool
	err      error

	sum hash.Hash // of what was written; owned by who drains
}

// buffer holds bytes on their way to the file. Its pending count drops to zero when all reserved places are filled.
type buffer struct {
	b       []byte
	n       int // reserved
	carry   int // the last carry bytes belong at the start of next, because a write ends on a multiple of align
	next    *buffer
	pending sync.WaitGroup
}

var buffers = sync.Pool{New: func() any { return &buffer{b: engine.AlignedBuffer(bufferBytes)} }}

func newBuffer() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) free() {
	b.n, b.carry, b.next = 0, 0, nil
	buffers.Put(b)
}

// NewWriter begins a pack in the empty file g. h.Magic and h.Version are set here.
func NewWriter(g engine.Growing, h frame.Header, s *frame.Sealer) *Writer {
	h.Magic, h.Version = frame.MagicPack, frame.Version
	w := &Writer{grow: g, sealer: s, header: h, align: max(g.Align(), 1), sum: sha256.New()}
	w.moved.L = &w.mu
	w.cur = newBuffer()
	h.Append(w.cur.b[:0])
	w.cur.n, w.end = frame.HeaderSize, frame.HeaderSize
	return w
}

// Header is the pack's header.
func (w *Writer) Header() frame.Header { return w.header }

// Size is the number of bytes reserved so far.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

// fits says whether a further chunk of n bytes keeps the sealed file within limit bytes. w.mu is held.
func (w *Writer) fits(n int, limit int64) bool {
	if len(w.chunks) == 0 {
		return true
	}
	footer := int64(len(w.chunks)+1)*int64(idSize+4) + 2*int64(w.align) + 256
	return len(w.chunks) < MaxChunks && w.end+int64(n)+int64(Overhead)+footer <= limit
}

// ErrNoRoom: the chunk would make the pack larger than its limit.
var ErrNoRoom = errors.New("pack is full")

// Append seals data (at most MaxData bytes) as chunk id and reserves its place; ErrNoRoom if the sealed pack would then
// exceed limit bytes (a first chunk always fits), ErrSealed after Seal. Nothing is durable before a Sync that begins
// afterwards. data is not kept.
func (w *Writer) Append(id *entry.ID, flags uint8, data []byte, limit int64) (Chunk, error) {
	if len(data) > MaxData {
		return Chunk{}, fmt.Errorf("couldn't append a chunk of %d bytes: the limit is %d", len(data), MaxData)
	}
	n := Overhead + len(data)
	w.mu.Lock()
	for len(w.queue) > maxQueue && w.err == nil { // the medium is slower than we are
		w.moved.Wait()
	}
	switch {
	case w.err != nil:
		err := w.err
		w.mu.Unlock()
		return Chunk{}, err
	case w.sealed:
		w.mu.Unlock()
		return Chunk{}, ErrSealed
	case !w.fits(len(data), limit):
		w.mu.Unlock()
		return Chunk{}, ErrNoRoom
	}
	b, start, number := w.reserve(n)
	c := Chunk{ID: *id, Offset: w.end - int64(n), Length: uint32(n)}
	w.chunks = append(w.chunks, c)
	b.pending.Add(1)
	full := b.n >= gatherBytes
	if full {
		w.close()
		w.drainAside()
	}
	w.mu.Unlock()
	sealInto(b.b[start:start+n], w.sealer, id, flags, number, data)
	b.pending.Done()
	return c, nil
}

// reserve takes n bytes of the current buffer and a frame number. w.mu is held.
func (w *Writer) reserve(n int) (b *buffer, start int, number uint32) {
	b, start, number = w.cur, w.cur.n, w.number
	b.n += n
	w.end += int64(n)
	w.number++
	return b, start, number
}

// close closes the current buffer and begins the next one. Where writes must end on a multiple of align, the rest of
// the last block is carried into the next buffer. w.mu is held.
func (w *Writer) close() {
	b := w.cur
	b.carry = b.n % w.align
	b.next = newBuffer()
	b.next.n = b.carry
	w.cur = b.next
	w.queue = append(w.queue, b)
	w.closed++
}

// pad brings the end of what is reserved to a multiple of align. w.mu is held.
func (w *Writer) pad() {
	gap := -w.cur.n & (w.align - 1) // every buffer begins on a block
	if gap == 0 {
		return
	}
	if gap < frame.FrameHeaderSize {
		gap += w.align
	}
	b, start, number := w.reserve(gap)
	p := b.b[start : start+gap]
	clear(p)
	frame.End(p, 0, frame.KindPad, 0, number)
}

// drainAside lets the queue be written by another goroutine. w.mu is held.
func (w *Writer) drainAside() {
	if w.draining {
		return
	}
	w.draining = true
	go func() {
		w.mu.Lock()
		w.drain()
		w.mu.Unlock()
	}()
}

// drain writes the queue, buffer by buffer, in file order. w.mu is held, but not while it writes; draining is set, so
// that nobody else is here.
func (w *Writer) drain() {
	for len(w.queue) > 0 && w.err == nil {
		b := w.queue[0]
		w.mu.Unlock()
		n, err := w.put(b)
		w.mu.Lock()
		w.queue = w.queue[:copy(w.queue, w.queue[1:])]
		if err != nil {
			w.err = err
		} else {
			w.written += int64(n)
			w.drained++
			b.free()
		}
		w.moved.Broadcast()
	}
	w.draining = false
	w.moved.Broadcast()
}

// put writes a closed buffer once all its places are filled, and hashes it meanwhile.
func (w *Writer) put(b *buffer) (int, error) {
	b.pending.Wait()
	n := b.n - b.carry
	copy(b.next.b, b.b[n:b.n]) // next is written after this one, so nobody has read its carry yet
	if n == 0 {
		return 0, nil
	}
	out := b.b[:n]
	if n < asideBytes {
		w.sum.Write(out)
		_, err := w.grow.Write(out)
		return n, err
	}
	hashed := make(chan struct{})
	go func() {
		w.sum.Write(out)
		close(hashed)
	}()
	_, err := w.grow.Write(out)
	<-hashed
	return n, err
}

// flush hands everything reserved so far to the file.
func (w *Writer) flush(pad bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if pad {
		w.pad()
	}
	if w.cur.n > 0 {
		w.close()
	}
	target := w.closed // not a length: a buffer that is all carry must be drained too
	for w.drained < target && w.err == nil {
		if w.draining {
			w.moved.Wait()
			continue
		}
		w.draining = true
		w.drain()
	}
	return w.err
}

// Sync makes durable what was appended before the call, and perhaps more, and returns the chunks that became so.
func (w *Writer) Sync() ([]Chunk, error) {
	if err := w.flush(true); err != nil {
		return nil, err
	}
	w.mu.Lock()
	covered := w.written // Append may go on meanwhile
	w.mu.Unlock()
	if err := w.grow.Sync(); err != nil {
		return nil, w.fail(err)
	}
	return w.take(covered), nil
}

// take returns the chunks that end at or before covered and were not returned before.
func (w *Writer) take(covered int64) []Chunk {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.synced
	for i < len(w.chunks) && w.chunks[i].Offset+int64(w.chunks[i].Length) <= covered {
		i++
	}
	out := w.chunks[w.synced:i:i]
	w.synced = i
	return out
}

func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	return err
}

// Seal writes the footer, makes the file durable and gives it its sealed name. It returns the chunks that became durable by
// it, and what a pack.seal entry says. From its begin on Append returns ErrSealed.
func (w *Writer) Seal() ([]Chunk, entry.Pack, error) {
	w.mu.Lock()
	if w.sealed {
		w.mu.Unlock()
		return nil, entry.Pack{}, ErrSealed
	}
	w.sealed = true
	w.mu.Unlock()
	if err := w.flush(false); err != nil {
		return nil, entry.Pack{}, err
	}
	// Nobody else is left: all places are filled and written but for the carry, and none is given any more.
	tail := appendFooter(append([]byte(nil), w.cur.b[:w.cur.n]...), w.chunks, w.number, w.end)
	if err := w.reparse(tail[w.cur.n:]); err != nil {
		return nil, entry.Pack{}, w.fail(err)
	}
	w.sum.Write(tail)
	if _, err := w.grow.Write(tail); err != nil {
		return nil, entry.Pack{}, w.fail(err)
	}
	size := w.written + int64(len(tail))
	if err := w.grow.Publish(); err != nil {
		return nil, entry.Pack{}, w.fail(err)
	}
	p := entry.Pack{Name: Name(Short(w.header.FileID)), SHA256: entry.Hash(w.sum.Sum(nil)), Size: size}
	fresh := w.take(size)
	w.cur.free()
	w.cur = nil
	return fresh, p, nil
}

// reparse reads footer and trailer as a reader will, before they are written.
func (w *Writer) reparse(b []byte) error {
	n := len(b) - TrailerSize
	t, err := parseTrailer(b[n:], w.end+int64(len(b)))
	if err == nil && t.offset != w.end {
		err = frame.ErrCorrupt
	}
	var chunks []Chunk
	if err == nil {
		chunks, err = parseFooter(b[:n], w.end)
	}
	if err == nil && !slices.Equal(chunks, w.chunks) {
		err = frame.ErrCorrupt
	}
	if err != nil {
		return fmt.Errorf("the footer about to be written doesn't read back: %w", err)
	}
	return nil
}

// Chunks is the number of chunks appended.
func (w *Writer) Chunks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.chunks)
}

// Durable is the number of chunks that are durable, the first ones.
func (w *Writer) Durable() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.synced
}

// Placed returns where the durable chunks from to to-1 are; fewer if there are not as many. Not to be changed.
func (w *Writer) Placed(from, to int) []Chunk {
	w.mu.Lock()
	defer w.mu.Unlock()
	to = min(to, w.synced)
	return w.chunks[min(from, to):to:to]
}
