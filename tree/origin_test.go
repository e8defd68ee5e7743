package tree

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

// TestOpenAnotherEpoch: who pinned a key before a failover is told that, and what to do.
func TestOpenAnotherEpoch(t *testing.T) {
	signer := func(origin string) *Signer {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSigner(origin, key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old, later, other := signer("aaaa/1"), signer("aaaa/2"), signer("bbbb/1")
	root := Hash{1}
	for _, c := range []struct {
		by   *Signer
		want string
	}{
		{old, ""}, {later, "epoch 2, the key is that of epoch 1 of the same store"}, {other, `of "bbbb/1", not of "aaaa/1"`},
	} {
		_, err := old.Verifier.Open(c.by.Verifier.Note(0, root, c.by.Sign(0, root)))
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
