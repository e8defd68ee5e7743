package body

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

// ErrRange: the range is not within the body.
var ErrRange = errors.New("range is not within the body")

// Reader yields a range of a body. WriteTo is the cheaper way.
type Reader interface {
	io.ReadCloser
	io.WriterTo
}

// aheadFrom is from how many bytes on a reader fetches ahead on a goroutine of its own. runBytes and streamBytes are how much it fetches at
// once, stored and plain, if no single chunk is larger: little enough to be opened and passed on while it is in the processor's
// cache, and for a stream enough that the calls cost little.
const (
	aheadFrom   = 512 << 10
	runBytes    = 256 << 10
	streamBytes = 1 << 20
)

// Read returns a reader of n bytes from off. What it yields was authenticated. It ends in io.EOF only after all n bytes; a
// chunk that is gone is ErrErased, one that is not what was written frame.ErrCorrupt, a range outside the body ErrRange. It must be closed. ctx governs
// the whole reading.
func (s *Store) Read(ctx context.Context, b entry.Body, off, n int64) (Reader, error) {
	w, err := s.walk(ctx, &b, off, n)
	if err != nil {
		return nil, err
	}
	return &reader{s: s, ctx: ctx, walk: w, size: n}, nil
}

type reader struct {
	s    *Store
	ctx  context.Context
	walk *walker
	size int64
	// verify names each chunk again.
	verify bool

	run  *run
	peek *placedPiece // looked up already, not in run's file range
	err  error        // after run is used up

	ahead  chan *run
	cancel context.CancelFunc
}

type placedPiece struct {
	piece
	place Place
}

// run is some pieces that were fetched at once, opened.
type run struct {
	mem    []*memory // what plain lies in
	room   []byte    // for what has yet to be decompressed
	plain  [][]byte
	pieces []placedPiece
	err    error // what came after them; io.EOF at the end of the range
}

// slack is what memory for decompressed bytes is longer than they are, so that the decoder may write in strides.
const slack = 64

// Memory for what is read, in three sizes; the largest takes any chunk's frame, and a stream's run.
var (
	readBytes  = [...]int{oneChunk + pack.Overhead + slack, runBytes + pack.Overhead + slack, streamBytes + pack.Overhead + engine.StreamRoom}
	readMemory [len(readBytes)]sync.Pool
)

// take returns n bytes that are the run's until free.
func (r *run) take(n int) []byte {
	for i, size := range readBytes {
		if n > size {
			continue
		}
		m, _ := readMemory[i].Get().(*memory)
		if m == nil {
			m = &memory{engine.AlignedBuffer(size)}
		}
		r.mem = append(r.mem, m)
		return m.b[:n]
	}
	return make([]byte, n)
}

// plainRoom returns empty memory for n decompressed bytes; what was returned before must be filled by now.
func (r *run) plainRoom(n int64) []byte {
	if n < 0 || n > maxPlain {
		return nil
	}
	if r.room == nil {
		whole := int64(0)
		for i := range r.pieces {
			whole += r.pieces[i].length
		}
		r.room = r.take(int(whole) + slack)
	}
	out := r.room[: 0 : n+slack]
	r.room = r.room[n:]
	return out
}

func (r *run) free() {
	if r == nil {
		return
	}
	for _, m := range r.mem {
		readMemory[slices.Index(readBytes[:], len(m.b))].Put(m)
	}
	r.mem, r.room, r.plain = nil, nil, nil
}

// more makes r.run hold bytes, or returns why there are none.
func (r *reader) more() error {
	for r.run == nil || len(r.run.plain) == 0 {
		if r.err == nil && r.run != nil {
			r.err = r.run.err
		}
		r.run.free()
		if r.err != nil {
			r.run = nil
			return r.err
		}
		if r.size < aheadFrom {
			r.run = r.fetch(r.ctx)
			continue
		}
		if r.ahead == nil {
			r.start()
		}
		run, ok := <-r.ahead
		if !ok { // after Close, or ctx ended
			r.run, r.err = nil, cmp.Or(r.ctx.Err(), ErrClosed)
			return r.err
		}
		r.run = run
	}
	return nil
}

