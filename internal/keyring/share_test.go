package keyring

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stele/internal/frame"
)

// goldenShare is no share of a kit: its number is made up. Those of package shares open.
func goldenShare(t testing.TB) Share {
	s := Share{StoreID: golden().StoreID, Set: [8]byte{0xa, 0xb, 0xc}, Index: 2, Shares: 5, Any: 3, Created: time.Date(2026, 11, 22, 16, 3, 12, 0, time.UTC), VKey: goldenVKey(1), Recipient: identity(t, goldenRecovery).Recipient().String()}
	for i := range s.Value {
		s.Value[i] = byte(i * 5)
	}
	return s
}

func TestShareGolden(t *testing.T) {
	s := goldenShare(t)
	name := filepath.Join("testdata", "share-v0.txt")
	if *update {
		if err := os.WriteFile(name, s.Text(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Text(), text) {
		t.Errorf("share is\n%s", s.Text())
	}
	if !IsShare(text) {
		t.Error("it does not look like a share")
	}
	kit, err := os.ReadFile(filepath.Join("testdata", "kit-v0.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if IsShare(kit) {
		t.Error("a kit looks like a share")
	}
	const proof, verifier = "1c46fe8f545776c79212e3260fb422df", "fb5ec6272cadc098221eb599d2b35b94"
	if s.Proof() != proof || ShareVerifier(proof) != verifier {
		t.Errorf("proof %s, verifier %s", s.Proof(), ShareVerifier(s.Proof()))
	}
}

// TestShareTyped: what happens to a text on paper and back does not matter.
func TestShareTyped(t *testing.T) {
	want := goldenShare(t)
	text := string(want.Text())
	lines, key, _ := strings.Cut(text, sharePrefix)
	for name, typed := range map[string]string{
		"as it is":           text,
		"Windows":            strings.ReplaceAll(text, "\n", "  \r\n\r\n"),
		"what counts":        want.lines() + want.keyLine(),
		"lower case":         lines + strings.ToLower(sharePrefix+key),
		"no hyphens":         lines + sharePrefix + strings.ReplaceAll(key, "-", ""),
		"spaces":             lines + sharePrefix + strings.ReplaceAll(key, "-", "  "),
		"over several lines": lines + sharePrefix + strings.ReplaceAll(key, "-", "\n"),
		"look-alikes":        lines + sharePrefix + strings.NewReplacer("0", "O", "1", "l").Replace(key),
		"wide":               strings.Replace(text, "2 of 5, any", "2  of 5,  any", 1),
		"key line first":     want.keyLine() + "\n" + lines,
	} {
		if got, err := ParseShare([]byte(typed)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestShareMistyped changes each place of a share in turn: in the lines that count each change is noticed, or means the same. None makes another share.
func TestShareMistyped(t *testing.T) {
	want := goldenShare(t)
	prose := strings.Index(string(want.Text()), "# store:")
	text := want.Text()
	noticed := 0
	for i := range text {
		for _, c := range []byte("0A7zKq:# -\n") {
			if text[i] == c {
				continue
			}
			bad := bytes.Clone(text)
			bad[i] = c
			got, err := ParseShare(bad)
			if err != nil {
				noticed++
				if !errors.Is(err, ErrShare) && !errors.Is(err, frame.ErrVersion) {
					t.Fatalf("%d as %q: %v", i, c, err)
				}
				if line := string(want.keyLine()[len(sharePrefix):]); strings.Contains(err.Error(), line[:shareGroup]) {
					t.Fatalf("the error tells of the secret: %v", err)
				}
				continue
			}
			if got != want {
				t.Fatalf("%q at %d in place of %q makes another share: %+v", c, i, text[i], got)
			}
			same := strings.ContainsRune(" -\n", rune(c)) && strings.ContainsRune(" -\n", rune(text[i])) // between words and groups
			if i >= prose && !same && !(caseFree(want, i) && strings.EqualFold(string(c), string(text[i]))) {
				t.Fatalf("%q at %d in place of %q is not noticed", c, i, text[i])
			}
		}
	}
	if noticed < 5000 {
		t.Errorf("only %d changes were noticed", noticed)
	}
	// Two letters that were swapped, and one that was left out or doubled.
	start := bytes.Index(text, []byte(sharePrefix)) + len(sharePrefix)
	for i := start; i+2 < len(text); i++ {
		for what, bad := range map[string][]byte{
			"swapped":  append(append(bytes.Clone(text[:i]), text[i+1], text[i]), text[i+2:]...),
			"left out": append(bytes.Clone(text[:i]), text[i+1:]...),
			"doubled":  append(append(bytes.Clone(text[:i]), text[i]), text[i:]...),
		} {
			if got, err := ParseShare(bad); err == nil && got != want {
				t.Errorf("%s at %d: another share", what, i)
			} else if err == nil && text[i] != '-' && text[i+1] != '-' && text[i] != text[i+1] {
				t.Errorf("%s at %d is not noticed", what, i)
			}
		}
	}
}

// caseFree: in the lines of store and set, and in the key line, the case of a letter does not count.
func caseFree(s Share, at int) bool {
	text := string(s.Text())
	return at < strings.Index(text, "# share:") || at >= strings.LastIndex(text, sharePrefix)
}

func TestShareRefused(t *testing.T) {
	s := goldenShare(t)
	text := string(s.Text())
	for what, c := range map[string]struct{ text, says string }{
		"empty":          {"", "no line"},
		"a kit's key":    {goldenRecovery, "unexpected line"},
		"no set":         {strings.Replace(text, "# set: ", "# sat: ", 1), `"# set: …"`},
		"no key line":    {text[:strings.Index(text, sharePrefix)], "no line STELE-SHARE-"},
		"two shares":     {text + text, "file of its own"},
		"two key lines":  {text + s.keyLine(), "file of its own"},
		"1 of any":       {strings.Replace(text, "any 3", "any 1", 1), "2 of 5, any 3 open"},
		"6 of 5":         {strings.Replace(text, "2 of 5", "6 of 5", 1), "2 of 5, any 3 open"},
		"any 6 of 5":     {strings.Replace(text, "any 3", "any 6", 1), "2 of 5, any 3 open"},
		"another number": {strings.Replace(text, "2 of 5", "3 of 5", 1), `"# store" to "# recovery key"`},
		"another store":  {strings.Replace(text, "# store: 00", "# store: 10", 1), `"# store" to "# recovery key"`},
		"a letter":       {strings.Replace(text, "STELE-SHARE-0", "STELE-SHARE-2", 1), "a letter of the line STELE-SHARE-"},
		"a U":            {strings.Replace(text, "STELE-SHARE-0", "STELE-SHARE-U", 1), "group 1"},
		"too short":      {strings.TrimSpace(text)[:len(text)-3], "letters, and not 96"},
	} {
		if _, err := ParseShare([]byte(c.text)); !errors.Is(err, ErrShare) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ParseShare([]byte(strings.Replace(text, "version 0", "version 1", 1))); !errors.Is(err, frame.ErrVersion) {
		t.Errorf("a newer one: %v", err)
	}
}

// TestShareConfirm: a share is judged as the kit is, by what is no secret of it.
func TestShareConfirm(t *testing.T) {
	ring, s := golden(), goldenShare(t)
	ring.Recipients = []string{identity(t, goldenServer).Recipient().String(), s.Recipient}
	if err := ring.ConfirmKey("share", s.StoreID, s.Recipient, s.VKey); err != nil {
		t.Error(err)
	}
	if err := ring.ConfirmKey("share", [16]byte{9}, s.Recipient, s.VKey); err == nil || !strings.Contains(err.Error(), hex.EncodeToString(ring.StoreID[:])) {
		t.Errorf("another store: %v", err)
	}
	if err := ring.ConfirmKey("share", s.StoreID, fresh(t).Recipient().String(), s.VKey); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	if err := ring.ConfirmKey("share", s.StoreID, s.Recipient, "x"); err == nil {
		t.Error("another verifier key")
	}
}

func FuzzParseShare(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "share-v0.txt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("# share: 2 of 5, any 3 open\nstele-share-0O1l"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseShare(text)
		if err != nil {
			if !errors.Is(err, ErrShare) && !errors.Is(err, frame.ErrVersion) {
				t.Error(err)
			}
			return
		}
		again, err := ParseShare(s.Text())
		if err != nil || again.SetID() != s.SetID() || again.Value != s.Value || !bytes.Equal(again.Text(), s.Text()) {
			t.Errorf("%+v renders and parses as %+v, %v", s, again, err)
		}
	})
}
