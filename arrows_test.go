package stele

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows are the imports among our packages that DESIGN section 8 allows, tests left out. A package that is not named here may import none of ours.
var arrows = map[string][]string{
	"":                           {"entry", "tree", "internal/backup", "internal/body", "internal/care", "internal/core", "internal/engine", "internal/engine/dir", "internal/epoch", "internal/follow", "internal/fsck", "internal/hydrate", "internal/index", "internal/keyring", "internal/ledger", "internal/moment", "internal/replica", "internal/snapshot"},
	"internal/backup":            {"entry", "verify", "internal/care", "internal/core", "internal/durable", "internal/engine", "internal/engine/dir", "internal/hydrate", "internal/index", "internal/keyring", "internal/ledger", "internal/replicate", "internal/snapshot"},
	"internal/care":              {"entry", "tree", "internal/body", "internal/core", "internal/durable", "internal/engine", "internal/fsck", "internal/heal", "internal/index", "internal/ledger", "internal/retry"},
	"internal/core":              {"entry", "internal/body", "internal/durable", "internal/engine", "internal/engine/dir", "internal/frame", "internal/heal", "internal/index", "internal/keyring", "internal/ledger", "internal/pack", "internal/retry", "internal/segment"},
	"entry":                      {},
	"tree":                       {"entry"},
	"verify":                     {"entry", "tree"},
	"internal/epoch":             {"entry", "tree", "verify", "internal/core", "internal/durable", "internal/engine", "internal/engine/dir", "internal/hydrate", "internal/keyring", "internal/ledger", "internal/segment"},
	"internal/fsck":              {"entry", "tree", "internal/body", "internal/engine", "internal/frame", "internal/keyring", "internal/ledger", "internal/segment"},
	"internal/bug":               {},
	"internal/digest":            {},
	"internal/frame":             {},
	"internal/durable":           {},
	"internal/engine":            {"internal/durable"},
	"internal/engine/dir":        {"internal/engine", "internal/durable"},
	"internal/engine/s3":         {"internal/durable", "internal/engine", "internal/retry"},
	"internal/engine/mem":        {"internal/engine", "internal/durable"},
	"internal/engine/enginetest": {"internal/engine"},
	"internal/crashtest":         {},
	"internal/moment":            {},
	"internal/keyring":           {"internal/engine", "internal/frame"},
	"internal/shares":            {"internal/durable", "internal/keyring"},
	"internal/retry":             {},
	"internal/segment":           {"internal/engine", "internal/frame"},
	"internal/pack":              {"entry", "internal/engine", "internal/frame"},
	"internal/heal":              {"entry", "internal/engine", "internal/frame", "internal/retry"},
	"internal/ledger":            {"entry", "tree", "internal/bug", "internal/engine", "internal/frame", "internal/heal", "internal/keyring", "internal/segment"},
	"internal/body":              {"entry", "internal/bug", "internal/digest", "internal/engine", "internal/frame", "internal/heal", "internal/pack"},
	"internal/hydrate":           {"entry", "internal/bug", "internal/core", "internal/durable", "internal/engine", "internal/engine/dir", "internal/frame", "internal/heal", "internal/index", "internal/keyring", "internal/ledger", "internal/pack", "internal/replicate", "internal/retry", "internal/segment", "internal/snapshot"},
	"internal/index":             {"entry"},
	"internal/snapshot":          {"entry", "internal/bug", "internal/engine", "internal/frame", "internal/pack"},
	"internal/standby":           {"", "internal/node", "tree", "verify", "internal/bug", "internal/durable", "internal/engine", "internal/follow", "internal/keyring", "internal/ledger", "internal/retry"},
	"internal/witness":           {"tree", "internal/bug", "internal/durable"},
	"internal/follow":            {"entry", "tree", "internal/body", "internal/bug", "internal/core", "internal/durable", "internal/engine", "internal/engine/dir", "internal/epoch", "internal/frame", "internal/index", "internal/keyring", "internal/ledger", "internal/pack"},
	"internal/replica":           {"entry", "tree", "internal/core", "internal/engine", "internal/frame", "internal/index", "internal/keyring", "internal/ledger", "internal/segment"},
	"internal/replicate":         {"entry", "tree", "internal/body", "internal/bug", "internal/durable", "internal/engine", "internal/frame", "internal/keyring", "internal/ledger", "internal/pack", "internal/retry", "internal/segment"},
	"internal/config":            {},
	"internal/logtest":           {},
	"internal/storetest":         {"", "entry", "internal/core", "internal/engine", "internal/engine/dir", "internal/engine/mem", "internal/hydrate", "internal/keyring", "internal/ledger", "tree"},
	"internal/target":            {"internal/engine", "internal/engine/dir", "internal/engine/s3"},
	"internal/guard":             {},
	"internal/lifecycle":         {"", "internal/s3api/s3err", "internal/s3api/s3xml", "internal/s3api/tagging"},
	"internal/s3api":             {"", "entry", "tree", "internal/guard", "internal/lifecycle", "internal/s3api/auth", "internal/s3api/policy", "internal/s3api/s3err", "internal/s3api/s3xml", "internal/s3api/tagging", "internal/s3api/wire"},
	"internal/s3api/auth":        {"internal/s3api/s3err", "internal/s3api/s3xml", "internal/s3api/wire"},
	"internal/s3api/policy":      {"internal/s3api/s3err", "internal/s3api/wire"},
	"internal/s3api/s3err":       {},
	"internal/s3api/wire":        {"internal/s3api/s3err"},
	"internal/s3api/s3xml":       {"internal/s3api/s3err"},
	"internal/s3api/tagging":     {"internal/s3api/s3err", "internal/s3api/s3xml"},
	"internal/admin":             {"", "internal/node", "entry", "tree", "internal/fsck", "internal/guard", "internal/rpc", "internal/s3api", "internal/s3api/auth", "internal/s3api/wire", "internal/witness"},
	"internal/node":              {"", "verify"},
	"internal/rpc":               {"", "entry", "tree", "internal/fsck", "internal/guard"},
	"internal/rpc/client":        {"", "internal/node", "entry", "tree", "internal/fsck", "internal/rpc", "internal/witness"},

	// What tests of several rooms share.
	"internal/s3api/s3err/s3errtest": {"internal/s3api/s3err"},
}

