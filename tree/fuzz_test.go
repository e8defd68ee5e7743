package tree

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

func FuzzParseReceipt(f *testing.F) {
	_, b := multipartReceipt(f)
	f.Add(b)
	one, err := os.ReadFile("testdata/receipt.tlog-proof")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReceipt(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if again := r.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%q became %q", b, again)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add("4f2a9c/0\n300\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	f.Add("4f2a9c/0\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nextension\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCheckpoint(s)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.HasPrefix([]byte(s), c.AppendText(nil)) {
			t.Fatalf("%q became %q", s, c.AppendText(nil))
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	s := signer(f, "4f2a9c/0")
	signed, _ := s.SignCheckpoint(300, Hash{1})
	f.Add(signed)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := s.Open(b)
		if err == nil && (c != Checkpoint{"4f2a9c/0", 300, Hash{1}}) {
			t.Fatalf("forged: %+v", c)
		}
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSignature) {
			t.Fatal(err)
		}
	})
}

func FuzzFrontier(f *testing.F) {
	var e Frontier
	for i := range 20 {
		b, _ := e.MarshalBinary()
		f.Add(b)
		e.Append(Hash{byte(i)})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Frontier
		if err := e.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if again, _ := e.MarshalBinary(); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzParseTilePath(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/entries/x001/234.p/5", "tile/2/x999/x999/999", "tile/data/000", "tile/0/000.p/256"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tile, err := ParseTilePath(s)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if tile.Path() != s {
			t.Fatalf("%q became %q", s, tile.Path())
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0, 0, 2, 'b', 'c'})
	f.Fuzz(func(t *testing.T, b []byte) {
		leaves, err := ParseBundle(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		var again []byte
		for _, l := range leaves {
			if again, err = AppendBundleEntry(again, l); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}
