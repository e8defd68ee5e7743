package s3api

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"net/http"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/crc64nvme"
	"github.com/zeebo/xxh3"

	"stele/internal/s3api/auth"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// Algorithm is an S3 checksum algorithm.
type Algorithm uint8

const (
	NoChecksum Algorithm = iota
	CRC32
	CRC32C
	CRC64NVME
	SHA1
	SHA256
	SHA512
	MD5
	XXHASH64
	XXHASH3
	XXHASH128
)

// algorithms says what there is to know of each.
var algorithms = [...]struct {
	name string
	size int // bytes
	new  func() hash.Hash
}{
	CRC32:     {"CRC32", 4, func() hash.Hash { return crc32.NewIEEE() }},
	CRC32C:    {"CRC32C", 4, func() hash.Hash { return crc32.New(castagnoli) }},
	CRC64NVME: {"CRC64NVME", 8, func() hash.Hash { return crc64nvme.New() }},
	SHA1:      {"SHA1", sha1.Size, sha1.New},
	SHA256:    {"SHA256", sha256.Size, sha256.New},
	SHA512:    {"SHA512", sha512.Size, sha512.New},
	MD5:       {"MD5", md5.Size, md5.New},
	XXHASH64:  {"XXHASH64", 8, func() hash.Hash { return xxhash.New() }},
	XXHASH3:   {"XXHASH3", 8, func() hash.Hash { return xxh3.New() }},
	XXHASH128: {"XXHASH128", 16, func() hash.Hash { return xxh3.New128() }},
}

// headers are their headers, in lower case and as net/http has them.
var headers, canonicalHeaders = func() (lower, canonical [len(algorithms)]string) {
	for a := CRC32; int(a) < len(algorithms); a++ {
		lower[a] = "x-amz-checksum-" + strings.ToLower(algorithms[a].name)
		canonical[a] = http.CanonicalHeaderKey(lower[a])
	}
	return lower, canonical
}()

// Algorithms lists them all.
var Algorithms = [...]Algorithm{CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128}