// start begins to fetch ahead. At most three runs are in memory: one being read, one waiting, one being fetched.
func (r *reader) start() {
	ctx, cancel := context.WithCancel(r.ctx)
	r.cancel = cancel
	ahead := make(chan *run, 1)
	r.ahead = ahead
	go func() {
		defer close(ahead)
		for {
			run := r.fetch(ctx)
			end := run.err != nil // run belongs to the reader once it is sent
			select {
			case ahead <- run:
			case <-ctx.Done():
				run.free()
				return
			}
			if end {
				return
			}
		}
	}()
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.more(); err != nil {
		return 0, err
	}
	n := copy(p, r.run.plain[0])
	if r.run.plain[0] = r.run.plain[0][n:]; len(r.run.plain[0]) == 0 {
		r.run.plain = r.run.plain[1:]
	}
	return n, nil
}

func (r *reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := r.more(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(r.run.plain[0])
		total += int64(n)
		if err == nil && n < len(r.run.plain[0]) {
			err = io.ErrShortWrite
		}
		if err != nil {
			r.run.plain[0] = r.run.plain[0][n:]
			return total, err
		}
		r.run.plain = r.run.plain[1:]
	}
}

func (r *reader) Close() error {
	if r.ahead != nil {
		r.cancel()
		for run := range r.ahead {
			run.free()
		}
	}
	r.run.free()
	r.run, r.err = nil, ErrClosed
	return nil
}

// fetch reads the next pieces: as many as lie one after the other in one pack, up to a limit of bytes that holds for them as they are stored and for
// what they are decompressed to.
func (r *reader) fetch(ctx context.Context) *run {
	out := &run{}
	total, plain, limit := 0, int64(0), runBytes
	if r.size >= aheadFrom {
		limit = streamBytes
	}
	for {
		p, err := r.nextPlaced(ctx)
		if err != nil {
			out.err = err
			break
		}
		if n := len(out.pieces); n > 0 {
			last := &out.pieces[n-1].place
			if p.place.Pack != last.Pack || p.place.Offset != last.Offset+int64(last.Length) || total+int(p.place.Length) > limit || plain+p.length > int64(limit) {
				r.peek = p
				break
			}
		}
		out.pieces = append(out.pieces, *p)
		total += int(p.place.Length)
		plain += p.length
	}
	if len(out.pieces) == 0 {
		return out
	}
	if err := r.s.load(ctx, out, total, r.size >= aheadFrom, r.verify); err != nil {
		out.err = err
	}
	return out
}

// nextPlaced returns the next piece with its place; io.EOF at the end of the range.
func (r *reader) nextPlaced(ctx context.Context) (*placedPiece, error) {
	if p := r.peek; p != nil {
		r.peek = nil
		return p, nil
	}
	p, ok, err := r.walk.next(ctx)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, io.EOF
	}
	place, err := r.s.place(&p.id)
	if err != nil {
		return nil, err
	}
	return &placedPiece{p, place}, nil
}

// place finds a chunk that should be there.
func (s *Store) place(id *entry.ID) (Place, error) {
	p, ok, err := s.lookup(id)
	switch {
	case err != nil:
		return p, err
	case ok && p.Length < uint32(pack.Overhead):
		return p, fmt.Errorf("chunk %x: the index gives it a frame of %d bytes: %w", id[:8], p.Length, frame.ErrCorrupt)
	case ok:
		return p, nil
	case s.opt.ReadOnly && s.recovered.tails > 0:
		return p, fmt.Errorf("chunk %x: %w", id[:8], ErrUnrecovered)
	default:
		return p, fmt.Errorf("chunk %x: %w", id[:8], ErrErased)
	}
}

// load reads the frames of a run in one piece and opens them in place. A stream's are not expected to be read again.
func (s *Store) load(ctx context.Context, r *run, total int, stream, verify bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	first := &r.pieces[0]
	a, err := s.access(ctx, first.place.Pack)
	var b []byte
	if err == nil {
		defer a.end(s)
		b, err = r.read(a.r, first.place.Offset, total, stream)
	}
	if err != nil {
		return s.reload(ctx, r, verify)
	}
	for i := range r.pieces {
		p := &r.pieces[i]
		data, err := s.open(a.sealer, b[:p.place.Length], &p.id, p.length, r)
		if err == nil && verify && !s.names(data, p.id, a.keyID) {
			err = misnamed(&p.id)
		}
		if err != nil {
			return s.reload(ctx, r, verify)
		}
		r.plain = append(r.plain, data[p.from:p.to])
		b = b[p.place.Length:]
	}
	return nil
}

