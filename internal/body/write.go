package body

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/zeebo/blake3"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/digest"
	"stele/internal/frame"
)

// WriteOptions tell what is known of a body beforehand.
type WriteOptions struct {
	// SizeHint is the number of bytes that the reader yields, -1 if unknown. Another number is ErrLength.
	SizeHint int64
	// MD5 asks for Body.MD5.
	MD5 bool
	// Tee gets all the bytes in order, on a goroutine of its own; Write returns after the last Write to each. An error ends the write.
	Tee []io.Writer
}

// Written is a body whose chunks are in packs, durable or not.
type Written struct {
	Body entry.Body
	// StoredBytes is what was appended to packs for it.
	StoredBytes int64

	s        *Store
	touched  []touch
	leases   [][16]byte
	released bool
}

// touch is how far a pack must be durable for a body to be.
type touch struct {
	p   *openPack
	end int64
}

// Sync returns when every chunk that the body names is durable and can be read. All who wait for the same pack share an
// fsync. An error means that the entry must not be committed.
func (w *Written) Sync(ctx context.Context) error {
	for _, t := range w.touched {
		if err := t.p.syncTo(ctx, t.end); err != nil {
			return err
		}
	}
	return nil
}

// Release ends the leases. It is called once the entry is committed or has failed; again: nothing.
func (w *Written) Release() {
	if !w.released {
		w.released = true
		w.s.unlease(w.leases)
	}
}

// keyState is what follows from a data key.
type keyState struct {
	keyID   uint32
	gear    *gear
	hashers sync.Pool
}

// key is that of the current data key.
func (s *Store) key() *keyState { return s.keyOf(s.opt.Keys.Current()) }

func (s *Store) keyOf(id uint32) *keyState {
	if k, ok := s.keys.Load(id); ok {
		return k.(*keyState)
	}
	k, _ := s.keys.LoadOrStore(id, newKeyState(id, s.opt.Keys.DedupKey(id)))
	return k.(*keyState)
}

func newKeyState(id uint32, dedup [32]byte) *keyState {
	k := &keyState{keyID: id, gear: newGear(dedup)}
	k.hashers.New = func() any {
		h, err := blake3.NewKeyed(dedup[:])
		if err != nil {
			panic("body: a key of 32 bytes is one of 32 bytes: " + err.Error())
		}
		return h
	}
	return k
}

// chunkID names a chunk: keyed BLAKE3-256 of its plain bytes.
func (k *keyState) chunkID(data []byte) (id entry.ID) {
	h := k.hashers.Get().(*blake3.Hasher)
	h.Reset()
	h.Write(data)
	h.Sum(id[:0])
	k.hashers.Put(h)
	return id
}

// Write stores what r yields until EOF. On an error there is no body; what was appended for it is rubbish that the keeper
// finds. After success the caller must call Release, whatever comes.
func (s *Store) Write(ctx context.Context, r io.Reader, opt WriteOptions) (*Written, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	in := &input{ctx: ctx, r: r, want: opt.SizeHint}
	first, release, err := in.first()
	if err != nil {
		release()
		return nil, err
	}
	a := s.newAppender(ctx, opt.SizeHint)
	if in.eof {
		err = a.whole(first, opt)
		release()
	} else {
		err = a.stream(first, release, in, opt)
	}
	a.end()
	if err != nil {
		a.w.Release()
		return nil, fmt.Errorf("couldn't write body: %w", err)
	}
	s.stats.written.Add(a.w.Body.Size)
	return a.w, nil
}

// WriteDocument stores a document: as Write, without MD5.
func (s *Store) WriteDocument(ctx context.Context, doc []byte) (*Written, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	a := s.newAppender(ctx, int64(len(doc)))
	err := a.whole(doc, WriteOptions{SizeHint: int64(len(doc))})
	a.end()
	if err != nil {
		a.w.Release()
		return nil, fmt.Errorf("couldn't write document: %w", err)
	}
	s.stats.written.Add(a.w.Body.Size)
	return a.w, nil
}

