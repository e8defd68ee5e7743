package main

import (
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestDoc: docs/CLI.md names every verb and every flag that is more than its name, and every exit code.
func TestDoc(t *testing.T) {
	b, err := os.ReadFile("../../docs/CLI.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	k, err := kong.New(&cli{}, kong.Vars(helpVars))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		if n.Type == kong.CommandNode && n.Leaf() && !strings.Contains(doc, n.Name) {
			t.Errorf("docs/CLI.md does not name the verb %s", n.FullPath())
		}
		for _, f := range n.Flags {
			short := f.Short != 0 && strings.Contains(doc, "-"+string(f.Short))
			if !short && f.Name != "help" && !strings.Contains(doc, "--"+f.Name) && !strings.Contains(doc, f.Name+":") && !strings.Contains(doc, "`"+f.Name+"`") {
				t.Errorf("docs/CLI.md does not name the flag --%s of %s", f.Name, n.FullPath())
			}
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(k.Model.Node)
	for _, code := range []string{"| 0 |", "| 1 |", "| 2 |", "| 3 |", "| 4 |", "| 5 |", "| 6 |", "| 10 |", "| 12 |", "| 130 |"} {
		if !strings.Contains(doc, code) {
			t.Errorf("docs/CLI.md does not explain exit code %s", code)
		}
	}
}
