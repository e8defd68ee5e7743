package stele_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// storeMethods is how many methods an embedder meets on a Store. It may fall.
const storeMethods = 46

// TestStoreIsSmall holds the number of methods on Store, so that what go doc shows can be read in one go.
func TestStoreIsSmall(t *testing.T) {
	if found := methodsOf(t, "Store"); len(found) > storeMethods {
		t.Errorf("*Store has %d methods, %d are agreed on. A new one belongs on Multipart if it is of uploads, on Keys if it is of access keys, on Ledger if it is of entries and proofs; what only a server needs belongs in internal/node, on the room below that does it. There are %s",
			len(found), storeMethods, strings.Join(found, ", "))
	}
}

// methodsOf lists the exported methods of a type of this package, those for tests left out.
func methodsOf(t *testing.T, name string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || !fn.Name.IsExported() {
				continue
			}
			if star, ok := fn.Recv.List[0].Type.(*ast.StarExpr); ok && star.X.(*ast.Ident).Name == name {
				found = append(found, fn.Name.Name)
			}
		}
	}
	slices.Sort(found)
	return found
}