// wholeMax is up to how many bytes a body is read into memory, hashed at once and put into the small lane.
const wholeMax = 256 << 10

// appender turns one body's plain bytes into chunks in packs.
type appender struct {
	s    *Store
	ctx  context.Context
	key  *keyState
	w    *Written
	lane *lane

	size int64                 // declared, or -1
	off  int64                 // body bytes that became chunks
	list []*manifest           // by level: items not yet in a manifest chunk
	seen map[entry.ID]struct{} // chunks this body appended: a Sync of it covers them
	z    *[]byte               // memory for compress
}

// seenMax bounds seen, and so the memory of a stream.
const seenMax = 8 << 10

var zBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

func (s *Store) newAppender(ctx context.Context, size int64) *appender {
	return &appender{s: s, ctx: ctx, key: s.key(), w: &Written{s: s}, lane: s.lanes.small, size: size, z: zBuffers.Get().(*[]byte)}
}

func (a *appender) end() {
	zBuffers.Put(a.z)
	if a.lane.stream {
		a.s.lanes.give(a.lane)
	}
}

// whole stores a body that is in memory.
func (a *appender) whole(data []byte, opt WriteOptions) error {
	b := &a.w.Body
	b.Size = int64(len(data))
	if opt.MD5 {
		b.MD5, b.SHA256 = digest.Sum(data)
	} else {
		b.SHA256 = sha256.Sum256(data)
	}
	for _, t := range opt.Tee {
		if _, err := t.Write(data); err != nil {
			return err
		}
	}
	a.size = b.Size
	for len(data) > 0 {
		n := len(data)
		if b.Size > oneChunk {
			n = a.key.gear.cut(classAt(a.off, a.size), data, true)
		}
		if err := a.chunk(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return a.finish()
}

// chunk stores the body's next chunk.
func (a *appender) chunk(data []byte) error {
	id := a.key.chunkID(data)
	if err := a.store(&id, data); err != nil {
		return err
	}
	a.off += int64(len(data))
	return a.add(0, id, int64(len(data)))
}

// store makes sure that the chunk is in a pack, and that Sync will wait for it.
func (a *appender) store(id *entry.ID, data []byte) error {
	if _, ok := a.seen[*id]; ok {
		a.duplicate(len(data))
		return nil
	}
	place, ok, err := a.s.source(id)
	if err != nil {
		return err
	}
	if ok {
		if n := len(a.w.leases); n > 0 && a.w.leases[n-1] == place.Pack {
			a.s.unlease([][16]byte{place.Pack}) // we hold one already
		} else {
			a.w.leases = append(a.w.leases, place.Pack)
		}
		a.duplicate(len(data))
		return nil
	}
	return a.append(id, data)
}

func (a *appender) duplicate(n int) {
	a.s.stats.dups.Add(1)
	a.s.stats.dupBytes.Add(int64(n))
}

// append puts a new chunk into the lane's pack, and leases the pack: no entry names the chunk yet.
func (a *appender) append(id *entry.ID, data []byte) error {
	flags := uint8(0)
	if z := compress(*a.z, data); z != nil {
		*a.z, data, flags = z, z, frame.FlagZstd
	}
	p, c, err := a.lane.append(a.ctx, id, flags, data)
	if err != nil {
		return err
	}
	end := c.Offset + int64(c.Length)
	if n := len(a.w.touched); n > 0 && a.w.touched[n-1].p == p {
		a.w.touched[n-1].end = end
	} else {
		a.w.touched = append(a.w.touched, touch{p, end})
		a.s.lease(p.name)
		a.w.leases = append(a.w.leases, p.name)
	}
	if bug.On(bug.DedupUnsynced) {
		a.s.mu.Lock()
		a.s.pending[*id] = Place{p.name, c.Offset, c.Length}
		a.s.mu.Unlock()
	}
	a.s.stats.chunks.Add(1)
	a.s.stats.stored.Add(int64(c.Length))
	a.w.StoredBytes += int64(c.Length)
	if a.size != int64(len(data)) && len(a.seen) < seenMax {
		if a.seen == nil {
			a.seen = make(map[entry.ID]struct{})
		}
		a.seen[*id] = struct{}{}
	}
	return nil
}

// add appends an item to the list of that level; a full list becomes a manifest chunk and an item of the next level.
func (a *appender) add(level int, id entry.ID, length int64) error {
	if len(a.list) == level {
		a.list = append(a.list, &manifest{level: uint8(level)})
	}
	a.list[level].add(id, length)
	if len(a.list[level].ids) < manifestItems {
		return nil
	}
	return a.shut(level)
}

// shut makes a manifest chunk of the list of that level.
func (a *appender) shut(level int) error {
	m := a.list[level]
	data := m.appendTo(nil)
	id := a.key.chunkID(data)
	if err := a.store(&id, data); err != nil {
		return err
	}
	a.list[level] = &manifest{level: uint8(level)}
	return a.add(level+1, id, m.size())
}

// finish makes the body's Ref of what was added: nothing, the one chunk, or the topmost manifest.
func (a *appender) finish() error {
	b := &a.w.Body
	if b.Size == 0 {
		b.Kind = entry.BodyEmpty
		return nil
	}
	if len(a.list) == 1 && len(a.list[0].ids) == 1 {
		b.Kind, b.Ref = entry.BodyChunk, a.list[0].ids[0]
		return nil
	}
	for level := 0; ; level++ {
		top := level == len(a.list)-1
		if top && level > 0 && len(a.list[level].ids) == 1 {
			b.Kind, b.Ref = entry.BodyManifest, a.list[level].ids[0]
			return nil
		}
		if len(a.list[level].ids) > 0 {
			if err := a.shut(level); err != nil {
				return err
			}
		}
	}
}

// input reads the body.
type input struct {
	ctx  context.Context
	r    io.Reader
	want int64 // declared length, or -1
	got  int64
	eof  bool
}

// fill reads until p is full or the body ends.
func (in *input) fill(p []byte) (int, error) {
	n := 0
	for n < len(p) && !in.eof {
		if err := in.ctx.Err(); err != nil {
			return n, err
		}
		m, err := in.r.Read(p[n:])
		if m < 0 || m > len(p)-n {
			return n, errors.New("reader yielded an impossible count")
		}
		n += m
		in.got += int64(m)
		switch {
		case in.want >= 0 && in.got > in.want:
			return n, fmt.Errorf("more than the declared %d bytes: %w", in.want, ErrLength)
		case err == io.EOF:
			in.eof = true
			if in.want >= 0 && in.got < in.want {
				return n, fmt.Errorf("%d bytes of the declared %d: %w: %w", in.got, in.want, ErrLength, io.ErrUnexpectedEOF)
			}
		case err != nil:
			return n, fmt.Errorf("couldn't read the source: %w", err)
		}
	}
	return n, nil
}

type memory struct{ b []byte }

// Room for a whole body and one byte more, so that the end is seen.
var (
	smallMemory = sync.Pool{New: func() any { return &memory{make([]byte, oneChunk+1)} }}
	wholeMemory = sync.Pool{New: func() any { return &memory{make([]byte, wholeMax+1)} }}
)

// first reads the body, or its beginning if it has more than wholeMax bytes.
func (in *input) first() (data []byte, release func(), err error) {
	if in.want > wholeMax {
		return nil, func() {}, nil
	}
	m := smallMemory.Get().(*memory)
	n := 0
	if in.want <= oneChunk {
		if n, err = in.fill(m.b); err != nil || in.eof {
			return m.b[:n], func() { smallMemory.Put(m) }, err
		}
	}
	big := wholeMemory.Get().(*memory)
	copy(big.b, m.b[:n])
	smallMemory.Put(m)
	more, err := in.fill(big.b[n:])
	return big.b[:n+more], func() { wholeMemory.Put(big) }, err
}
