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
	for _, pattern := range []string{"internal/*", "internal/*/*"} {
		folders, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folders {
			packages[strings.TrimPrefix(filepath.ToSlash(f), "internal/")] = true
		}
	}
	prefix := regexp.MustCompile(`^([a-z0-9]+(?:/[a-z0-9]+)*): `)
	kinds := map[string]bool{"ErrBadName": true, "ErrBadState": true}
	read := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "crashtest") {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			words, args := message(n)
			lit, isText := firstOf(words).(*ast.BasicLit)
			if !isText {
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
			if strings.HasPrefix(text, "%w: ") && len(args) > 0 && kinds[nameOf(args[0])] {
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

// message is the text of an error that a node makes, and what is put into it: errors.New, fmt.Errorf, and what a method Error returns.
func message(n ast.Node) (text ast.Expr, args []ast.Expr) {
	switch n := n.(type) {
	case *ast.CallExpr:
		if of, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 && (of.Sel.Name == "New" || of.Sel.Name == "Errorf") {
			return n.Args[0], n.Args[1:]
		}
	case *ast.FuncDecl:
		if n.Name.Name != "Error" || n.Recv == nil || n.Body == nil || len(n.Body.List) == 0 {
			break
		}
		if r, ok := n.Body.List[len(n.Body.List)-1].(*ast.ReturnStmt); ok && len(r.Results) == 1 {
			return r.Results[0], nil
		}
	}
	return nil, nil
}

// firstOf is what a text that is put together begins with.
func firstOf(text ast.Expr) ast.Expr {
	for {
		sum, ok := text.(*ast.BinaryExpr)
		if !ok {
			return text
		}
		text = sum.X
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
