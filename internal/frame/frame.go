// Package frame has what segments and packs share: the file header, the frame, and the encryption of a frame's body
// under a key that belongs to one file. It does no I/O of its own. Bytes that do not parse are ErrCorrupt, a higher version under a right checksum is ErrVersion.
//
// All integers are big-endian. A file is a header, then frames. Frozen:
//
//	header, 96 bytes
//	 0        8       10      12       16           48      52     56           64            80         92      96
//	 ├─magic──┼version┼──0────┼─key id─┼──file id───┼─epoch─┼──0───┼──first─────┼──store id───┼────0─────┼─crc──┤
//
//	frame, 16 bytes + body
//	 0         4      5       6     8        12      16
//	 ├─length──┼─kind─┼─flags─┼──0──┼─number─┼─crc───┼─body (length bytes)─┤
//
// number counts the frames of the file from 0. crc is CRC-32C over bytes 0 to 12 and the body; in the header over bytes 0 to 92. A CRC finds torn tails and
// accidents without any key; what an attacker could forge is covered by GCM (sealed bodies) or by the tree (leaves).
// Sixteen zero bytes where a frame should begin are room that was reserved and never written: the end.
package frame

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Sizes in bytes. Frozen.
const (
	HeaderSize      = 96
	FrameHeaderSize = 16
	SealOverhead    = 16 // GCM tag
	MaxBody         = 64 << 20
)

// Version is the newest format version that this program reads and the one that it writes. Version 0 may still change.
const Version = 0

// Magic values. Frozen.
const (
	MagicSegment = "STELESEG"
	MagicPack    = "STELEPAK"
)

// Kind says what a frame holds. Frozen.
type Kind uint8

const (
	KindLeaves   Kind = 1 // segment: the leaves of a batch, in clear
	KindPrivates Kind = 2 // segment: their salts and private parts, sealed
	KindCommit   Kind = 3 // segment: size, root, signature: the batch before it is committed
	KindChunk    Kind = 4 // pack: chunk id and sealed chunk
	KindPad      Kind = 5 // pack: zeros up to the next block of the medium
	KindFooter   Kind = 6 // the last frame of a sealed file
)

// Flags of a frame.
const FlagZstd uint8 = 1 // the body (below the seal) is one zstd frame

