package bug

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// row is one bug of the table in bug.go.
type row struct {
	name, text string
	pkg        string // that has the tests, from the top of the repository
	tests      []string
}

// rows reads the table, as it is written.
func rows(t *testing.T) (all []row) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "bug.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			pkg, tests, ok := strings.Cut(strings.TrimSpace(v.Comment.Text()), ": ")
			if !ok || !strings.HasPrefix(text, "deliberate bug: ") {
				t.Fatalf("%s: want `= \"deliberate bug: …\" // PACKAGE: TEST, TEST`", v.Names[0].Name)
			}
			all = append(all, row{v.Names[0].Name, text, pkg, strings.Split(tests, ", ")})
		}
	}
	return all
}

// TestRows: a name and a text belong to one bug, and each bug has its branch in the code.
func TestRows(t *testing.T) {
	texts, uses := map[string]bool{}, production(t)
	for _, r := range rows(t) {
		if texts[r.text] {
			t.Errorf("two bugs: %s", r.text)
		}
		texts[r.text] = true
		if !bytes.Contains(uses, []byte("bug.On(bug."+r.name+")")) {
			t.Errorf("%s changes nothing: no bug.On(bug.%s) in the code", r.name, r.name)
		}
	}
	if len(texts) < 30 {
		t.Errorf("only %d bugs were found in bug.go", len(texts))
	}
}

// production is the code of the repository without its tests.
func production(t *testing.T) []byte {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), ".") {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

const top = "../.."

// TestEveryBugIsCaught builds the tests that the table names with the bugs in them and runs them: each must pass, and must have planted the bug.
func TestEveryBugIsCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes")
	}
	byPackage := map[string][]row{}
	for _, r := range rows(t) {
		byPackage[r.pkg] = append(byPackage[r.pkg], r)
	}
	for _, pkg := range slices.Sorted(maps.Keys(byPackage)) {
		t.Run(pkg, func(t *testing.T) {
			var tests []string
			for _, r := range byPackage[pkg] {
				tests = append(tests, r.tests...)
			}
			slices.Sort(tests)
			tests = slices.Compact(tests)
			cmd := exec.Command("go", "test", "-tags", "stelebugs", "-vet=off", "-timeout", "20m", "-v", "-run", "^("+strings.Join(tests, "|")+")$", "./"+pkg)
			cmd.Dir = top
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("with the bugs built in: %v\n%s", err, out)
			}
			for _, r := range byPackage[pkg] {
				for _, test := range r.tests {
					if !bytes.Contains(out, []byte("--- PASS: "+test+" ")) {
						t.Errorf("%s: %s did not pass", r.name, test)
					}
				}
				if !bytes.Contains(out, []byte("planted: "+r.text+"\n")) {
					t.Errorf("%s: none of %v plants it", r.name, r.tests)
				}
			}
		})
	}
}

// TestNoneInARelease: the binary that users have holds no deliberate bug.
func TestNoneInARelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	if string(SkipPackSync[:16]) != "deliberate bug: " {
		t.Fatal("this test looks for another text")
	}
	path := filepath.Join(t.TempDir(), "stele")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/stele")
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(b, []byte("deliberate bug: ")); i >= 0 {
		t.Errorf("the release has one: %q", b[i:min(i+80, len(b))])
	}
}
