package rpc

import (
	"os"
	"strings"
	"testing"
)

// TestCallsAreDocumented: docs/CALLS.md has one row for each call, with its form and with who may make it, and none besides.
func TestCallsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/CALLS.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name, begins := strings.CutPrefix(strings.TrimSpace(cells[0]), "`")
		name, ends := strings.CutSuffix(name, "`")
		if !begins || !ends || len(cells) != 4 {
			continue
		}
		if documented[name] != nil {
			t.Errorf("%s has two rows", name)
		}
		documented[name] = cells
	}
	for _, r := range All() {
		cells := documented[r.Name]
		if cells == nil {
			t.Errorf("docs/CALLS.md has no row for %s (%s, for %s)", r.Name, r.Form, r.Access)
			continue
		}
		delete(documented, r.Name)
		if form, who := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]); form != r.Form.String() || who != r.Access.String() {
			t.Errorf("docs/CALLS.md says of %s that it is a %s for %s; it is a %s for %s", r.Name, form, who, r.Form, r.Access)
		}
		if strings.TrimSpace(cells[3]) == "" {
			t.Errorf("docs/CALLS.md does not say what %s does", r.Name)
		}
	}
	for name := range documented {
		t.Errorf("docs/CALLS.md has a row for %s, which is no call", name)
	}
}

// TestNamesAreUnique: a path leads to one call.
func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range All() {
		if r.Name == "" || seen[r.Name] {
			t.Errorf("two calls are named %q", r.Name)
		}
		seen[r.Name] = true
	}
}
