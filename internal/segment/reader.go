package segment

import (
	"errors"
	"fmt"
	"io"
	"sort"

	"stele/internal/frame"
)

// Keys gives the sealer of a file: the keyring's. A nil Keys reads leaves only.
type Keys func(keyID uint32, file frame.FileID) (*frame.Sealer, error)

func (k Keys) sealer(h *frame.Header) (*frame.Sealer, error) {
	if k == nil {
		return nil, nil
	}
	s, err := k(h.KeyID, h.FileID)
	if err != nil {
		return nil, fmt.Errorf("couldn't get the key of the segment of entry %d: %w", h.First, err)
	}
	return s, nil
}

// ReadFooter reads header and footer of a sealed segment: two or three reads, whatever its size. It checks their checksums; edge, groups and
// signature are the caller's to verify.
func ReadFooter(r io.ReaderAt, sizeBytes int64) (frame.Header, *Footer, error) {
	h, err := readHeader(r, sizeBytes)
	if err != nil {
		return frame.Header{}, nil, err
	}
	f, err := readFooter(r, sizeBytes)
	if err == nil && f.Commit.First < h.First {
		err = fmt.Errorf("footer of another segment: %w", frame.ErrCorrupt)
	}
	if err != nil {
		return h, nil, err
	}
	return h, f, nil
}

func readFooter(r io.ReaderAt, sizeBytes int64) (*Footer, error) {
	if sizeBytes < frame.HeaderSize+frame.FrameHeaderSize+trailerSize {
		return nil, fmt.Errorf("a file of %d bytes holds no footer: %w", sizeBytes, frame.ErrCorrupt)
	}
	tail := make([]byte, min(sizeBytes, 16<<10)) // most footers are shorter
	if err := readAt(r, tail, sizeBytes-int64(len(tail))); err != nil {
		return nil, fmt.Errorf("couldn't read a footer: %w", err)
	}
	off, err := parseTrailer(tail[len(tail)-trailerSize:], sizeBytes)
	if err != nil {
		return nil, err
	}
	if need := sizeBytes - off; need > frame.MaxBody+frame.FrameHeaderSize+trailerSize {
		return nil, fmt.Errorf("footer of %d bytes: %w", need, frame.ErrCorrupt)
	} else if need > int64(len(tail)) {
		tail = make([]byte, need)
		if err := readAt(r, tail, off); err != nil {
			return nil, fmt.Errorf("couldn't read a footer: %w", err)
		}
	} else {
		tail = tail[int64(len(tail))-need:]
	}
	fr, n, err := frame.Parse(tail)
	if err != nil {
		return nil, fmt.Errorf("footer: %w", notTorn(err))
	}
	if n != len(tail)-trailerSize {
		return nil, fmt.Errorf("footer of %d bytes where %d are: %w", n, len(tail)-trailerSize, frame.ErrCorrupt)
	}
	f, err := parseFooter(fr)
	if err != nil {
		return nil, err
	}
	f.off = off
	return f, nil
}

// Is says whether a file may be the segment of that name in one of these stores: it has that header, or a header of a newer format, or its header is damaged and the footer is a segment's. A footer names
// neither store nor epoch. What is damaged at both ends, or has the header of another file, is not told from what was never a segment: false. An error: the file couldn't be read.
func Is(r io.ReaderAt, sizeBytes int64, name string, ours func(store [16]byte) bool) (bool, error) {
	h, err := readHeader(r, sizeBytes)
	switch {
	case err == nil:
		return Name(h.Epoch, h.First) == name && ours(h.StoreID), nil
	case errors.Is(err, frame.ErrVersion):
		return true, nil
	case !errors.Is(err, frame.ErrCorrupt):
		return false, err
	}
	if _, err = readFooter(r, sizeBytes); err == nil {
		return true, nil
	} else if errors.Is(err, frame.ErrCorrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	return false, err
}

func readHeader(r io.ReaderAt, sizeBytes int64) (frame.Header, error) {
	if sizeBytes < frame.HeaderSize {
		return frame.Header{}, fmt.Errorf("a file of %d bytes has no header: %w", sizeBytes, frame.ErrCorrupt)
	}
	b := make([]byte, frame.HeaderSize)
	if err := readAt(r, b, 0); err != nil {
		return frame.Header{}, fmt.Errorf("couldn't read a header: %w", err)
	}
	return frame.ParseHeader(b, frame.MagicSegment)
}

func readAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF // shorter than its directory entry says
	}
	return err
}

