package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"stele/internal/engine"
	"stele/internal/frame"
)

// Scanner reads a segment from front to end: a sealed one in order to verify it, a tail in order to recover it.
type Scanner struct {
	Header frame.Header

	win    window
	keys   Keys
	sealer *frame.Sealer
	off    int64 // of the next batch
	number uint32
	next   uint64 // index of the next entry
	begun  bool
	footer *Footer
	why    error // what ended the batches
}

// NewScanner scans a file of sizeBytes that should begin with entry first.
func NewScanner(r io.ReaderAt, sizeBytes int64, first uint64, keys Keys) *Scanner {
	return &Scanner{win: window{r: r, size: sizeBytes}, keys: keys, next: first}
}

// errFooter is what ends the batches of a sealed segment.
var errFooter = errors.New("the footer")

// Next returns the next committed batch. io.EOF: there is none; Broken tells why. Any other error (the medium, the key, ErrVersion, a batch that is
// whole and yet not what was written) ends the scan without an answer.
func (s *Scanner) Next() (Batch, error) {
	if s.why != nil {
		return Batch{}, io.EOF
	}
	if !s.begun {
		if err := s.begin(); err != nil || s.why != nil {
			return Batch{}, orEOF(err)
		}
	}
	length, err := s.measure()
	if err != nil || s.why != nil {
		return Batch{}, orEOF(err)
	}
	raw, err := s.win.bytes(s.off, length)
	if err != nil {
		return Batch{}, err
	}
	// Pairs alias what they were parsed from, and the window moves on.
	b, n, err := parseBatch(bytes.Clone(raw), s.number, s.sealer)
	if err != nil {
		return Batch{}, fmt.Errorf("couldn't read entries from %d on: %w", s.next, notTorn(err))
	}
	if b.Commit.First != s.next {
		return Batch{}, fmt.Errorf("batch of entry %d where %d should be: %w", b.Commit.First, s.next, frame.ErrCorrupt)
	}
	for i := range b.Pairs {
		b.Pairs[i].off += s.off
	}
	s.off, s.next, s.number = s.off+int64(n), b.Commit.Size, s.number+uint32(2*len(b.Pairs))+1
	return b, nil
}

// Grow tells the scanner that the file is sizeBytes long by now: where it ended because there was no more, Next goes on. The bytes that were there have not changed.
func (s *Scanner) Grow(sizeBytes int64) {
	s.win.size = sizeBytes
	if s.footer == nil && (errors.Is(s.why, frame.ErrEnd) || errors.Is(s.why, frame.ErrTorn)) {
		s.why, s.begun = nil, s.begun && s.off > 0
	}
}

