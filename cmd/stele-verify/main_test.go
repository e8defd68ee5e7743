package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/sumdb/note"

	"stele"
	"stele/verify"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stele-verify": main})
}

// TestScripts runs a script for each verb with the real program, on what a real store has said.
func TestScripts(t *testing.T) {
	said := sample(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error { return os.CopyFS(e.WorkDir, os.DirFS(said)) },
		Cmds:  map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": cmdExits},
	})
}

// exits CODE COMMAND…: the command must end with that exit code.
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ee *exec.ExitError
		if !errors.As(err, &ee) {
			ts.Fatalf("couldn't run %v: %v", args[1:], err)
		}
		got = ee.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// sample is a folder with what a store gave to an auditor: cat.jpg and its receipt, the keys of three epochs (vkey1, …), the receipts of the entries that began the second and the third
// (epoch2.receipt, …), and certificates of drills that passed and failed, with their key.
func sample(t *testing.T) string {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	data := filepath.Join(t.TempDir(), "data")
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := stele.Create(ctx, data, stele.Options{Kit: data + "-kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	const cat = "a picture"
	write("cat.jpg", []byte(cat))
	write("vkey1", []byte(s.Ledger().VKey()+"\n"))
	if _, err := s.CreateBucket(ctx, stele.Local(), "photos", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "photos", Key: "cat.jpg", Body: strings.NewReader(cat), Size: int64(len(cat))}); err != nil {
		t.Fatal(err)
	}
	receipt, _, err := s.Ledger().Prove(ctx, stele.Place{Bucket: "photos", Key: "cat.jpg"})
	if err != nil {
		t.Fatal(err)
	}
	write("cat.receipt", receipt)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for epoch := 2; epoch <= 3; epoch++ {
		p, err := stele.Promote(ctx, data, stele.PromoteOptions{Reason: "a test"})
		if err != nil {
			t.Fatal(err)
		}
		write(fmt.Sprintf("vkey%d", epoch), []byte(p.VKey+"\n"))
	}
	for i, r := range begun(t, ctx, data) {
		write(fmt.Sprintf("epoch%d.receipt", i+2), r)
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, "drilled")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	write("drillkey", []byte(vkey))
	for name, ok := range map[string]bool{"passed": true, "failed": false} {
		c := verify.Certificate{V: 1, Target: "nas", Place: "/mnt/nas", Started: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), Size: 7, Head: 9, Versions: 1200, Bytes: 3 << 20, OpenedBy: verify.OpenedByRecovery, OK: ok}
		if !ok {
			c.Problems = []string{"packs/1.pack: damaged"}
		}
		signed, err := c.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		write(name, signed)
	}
	return dir
}

// begun are the receipts of the entries that began the epochs after the first.
func begun(t *testing.T, ctx context.Context, data string) [][]byte {
	t.Helper()
	s, err := stele.Open(ctx, data, stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u, err := s.Ledger().Succession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return u.Receipts
}

// TestClosure: the program links what is checked and Go's own library, and nothing else: no store, no server, no parser of command lines.
func TestClosure(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "stele/cmd/stele-verify").Output()
	if err != nil {
		t.Fatal(err)
	}
	ours := []string{"stele/entry", "stele/tree", "stele/verify", "stele/cmd/stele-verify"}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		first, _, _ := strings.Cut(dep, "/")
		foreign := strings.Contains(first, ".") // Go's own have no dot in the first part
		if first == "stele" && !slices.Contains(ours, dep) || foreign && !strings.HasPrefix(dep, "golang.org/x/mod/sumdb/") || dep == "net" || dep == "os/exec" || dep == "html/template" {
			t.Errorf("stele-verify needs %s", dep)
		}
	}
}

// TestHelp: each verb's help says how it is called, with an example that parses but for its files.
func TestHelp(t *testing.T) {
	for _, v := range verbs() {
		var out strings.Builder
		a := &app{stdout: &out, stderr: io.Discard}
		if code := a.run([]string{v.name, "--help"}); code != 0 || !strings.Contains(out.String(), v.example) || !strings.Contains(out.String(), v.args) {
			t.Errorf("%s --help: %d %s", v.name, code, out.String())
		}
		example, _, _ := strings.Cut(v.example, " > ")
		args := strings.Fields(example)[1:]
		a = &app{}
		got, files, err := a.parse(args)
		if got.name != v.name || len(files) < v.least || !strings.Contains(err.Error(), "store.vkey is neither a file") {
			t.Errorf("%s: %s %v %v", v.example, got.name, files, err)
		}
	}
}
