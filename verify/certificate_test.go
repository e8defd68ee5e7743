package verify

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"stele/tree"
)

// noteSigner is the key of signer as the note package takes it.
func noteSigner(t testing.TB, origin string) note.Signer {
	t.Helper()
	hash := strings.Split(signer(t, origin).String(), "+")[1]
	seed := append([]byte{1}, bytes.Repeat([]byte{9}, ed25519.SeedSize)...) // 1: Ed25519
	s, err := note.NewSigner("PRIVATE+KEY+" + origin + "+" + hash + "+" + base64.StdEncoding.EncodeToString(seed))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func drillCertificate() *Certificate {
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	return &Certificate{V: 1, Store: "store", Target: "nas", Place: "/mnt/nas", Started: at, Seconds: 1.5, Full: true, Size: 7, Moment: at, Root: "root", Head: 9, HeadTime: at,
		Checkpoint: "head", Versions: 3, Bytes: 300, Listed: 2, RPOSeconds: 0.25, RTOSeconds: 0.5, OpenedBy: OpenedByRecovery, Problems: []string{}, OK: true}
}

// goldenCertificate is frozen: certificates like it lie with auditors.
const goldenCertificate = "stele drill certificate v1\n" +
	`{"v":1,"store":"store","target":"nas","place":"/mnt/nas","started":"2026-11-22T16:00:00Z","seconds":1.5,"full":true,"size":7,"moment":"2026-11-22T16:00:00Z","root":"root","head":9,"head_time":"2026-11-22T16:00:00Z","checkpoint":"head","versions":3,"bytes":300,"listed":2,"rpo_seconds":0.25,"rto_seconds":0.5,"opened_by":"recovery","problems":[],"ok":true}` + "\n\n" +
	"— store/0 js8iKq1mvoIoO3uLCl8ZFLXfn4wwSboDGGzUkNx0i0c3kf+ZtgEvj5uG62Xut5yfT4mMfGBHCe8Ir0Eex0SYBhLKlwA=\n"

// TestCertificateGolden: the bytes of a certificate, and what they say when they are read.
func TestCertificateGolden(t *testing.T) {
	signed, err := drillCertificate().Sign(noteSigner(t, "store/0"))
	if err != nil || string(signed) != goldenCertificate {
		t.Errorf("%v\n%s", err, signed)
	}
	c, err := OpenCertificate([]byte(goldenCertificate), signer(t, "store/0").String())
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(c)
	want, _ := json.Marshal(drillCertificate())
	if !bytes.Equal(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestCertificate: what was not signed, or by another key, is no certificate; nor is a checkpoint, nor what has fields that are not known.
func TestCertificate(t *testing.T) {
	by := noteSigner(t, "store/0")
	vkey := signer(t, "store/0").String()
	signed, err := drillCertificate().Sign(by)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, _ := signer(t, "store/0").SignCheckpoint(300, tree.Hash{})
	text := func(s string) []byte {
		b, err := note.Sign(&note.Note{Text: s}, by)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		signed []byte
		vkey   string
	}{
		"another key":     {signed, signer(t, "store/1").String()},
		"altered":         {bytes.Replace(signed, []byte(`"ok":true`), []byte(`"ok":fals`), 1), vkey},
		"checkpoint":      {checkpoint, vkey},
		"nothing":         {nil, vkey},
		"no JSON":         {text(certificateTitle + "{\n"), vkey},
		"unknown field":   {text(certificateTitle + `{"v":1,"moon":"full"}` + "\n"), vkey},
		"another's title": {text("stele drill certificate v2\n{\"v\":1}\n"), vkey},
	} {
		if c, err := OpenCertificate(c.signed, c.vkey); !errors.Is(err, ErrFailed) || c != nil {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	if _, err := OpenCertificate(signed, "nonsense"); err == nil || errors.Is(err, ErrFailed) {
		t.Errorf("a key that is none: %v", err)
	}
	if _, err := OpenCertificate(text(certificateTitle+`{"v":2,"moon":"full"}`+"\n"), vkey); !errors.Is(err, ErrVersion) || errors.Is(err, ErrFailed) {
		t.Errorf("another version: %v", err)
	}
}