// FullObject and Composite are the values of x-amz-checksum-type.
const (
	FullObject = "FULL_OBJECT"
	Composite  = "COMPOSITE"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (a Algorithm) String() string { return algorithms[a].name }

// Header is the algorithm's header: x-amz-checksum-….
func (a Algorithm) Header() string { return headers[a] }

func (a Algorithm) canonicalHeader() string { return canonicalHeaders[a] }

// Size is the checksum's length in bytes.
func (a Algorithm) Size() int { return algorithms[a].size }

// New returns a hash; its Sum is what S3 encodes in base64. There is none of NoChecksum.
func (a Algorithm) New() hash.Hash { return algorithms[a].new() }

// ParseAlgorithm reads a value of x-amz-checksum-algorithm or x-amz-sdk-checksum-algorithm.
func ParseAlgorithm(s string) (Algorithm, error) {
	for _, a := range Algorithms {
		if strings.EqualFold(a.String(), s) {
			return a, nil
		}
	}
	return NoChecksum, s3err.ErrChecksumAlgorithm
}

func algorithmOfHeader(name string) Algorithm {
	for _, a := range Algorithms {
		if a.Header() == name {
			return a
		}
	}
	return NoChecksum
}

// DefaultType is the checksum type of a multipart object where the client names none.
func (a Algorithm) DefaultType() string {
	if a == CRC64NVME {
		return FullObject
	}
	return Composite
}

// CheckType tells whether the algorithm can be of that type, in any case of letters, and returns the type in capitals: only CRCs can be of
// the full object, since only they can be combined from parts; CRC64NVME cannot be composite.
func (a Algorithm) CheckType(typ string) (string, error) {
	typ = strings.ToUpper(typ)
	switch {
	case typ != FullObject && typ != Composite:
		return "", s3err.ErrInvalidRequest.Msg("Value for x-amz-checksum-type header is invalid.")
	case typ == FullObject && a > CRC64NVME, typ == Composite && a == CRC64NVME:
		return "", s3err.ErrInvalidRequest.Msg("The %s checksum type cannot be used with the %s checksum algorithm.", typ, strings.ToLower(a.String()))
	}
	return typ, nil
}

// Declared is every digest that a client declared for a body. The zero value declares nothing.
type Declared struct {
	MD5       []byte // Content-MD5; nil: not declared
	SHA256    []byte // x-amz-content-sha256 where the payload is signed as one; nil: not declared
	Algorithm Algorithm
	Checksum  []byte // of Algorithm; nil: it comes in the trailer, or only the algorithm was named
	Trailer   bool   // the checksum follows the body

	sha256Text string // as it was sent
}

// ParseDeclared reads the digests of a request that was authenticated as a.
func ParseDeclared(h http.Header, a *auth.Identity) (Declared, error) {
	var d Declared
	if v, ok := h["Content-Md5"]; ok {
		sum, err := base64.StdEncoding.DecodeString(v[0])
		if err != nil || len(sum) != md5.Size || len(v) > 1 {
			return d, s3err.ErrInvalidDigest.With("Content-MD5", strings.Join(v, ","))
		}
		d.MD5 = sum
	}
	if a.Payload == auth.PayloadHash {
		if d.sha256Text = a.SHA256; wire.IsHex(a.SHA256) && len(a.SHA256) == 64 {
			d.SHA256, _ = hex.DecodeString(a.SHA256) // it is hex
		} else {
			d.SHA256 = []byte{} // an anonymous client's nonsense: no body has it
		}
	}
	return d, d.parseChecksum(h, a)
}

// TrailerName is the name of the trailer that must follow the body, in lower case; "": none may.
func (d *Declared) TrailerName() string {
	if !d.Trailer {
		return ""
	}
	return d.Algorithm.Header()
}

// parseChecksum reads the one checksum that a request may declare, from its headers or as an announced trailer.
func (d *Declared) parseChecksum(h http.Header, a *auth.Identity) error {
	for _, alg := range Algorithms {
		v, ok := h[alg.canonicalHeader()]
		if !ok {
			continue
		}
		if d.Algorithm != NoChecksum || len(v) > 1 {
			return s3err.ErrMultipleChecksums
		}
		d.Algorithm = alg
	}
	if alg := d.Algorithm; alg != NoChecksum {
		var ok bool
		if d.Checksum, ok = alg.Decode(h[alg.canonicalHeader()][0]); !ok {
			return s3err.ErrInvalidRequest.Msg("Value for %s header is invalid.", alg.Header())
		}
	} else if err := checkUnknownChecksum(h); err != nil {
		return err
	}
	if t := wire.List(h, "X-Amz-Trailer"); t != "" && (a.Payload == auth.PayloadSignedTrailer || a.Payload == auth.PayloadUnsignedTrailer) {
		alg := algorithmOfHeader(strings.ToLower(strings.TrimSpace(t)))
		switch {
		case alg == NoChecksum:
			return s3err.ErrTrailerHeader
		case d.Algorithm != NoChecksum:
			return s3err.ErrMultipleChecksums
		}
		d.Algorithm, d.Trailer = alg, true
	}
	return d.checkSDKAlgorithm(h)
}

// checkSDKAlgorithm holds x-amz-sdk-checksum-algorithm to the checksum that came.
func (d *Declared) checkSDKAlgorithm(h http.Header) error {
	s := wire.First(h, "X-Amz-Sdk-Checksum-Algorithm")
	if s == "" {
		return nil
	}
	alg, err := ParseAlgorithm(s)
	switch {
	case err != nil:
		return s3err.ErrInvalidRequest.Msg("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	case d.Algorithm == NoChecksum && d.MD5 == nil:
		return s3err.ErrChecksumSDK
	case d.Algorithm != NoChecksum && d.Algorithm != alg:
		return s3err.ErrInvalidRequest.Msg("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return nil
}

// checkUnknownChecksum refuses x-amz-checksum-NAME of an algorithm that we do not know: ignoring it would be a promise broken.
func checkUnknownChecksum(h http.Header) error {
	for name := range h {
		rest, ok := strings.CutPrefix(name, "X-Amz-Checksum-")
		if ok && rest != "Algorithm" && rest != "Mode" && rest != "Type" {
			return s3err.ErrChecksumHeader
		}
	}
	return nil
}

// Decode reads a checksum's base64.
func (a Algorithm) Decode(s string) ([]byte, bool) {
	sum, err := base64.StdEncoding.DecodeString(s)
	return sum, err == nil && len(sum) == a.Size()
}

// valid tells whether Decode would accept s.
func (a Algorithm) valid(s string) bool {
	var buf [72]byte
	if len(s) != base64.StdEncoding.EncodedLen(a.Size()) {
		return false
	}
	n, err := base64.StdEncoding.Decode(buf[:], []byte(s))
	return err == nil && n == a.Size()
}

// Encode is the base64 of a checksum.
func (a Algorithm) Encode(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// Sums are digests that were computed over a body; nil: not computed.
type Sums struct {
	MD5, SHA256, Checksum []byte
}

// Compare tells whether what arrived is what was declared. trailer is the checksum's value from the trailer, used where
// Trailer is set. A digest that was declared but not computed is a bug of the caller and an internal error.
func (d *Declared) Compare(got Sums, trailer string) error {
	if d.MD5 != nil && !same(d.MD5, got.MD5) {
		return s3err.ErrBadDigest.With("ExpectedDigest", hex.EncodeToString(d.MD5)).With("CalculatedDigest", base64.StdEncoding.EncodeToString(got.MD5))
	}
	if d.SHA256 != nil && !same(d.SHA256, got.SHA256) {
		return s3err.ErrContentSHA256Mismatch.With("ClientComputedContentSHA256", d.sha256Text).
			With("S3ComputedContentSHA256", hex.EncodeToString(got.SHA256))
	}
	want := d.Checksum
	if d.Trailer {
		var ok bool
		if want, ok = d.Algorithm.Decode(trailer); !ok {
			return s3err.ErrInvalidRequest.Msg("Value for %s trailing header is invalid.", d.Algorithm.Header())
		}
	}
	if want != nil && !same(want, got.Checksum) {
		return s3err.ErrBadDigest.Msg("The %s you specified did not match the calculated checksum.", d.Algorithm)
	}
	return nil
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// PartSum is one part's checksum and size in bytes, for Combine.
type PartSum struct {
	Sum  []byte
	Size int64
}

// CompositeSum is the checksum of a multipart object of type COMPOSITE: the algorithm over the parts' checksums. S3 writes
// it with "-N", the number of parts.
func (a Algorithm) CompositeSum(parts []PartSum) []byte {
	h := a.New()
	for _, p := range parts {
		h.Write(p.Sum)
	}
	return h.Sum(nil)
}

// Combine computes the checksum of the whole object from those of its parts in order; only CRCs can.
func (a Algorithm) Combine(parts []PartSum) []byte {
	var crc uint64
	var power uint64
	size := int64(-1) // that power is for; most parts have the same
	poly, width := a.polynomial()
	for i, p := range parts {
		if i == 0 {
			crc = a.uint(p.Sum)
			continue
		}
		if p.Size != size {
			size, power = p.Size, powerMod(poly, width, uint64(p.Size))
		}
		// crc(A‖B) is crc(A) moved over B's zeros, that is times x^(8·len(B)) modulo the polynomial, plus crc(B). The
		// complements at both ends of a CRC cancel out.
		crc = multiplyMod(poly, width, power, crc) ^ a.uint(p.Sum)
	}
	if width == 32 {
		return binary.BigEndian.AppendUint32(nil, uint32(crc))
	}
	return binary.BigEndian.AppendUint64(nil, crc)
}

func (a Algorithm) uint(sum []byte) uint64 {
	if len(sum) == 4 {
		return uint64(binary.BigEndian.Uint32(sum))
	}
	return binary.BigEndian.Uint64(sum)
}

// polynomial is reversed (the lowest bit is the highest power).
func (a Algorithm) polynomial() (poly uint64, width int) {
	switch a {
	case CRC32:
		return crc32.IEEE, 32
	case CRC32C:
		return crc32.Castagnoli, 32
	case CRC64NVME:
		return 0x9a6c9329ac4bc9b5, 64
	}
	panic("s3api: " + a.String() + " cannot be combined")
}

// powerMod is x^(8n) mod poly, by squaring.
func powerMod(poly uint64, width int, n uint64) uint64 {
	one := uint64(1) << (width - 1)
	result, square := one, one>>8 // x^0, x^8
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = multiplyMod(poly, width, result, square)
		}
		square = multiplyMod(poly, width, square, square)
	}
	return result
}

// multiplyMod is a·b mod poly over GF(2), bits reflected.
func multiplyMod(poly uint64, width int, a, b uint64) uint64 {
	var product uint64
	for bit := uint64(1) << (width - 1); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry == 1 {
			b ^= poly
		}
	}
	return product
}
