package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"stele/entry"
	"stele/internal/frame"
)

// corrupt makes of an end where no end may be what it is for a sealed file: damage.
func corrupt(err error) error {
	if errors.Is(err, frame.ErrCorrupt) || errors.Is(err, frame.ErrVersion) {
		return err
	}
	return fmt.Errorf("%w: %w", frame.ErrCorrupt, err)
}

// readAt fills p, or says why not; a file that is too short is torn.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%d bytes at %d: %w", len(p), off, frame.ErrTorn)
	}
	return fmt.Errorf("couldn't read %d bytes at %d: %w", len(p), off, err)
}

// ReadHeader reads the header of a pack, sealed or growing, and checks that it belongs under that name.
func ReadHeader(r io.ReaderAt, pack Name16) (frame.Header, error) {
	var b [frame.HeaderSize]byte
	if err := readAt(r, b[:], 0); err != nil {
		return frame.Header{}, fmt.Errorf("pack header: %w", err)
	}
	h, err := frame.ParseHeader(b[:], frame.MagicPack)
	if err != nil {
		return frame.Header{}, fmt.Errorf("pack %w", err)
	}
	if Short(h.FileID) != pack {
		return frame.Header{}, fmt.Errorf("pack header: another file's: %w", frame.ErrCorrupt)
	}
	return h, nil
}

// guess is how much of a file's end is read at once: the trailer and, mostly, the footer.
const guess = 64 << 10

// ReadIndex reads the index of a sealed pack of that size. It opens no chunk: a place in it is a claim that the chunk's own frame proves.
func ReadIndex(r io.ReaderAt, size int64) ([]Chunk, error) {
	if size < frame.HeaderSize+frame.FrameHeaderSize+TrailerSize {
		return nil, fmt.Errorf("pack of %d bytes: %w: %w", size, frame.ErrCorrupt, frame.ErrTorn)
	}
	n := min(size, guess)
	end := make([]byte, n)
	if err := readAt(r, end, size-n); err != nil {
		return nil, corrupt(err)
	}
	t, err := parseTrailer(end[n-TrailerSize:], size)
	if err != nil {
		return nil, err
	}
	var footer []byte
	if whole := int64(t.length) + TrailerSize; whole <= n {
		footer = end[n-whole : n-TrailerSize]
	} else if t.length > frame.MaxBody+frame.FrameHeaderSize {
		return nil, fmt.Errorf("pack trailer: footer of %d bytes: %w", t.length, frame.ErrCorrupt)
	} else {
		footer = make([]byte, t.length)
		if err := readAt(r, footer, t.offset); err != nil {
			return nil, corrupt(err)
		}
	}
	chunks, err := parseFooter(footer, t.offset)
	if err != nil {
		return nil, err
	}
	if len(chunks) != int(t.count) {
		return nil, fmt.Errorf("pack trailer: %d chunks, the footer has %d: %w", t.count, len(chunks), frame.ErrCorrupt)
	}
	return chunks, nil
}

// Scanned is a chunk that Scan found. Frame is its whole frame, CRC checked, not yet opened; it is overwritten by the next one.
type Scanned struct {
	Chunk
	Flags  uint8
	Number uint32
	Frame  []byte
}

// Scan reads the frames of a pack, sealed or not, from the first on, calls fn for each chunk, and stops at fn's first
// error, which it returns. It returns where it ended: after the footer's frame (sealed: true) or where no whole
// frame was any more, with the reason: ErrEnd (room that was never written, or the end of the file), ErrTorn or ErrCorrupt, or an I/O error.
func Scan(r io.ReaderAt, size int64, fn func(Scanned) error) (end int64, sealed bool, why error) {
	s := &scanner{window: window{r: r, size: size}, off: frame.HeaderSize, fn: fn}
	sealed, why = s.run()
	return s.off, sealed, why
}

// Salvage is Scan for a file that was never sealed. Where it meets no frame it looks for the next one, byte by byte, until what
// is left is room that was never written, zeros to the end: what was durable behind a spot that went bad is found all the same. It returns how
// many bytes it passed over; fn's error; or an I/O error.
func Salvage(r io.ReaderAt, size int64, fn func(Scanned) error) (lost int64, err error) {
	s := &scanner{window: window{r: r, size: size}, off: frame.HeaderSize, fn: fn}
	for {
		sealed, why := s.run()
		from := s.off
		switch {
		case sealed:
			return lost, nil
		case errors.Is(why, frame.ErrEnd) && !s.failed:
			more, err := s.skipZeros()
			if err != nil || !more {
				return lost, err
			}
		case s.failed, !errors.Is(why, frame.ErrTorn) && !errors.Is(why, frame.ErrCorrupt):
			return lost, why
		}
		found, err := s.seek()
		if err != nil || !found {
			return lost + s.size - from, err
		}
		lost += s.off - from
	}
}