// Ended says why Next returned io.EOF: frame.ErrEnd or frame.ErrTorn where the file has no further whole batch yet, nil at the footer, else frame.ErrCorrupt.
func (s *Scanner) Ended() error {
	if s.footer != nil {
		return nil
	}
	return s.why
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

func (s *Scanner) begin() error {
	raw, err := s.win.bytes(0, frame.HeaderSize)
	if err != nil {
		return err
	}
	s.begun, s.off = true, frame.HeaderSize
	if s.Header, err = frame.ParseHeader(raw, frame.MagicSegment); err != nil {
		if errors.Is(err, frame.ErrVersion) {
			return err
		}
		s.why, s.off = err, 0
		return nil
	}
	if s.Header.First != s.next {
		return fmt.Errorf("segment of entry %d where %d should be: %w", s.Header.First, s.next, frame.ErrCorrupt)
	}
	s.sealer, err = s.keys.sealer(&s.Header)
	return err
}

// measure returns the length of the batch at s.off, commit included, or sets why. It checks the frames' checksums and numbers only: a batch that has
// them all was written whole.
func (s *Scanner) measure() (int, error) {
	length, number := 0, s.number
	for {
		fr, n, err := s.frame(s.off + int64(length))
		if err != nil {
			return 0, err
		}
		if s.why != nil {
			return 0, nil
		}
		if fr.Number != number {
			s.why = fmt.Errorf("frame %d where %d should be: %w", fr.Number, number, frame.ErrCorrupt)
			return 0, nil
		}
		length, number = length+n, number+1
		switch {
		case fr.Kind == frame.KindCommit:
			return length, nil
		case fr.Kind == frame.KindFooter && length == n:
			return 0, s.end(fr, n)
		case fr.Kind != frame.KindLeaves && fr.Kind != frame.KindPrivates || length > 2*maxRaw:
			s.why = fmt.Errorf("frame %d of kind %d: %w", fr.Number, fr.Kind, frame.ErrCorrupt)
			return 0, nil
		}
	}
}

// frame parses the frame at off, or sets why.
func (s *Scanner) frame(off int64) (frame.Frame, int, error) {
	head, err := s.win.bytes(off, frame.FrameHeaderSize)
	if err != nil {
		return frame.Frame{}, 0, err
	}
	n, err := frame.Length(head)
	if err != nil {
		s.why = err
		return frame.Frame{}, 0, nil
	}
	raw, err := s.win.bytes(off, n)
	if err != nil {
		return frame.Frame{}, 0, err
	}
	fr, n, err := frame.Parse(raw)
	if err != nil {
		s.why = err
		return frame.Frame{}, 0, nil
	}
	return fr, n, nil
}

// end notes the footer, whose frame fr is n bytes long.
func (s *Scanner) end(fr frame.Frame, n int) error {
	f, err := parseFooter(frame.Frame{Kind: fr.Kind, Flags: fr.Flags, Number: fr.Number, Body: bytes.Clone(fr.Body)})
	if err != nil {
		return err
	}
	if f.Commit.Size != s.next {
		return fmt.Errorf("footer says size %d, the entries end at %d: %w", f.Commit.Size, s.next, frame.ErrCorrupt)
	}
	s.footer, s.why, s.off = f, errFooter, s.off+int64(n)
	return nil
}

// Finish is a writer that has written just the batches that the scan has met, rows being those of their pairs, to g, and can do nothing but Seal. It needs no key: a footer is in clear.
func (s *Scanner) Finish(g engine.Growing, rows []Row, last Commit, firstTime int64) *Writer {
	h := s.Header
	return &Writer{opt: Options{StoreID: h.StoreID, KeyID: h.KeyID, Epoch: h.Epoch, First: h.First, FileID: h.FileID}, header: h, g: g,
		off: s.off, number: s.number, rows: rows, last: last, first: firstTime}
}

// Footer returns the footer if the scan met it.
func (s *Scanner) Footer() *Footer { return s.footer }

// Whole says, after io.EOF, whether the file is a whole sealed segment: nil, or frame.ErrCorrupt.
func (s *Scanner) Whole() error {
	if s.footer == nil {
		return notWhole(s.why)
	}
	b, err := s.win.bytes(s.off, trailerSize+1)
	if err != nil {
		return err
	}
	_, err = parseTrailer(b, s.win.size)
	return err
}

func notWhole(why error) error {
	if errors.Is(why, frame.ErrCorrupt) {
		return why
	}
	return fmt.Errorf("the file isn't a whole segment (%v): %w", why, frame.ErrCorrupt)
}

// SizeBytes is where the batches (and the footer, if the scan met it) end.
func (s *Scanner) SizeBytes() int64 { return s.off }

// Broken tells what ended the batches, and whether entries are missing that were committed: saw is the ledger size that later
// bytes of the file prove, 0 if none. It is the difference between a torn tail, whose last batch nobody was told of, and damage.
//
// One batch is in flight at a time: the next is written after the fsync of the one before. So the file proves that the broken batch was
// durable if a commit of a later batch is behind it, or anything at all behind its own commit. (Its own commit alone proves nothing: a
// crash may keep the end of a write and lose its middle.)
func (s *Scanner) Broken() (why error, saw uint64, err error) {
	if s.footer != nil || s.why == nil {
		return s.why, 0, nil
	}
	own := int64(-1) // where the broken batch's own commit ends
	err = s.win.commits(s.off, func(c Commit, end int64) {
		if c.First > s.next || own >= 0 {
			saw = max(saw, c.Size)
		} else if c.First == s.next {
			own = end
			if s.validAt(end) {
				saw = max(saw, c.Size)
			}
		}
	})
	return s.why, saw, err
}

// validAt says whether a valid frame begins at off. It looks through a window of its own: the search goes on in the other.
func (s *Scanner) validAt(off int64) bool {
	look := Scanner{win: window{r: s.win.r, size: s.win.size}}
	_, _, err := look.frame(off)
	return err == nil && look.why == nil
}

// commitMark is how every commit frame begins.
var commitMark = []byte{0, 0, 0, commitSize, byte(frame.KindCommit), 0, 0, 0}

// window reads a file through a buffer that moves on.
type window struct {
	r    io.ReaderAt
	size int64
	off  int64
	buf  []byte
}

// bytes returns up to n bytes at off, fewer at the end of the file. They hold until the next call.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), w.size-off)))
	if off >= w.off && off+int64(n) <= w.off+int64(len(w.buf)) {
		return w.buf[off-w.off:][:n], nil
	}
	size := min(max(int64(n), 1<<20), w.size-off)
	if int64(cap(w.buf)) < size {
		w.buf = make([]byte, size)
	}
	w.buf, w.off = w.buf[:size], off
	if err := readAt(w.r, w.buf, off); err != nil {
		w.buf = w.buf[:0]
		return nil, fmt.Errorf("couldn't read a segment at byte %d: %w", off, err)
	}
	return w.buf[:n], nil
}

