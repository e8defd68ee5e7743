package entry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Leaf is the public part of an entry.
type Leaf struct {
	Index uint64
	Time  time.Time
	Type  Type
	C     Hash // Commitment of salt and private part
}

// MaxLeaf is the most bytes that an encoded leaf has.
const MaxLeaf = 256

const maxType = 64 // bytes of a Type

// AppendLeaf appends the canonical encoding of a leaf, all four fields always.
func AppendLeaf(dst []byte, index uint64, t time.Time, typ Type, c Hash) []byte {
	d := append(dst, `{"c":"`...)
	d = hex.AppendEncode(d, c[:])
	d = append(d, `","i":`...)
	d = strconv.AppendUint(d, index, 10)
	d = append(d, `,"t":"`...)
	d = AppendTime(d, t)
	d = append(d, `","type":`...)
	return append(appendString(d, string(typ)), '}')
}

// ParseLeaf reads what AppendLeaf wrote for a valid type, known or not; all else is ErrCanonical.
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) > MaxLeaf {
		return Leaf{}, fmt.Errorf("leaf of %d bytes, the limit is %d: %w", len(b), MaxLeaf, ErrCanonical)
	}
	var v Leaf
	p := scan(b)
	p.need(`{"c":`)
	p.hexValue(v.C[:])
	p.need(`,"i":`)
	v.Index = p.digits()
	p.need(`,"t":`)
	v.Time = p.timeValue()
	p.need(`,"type":`)
	at := p.i
	v.Type = Type(p.str())
	if !v.Type.valid() {
		p.fail(at)
	}
	p.need("}")
	if err := p.end("leaf"); err != nil {
		return Leaf{}, err
	}
	return v, nil
}

// valid says whether t has the form of a type: lower-case letters and dots, 1 to 64.
func (t Type) valid() bool {
	for i := range len(t) {
		if c := t[i]; (c < 'a' || c > 'z') && c != '.' {
			return false
		}
	}
	return t != "" && len(t) <= maxType
}

// Commitment is SHA-256(salt ‖ private part): it ties the private part to the leaf and gives nothing of it away.
func Commitment(salt [16]byte, private []byte) Hash {
	var few [1024]byte // keeps most private parts off the heap
	return sha256.Sum256(append(append(few[:0], salt[:]...), private...))
}

// LeafHash is the hash of a leaf in the tree: SHA-256(0x00 ‖ leaf), RFC 6962, section 2.1.
func LeafHash(leaf []byte) Hash {
	var few [1 + MaxLeaf]byte
	return sha256.Sum256(append(few[:1], leaf...))
}

// String is h in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }
