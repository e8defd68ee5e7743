package entry

import (
	"bytes"
	"errors"
	"testing"
)

func FuzzParsePrivate(f *testing.F) {
	for _, p := range examples() {
		f.Add(AppendPrivate(nil, &p))
	}
	p := full()
	f.Add(AppendPrivate(nil, &p))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePrivate(b)
		if err != nil {
			if !errors.Is(err, ErrCanonical) {
				t.Fatal(err)
			}
			return
		}
		if again := AppendPrivate(nil, &p); !bytes.Equal(again, b) {
			t.Fatalf("%q became %q", b, again)
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	for i, typ := range Types {
		f.Add(AppendLeaf(nil, uint64(i), epoch, typ, sum(byte(i))))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLeaf(b)
		if err != nil {
			if !errors.Is(err, ErrCanonical) {
				t.Fatal(err)
			}
			return
		}
		if again := AppendLeaf(nil, l.Index, l.Time, l.Type, l.C); !bytes.Equal(again, b) {
			t.Fatalf("%q became %q", b, again)
		}
	})
}

func FuzzParseParts(f *testing.F) {
	f.Add(AppendParts(nil, Parts{{Body: *body(BodyChunk), Number: 1}, {Body: *body(BodyManifest), Checksum: "x", Number: 7}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseParts(b)
		if err != nil {
			return
		}
		if again := AppendParts(nil, p); !bytes.Equal(again, b) {
			t.Fatalf("%q became %q", b, again)
		}
	})
}
