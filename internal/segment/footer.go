package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"stele/internal/frame"
)

// Row says where a pair is.
type Row struct {
	First    uint64
	Count    uint32
	Len      uint32 // bytes of both frames
	Off      int64
	LastTime int64 // of the pair's last entry
}

// Footer is what a sealed segment says of itself. It is the body of the footer frame. Frozen:
//
//	0        124          132         140   142           …
//	├─commit─┼─first time─┼─last time─┼─n───┼─n × 32 edge─┼─group u64─┼─m u32─┼─m × 32 groups─┼─rows u32─┼─length u32─┼─table─┤
//
// commit is the last batch's. edge is the right edge of the tree of that size: the roots of the largest complete subtrees, left to right.
// groups are the hashes of the 256-leaf groups, from number group on, whose last leaf is in this segment. The table has four uvarints
// for each pair: count, bytes between the end of the pair before (at first: of the header) and this pair, bytes of the pair,
// microseconds from the last entry of the pair before (at first: from first time) to its own last entry. It is one zstd frame where the
// frame has FlagZstd; length is that of the table without compression.
//
// Behind the footer frame stands the trailer, the last 24 bytes of the file: offset of the footer frame u64, 0 u32, CRC-32C of these 12 bytes u32,
// "STELEEND".
type Footer struct {
	Commit    Commit
	FirstTime int64
	LastTime  int64
	Edge      [][32]byte
	Group     uint64
	Groups    [][32]byte

	off       int64 // of the footer frame, where the pairs end; 0: not known
	rowCount  uint32
	tableLen  uint32
	table     []byte // as stored
	tableZstd bool
}

const (
	trailerSize  = 24
	trailerMagic = "STELEEND"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (f *Footer) setRows(rows []Row) error {
	raw := make([]byte, 0, 8*len(rows))
	end, last := int64(frame.HeaderSize), f.FirstTime
	for _, r := range rows {
		if r.Off < end || r.LastTime < last {
			return fmt.Errorf("couldn't write a footer: pair of entry %d is out of order", r.First)
		}
		raw = binary.AppendUvarint(raw, uint64(r.Count))
		raw = binary.AppendUvarint(raw, uint64(r.Off-end))
		raw = binary.AppendUvarint(raw, uint64(r.Len))
		raw = binary.AppendUvarint(raw, uint64(r.LastTime-last))
		end, last = r.Off+int64(r.Len), r.LastTime
	}
	if len(raw) > maxRaw {
		return fmt.Errorf("couldn't write a footer: table of %d bytes", len(raw))
	}
	f.rowCount, f.tableLen = uint32(len(rows)), uint32(len(raw))
	f.table, f.tableZstd = compress(nil, raw)
	return nil
}

// Rows decodes the table of a segment whose first entry is first.
func (f *Footer) Rows(first uint64) ([]Row, error) {
	raw, err := decompress(nil, f.table, f.tableZstd)
	if err != nil {
		return nil, err
	}
	bad := fmt.Errorf("table of pairs: %w", frame.ErrCorrupt)
	if len(raw) != int(f.tableLen) || uint64(f.rowCount) > uint64(len(raw))/4 {
		return nil, bad
	}
	rows := make([]Row, 0, f.rowCount)
	end, last := int64(frame.HeaderSize), f.FirstTime
	for range f.rowCount {
		var v [4]uint64
		for i := range v {
			x, n := binary.Uvarint(raw)
			if n <= 0 || i < 3 && x > math.MaxUint32 || x > math.MaxInt64/2 {
				return nil, bad
			}
			v[i], raw = x, raw[n:]
		}
		r := Row{First: first, Count: uint32(v[0]), Off: end + int64(v[1]), Len: uint32(v[2]), LastTime: last + int64(v[3])}
		if r.Count == 0 || r.LastTime < last || f.off > 0 && r.Off+int64(r.Len) > f.off {
			return nil, bad
		}
		rows = append(rows, r)
		first, end, last = first+v[0], r.Off+int64(r.Len), r.LastTime
	}
	if len(raw) != 0 || first != f.Commit.Size || last != f.LastTime {
		return nil, bad
	}
	return rows, nil
}

func (f *Footer) append(dst []byte) []byte {
	dst = f.Commit.Append(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.FirstTime))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.LastTime))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.Edge)))
	for i := range f.Edge {
		dst = append(dst, f.Edge[i][:]...)
	}
	dst = binary.BigEndian.AppendUint64(dst, f.Group)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Groups)))
	for i := range f.Groups {
		dst = append(dst, f.Groups[i][:]...)
	}
	dst = binary.BigEndian.AppendUint32(dst, f.rowCount)
	dst = binary.BigEndian.AppendUint32(dst, f.tableLen)
	return append(dst, f.table...)
}

// parseFooter parses the body of a footer frame. It copies what it keeps but for the table.
func parseFooter(fr frame.Frame) (*Footer, error) {
	bad := fmt.Errorf("footer: %w", frame.ErrCorrupt)
	b := fr.Body
	if fr.Kind != frame.KindFooter || fr.Flags&^frame.FlagZstd != 0 || len(b) < commitSize+8+8+2 {
		return nil, bad
	}
	c, err := ParseCommit(b[:commitSize])
	if err != nil {
		return nil, err
	}
	b = b[commitSize:]
	f := &Footer{Commit: c, FirstTime: int64(binary.BigEndian.Uint64(b)), LastTime: int64(binary.BigEndian.Uint64(b[8:])),
		tableZstd: fr.Flags&frame.FlagZstd != 0}
	n := int(binary.BigEndian.Uint16(b[16:]))
	if b = b[18:]; n > 64 || len(b) < n*32+12 {
		return nil, bad
	}
	f.Edge, b = hashes(b, n)
	f.Group = binary.BigEndian.Uint64(b)
	m := binary.BigEndian.Uint32(b[8:])
	if b = b[12:]; uint64(len(b)) < uint64(m)*32+8 {
		return nil, bad
	}
	f.Groups, b = hashes(b, int(m))
	f.rowCount, f.tableLen, f.table = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), b[8:]
	if f.FirstTime > f.LastTime || f.LastTime != c.Time || f.tableLen > maxRaw {
		return nil, bad
	}
	return f, nil
}

func hashes(b []byte, n int) ([][32]byte, []byte) {
	out := make([][32]byte, n)
	for i := range out {
		copy(out[i][:], b[32*i:])
	}
	return out, b[32*n:]
}

func appendTrailer(dst []byte, footerOff int64) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(footerOff))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, trailerMagic...)
}

// parseTrailer returns the offset of the footer frame.
func parseTrailer(b []byte, sizeBytes int64) (int64, error) {
	if len(b) != trailerSize || string(b[16:]) != trailerMagic {
		return 0, fmt.Errorf("the file doesn't end in a trailer: %w", frame.ErrCorrupt)
	}
	off := int64(binary.BigEndian.Uint64(b))
	if binary.BigEndian.Uint32(b[8:]) != 0 || crc32.Checksum(b[:12], castagnoli) != binary.BigEndian.Uint32(b[12:]) ||
		off < frame.HeaderSize || off > sizeBytes-trailerSize-frame.FrameHeaderSize {
		return 0, fmt.Errorf("trailer: %w", frame.ErrCorrupt)
	}
	return off, nil
}
