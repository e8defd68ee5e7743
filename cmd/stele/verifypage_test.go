package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestVerifyPage runs each command of docs/VERIFY.md, in the order in which a reader would, with the real programs.
func TestVerifyPage(t *testing.T) {
	b, err := os.ReadFile(repo + "/docs/VERIFY.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for i, block := range strings.Split(string(b), "```") {
		if lines, ok := strings.CutPrefix(block, "sh\n"); ok && i%2 == 1 {
			commands = append(commands, lines)
		}
	}
	if len(commands) < 6 {
		t.Fatalf("the page has only %d blocks of commands", len(commands))
	}
	bin, scripts := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "stele/cmd/stele-verify").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script := "exec sh -ex page.sh\nstdout '^good: contract.txt is records/contract.txt as it was put at '\nstdout '^drill +passed$'\n-- page.sh --\n" + strings.Join(commands, "")
	if err := os.WriteFile(filepath.Join(scripts, "page.txt"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: scripts, RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
		return nil
	}})
}
