package pack

import (
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
	s := &window{r: r, size: size}
	off, number := int64(frame.HeaderSize), uint32(0)
	for {
		b, err := s.frame(off)
		if err != nil {
			return off, false, err
		}
		f, n, err := frame.Parse(b)
		switch {
		case err != nil:
			return off, false, err
		case f.Number != number:
			return off, false, fmt.Errorf("frame %d at %d should be frame %d: %w", f.Number, off, number, frame.ErrCorrupt)
		}
		switch f.Kind {
		case frame.KindChunk:
			if n < Overhead {
				return off, false, fmt.Errorf("frame %d: too short for a chunk: %w", number, frame.ErrCorrupt)
			}
			c := Scanned{Chunk{entry.ID(f.Body[:idSize]), off, uint32(n)}, f.Flags, number, b[:n]}
			if err := fn(c); err != nil {
				return off, false, err
			}
		case frame.KindPad:
			if !zero(f.Body) || f.Flags != 0 {
				return off, false, fmt.Errorf("frame %d: a pad that holds something: %w", number, frame.ErrCorrupt)
			}
		case frame.KindFooter:
			return off + int64(n), true, nil
		default:
			return off, false, fmt.Errorf("frame %d: kind %d in a pack: %w", number, f.Kind, frame.ErrCorrupt)
		}
		off += int64(n)
		number++
	}
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