var zeros [256 << 10]byte

// skipZeros moves s over zeros, to where a frame may begin; false if there is nothing behind them.
func (s *scanner) skipZeros() (more bool, err error) {
	for off := s.off; off < s.size; {
		n := int(min(int64(len(zeros)), s.size-off))
		b, err := s.bytes(off, n)
		if err != nil {
			return false, err
		}
		if !bytes.Equal(b, zeros[:n]) {
			for b[0] == 0 {
				b, off = b[1:], off+1
			}
			s.off = max(s.off, off-frame.FrameHeaderSize) // a frame's header may begin with zeros
			return true, nil
		}
		off += int64(n)
	}
	return false, nil
}

// scanner goes from frame to frame.
type scanner struct {
	window
	off    int64  // of the next frame
	number uint32 // it should have
	fn     func(Scanned) error
	failed bool // fn did
}

func (s *scanner) run() (sealed bool, why error) {
	for {
		f, n, err := s.next()
		if err != nil {
			return false, err
		}
		switch f.Kind {
		case frame.KindChunk:
			if n < Overhead {
				return false, fmt.Errorf("frame %d: too short for a chunk: %w", f.Number, frame.ErrCorrupt)
			}
			b, err := s.bytes(s.off, n)
			if err == nil {
				err = s.fn(Scanned{Chunk{entry.ID(f.Body[:idSize]), s.off, uint32(n)}, f.Flags, f.Number, b})
				s.failed = err != nil
			}
			if err != nil {
				return false, err
			}
		case frame.KindPad:
			if !zero(f.Body) || f.Flags != 0 {
				return false, fmt.Errorf("frame %d: a pad that holds something: %w", f.Number, frame.ErrCorrupt)
			}
		}
		s.off += int64(n)
		s.number++
		if f.Kind == frame.KindFooter {
			return true, nil
		}
	}
}

// next parses the frame at s.off, which must be one of a pack and bear the right number.
func (s *scanner) next() (frame.Frame, int, error) {
	b, err := s.frame(s.off)
	if err != nil {
		return frame.Frame{}, 0, err
	}
	f, n, err := frame.Parse(b)
	switch {
	case err != nil:
	case f.Number != s.number:
		err = fmt.Errorf("frame %d at %d should be frame %d: %w", f.Number, s.off, s.number, frame.ErrCorrupt)
	case f.Kind != frame.KindChunk && f.Kind != frame.KindPad && f.Kind != frame.KindFooter:
		err = fmt.Errorf("frame %d: kind %d in a pack: %w", f.Number, f.Kind, frame.ErrCorrupt)
	}
	return f, n, err
}

// seekFrames bounds how many frames a bad spot may have held.
const seekFrames = 1 << 16

// seek moves s to the next frame behind s.off. A CRC alone would find one by chance in 2^32 places; together with length,
// kind and number it does not, and the chunk's seal has the last word.
func (s *scanner) seek() (found bool, err error) {
	for off := s.off + 1; off+frame.FrameHeaderSize <= s.size; off++ {
		h, err := s.bytes(off, frame.FrameHeaderSize)
		if err != nil {
			return false, err
		}
		number := binary.BigEndian.Uint32(h[8:])
		if h[4] < byte(frame.KindChunk) || h[6] != 0 || h[7] != 0 || number < s.number || number-s.number > seekFrames {
			continue
		}
		n, err := frame.Length(h)
		if err != nil || off+int64(n) > s.size || n > Overhead+MaxData && h[4] == byte(frame.KindChunk) {
			continue
		}
		b, err := s.bytes(off, n)
		if err != nil {
			return false, err
		}
		if _, _, err := frame.Parse(b); err == nil {
			s.off, s.number = off, number
			return true, nil
		}
	}
	return false, nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// window reads a file forward in large pieces.
type window struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	off  int64 // of buf[0]
}

// frame returns the bytes of the frame at off, header first.
func (w *window) frame(off int64) ([]byte, error) {
	if off >= w.size {
		return nil, frame.ErrEnd
	}
	h, err := w.bytes(off, frame.FrameHeaderSize)
	if err != nil {
		return nil, err
	}
	n, err := frame.Length(h)
	if err != nil {
		return nil, err
	}
	return w.bytes(off, n)
}

func (w *window) bytes(off int64, n int) ([]byte, error) {
	if off+int64(n) > w.size {
		return nil, frame.ErrTorn
	}
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		want := int(min(max(int64(n), 2<<20), w.size-off))
		if cap(w.buf) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.off = w.buf[:want], off
		if err := readAt(w.r, w.buf, off); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
	}
	return w.buf[off-w.off:][:n], nil
}
