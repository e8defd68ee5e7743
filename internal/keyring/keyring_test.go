package keyring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/frame"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Fixed keys of the golden files. They protect nothing.
const (
	goldenServer   = "AGE-SECRET-KEY-1P2HK9E9NY2VXFKVSW2HSRN2R05M76KW5HTD0YJQ42VNT05SK6ENQTPHEZY"
	goldenRecovery = "AGE-SECRET-KEY-16G6CM34HGYS373C0G3NUUKYZQD3H356AL3F39YC4NZAVJH25UACSZ5G346"
	goldenSigner   = "PRIVATE+KEY+000102030405060708090a0b0c0d0e0f/1+654a01e1+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

var ctx = context.Background()

func identity(t testing.TB, s string) *age.X25519Identity {
	t.Helper()
	id, err := age.ParseX25519Identity(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSaveLoad(t *testing.T) {
	e := mem.New()
	server, recovery, stranger := fresh(t), fresh(t), fresh(t)
	if _, err := Load(ctx, e, server); !errors.Is(err, ErrNone) {
		t.Fatalf("load of nothing: %v", err)
	}
	k, err := New([16]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := Save(ctx, e, k, server.Recipient(), recovery.Recipient()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []*age.X25519Identity{server, recovery} {
		got, err := Load(ctx, e, stranger, id)
		if err != nil {
			t.Fatal(err)
		}
		if got.Signer != k.Signer || got.StoreID != k.StoreID || got.Current() != k.Current() || got.Epoch != 1 || len(got.Recipients) != 2 {
			t.Errorf("loaded %+v", got)
		}
	}
	if _, err := Load(ctx, e, stranger); !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), "--recovery-key") {
		t.Errorf("load with a stranger's key: %v", err)
	}
	if _, err := Load(ctx, e); !errors.Is(err, ErrWrongKey) {
		t.Errorf("load without a key: %v", err)
	}
	if _, err := k.Sealer(2, frame.FileID{}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("sealer of an unknown data key: %v", err)
	}

	// The newest counts.
	k.DataKeys = append(k.DataKeys, DataKey{ID: 2, Key: [32]byte{2}})
	if err := Save(ctx, e, k, server.Recipient()); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(ctx, e, server); err != nil || got.Current().ID != 2 {
		t.Errorf("newest: %+v, %v", got, err)
	}
	if _, err := Load(ctx, e, recovery); !errors.Is(err, ErrWrongKey) {
		t.Errorf("load with a key that was left out: %v", err)
	}
	if err := Save(ctx, e, k); err == nil {
		t.Error("saved to nobody")
	}
}

func fresh(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestDamagedFile flips every byte of a keyring file: it never opens to something else.
func TestDamagedFile(t *testing.T) {
	id := fresh(t)
	e := mem.New()
	k, err := New([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if err := Save(ctx, e, k, id.Recipient()); err != nil {
		t.Fatal(err)
	}
	file, err := read(ctx, e, engine.Keyrings+"000001")
	if err != nil {
		t.Fatal(err)
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		if got, err := open(bad, []age.Identity{id}); err == nil {
			t.Fatalf("flip of byte %d opens: %+v", i, got)
		}
	}
	for i := range file {
		if _, err := open(file[:i], []age.Identity{id}); err == nil {
			t.Fatalf("cut at byte %d opens", i)
		}
	}
}

func golden() *Keyring {
	k := &Keyring{StoreID: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Epoch: 1, Signer: goldenSigner,
		DataKeys: []DataKey{{ID: 1}, {ID: 2}}}
	for i := range 32 {
		k.DataKeys[0].Key[i], k.DataKeys[0].Dedup[i] = byte(i), byte(i+32)
		k.DataKeys[1].Key[i], k.DataKeys[1].Dedup[i] = byte(i+64), byte(i+96)
	}
	return k
}

// goldenReigns is the keyring of the third epoch of the golden store: the second one began behind the place where the third did.
func goldenReigns() *Keyring {
	k := golden()
	k.Epoch = 3
	k.Signer = "PRIVATE+KEY+" + strings.Join(strings.SplitN(goldenVKey(3), "+", 3)[:2], "+") + "+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	k.Reigns = []Reign{{1, 120, []string{goldenVKey(1)}}, {2, 0, []string{goldenVKey(2)}}}
	return k
}

// goldenVKey is the verifier key of the golden seed in an epoch.
func goldenVKey(epoch uint32) string {
	v, err := note.NewEd25519VerifierKey(Origin(golden().StoreID, epoch), ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	return v
}

const goldenData = `"data":[{"id":1,"key":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","dedup":"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"},` +
	`{"id":2,"key":"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f","dedup":"606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"}],`

// TestGolden opens keyring files that were written when the format was made, and compares the documents in them byte for byte.
func TestGolden(t *testing.T) {
	server, recovery := identity(t, goldenServer), identity(t, goldenRecovery)
	for _, g := range []struct {
		file, head string
		keys       *Keyring
	}{
		{"keyring-v0.age", `"epoch":1,"signer":"` + goldenSigner + `",`, golden()},
		{"keyring-v0-reigns.age", `"epoch":3,"signer":"` + goldenReigns().Signer + `","reigns":[{"epoch":1,"end":120,"vkeys":["` + goldenVKey(1) + `"]},{"epoch":2,"end":0,"vkeys":["` + goldenVKey(2) + `"]}],`, goldenReigns()},
	} {
		name := filepath.Join("testdata", g.file)
		if *update {
			e := mem.New()
			if err := Save(ctx, e, g.keys, server.Recipient(), recovery.Recipient()); err != nil {
				t.Fatal(err)
			}
			file, err := read(ctx, e, engine.Keyrings+"000001")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"v":0,"store":"000102030405060708090a0b0c0d0e0f",` + g.head + goldenData + `"recipients":["` + server.Recipient().String() + `","` + recovery.Recipient().String() + `"]}` + "\n"
		for _, id := range []age.Identity{server, recovery} {
			k, err := open(file, []age.Identity{id})
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("%s: document is\n%s\nwant\n%s", g.file, got, want)
			}
		}
	}
}

// TestNext: who signed what, over several epochs, some of which begin before earlier ones ended.
func TestNext(t *testing.T) {
	k, err := New([16]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	first, err := k.VKey()
	if err != nil {
		t.Fatal(err)
	}
	next := func(cut uint64, want string) {
		t.Helper()
		if k, err = k.Next(cut); err != nil {
			t.Fatal(err)
		}
		got := ""
		for epoch, begin := range k.Begins() {
			got += fmt.Sprintf(" %d@%d", epoch, begin)
			if k.EpochOf(begin) != epoch || begin > 0 && k.EpochOf(begin-1) == epoch {
				t.Errorf("epoch %d begins at %d, entry is of epoch %d", epoch, begin, k.EpochOf(begin))
			}
		}
		if got != want {
			t.Errorf("epochs are%s, want%s", got, want)
		}
		b, err := k.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(b); err != nil {
			t.Errorf("a keyring of epoch %d: %v", k.Epoch, err)
		}
	}
	next(100, " 1@0 2@100")
	next(200, " 1@0 2@100 3@200")
	next(150, " 1@0 2@100 4@150")
	next(100, " 1@0 5@100")
	next(300, " 1@0 5@100 6@300")
	next(1, " 1@0 7@1")
	if v, err := k.VKeys(1); err != nil || len(v) != 1 || v[0] != first {
		t.Errorf("the first epoch's keys are %v, %v", v, err)
	}
	if v, err := k.VKeys(3); err != nil || len(v) != 1 {
		t.Errorf("the keys of an epoch that counts no more are %v, %v", v, err)
	}
	if end, ok := k.EndOf(3); !ok || end != 0 {
		t.Errorf("epoch 3 ends at %d, %v", end, ok)
	}
	if _, err := k.Next(0); err == nil {
		t.Error("a keyring without an entry before it")
	}
}

// TestLoadEpoch: the keyring of an epoch that was not begun is passed over.
func TestLoadEpoch(t *testing.T) {
	e, server, elsewhere := mem.New(), fresh(t), fresh(t)
	k, err := New([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	next, err := k.Next(5)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Save(ctx, e, k, server.Recipient()), Save(ctx, e, next, server.Recipient(), elsewhere.Recipient())); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadEpoch(ctx, e, 1, server); err != nil || got.Signer != k.Signer {
		t.Errorf("epoch 1: %v", err)
	}
	if got, err := LoadEpoch(ctx, e, 2, server); err != nil || got.Signer != next.Signer {
		t.Errorf("epoch 2: %v", err)
	}
	if _, err := LoadEpoch(ctx, e, 1, elsewhere); !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), "run the promotion again") {
		t.Errorf("by who opens the later one only: %v", err)
	}
	for i, junk := range [][]byte{[]byte("junk"), wrappedTo(t, fresh(t).Recipient()), wrappedTo(t, server.Recipient())} { // the last one has the recipient, and not the keys
		name := FileName(500 + i)
		if err := e.Create(ctx, name, int64(len(junk)), bytes.NewReader(junk)); err != nil {
			t.Fatal(err)
		}
		if got, err := LoadEpoch(ctx, e, 2, server); err != nil || got.Signer != next.Signer || got.Passed[0] != name || len(got.Passed) != i+1 {
			t.Errorf("beneath a file that anyone may have put there: %+v, %v", got, err)
		}
		if got, err := LoadEpoch(ctx, e, 3, server); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a newer epoch, whose keyring that file may be: %+v, %v", got, err)
		}
		vkey, err := next.VKey()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := LoadSigner(ctx, e, vkey, server); err != nil || got.Signer != next.Signer {
			t.Errorf("by its signer: %v", err)
		}
	}
	if _, ok := Number(engine.Keyrings + "9223372036854775807"); ok {
		t.Error("a number behind which there is none")
	}
}

func wrappedTo(t *testing.T, r age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, r)
	if err == nil {
		_, err = io.WriteString(w, "{}")
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParse(t *testing.T) {
	edit := func(fn func(*Keyring)) string {
		k := goldenReigns()
		fn(k)
		b, err := k.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if _, err := Parse([]byte(edit(func(*Keyring) {}))); err != nil {
		t.Fatal(err)
	}
	good, err := golden().Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(good); err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(good, []byte(`{"v":0`), []byte(`{"v":9,"new":true`), 1)
	if _, err := Parse(newer); !errors.Is(err, frame.ErrVersion) || errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("a newer version: %v", err)
	}
	for name, bad := range map[string]string{
		"no version":        strings.Replace(string(good), `"v":0,`, "", 1),
		"unknown field":     strings.Replace(string(good), `"v":0,`, `"v":0,"x":1,`, 1),
		"no data key":       `{"v":0,"store":"000102030405060708090a0b0c0d0e0f","epoch":1,"signer":"` + goldenSigner + `","data":[]}`,
		"short key":         strings.Replace(string(good), "000102030405060708090a0b0c0d0e0f10", "00", 1),
		"doubled id":        strings.Replace(string(good), `"id":2`, `"id":1`, 1),
		"other's signer":    strings.Replace(string(good), `"epoch":1`, `"epoch":2`, 1),
		"no JSON":           "age",
		"end out of order":  edit(func(k *Keyring) { k.Reigns[1].End = 120 }),
		"reign missing":     edit(func(k *Keyring) { k.Reigns = nil }),
		"reign without end": edit(func(k *Keyring) { k.Reigns[0].End = 0 }),
		"reigns swapped":    edit(func(k *Keyring) { k.Reigns[0], k.Reigns[1] = k.Reigns[1], k.Reigns[0] }),
		"other's verifier":  edit(func(k *Keyring) { k.Reigns[0].VKeys[0] = goldenVKey(2) }),
		"no verifier":       edit(func(k *Keyring) { k.Reigns[0].VKeys = nil }),
	} {
		if _, err := Parse([]byte(bad)); !errors.Is(err, frame.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKit(t *testing.T) {
	k := golden()
	server, recovery := identity(t, goldenServer), identity(t, goldenRecovery)
	if err := Save(ctx, mem.New(), k, server.Recipient(), recovery.Recipient()); err != nil {
		t.Fatal(err)
	}
	vkey, err := k.VKey()
	if err != nil {
		t.Fatal(err)
	}
	kit := Kit{StoreID: k.StoreID, RecoveryIdentity: goldenRecovery, VKey: vkey, Created: time.Date(2026, 11, 22, 16, 3, 12, 0, time.UTC)}
	name := filepath.Join("testdata", "kit-v0.txt")
	if *update {
		if err := os.WriteFile(name, kit.Text(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kit.Text(), text) {
		t.Errorf("kit is\n%s", kit.Text())
	}
	if ids, err := age.ParseIdentities(bytes.NewReader(text)); err != nil || len(ids) != 1 {
		t.Errorf("as an age identity file: %d identities, %v", len(ids), err)
	}
	for _, typed := range [][]byte{text, bytes.ReplaceAll(text, []byte("\n"), []byte("  \r\n\r\n"))} {
		got, err := ParseKit(typed)
		if err != nil {
			t.Fatal(err)
		}
		if got != kit {
			t.Errorf("parsed %+v", got)
		}
		if err := got.Confirm(k); err != nil {
			t.Error(err)
		}
	}
	for name, bad := range map[string]string{
		"empty":       "",
		"no key":      strings.Replace(string(text), goldenRecovery, "", 1),
		"typo in key": strings.Replace(string(text), goldenRecovery[20:26], goldenRecovery[22:28], 1),
		"two keys":    string(text) + goldenServer + "\n",
		"other text":  string(text) + "hello\n",
	} {
		if _, err := ParseKit([]byte(bad)); !errors.Is(err, ErrKit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Kit){
		"other store":    func(k *Kit) { k.StoreID[0] = 9 },
		"not a recovery": func(k *Kit) { k.RecoveryIdentity = fresh(t).String() },
		"other verifier": func(k *Kit) { k.VKey = strings.Replace(k.VKey, "+6", "+7", 1) },
	} {
		bad := kit
		change(&bad)
		if err := bad.Confirm(k); err == nil {
			t.Errorf("%s: confirmed", name)
		}
	}
}

func FuzzParseKit(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "kit-v0.txt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("# store: 00\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKit(text)
		if err != nil {
			return
		}
		again, err := ParseKit(k.Text())
		if err != nil || !again.Created.Equal(k.Created) || again.StoreID != k.StoreID || again.VKey != k.VKey || again.RecoveryIdentity != k.RecoveryIdentity {
			t.Errorf("%+v renders and parses as %+v, %v", k, again, err)
		}
	})
}
