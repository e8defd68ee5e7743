package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"math/rand/v2"
	"testing"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// TestVectors are those of RFC 1321 and FIPS 180.
func TestVectors(t *testing.T) {
	for _, c := range []struct{ in, md5, sha256 string }{
		{"", "d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "900150983cd24fb0d6963f7d28e17f72", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "8215ef0796a20bcaaae116d3876c664a", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	} {
		md, sha := Sum([]byte(c.in))
		if hex.EncodeToString(md[:]) != c.md5 || hex.EncodeToString(sha[:]) != c.sha256 {
			t.Errorf("Sum(%q) = %x, %x; want %s, %s", c.in, md, sha, c.md5, c.sha256)
		}
	}
}

func check(t *testing.T, data []byte, cuts []int) {
	t.Helper()
	wantMD, wantSHA := md5.Sum(data), sha256.Sum256(data)
	for _, h := range []*Hash{New(), {plain: &[2]hash.Hash{md5.New(), sha256.New()}}} {
		rest := data
		for _, n := range cuts {
			n = min(n, len(rest))
			if m, err := h.Write(rest[:n]); m != n || err != nil {
				t.Fatalf("Write(%d) = %d, %v", n, m, err)
			}
			rest = rest[n:]
		}
		h.Write(rest)
		if md, sha := h.Sums(); md != wantMD || sha != wantSHA {
			t.Fatalf("%d bytes in %v: %x, %x; want %x, %x", len(data), cuts, md, sha, wantMD, wantSHA)
		}
	}
	if md, sha := Sum(data); md != wantMD || sha != wantSHA {
		t.Fatalf("Sum of %d bytes = %x, %x; want %x, %x", len(data), md, sha, wantMD, wantSHA)
	}
}

// TestEveryLength compares with the standard library, at every alignment of the end.
func TestEveryLength(t *testing.T) {
	data := random(70_000)
	for n := range 600 {
		check(t, data[:n], nil)
		check(t, data[n:n+300], []int{n % 67, n % 131, 1})
	}
	for n := 65_000; n <= len(data); n += 487 {
		check(t, data[:n], []int{n / 3, n / 2})
	}
}

// TestPages: each bit of each word counts, in both.
func TestPages(t *testing.T) {
	for i := range 8 * 192 {
		data := make([]byte, 192)
		data[i/8] = 1 << (i % 8)
		check(t, data, nil)
		for j := range data {
			data[j] = ^data[j]
		}
		check(t, data, nil)
	}
}

func FuzzDigest(f *testing.F) {
	f.Add([]byte("abc"), uint8(1), uint8(2))
	f.Add(random(200), uint8(64), uint8(63))
	f.Fuzz(func(t *testing.T, data []byte, a, b uint8) { check(t, data, []int{int(a), int(b)}) })
}

func BenchmarkSum(b *testing.B) {
	data := random(256 << 10)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"both", func() { Sum(data) }},
		{"md5", func() { md5.Sum(data) }},
		{"sha256", func() { sha256.Sum256(data) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				c.do()
			}
		})
	}
}
