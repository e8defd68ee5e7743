package stele

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	citation      = regexp.MustCompile(`DESIGN,? (invariant|section)s? ([0-9]+)(?: and ([0-9]+))?`)
	bareInvariant = regexp.MustCompile(`()invariants? ([0-9]+)(?: and ([0-9]+))?`)
	testName      = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)")
	testFunc      = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
	sectionHead   = regexp.MustCompile(`(?m)^## ([0-9]+)\. `)
	invariantHead = regexp.MustCompile(`(?m)^([0-9]+)\. \*\*`)
)

// TestDesignIsCited: each "DESIGN invariant N" and "DESIGN section N" in code and documents is one of docs/DESIGN.md, and each test that a document names exists.
func TestDesignIsCited(t *testing.T) {
	design, err := os.ReadFile("docs/DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, m := range sectionHead.FindAllStringSubmatch(string(design), -1) {
		there["section "+m[1]] = true
	}
	_, invariants, _ := strings.Cut(string(design), "## 4. ")
	invariants, _, _ = strings.Cut(invariants, "\n## ")
	for _, m := range invariantHead.FindAllStringSubmatch(invariants, -1) {
		there["invariant "+m[1]] = true
	}
	tests, named, cited := map[string]bool{}, map[string]string{}, 0
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		code, doc := strings.HasSuffix(path, ".go"), strings.HasSuffix(path, ".md") && path != "CHANGELOG.md"
		if !code && !doc || path == "design_test.go" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := string(b)
		cites := citation.FindAllStringSubmatch(text, -1)
		for _, m := range bareInvariant.FindAllStringSubmatch(text, -1) {
			m[1] = "invariant"
			cites = append(cites, m)
		}
		for _, m := range cites {
			for _, n := range m[2:] {
				if what := m[1] + " " + n; n != "" && !there[what] {
					t.Errorf("%s cites %q: docs/DESIGN.md has no %s", path, m[0], what)
				}
			}
		}
		cited += len(cites)
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
		if doc {
			for _, m := range testName.FindAllStringSubmatch(text, -1) {
				named[m[1]] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tests["TestDesignIsCited"] = true // this file is left out above
	for name, path := range named {
		if !tests[name] {
			t.Errorf("%s names %s: there is no such test", path, name)
		}
	}
	if cited < 25 || len(named) < 50 {
		t.Errorf("only %d citations and %d tests were found: the search itself is broken", cited, len(named))
	}
}
