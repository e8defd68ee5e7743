package index

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestFoldNamesEveryType: fold has a case for each type of entry, if only to say that it changes no row. One that is forgotten would leave the index as it was, and nobody would see it.
func TestFoldNamesEveryType(t *testing.T) {
	parse := func(name string) *ast.File {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	folded := map[string]bool{}
	for _, d := range parse("fold.go").Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "fold" {
			ast.Inspect(f, func(n ast.Node) bool {
				c, ok := n.(*ast.CaseClause)
				if !ok {
					return true
				}
				for _, x := range c.List {
					if s, ok := x.(*ast.SelectorExpr); ok {
						folded[s.Sel.Name] = true
					}
				}
				return true
			})
		}
	}
	if len(folded) == 0 {
		t.Fatal("this test has not found the cases of fold")
	}
	ast.Inspect(parse("../../entry/entry.go"), func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Type" && !folded[spec.Names[0].Name] {
			t.Errorf("fold has no case for entry.%s", spec.Names[0].Name)
		}
		return true
	})
}
