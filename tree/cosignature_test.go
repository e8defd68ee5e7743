package tree

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"
)

func cosigner(t testing.TB) *Cosigner {
	t.Helper()
	c, err := NewCosigner("example.com/w", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCosignature: a cosignature is found among others, and is of that checkpoint, that moment and that key. That others read it so: internal/witness, TestForeignTruth.
func TestCosignature(t *testing.T) {
	s, err := NewSigner("store/1", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	signed, _ := s.SignCheckpoint(5, Hash{1})
	c, at := cosigner(t), time.Unix(1_800_000_000, 0).UTC()
	line, err := c.Cosign(signed, at)
	if err != nil {
		t.Fatal(err)
	}
	full := append(bytes.Clone(signed), line...)
	if got, when, err := c.Check(full); err != nil || !bytes.Equal(got, line) || !when.Equal(at) {
		t.Errorf("%s at %s: %v", got, when, err)
	}
	if head, err := s.Open(full); err != nil || head.Size != 5 {
		t.Errorf("the log's own signature beside it: %v", err)
	}
	other, _ := s.SignCheckpoint(6, Hash{1})
	other = append(other, line...)
	for name, b := range map[string][]byte{"of another checkpoint": other, "none": signed} {
		if _, _, err := c.Check(b); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := c.Check([]byte("no note")); !errors.Is(err, ErrFormat) {
		t.Errorf("no note: %v", err)
	}
	for _, when := range []time.Time{{}, time.Unix(0, 0)} {
		if _, err := c.Cosign(signed, when); err == nil {
			t.Errorf("cosigned at %s", when)
		}
	}
}

// FuzzCosignature: a verifier key is read in one way only, and no note makes Check panic or say yes to what it did not sign.
func FuzzCosignature(f *testing.F) {
	c := cosigner(f)
	s, err := NewSigner("store/1", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	signed, _ := s.SignCheckpoint(5, Hash{1})
	line, err := c.Cosign(signed, time.Unix(1_800_000_000, 0))
	if err != nil {
		f.Fatal(err)
	}
	text := signed[:bytes.LastIndex(signed, []byte("\n\n"))]
	f.Add(c.String(), append(bytes.Clone(signed), line...))
	f.Add(strings.ToUpper(c.String()), signed)
	f.Add(s.String(), []byte("\n\n"))
	f.Fuzz(func(t *testing.T, vkey string, b []byte) {
		if v, err := NewCosignature(vkey); err == nil && v.String() != vkey {
			t.Errorf("%q is %q", vkey, v)
		}
		if _, _, err := c.Check(b); err == nil && !bytes.HasPrefix(b, text) {
			t.Errorf("%q bears no cosignature", b)
		}
	})
}