// commits calls fn for each valid commit frame from off on, wherever it stands.
func (w *window) commits(off int64, fn func(c Commit, end int64)) error {
	const whole = frame.FrameHeaderSize + commitSize
	for off+whole <= w.size {
		b, err := w.bytes(off, 1<<20)
		if err != nil {
			return err
		}
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], commitMark)
			if i < 0 || at+i+whole > len(b) {
				break
			}
			at += i
			if fr, _, err := frame.Parse(b[at:]); err == nil {
				if c, err := ParseCommit(fr.Body); err == nil {
					fn(c, off+int64(at+whole))
				}
			}
		}
		off += int64(len(b)) - whole + 1 // a commit across the end of b is whole in the next
	}
	return nil
}

// parseBatch parses the batch at the start of b, whose first frame has the given number. The pairs alias b.
func parseBatch(b []byte, number uint32, s *frame.Sealer) (Batch, int, error) {
	var out Batch
	var leaves *frame.Frame
	begin := 0 // of leaves
	for off := 0; ; number++ {
		fr, n, err := frame.Parse(b[off:])
		if err != nil {
			return Batch{}, 0, err
		}
		if fr.Number != number {
			return Batch{}, 0, fmt.Errorf("frame %d where %d should be: %w", fr.Number, number, frame.ErrCorrupt)
		}
		off += n
		switch {
		case leaves == nil && fr.Kind == frame.KindLeaves:
			leaves, begin = &fr, off-n
		case leaves != nil && fr.Kind == frame.KindPrivates:
			p, err := parsePair(*leaves, fr, s)
			if err != nil {
				return Batch{}, 0, err
			}
			if k := len(out.Pairs); k > 0 && out.Pairs[k-1].End() != p.First {
				return Batch{}, 0, fmt.Errorf("pair of entry %d out of order: %w", p.First, frame.ErrCorrupt)
			}
			p.off, p.len = int64(begin), uint32(off-begin)
			out.Pairs, leaves = append(out.Pairs, p), nil
		case leaves == nil && fr.Kind == frame.KindCommit && len(out.Pairs) > 0:
			out.Commit, err = ParseCommit(fr.Body)
			if err == nil && (fr.Flags != 0 || out.Commit.First != out.Pairs[0].First || out.Commit.Size != out.Pairs[len(out.Pairs)-1].End()) {
				err = fmt.Errorf("commit of other entries: %w", frame.ErrCorrupt)
			}
			return out, off, err
		default:
			return Batch{}, 0, fmt.Errorf("frame %d of kind %d out of order: %w", fr.Number, fr.Kind, frame.ErrCorrupt)
		}
	}
}
