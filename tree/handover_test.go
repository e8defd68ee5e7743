package tree

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"testing"

	"stele/entry"
)

// grown is a ledger of n leaves.
func grown(n int) *ledger {
	l := new(ledger)
	for i := range n {
		l.add([]byte(fmt.Sprint("leaf ", i)))
	}
	return l
}

// TestRootBefore: an inclusion proof yields the root of the tree before its leaf.
func TestRootBefore(t *testing.T) {
	l := grown(600).reader()
	for _, size := range []uint64{1, 2, 3, 7, 8, 9, 255, 256, 257, 511, 512, 600} {
		for index := uint64(1); index < size; index++ {
			proof, err := l.Inclusion(index, size)
			if err != nil {
				t.Fatal(err)
			}
			want, err := l.Root(index)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := RootBefore(proof, index, size); err != nil || got != want {
				t.Fatalf("root before %d at size %d is %s, want %s, %v", index, size, got, want, err)
			}
		}
		if _, err := RootBefore(nil, size, size); !errors.Is(err, ErrFormat) {
			t.Errorf("before an entry that is not there: %v", err)
		}
	}
}

// TestHandover alters everything in a handover: only the true one is accepted.
func TestHandover(t *testing.T) {
	l := grown(20).reader()
	signer := func(store string, epoch uint64, seed byte) *Signer {
		key := make([]byte, ed25519.SeedSize)
		key[0] = seed
		s, err := NewSigner(Origin(store, epoch), ed25519.NewKeyFromSeed(key))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old, next := signer("aa", 1, 1), signer("aa", 2, 2)
	root := func(size uint64) Hash {
		h, err := l.Root(size)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	make := func(cut, parent uint64, edit func(*Handover)) Handover {
		h := Handover{Epoch: 2, VKey: next.String(), Cut: cut, Parent: old.Note(parent, root(parent), old.Sign(parent, root(parent)))}
		var err error
		if cut < parent {
			if h.Proof, err = l.Consistency(cut, parent); err != nil {
				t.Fatal(err)
			}
		}
		edit(&h)
		old.HandOver(&h, root(cut))
		return h
	}
	none := func(*Handover) {}
	for _, parent := range []uint64{7, 8, 20} {
		h := make(7, parent, none)
		got, err := ParseHandover(7, entry.EpochBegin, h.Data())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(h) {
			t.Fatalf("%+v parses as %+v, %v", h, got, err)
		}
		if err := got.Check(root(7), old.Verifier); err != nil {
			t.Errorf("cut at 7 of %d: %v", parent, err)
		}
	}
	other := signer("aa", 1, 3)
	for what, h := range map[string]Handover{
		"parent by another key":  make(7, 20, func(h *Handover) { h.Parent = other.Note(20, root(20), other.Sign(20, root(20))) }),
		"parent too small":       make(9, 20, func(h *Handover) { h.Parent = old.Note(7, root(7), old.Sign(7, root(7))) }),
		"parent of another tree": make(7, 20, func(h *Handover) { h.Parent = old.Note(20, root(19), old.Sign(20, root(19))) }),
		"no proof":               make(7, 20, func(h *Handover) { h.Proof = nil }),
		"other root":             make(7, 7, func(h *Handover) { h.Parent = old.Note(7, root(8), old.Sign(7, root(8))) }),
		"key of another store":   make(7, 20, func(h *Handover) { h.VKey = signer("bb", 2, 2).String() }),
		"key of another epoch":   make(7, 20, func(h *Handover) { h.VKey = signer("aa", 3, 2).String() }),
		"no key":                 make(7, 20, func(h *Handover) { h.VKey = "x" }),
	} {
		if err := h.Check(root(h.Cut), old.Verifier); !errors.Is(err, ErrHandover) {
			t.Errorf("%s: %v", what, err)
		}
	}
	h := make(7, 20, none)
	h.VKey = signer("aa", 2, 9).String() // after the consent
	if err := h.Check(root(7), old.Verifier); !errors.Is(err, ErrHandover) {
		t.Errorf("consent to another key: %v", err)
	}
	h = make(7, 20, none)
	h.Consent = h.Parent
	if err := h.Check(root(7), old.Verifier); !errors.Is(err, ErrHandover) {
		t.Errorf("a checkpoint as consent: %v", err)
	}
	h = make(7, 20, none)
	for name, bad := range map[string]string{"epoch": "x", "cut": "8", "proof": "!"} {
		data := maps.Clone(h.Data())
		data[name] = bad
		if _, err := ParseHandover(7, entry.EpochBegin, data); !errors.Is(err, ErrHandover) {
			t.Errorf("%s %q: %v", name, bad, err)
		}
	}
	if _, err := ParseHandover(7, entry.ObjectPut, h.Data()); !errors.Is(err, ErrHandover) {
		t.Errorf("another entry: %v", err)
	}
}
