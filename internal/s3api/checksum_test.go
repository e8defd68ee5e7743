package s3api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"stele/internal/s3api/auth"
	"stele/internal/s3api/s3err/s3errtest"
)

// The values of "123456789" are each algorithm's published check value.
func TestAlgorithms(t *testing.T) {
	for alg, want := range map[Algorithm]string{
		CRC32: "cbf43926", CRC32C: "e3069283", CRC64NVME: "ae8b14860a799888",
		SHA1:   "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225", MD5: "25f9e794323b453885f5181f1b624d0b",
		SHA512: "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
	} {
		h := alg.New()
		h.Write([]byte("123456789"))
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("%s: %s, want %s", alg, got, want)
		}
		if h.Size() != alg.Size() {
			t.Errorf("%s: size %d", alg, alg.Size())
		}
		if http.CanonicalHeaderKey(alg.Header()) != alg.canonicalHeader() {
			t.Errorf("%s: header %s", alg, alg.canonicalHeader())
		}
	}
}

// Those of nothing, as xxHash's own documentation and tests have them, big-endian.
func TestXXHash(t *testing.T) {
	for alg, want := range map[Algorithm]string{XXHASH64: "ef46db3751d8e999", XXHASH3: "2d06800538d394c2", XXHASH128: "99aa06d3014798d86001c324468d497f"} {
		if got := fmt.Sprintf("%x", alg.New().Sum(nil)); got != want || len(want) != 2*alg.Size() {
			t.Errorf("%s: %s, want %s", alg, got, want)
		}
	}
}

func TestCombine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, alg := range []Algorithm{CRC32, CRC32C, CRC64NVME} {
		for round := range 200 {
			var parts []PartSum
			whole := alg.New()
			for range rng.IntN(6) + 1 {
				b := make([]byte, rng.IntN(2)*rng.IntN(5000))
				for i := range b {
					b[i] = byte(rng.Uint32())
				}
				h := alg.New()
				h.Write(b)
				whole.Write(b)
				parts = append(parts, PartSum{h.Sum(nil), int64(len(b))})
			}
			if got, want := alg.Combine(parts), whole.Sum(nil); !bytes.Equal(got, want) {
				t.Fatalf("%s round %d: %x, want %x", alg, round, got, want)
			}
		}
	}
}

// A composite checksum as the User Guide describes it: the checksum of the parts' checksums.
func TestComposite(t *testing.T) {
	for _, alg := range Algorithms {
		a, b := alg.New(), alg.New()
		a.Write([]byte("one"))
		b.Write([]byte("two"))
		want := alg.New()
		want.Write(append(a.Sum(nil), b.Sum(nil)...))
		if got := alg.CompositeSum([]PartSum{{a.Sum(nil), 3}, {b.Sum(nil), 3}}); !bytes.Equal(got, want.Sum(nil)) {
			t.Errorf("%s: %x", alg, got)
		}
	}
}

func TestCheckType(t *testing.T) {
	for _, c := range []struct {
		alg Algorithm
		typ string
		ok  bool
	}{
		{CRC32, "composite", true}, {CRC32, FullObject, true}, {CRC32C, FullObject, true}, {CRC64NVME, FullObject, true},
		{CRC64NVME, Composite, false}, {SHA1, FullObject, false}, {SHA256, FullObject, false}, {SHA256, Composite, true}, {XXHASH3, Composite, true}, {MD5, FullObject, false}, {SHA1, "x", false},
	} {
		if _, err := c.alg.CheckType(c.typ); (err == nil) != c.ok {
			t.Errorf("%s %s: %v", c.alg, c.typ, err)
		}
	}
}

