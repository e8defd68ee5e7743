package pack

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"

	"stele/entry"
	"stele/internal/frame"
)

// TrailerSize is the trailer's length in bytes. Frozen.
const TrailerSize = 32

const trailerMagic = "STELEPKE"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The index, the footer's body below zstd (FlagZstd, only where that is shorter):
//
//	uvarint version (0) ‖ uvarint count ‖ count × chunk id (32) ‖ count × uvarint gap ‖ count × uvarint data length
//
// in file order. gap is the number of bytes between the end of the frame before (of the header, for the first) and the
// start of this one: zero but for pads. data length is the frame's length less Overhead.
const indexVersion = 0

func appendIndex(dst []byte, chunks []Chunk) []byte {
	dst = binary.AppendUvarint(dst, indexVersion)
	dst = binary.AppendUvarint(dst, uint64(len(chunks)))
	for i := range chunks {
		dst = append(dst, chunks[i].ID[:]...)
	}
	end := int64(frame.HeaderSize)
	for i := range chunks {
		dst = binary.AppendUvarint(dst, uint64(chunks[i].Offset-end))
		end = chunks[i].Offset + int64(chunks[i].Length)
	}
	for i := range chunks {
		dst = binary.AppendUvarint(dst, uint64(int(chunks[i].Length)-Overhead))
	}
	return dst
}

// parseIndex parses an index of chunks that lie before the offset limit.
func parseIndex(b []byte, limit int64) ([]Chunk, error) {
	bad := func(what string) ([]Chunk, error) {
		return nil, fmt.Errorf("pack index: %s: %w", what, frame.ErrCorrupt)
	}
	next := func() (uint64, bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 || n > 1 && b[n-1] == 0 { // one encoding only
			return 0, false
		}
		b = b[n:]
		return v, true
	}
	version, ok := next()
	if ok && version > indexVersion {
		return nil, fmt.Errorf("pack index version %d: %w", version, frame.ErrVersion)
	}
	count, ok2 := next()
	if !ok || !ok2 || count > MaxChunks || count*uint64(idSize) > uint64(len(b)) {
		return bad("count")
	}
	chunks := make([]Chunk, count)
	for i := range chunks {
		chunks[i].ID = entry.ID(b[:idSize])
		b = b[idSize:]
	}
	gaps := make([]int64, count)
	for i := range gaps {
		v, ok := next()
		if !ok || v > uint64(limit) {
			return bad("gap")
		}
		gaps[i] = int64(v)
	}
	end := int64(frame.HeaderSize)
	for i := range chunks {
		v, ok := next()
		if !ok || v > frame.MaxBody-uint64(idSize+frame.SealOverhead) {
			return bad("length")
		}
		chunks[i].Offset = end + gaps[i]
		chunks[i].Length = uint32(v) + uint32(Overhead)
		if end = chunks[i].Offset + int64(chunks[i].Length); end > limit {
			return bad("a chunk beyond the footer")
		}
	}
	if len(b) != 0 {
		return bad("bytes after the end")
	}
	return chunks, nil
}

var (
	footerEncoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	footerDecoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(frame.MaxBody))
)

// appendFooter appends footer frame and trailer for a file whose next frame has that number and offset.
func appendFooter(dst []byte, chunks []Chunk, number uint32, offset int64) []byte {
	start := len(dst)
	index := appendIndex(make([]byte, 0, len(chunks)*(idSize+4)+16), chunks)
	flags := uint8(0)
	if z := footerEncoder.EncodeAll(index, nil); len(z) < len(index) {
		index, flags = z, frame.FlagZstd
	}
	dst = append(frame.Begin(dst), index...)
	frame.End(dst[start:], 0, frame.KindFooter, flags, number)
	return appendTrailer(dst, trailer{offset: offset, length: uint32(len(dst) - start), count: uint32(len(chunks))})
}

// parseFooter parses the frame of a footer that begins at the offset at.
func parseFooter(b []byte, at int64) ([]Chunk, error) {
	f, n, err := frame.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("pack footer: %w", corrupt(err))
	}
	if f.Kind != frame.KindFooter || n != len(b) || f.Flags&^frame.FlagZstd != 0 {
		return nil, fmt.Errorf("pack footer: no footer frame: %w", frame.ErrCorrupt)
	}
	index := f.Body
	if f.Flags&frame.FlagZstd != 0 {
		if index, err = footerDecoder.DecodeAll(index, nil); err != nil {
			return nil, fmt.Errorf("pack footer: %v: %w", err, frame.ErrCorrupt)
		}
	}
	return parseIndex(index, at)
}

type trailer struct {
	offset int64  // of the footer's frame
	length uint32 // of the footer's frame
	count  uint32 // of chunks
}

func appendTrailer(dst []byte, t trailer) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.offset))
	dst = binary.BigEndian.AppendUint32(dst, t.length)
	dst = binary.BigEndian.AppendUint32(dst, t.count)
	dst = append(dst, trailerMagic...)
	dst = append(dst, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// parseTrailer parses the last TrailerSize bytes of a sealed pack of that size.
func parseTrailer(b []byte, size int64) (trailer, error) {
	t := trailer{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])}
	if string(appendTrailer(nil, t)) != string(b) {
		return t, fmt.Errorf("pack trailer: %w", frame.ErrCorrupt)
	}
	if t.offset < frame.HeaderSize || t.offset+int64(t.length)+TrailerSize != size {
		return t, fmt.Errorf("pack trailer: footer at %d, length %d, in a file of %d: %w", t.offset, t.length, size, frame.ErrCorrupt)
	}
	return t, nil
}