// TestArrows holds the packages to ARCHITECTURE.md's table: nothing below the store knows HTTP, verify imports entry and tree alone, and so on. cmd/stele wires what must not know each other and may import all.
func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if pkg == "." {
			pkg = ""
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		seen[pkg] = true
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if below := !strings.HasPrefix(pkg, "cmd/") && !strings.HasPrefix(pkg, "internal/s3api") && !strings.HasPrefix(pkg, "internal/admin") && !strings.HasPrefix(pkg, "internal/rpc") && pkg != "internal/guard" && pkg != "internal/engine/s3"; below && name == "net/http" {
				t.Errorf("%s imports net/http: nothing below the store knows HTTP, but for the engine that is a client", path)
			}
			ours, ok := strings.CutPrefix(name, "stele")
			if !ok || ours != "" && ours[0] != '/' {
				continue
			}
			if ours = strings.TrimPrefix(ours, "/"); strings.HasSuffix(ours, "test") && !strings.HasSuffix(pkg, "test") {
				t.Errorf("%s imports %q, which only tests may", path, name)
			}
			if strings.HasPrefix(pkg, "cmd/") {
				continue
			}
			if !slices.Contains(arrows[pkg], ours) {
				t.Errorf("%s imports %q: no arrow leads there (DESIGN section 8, arrows_test.go)", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range arrows {
		if !seen[pkg] && pkg != "internal/config" && pkg != "internal/admin" {
			t.Errorf("package %q in the table does not exist", pkg)
		}
	}
}

// TestVerifyIsSmall: what a stranger builds to check a receipt is entry, tree, the signed notes of x/mod, and Go's own library.
func TestVerifyIsSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./verify").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		first, _, _ := strings.Cut(dep, "/")
		ours, foreign := first == "stele", strings.Contains(first, ".") // Go's own have no dot in the first part
		if ours && !slices.Contains([]string{"stele/entry", "stele/tree", "stele/verify"}, dep) || foreign && !strings.HasPrefix(dep, "golang.org/x/mod/sumdb/") {
			t.Errorf("verify needs %s", dep)
		}
	}
}