func TestDeclared(t *testing.T) {
	hello := func(alg Algorithm) string {
		h := alg.New()
		h.Write([]byte("hello"))
		return alg.Encode(h.Sum(nil))
	}
	for _, c := range []struct {
		header        string
		code, message string // of ParseDeclared
		bad           string // of Compare, for the body "hello"
	}{
		{"", "", "", ""},
		{"Content-MD5: XUFAKrxLKna5cZ2REBfFkg==", "", "", ""},
		{"Content-MD5: YUFAKrxLKna5cZ2REBfFkg==", "", "", "BadDigest"},
		{"Content-MD5: nonsense", "InvalidDigest", "", ""},
		{"Content-MD5: ", "InvalidDigest", "", ""},
		{"x-amz-checksum-crc32: " + hello(CRC32), "", "", ""},
		{"x-amz-checksum-crc32c: " + hello(CRC32C), "", "", ""},
		{"x-amz-checksum-crc64nvme: M3eFcAZSQlc=", "", "", ""},
		{"x-amz-checksum-sha1: " + hello(SHA1), "", "", ""},
		{"x-amz-checksum-sha256: " + hello(SHA256), "", "", ""},
		{"x-amz-checksum-sha256: " + base64.StdEncoding.EncodeToString(make([]byte, 32)), "", "", "BadDigest"},
		{"x-amz-checksum-sha256: AAAA", "InvalidRequest", "Value for x-amz-checksum-sha256 header is invalid.", ""},
		{"x-amz-checksum-sha3: AAAA", "InvalidRequest", "algorithm type you specified", ""},
		{"x-amz-checksum-xxhash128: " + hello(XXHASH128), "", "", ""},
		{"x-amz-checksum-md5: " + hello(SHA1), "InvalidRequest", "Value for x-amz-checksum-md5 header is invalid.", ""},
		{"x-amz-checksum-crc32: " + hello(CRC32) + "|x-amz-checksum-crc32c: " + hello(CRC32C), "InvalidRequest", "Multiple checksum", ""},
		{"x-amz-sdk-checksum-algorithm: CRC32", "InvalidRequest", "no corresponding", ""},
		{"x-amz-sdk-checksum-algorithm: CRC32|x-amz-checksum-crc32c: " + hello(CRC32C), "InvalidRequest", "x-amz-sdk-checksum-algorithm header", ""},
		{"x-amz-sdk-checksum-algorithm: crc32c|x-amz-checksum-crc32c: " + hello(CRC32C), "", "", ""},
		{"x-amz-sdk-checksum-algorithm: XYZ", "InvalidRequest", "x-amz-sdk-checksum-algorithm header", ""},
	} {
		h := http.Header{}
		for _, line := range strings.Split(c.header, "|") {
			if k, v, ok := strings.Cut(line, ": "); ok {
				h.Add(k, v)
			}
		}
		d, err := ParseDeclared(h, &auth.Identity{})
		if c.code != "" {
			s3errtest.Want(t, c.header, err, c.code, c.message)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.header, err)
			continue
		}
		ch := NewChecked(strings.NewReader("hello"), d, nil)
		_, err = ch.WriteTo(new(bytes.Buffer))
		if c.bad != "" {
			s3errtest.Want(t, c.header, err, c.bad, "")
		} else if err != nil {
			t.Errorf("%s: %v", c.header, err)
		}
	}
}

// TestDeclaredTrailer: a trailer is announced by x-amz-trailer where the payload may have one; it is one checksum and nothing else.
func TestDeclaredTrailer(t *testing.T) {
	for _, c := range []struct {
		payload  auth.Payload
		header   http.Header
		name     string
		code     string
		messages string
	}{
		{auth.PayloadSignedTrailer, http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32c"}}, "x-amz-checksum-crc32c", "", ""},
		{auth.PayloadUnsignedTrailer, http.Header{"X-Amz-Trailer": {" X-Amz-Checksum-Sha256"}}, "x-amz-checksum-sha256", "", ""},
		{auth.PayloadUnsignedTrailer, http.Header{}, "", "", ""},
		{auth.PayloadSigned, http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32c"}}, "", "", ""},
		{auth.PayloadUnsignedTrailer, http.Header{"X-Amz-Trailer": {"x-amz-meta-a"}}, "", "InvalidRequest", "x-amz-trailer"},
		{auth.PayloadUnsignedTrailer, http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32", "x-amz-checksum-sha1"}}, "", "InvalidRequest", "x-amz-trailer"},
		{auth.PayloadUnsignedTrailer, http.Header{"X-Amz-Trailer": {"x-amz-checksum-sha1"}, "X-Amz-Checksum-Crc32": {"AAAAAA=="}}, "", "InvalidRequest", "Multiple"},
	} {
		d, err := ParseDeclared(c.header, &auth.Identity{Payload: c.payload})
		if c.code != "" {
			s3errtest.Want(t, fmt.Sprint(c.header), err, c.code, c.messages)
		} else if err != nil || d.TrailerName() != c.name {
			t.Errorf("%v: %q, %v", c.header, d.TrailerName(), err)
		}
	}
}

func TestContentSHA256(t *testing.T) {
	a := &auth.Identity{Payload: auth.PayloadHash, SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	d, err := ParseDeclared(http.Header{}, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewChecked(strings.NewReader(""), d, nil).WriteTo(new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
	_, err = NewChecked(strings.NewReader("x"), d, nil).WriteTo(new(bytes.Buffer))
	s3errtest.Want(t, "sha256", err, "XAmzContentSHA256Mismatch", "")
}

func BenchmarkCombine10000(b *testing.B) {
	parts := make([]PartSum, 10000)
	for i := range parts {
		parts[i] = PartSum{[]byte{1, 2, 3, 4, 5, 6, 7, byte(i)}, 8 << 20}
	}
	b.ReportAllocs()
	for b.Loop() {
		CRC64NVME.Combine(parts)
	}
}
