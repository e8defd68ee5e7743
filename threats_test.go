package stele

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestThreatsNameEveryFile: the page that says what the loss of each file costs, and what altering it does, has a row for every file of a data folder.
func TestThreatsNameEveryFile(t *testing.T) {
	source, err := os.ReadFile("internal/core/folder.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/THREATS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := ""
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `") {
			first, _, _ := strings.Cut(line[2:], "|")
			rows += first + "\n"
		}
	}
	names := regexp.MustCompile(`(?m)^\t(?:File|file|Dir)\w+\s+= (engine\.Meta \+ )?"([^"]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(names) < 12 {
		t.Fatalf("only %d names were found in internal/core/folder.go", len(names))
	}
	for _, m := range names {
		name := m[2]
		if m[1] != "" {
			name = "meta/" + name
		}
		if of, _, ok := strings.Cut(name, "."); ok && of == "index" { // index.fresh, index.snapshot: the index under way
			name = of
		}
		if !strings.Contains(rows, "`"+name+"`") && !strings.Contains(rows, "`"+name+"/`") {
			t.Errorf("docs/THREATS.md has no row for %s", name)
		}
	}
}