// read reads n bytes into the run's memory.
func (r *run) read(from io.ReaderAt, off int64, n int, stream bool) ([]byte, error) {
	if !stream {
		b := r.take(n)
		return b, readFull(from, b, off)
	}
	b, err := engine.ReadStream(from, r.take(n+engine.StreamRoom), off, n)
	return b, readError(len(b), n, off, err)
}

func misnamed(id *entry.ID) error {
	return fmt.Errorf("chunk %x: its bytes have another name: %w", id[:8], frame.ErrCorrupt)
}

// reload reads what is left of a run chunk by chunk: its pack went away after it was looked up, so that the chunks may be in another one, or one of them is damaged.
func (s *Store) reload(ctx context.Context, r *run, verify bool) error {
	for i := len(r.plain); i < len(r.pieces); i++ {
		p := &r.pieces[i]
		data, err := s.chunk(ctx, &p.id, p.length, verify)
		if err != nil {
			return err
		}
		r.plain = append(r.plain, data[p.from:p.to])
	}
	return nil
}

func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	return readError(n, len(b), off, err)
}

// readError says why a read of want bytes at off yielded n.
func readError(n, want int, off int64, err error) error {
	if n == want {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("a pack ends before byte %d: %w: %w", off+int64(want), frame.ErrCorrupt, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("couldn't read a pack: %w", err)
}

// open opens one frame in place; length -1: any. What has to be decompressed goes into the memory of r, a run of whole chunks, if there is an r.
func (s *Store) open(sealer *frame.Sealer, b []byte, id *entry.ID, length int64, r *run) ([]byte, error) {
	data, flags, err := pack.OpenChunk(sealer, b, id)
	if err != nil && bug.On(bug.SkipChunkAuth) {
		data, flags, err = b[pack.Overhead:], 0, nil
		return data[:min(int64(len(data)), max(length, 0))], nil
	}
	if err != nil {
		return nil, err
	}
	if flags&frame.FlagZstd != 0 {
		var to []byte
		if r != nil {
			to = r.plainRoom(length)
		}
		if data, err = decompress(to, data); err != nil {
			return nil, fmt.Errorf("chunk %x: %w", id[:8], err)
		}
	}
	if length >= 0 && int64(len(data)) != length {
		return nil, fmt.Errorf("chunk %x: %d bytes, should be %d: %w", id[:8], len(data), length, frame.ErrCorrupt)
	}
	return data, nil
}

// plain reads one whole chunk into memory of its own; length -1: any.
func (s *Store) plain(ctx context.Context, id entry.ID, length int64) ([]byte, error) {
	return s.chunk(ctx, &id, length, false)
}

// chunk reads one whole chunk into memory of its own, from a copy if it is damaged here. verify: it is named again.
func (s *Store) chunk(ctx context.Context, id *entry.ID, length int64, verify bool) ([]byte, error) {
	place, err := s.place(id)
	if err != nil {
		return nil, err
	}
	for look := 1; ; look++ {
		data, err := s.chunkAt(ctx, id, place, length, verify)
		if err == nil || ctx.Err() != nil {
			return data, err
		}
		if look <= 3 { // its pack may have gone away between two looks, or was healed since its file was opened: not for ever
			s.files.drop([][16]byte{place.Pack})
			now, err := s.place(id)
			if err != nil {
				return nil, err
			}
			if now != place || look == 1 {
				place = now
				continue
			}
		}
		if errors.Is(err, engine.ErrNotExist) {
			err = fmt.Errorf("chunk %x: its pack %x is gone: %w: %w", id[:8], place.Pack, err, frame.ErrCorrupt)
		}
		return s.rescue(ctx, id, place, length, err)
	}
}

// chunkAt reads a chunk at a place.
func (s *Store) chunkAt(ctx context.Context, id *entry.ID, place Place, length int64, verify bool) ([]byte, error) {
	a, err := s.access(ctx, place.Pack)
	if err != nil {
		return nil, err
	}
	defer a.end(s)
	b := make([]byte, place.Length)
	if err := readFull(a.r, b, place.Offset); err != nil {
		return nil, err
	}
	if b, err = s.open(a.sealer, b, id, length, nil); err == nil && verify && !s.names(b, *id, a.keyID) {
		err = misnamed(id)
	}
	return b, err
}