var (
	// ErrVersion: the file was written by a newer Stele. It is not damaged.
	ErrVersion = errors.New("newer format version than this program reads")
	// ErrCorrupt: the bytes are not what was written.
	ErrCorrupt = errors.New("corrupt")
	// ErrEnd: no frame begins here; reserved room or the end of the file.
	ErrEnd = errors.New("end of frames")
	// ErrTorn: the file ends inside a frame.
	ErrTorn = errors.New("torn frame")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FileID is 32 random bytes; with the data key it makes the file's own key.
type FileID [32]byte

// NewFileID draws a file id.
func NewFileID() (id FileID) { rand.Read(id[:]); return id }

// Header is a file's header.
type Header struct {
	Magic   string
	Version uint16
	KeyID   uint32
	FileID  FileID
	Epoch   uint32
	First   uint64 // index of the first entry; 0 in a pack
	StoreID [16]byte
}

// Append appends the 96 header bytes.
func (h *Header) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, h.Magic...)
	dst = binary.BigEndian.AppendUint16(dst, h.Version)
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, h.KeyID)
	dst = append(dst, h.FileID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, h.Epoch)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, h.First)
	dst = append(dst, h.StoreID[:]...)
	dst = append(dst, make([]byte, 12)...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// ParseHeader parses the first HeaderSize bytes of a file that should begin with magic. Magic, version and checksum stay where they are in every version, so that the
// checksum is judged first: a version that rotted is damage, which a copy heals, and one that is whole is a newer format (ErrVersion).
func ParseHeader(b []byte, magic string) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("header: %w", ErrTorn)
	}
	b = b[:HeaderSize]
	if string(b[:8]) != magic {
		return Header{}, fmt.Errorf("header: magic is not %s: %w", magic, ErrCorrupt)
	}
	if crc32.Checksum(b[:92], castagnoli) != binary.BigEndian.Uint32(b[92:]) {
		return Header{}, fmt.Errorf("header: checksum: %w", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(b[8:]); v > Version {
		return Header{}, fmt.Errorf("format version %d, this program reads up to %d: %w", v, Version, ErrVersion)
	}
	h := Header{Magic: magic, Version: binary.BigEndian.Uint16(b[8:]), KeyID: binary.BigEndian.Uint32(b[12:]),
		Epoch: binary.BigEndian.Uint32(b[48:]), First: binary.BigEndian.Uint64(b[56:])}
	copy(h.FileID[:], b[16:48])
	copy(h.StoreID[:], b[64:80])
	if string(h.Append(nil)) != string(b) {
		return Header{}, fmt.Errorf("header: reserved bytes: %w", ErrCorrupt)
	}
	return h, nil
}

// Frame is a frame's header and body. Body aliases the buffer it was parsed from.
type Frame struct {
	Kind   Kind
	Flags  uint8
	Number uint32
	Body   []byte
}

// Begin appends room for a frame header; the body is appended after it, then End fills the header in.
func Begin(dst []byte) []byte { return append(dst, make([]byte, FrameHeaderSize)...) }

// End fills in the header of the frame that began at start in b; the body is everything after it.
func End(b []byte, start int, kind Kind, flags uint8, number uint32) {
	h, body := b[start:start+FrameHeaderSize], b[start+FrameHeaderSize:]
	binary.BigEndian.PutUint32(h[0:], uint32(len(body)))
	h[4], h[5], h[6], h[7] = byte(kind), flags, 0, 0
	binary.BigEndian.PutUint32(h[8:], number)
	crc := crc32.Update(crc32.Checksum(h[:12], castagnoli), castagnoli, body)
	binary.BigEndian.PutUint32(h[12:], crc)
}

// Length reads the whole length in bytes (header and body) of the frame whose header begins b: ErrEnd on reserved room, ErrTorn if b is shorter than a
// header, ErrCorrupt if no frame can have that length or kind.
func Length(b []byte) (int, error) {
	if len(b) < FrameHeaderSize {
		return 0, ErrTorn
	}
	if [FrameHeaderSize]byte(b[:FrameHeaderSize]) == ([FrameHeaderSize]byte{}) {
		return 0, ErrEnd
	}
	n := binary.BigEndian.Uint32(b)
	if n > MaxBody || b[4] == 0 || b[4] > byte(KindFooter) || b[6] != 0 || b[7] != 0 {
		return 0, fmt.Errorf("frame header: %w", ErrCorrupt)
	}
	return FrameHeaderSize + int(n), nil
}

// Parse parses the frame at the start of b and checks its CRC. It returns the frame and its whole length.
func Parse(b []byte) (Frame, int, error) {
	n, err := Length(b)
	if err != nil {
		return Frame{}, 0, err
	}
	if len(b) < n {
		return Frame{}, n, ErrTorn
	}
	f := Frame{Kind: Kind(b[4]), Flags: b[5], Number: binary.BigEndian.Uint32(b[8:]), Body: b[FrameHeaderSize:n:n]}
	if crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, f.Body) != binary.BigEndian.Uint32(b[12:]) {
		return Frame{}, n, fmt.Errorf("frame %d: checksum: %w", f.Number, ErrCorrupt)
	}
	return f, n, nil
}

// Sealer seals and opens the bodies of one file. Safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// NewSealer derives the file's key, HKDF-SHA256(data key, salt = file id, info = "stele file v0"), and makes its AES-256-GCM.
func NewSealer(dataKey [32]byte, id FileID) (*Sealer, error) {
	key, err := hkdf.Key(sha256.New, dataKey[:], id[:], "stele file v0", 32)
	if err != nil {
		return nil, fmt.Errorf("couldn't derive a file key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("couldn't use a file key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("couldn't use a file key: %w", err)
	}
	return &Sealer{aead}, nil
}

// nonce is the frame's number. A number is used once in a file: writers count up, and no file is opened again for append,
// so that no nonce meets its key twice.
func nonce(number uint32) (n [12]byte) { binary.BigEndian.PutUint32(n[8:], number); return n }

// Seal appends the sealed plaintext (len + SealOverhead bytes). dst and plaintext may share their start, as for cipher.AEAD.
func (s *Sealer) Seal(dst []byte, number uint32, plaintext, ad []byte) []byte {
	n := nonce(number)
	return s.aead.Seal(dst, n[:], plaintext, ad)
}

// Open appends the opened ciphertext; ErrCorrupt if it is not what was sealed with this key, number and ad.
func (s *Sealer) Open(dst []byte, number uint32, ciphertext, ad []byte) ([]byte, error) {
	n := nonce(number)
	out, err := s.aead.Open(dst, n[:], ciphertext, ad)
	if err != nil {
		return nil, fmt.Errorf("frame %d: authentication: %w", number, ErrCorrupt)
	}
	return out, nil
}
