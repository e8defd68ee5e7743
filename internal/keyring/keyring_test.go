package keyring

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

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

// TestGolden opens a keyring file that was written when the format was made, and compares the document in it byte for byte.
func TestGolden(t *testing.T) {
	server, recovery := identity(t, goldenServer), identity(t, goldenRecovery)
	name := filepath.Join("testdata", "keyring-v0.age")
	if *update {
		e := mem.New()
		if err := Save(ctx, e, golden(), server.Recipient(), recovery.Recipient()); err != nil {
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
	for _, id := range []age.Identity{server, recovery} {
		k, err := open(file, []age.Identity{id})
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"v":0,"store":"000102030405060708090a0b0c0d0e0f","epoch":1,"signer":"` + goldenSigner + `",` +
			`"data":[{"id":1,"key":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","dedup":"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"},` +
			`{"id":2,"key":"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f","dedup":"606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"}],` +
			`"recipients":["` + server.Recipient().String() + `","` + recovery.Recipient().String() + `"]}` + "\n"
		if string(got) != want {
			t.Errorf("document is\n%s\nwant\n%s", got, want)
		}
	}
}

func TestParse(t *testing.T) {
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
		"no version":     strings.Replace(string(good), `"v":0,`, "", 1),
		"unknown field":  strings.Replace(string(good), `"v":0,`, `"v":0,"x":1,`, 1),
		"no data key":    `{"v":0,"store":"000102030405060708090a0b0c0d0e0f","epoch":1,"signer":"` + goldenSigner + `","data":[]}`,
		"short key":      strings.Replace(string(good), "000102030405060708090a0b0c0d0e0f10", "00", 1),
		"doubled id":     strings.Replace(string(good), `"id":2`, `"id":1`, 1),
		"other's signer": strings.Replace(string(good), `"epoch":1`, `"epoch":2`, 1),
		"no JSON":        "age",
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
