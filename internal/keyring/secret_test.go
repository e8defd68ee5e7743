package keyring

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"stele/entry"
	"stele/internal/frame"
)

// goldenSecret is "a-secret-of-some-length" of key.create K1, sealed under data key 1, whose bytes are all 7.
const goldenSecret = "AAAAAAHmMKVgJKarbinPRloHAdCCjB5GAUufo8TqFzZ6VBdFRAiE3bRGwB5c5cbZDftkb1f0fhskIDRoLsbym9/QyA1jg2DVH3xujQ=="

func secretRing() *Keyring {
	k := &Keyring{DataKeys: []DataKey{{ID: 1}}}
	for i := range k.DataKeys[0].Key {
		k.DataKeys[0].Key[i] = 7
	}
	return k
}

func TestSecretGolden(t *testing.T) {
	if got, err := secretRing().OpenSecret(goldenSecret, "key.create", "K1"); err != nil || got != "a-secret-of-some-length" {
		t.Errorf("%q %v", got, err)
	}
}

// TestSecret: a sealed secret opens under its own type and name only, with every byte as it was, also after a newer data key came.
func TestSecret(t *testing.T) {
	k := secretRing()
	for _, secret := range []string{"", "s", strings.Repeat("x", MaxSecret)} {
		sealed, err := k.SealSecret(secret, "key.create", "K1")
		if err != nil || len(sealed) > entry.MaxSecret {
			t.Fatalf("%d bytes, %v", len(sealed), err)
		}
		p := entry.Private{Secret: sealed}
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
		newer := *k
		newer.DataKeys = append([]DataKey{}, k.DataKeys[0], DataKey{ID: 2})
		if got, err := newer.OpenSecret(sealed, "key.create", "K1"); err != nil || got != secret {
			t.Errorf("%q %v", got, err)
		}
		for _, c := range [][2]string{{"key.create", "K2"}, {"backup.target", "K1"}, {"key.create", ""}} {
			if _, err := k.OpenSecret(sealed, c[0], c[1]); !errors.Is(err, frame.ErrCorrupt) {
				t.Errorf("as that of %s %s: %v", c[0], c[1], err)
			}
		}
	}
	if a, _ := k.SealSecret("s", "t", "n"); a == must(k.SealSecret("s", "t", "n")) {
		t.Error("two seals of one secret are the same")
	}
	if _, err := k.SealSecret(strings.Repeat("x", MaxSecret+1), "t", "n"); !errors.Is(err, ErrLongSecret) {
		t.Error(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(must(k.SealSecret("s", "t", "n")))
	for i := range raw {
		b := append([]byte{}, raw...)
		b[i] ^= 1
		want := frame.ErrCorrupt
		switch {
		case i == 0:
			want = frame.ErrVersion
		case i < 5:
			want = ErrWrongKey
		}
		if _, err := k.OpenSecret(base64.StdEncoding.EncodeToString(b), "t", "n"); !errors.Is(err, want) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	for n := range raw {
		if _, err := k.OpenSecret(base64.StdEncoding.EncodeToString(raw[:n]), "t", "n"); err == nil {
			t.Errorf("cut to %d bytes: it opens", n)
		}
	}
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}