// notTorn turns "torn" and "end" into "corrupt": inside a sealed file nothing may be either.
func notTorn(err error) error {
	if errors.Is(err, frame.ErrTorn) || errors.Is(err, frame.ErrEnd) {
		return fmt.Errorf("%v: %w", err, frame.ErrCorrupt)
	}
	return err
}

// Reader reads pairs by index. Safe for concurrent use.
type Reader struct {
	Header frame.Header
	r      io.ReaderAt
	sealer *frame.Sealer
	rows   []Row
	first  int64
}

// NewReader reads the pairs of a sealed segment, whose header and footer ReadFooter gave.
func NewReader(r io.ReaderAt, h frame.Header, f *Footer, keys Keys) (*Reader, error) {
	rows, err := f.Rows(h.First)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the footer of segment %s: %w", Name(h.Epoch, h.First), err)
	}
	s, err := keys.sealer(&h)
	if err != nil {
		return nil, err
	}
	return &Reader{Header: h, r: r, sealer: s, rows: rows, first: f.FirstTime}, nil
}

// NewView reads the pairs of a segment that grows under another writer's hand: rows tells where they are, first is the time of the first entry.
func NewView(r io.ReaderAt, h frame.Header, rows []Row, first int64, keys Keys) (*Reader, error) {
	s, err := keys.sealer(&h)
	if err != nil {
		return nil, err
	}
	return &Reader{Header: h, r: r, sealer: s, rows: rows, first: first}, nil
}

// EndBytes is where the last batch ends, its commit included, in a segment that grows: what is before it was durable when the reader was made.
func (r *Reader) EndBytes() int64 {
	if len(r.rows) == 0 {
		return frame.HeaderSize
	}
	last := r.rows[len(r.rows)-1]
	return last.Off + int64(last.Len) + frame.FrameHeaderSize + commitSize
}

// ReadAt reads the file's bytes as they lie there.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) { return r.r.ReadAt(p, off) }

// FirstTime is the time of the first entry, microseconds since 1970.
func (r *Reader) FirstTime() int64 { return r.first }

// Rows tells where the pairs are. Not to be changed.
func (r *Reader) Rows() []Row { return r.rows }

// Find returns the number of the pair that holds entry index; false if none does.
func (r *Reader) Find(index uint64) (int, bool) {
	i := sort.Search(len(r.rows), func(i int) bool { return r.rows[i].First > index }) - 1
	return i, i >= 0 && index < r.rows[i].First+uint64(r.rows[i].Count)
}

// FindTime returns the number of the first pair whose last entry is later than t, len(Rows()) if none is.
func (r *Reader) FindTime(t int64) int {
	return sort.Search(len(r.rows), func(i int) bool { return r.rows[i].LastTime > t })
}

// Pair reads pair i and authenticates it.
func (r *Reader) Pair(i int) (Pair, error) {
	p, err := r.Pairs(i, i+1)
	if err != nil {
		return Pair{}, err
	}
	return p[0], nil
}

// Pairs reads pairs from to to-1, which lie behind one another, in one read, and authenticates them.
func (r *Reader) Pairs(from, to int) ([]Pair, error) {
	start, last := r.rows[from].Off, r.rows[to-1]
	buf := make([]byte, last.Off+int64(last.Len)-start)
	err := readAt(r.r, buf, start)
	pairs := make([]Pair, 0, to-from)
	for i := from; i < to && err == nil; i++ {
		row := &r.rows[i]
		var p Pair
		if p, err = parseRow(buf[row.Off-start:][:row.Len], row, r.sealer); err == nil {
			pairs = append(pairs, p)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't read entries %d to %d of segment %s: %w", r.rows[from].First, last.First+uint64(last.Count)-1,
			Name(r.Header.Epoch, r.Header.First), err)
	}
	return pairs, nil
}

func parseRow(b []byte, row *Row, s *frame.Sealer) (Pair, error) {
	e, n, err := frame.Parse(b)
	if err != nil {
		return Pair{}, notTorn(err)
	}
	v, m, err := frame.Parse(b[n:])
	if err != nil {
		return Pair{}, notTorn(err)
	}
	p, err := parsePair(e, v, s)
	if err != nil {
		return Pair{}, err
	}
	if n+m != len(b) || p.First != row.First || p.Count != int(row.Count) {
		return Pair{}, fmt.Errorf("another pair is where the table says: %w", frame.ErrCorrupt)
	}
	p.LastTime = row.LastTime
	return p, nil
}
