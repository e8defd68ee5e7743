package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func header() Header {
	h := Header{Magic: MagicSegment, KeyID: 1, Epoch: 2, First: 3}
	for i := range h.FileID {
		h.FileID[i] = byte(i)
	}
	copy(h.StoreID[:], "store-id-16bytes")
	return h
}

func TestHeaderGolden(t *testing.T) {
	const golden = "5354454c455345470000000000000001" +
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" +
		"00000002000000000000000000000003" + "73746f72652d69642d31366279746573" + "000000000000000000000000"
	h := header()
	b := h.Append(nil)
	if got := hex.EncodeToString(b[:92]); got != golden {
		t.Fatalf("header bytes changed:\n got %s\nwant %s", got, golden)
	}
	got, err := ParseHeader(b, MagicSegment)
	if err != nil || got != h {
		t.Fatalf("parsed %+v, %v", got, err)
	}
}

func TestUnknownVersionIsNotCorruption(t *testing.T) {
	h := header()
	h.Version = Version + 1
	b := h.Append(nil)
	if _, err := ParseHeader(b, MagicSegment); !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) {
		t.Fatalf("a newer version gave %v", err)
	}
}

// TestRottenVersionIsCorruption: a version is believed only under the header's checksum, so that what rotted there is healed and not taken for a newer program's.
func TestRottenVersionIsCorruption(t *testing.T) {
	h := header()
	for i := 8; i < 10; i++ {
		for bit := range 8 {
			b := h.Append(nil)
			b[i] ^= 1 << bit
			if _, err := ParseHeader(b, MagicSegment); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) {
				t.Fatalf("version byte %d bit %d: %v", i, bit, err)
			}
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	h := header()
	b := h.Append(nil)
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if got, err := ParseHeader(b, MagicSegment); err == nil {
				t.Fatalf("header byte %d bit %d: parsed as %+v", i, bit, got)
			}
			b[i] ^= 1 << bit
		}
	}
	f := append(Begin(nil), "the body"...)
	End(f, 0, KindChunk, FlagZstd, 7)
	for i := range f {
		for bit := range 8 {
			f[i] ^= 1 << bit
			if _, _, err := Parse(f); err == nil {
				t.Fatalf("frame byte %d bit %d went unnoticed", i, bit)
			}
			f[i] ^= 1 << bit
		}
	}
}

func TestFrameRoundTrip(t *testing.T) {
	f := append(Begin(nil), "the body"...)
	End(f, 0, KindChunk, FlagZstd, 7)
	got, n, err := Parse(append(f, make([]byte, 64)...))
	if err != nil || n != len(f) || got.Kind != KindChunk || got.Flags != FlagZstd || got.Number != 7 || string(got.Body) != "the body" {
		t.Fatalf("%+v %d %v", got, n, err)
	}
	if _, _, err := Parse(make([]byte, 64)); !errors.Is(err, ErrEnd) {
		t.Fatalf("reserved room: %v", err)
	}
	if _, _, err := Parse(f[:len(f)-1]); !errors.Is(err, ErrTorn) {
		t.Fatalf("torn: %v", err)
	}
}

func TestSealBindsKeyNumberAndData(t *testing.T) {
	id := FileID{1}
	s, err := NewSealer([32]byte{2}, id)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Seal(nil, 9, []byte("plain"), []byte("ad"))
	if p, err := s.Open(nil, 9, c, []byte("ad")); err != nil || string(p) != "plain" {
		t.Fatalf("%q %v", p, err)
	}
	if _, err := s.Open(nil, 8, c, []byte("ad")); !errors.Is(err, ErrCorrupt) {
		t.Fatal("another number opened it")
	}
	if _, err := s.Open(nil, 9, c, []byte("da")); !errors.Is(err, ErrCorrupt) {
		t.Fatal("other associated data opened it")
	}
	other, _ := NewSealer([32]byte{2}, FileID{2})
	if _, err := other.Open(nil, 9, c, []byte("ad")); !errors.Is(err, ErrCorrupt) {
		t.Fatal("another file's key opened it")
	}
}

func FuzzParse(f *testing.F) {
	b := append(Begin(nil), "the body"...)
	End(b, 0, KindChunk, 0, 7)
	f.Add(b)
	f.Add(make([]byte, 40))
	h := header()
	f.Add(h.Append(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		if fr, n, err := Parse(in); err == nil {
			out := append(Begin(nil), fr.Body...)
			End(out, 0, fr.Kind, fr.Flags, fr.Number)
			if !bytes.Equal(out, in[:n]) {
				t.Fatal("a parsed frame re-encodes otherwise")
			}
		}
		if h, err := ParseHeader(in, MagicSegment); err == nil && !bytes.Equal(h.Append(nil), in[:HeaderSize]) {
			t.Fatal("a parsed header re-encodes otherwise")
		}
	})
}
