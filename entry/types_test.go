package entry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// TestTypesAreAll: each constant of type Type stands in Types, once. One that is forgotten there can't be written: Validate refuses it.
func TestTypesAreAll(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "entry.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []Type
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Type" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, Type(text))
		}
		return true
	})
	for _, d := range declared {
		if !slices.Contains(Types, d) {
			t.Errorf("%s is a type of entry and does not stand in Types", d)
		}
	}
	if len(declared) != len(Types) {
		t.Errorf("%d types are declared, Types has %d", len(declared), len(Types))
	}
}
