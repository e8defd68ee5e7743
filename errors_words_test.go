package stele

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stele/internal/core"
)

// TestPlainErrors: an error that a user may see begins with no name of a package, and says of a bad value or of a state what is wrong with it instead of the kind that it is of: who reads
// "bad name: ?index= wants a number" looks for a name.
func TestPlainErrors(t *testing.T) {
	packages := map[string]bool{}
	folders, err := filepath.Glob("internal/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		packages[filepath.Base(f)] = true
	}
	prefix := regexp.MustCompile(`^([a-z0-9]+): `)
	kinds := map[string]bool{"ErrBadName": true, "ErrBadState": true}
	read := 0
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "crashtest") {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			of, ok := call.Fun.(*ast.SelectorExpr)
			lit, isText := call.Args[0].(*ast.BasicLit)
			if !ok || !isText || of.Sel.Name != "New" && of.Sel.Name != "Errorf" {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				return true
			}
			read++
			m := prefix.FindStringSubmatch(text)
			if m != nil && packages[m[1]] && !slices.Contains(nouns, m[1]) {
				t.Errorf("%s: %q begins with a package", files.Position(n.Pos()), text)
			}
			if strings.HasPrefix(text, "%w: ") && len(call.Args) > 1 && kinds[nameOf(call.Args[1])] {
				t.Errorf("%s: %q is told with the words of its kind", files.Position(n.Pos()), text)
			}
			return true
		})
		return nil
	})
	if err != nil || read < 300 {
		t.Fatalf("%d messages were read: %v", read, err)
	}
	if err := core.BadState("there is a target %s at another place", "nas"); !errors.Is(err, ErrBadState) || err.Error() != "there is a target nas at another place" {
		t.Errorf("%q", err)
	}
}

// nouns are packages that are called what they hold, which is a user's word too.
var nouns = []string{"keyring", "body", "witness"}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
