package stele_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"stele"
	"stele/entry"
	"stele/internal/keyring"
)

// keptKit is the kit that a store was made with.
func keptKit(t *testing.T, path string) keyring.Kit {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	return kit
}

// TestShareSets: the ledger knows of a set by its splitting or by its first proof, and says when each share was last proven; what is not the share that was split is not noted.
func TestShareSets(t *testing.T) {
	dir := t.TempDir()
	at := time.Now().UTC()
	s, err := stele.Create(ctx, filepath.Join(dir, "data"), stele.Options{Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	kit := keptKit(t, filepath.Join(dir, "kit.txt"))
	id, err := age.ParseX25519Identity(kit.RecoveryIdentity)
	if err != nil {
		t.Fatal(err)
	}
	of := stele.ShareOf{Store: s.ID(), Set: "00112233aabbccdd", Recipient: id.Recipient().String(), VKey: kit.VKey, Shares: 3, Any: 2}
	proofs := []string{strings.Repeat("1", 32), strings.Repeat("2", 32), strings.Repeat("3", 32)}
	var verifiers []string
	for _, p := range proofs {
		verifiers = append(verifiers, keyring.ShareVerifier(p))
	}
	k := s.Keys()
	if sets, err := k.ShareSets(); err != nil || len(sets) != 0 {
		t.Fatalf("%+v, %v", sets, err)
	}

	// What is refused leaves no entry.
	size := s.Ledger().Size()
	for what, change := range map[string]func(*stele.ShareOf, *[]string){
		"another store":        func(o *stele.ShareOf, _ *[]string) { o.Store = strings.Repeat("0", 32) },
		"another key":          func(o *stele.ShareOf, _ *[]string) { o.Recipient = "age1" },
		"another verifier key": func(o *stele.ShareOf, _ *[]string) { o.VKey = "x" },
		"no set":               func(o *stele.ShareOf, _ *[]string) { o.Set = "../x" },
		"upper case":           func(o *stele.ShareOf, _ *[]string) { o.Set = "00112233AABBCCDD" },
		"any 1":                func(o *stele.ShareOf, _ *[]string) { o.Any = 1 },
		"any 4":                func(o *stele.ShareOf, _ *[]string) { o.Any = 4 },
		"256":                  func(o *stele.ShareOf, v *[]string) { o.Shares = 256; *v = make([]string, 256) },
		"too few digests":      func(_ *stele.ShareOf, v *[]string) { *v = (*v)[:2] },
		"no digest":            func(_ *stele.ShareOf, v *[]string) { *v = []string{"x", "y", "z"} },
	} {
		o, v := of, append([]string{}, verifiers...)
		change(&o, &v)
		if err := k.NoteShares(ctx, stele.Local(), o, v); !errors.Is(err, stele.ErrBadName) {
			t.Errorf("noting %s: %v", what, err)
		}
		if what == "too few digests" || what == "no digest" {
			continue
		}
		if err := k.ConfirmShare(ctx, stele.Local(), o, 1, proofs[0]); !errors.Is(err, stele.ErrBadName) {
			t.Errorf("confirming %s: %v", what, err)
		}
	}
	for _, i := range []int{-1, 0, 4} {
		if err := k.ConfirmShare(ctx, stele.Local(), of, i, proofs[0]); !errors.Is(err, stele.ErrBadName) {
			t.Errorf("share %d: %v", i, err)
		}
	}
	if s.Ledger().Size() != size {
		t.Errorf("%d entries of what was refused", s.Ledger().Size()-size)
	}

	// Known by its splitting, once.
	for range 2 {
		if err := k.NoteShares(ctx, stele.Local(), of, verifiers); err != nil {
			t.Fatal(err)
		}
	}
	if s.Ledger().Size() != size+1 {
		t.Errorf("%d entries of one splitting", s.Ledger().Size()-size)
	}
	if err := k.ConfirmShare(ctx, stele.Local(), of, 2, proofs[1]); err != nil {
		t.Fatal(err)
	}
	if err := k.ConfirmShare(ctx, stele.Local(), of, 3, proofs[1]); !errors.Is(err, stele.ErrBadName) || !strings.Contains(err.Error(), "that was split") {
		t.Errorf("the proof of another share: %v", err)
	}
	wrong := of
	wrong.Any = 3
	if err := k.ConfirmShare(ctx, stele.Local(), wrong, 3, proofs[2]); !errors.Is(err, stele.ErrBadName) {
		t.Errorf("another threshold: %v", err)
	}

	// Known by a proof alone.
	by := of
	by.Set = "ffffffffffffffff"
	if err := k.ConfirmShare(ctx, stele.Local(), by, 1, proofs[0]); err != nil {
		t.Fatal(err)
	}
	if err := k.ConfirmShare(ctx, stele.Local(), by, 1, proofs[2]); !errors.Is(err, stele.ErrBadName) || !strings.Contains(err.Error(), "that was proven on") {
		t.Errorf("another proof than before: %v", err)
	}

	sets, err := k.ShareSets()
	if err != nil || len(sets) != 2 {
		t.Fatalf("%+v, %v", sets, err)
	}
	for i := range sets {
		set := &sets[i]
		proven := map[string]int{of.Set: 1, by.Set: 0}[set.Set]
		if set.Any != 2 || len(set.Proven) != 3 || !set.Opens || set.Noted.Before(at.Add(-time.Minute)) {
			t.Errorf("%+v", set)
		}
		for j, p := range set.Proven {
			if p.IsZero() == (j == proven) {
				t.Errorf("set %s: share %d proven %v", set.Set, j+1, p)
			}
		}
	}

	// What a reader of the ledger sees does not let him prove what he does not hold.
	for i := size; i < s.Ledger().Size(); i++ {
		e, err := s.Ledger().Entry(ctx, i)
		if err != nil || e.Type != entry.ConfigSet {
			t.Fatalf("entry %d: %v %v", i, e.Type, err)
		}
		for _, p := range proofs {
			if strings.Contains(e.Private.Value, p) {
				t.Errorf("entry %d holds a proof: %s", i, e.Private.Value)
			}
		}
	}

	// It is read from the entries, as all else.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "data", "index")); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, filepath.Join(dir, "data"), stele.Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if again, err := s.Keys().ShareSets(); err != nil || len(again) != 2 || again[0].Set != sets[0].Set || !again[0].Noted.Equal(sets[0].Noted) {
		t.Errorf("%+v, %v", again, err)
	}
}
