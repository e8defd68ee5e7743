package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// repo is the root of the repository.
const repo = "../.."

var (
	quotedCommand = regexp.MustCompile("`stele ([^`]+)`")
	bareCommand   = regexp.MustCompile(`(?:^|[\s(>;|:])(?:go run \./cmd/)?stele ([^\n` + "`" + `]+)`)
	endOfCommand  = regexp.MustCompile(`[.;,:)]( |$)| # | && | \| |[?]`)
	flagWord      = regexp.MustCompile("(?:^|[\\s(`'\"|,/])--([a-z][a-z-]*)")
	variable      = regexp.MustCompile(`STELE_[A-Z_]+`)
	magic         = regexp.MustCompile(`file v[0-9]$`) // the first line of a format
	plainWord     = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// namedCommand is a command line that a text names, and where.
type namedCommand struct {
	where, text string
	sure        bool // it is written as a command, and begins with a verb; else it may be prose
}

// TestNamedCommands: each `stele VERB --flag` in a message, a help text or a document is a verb and a flag that there is.
func TestNamedCommands(t *testing.T) {
	model := grammar(&cli{}).Model.Node
	var all []namedCommand
	for _, l := range literals(t) {
		all = append(all, commandsIn(l.where, l.text)...)
	}
	docs, err := filepath.Glob(repo + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, repo+"/README.md", repo+"/ARCHITECTURE.md") {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			all = append(all, commandsIn(fmt.Sprintf("%s:%d", filepath.Base(doc), i+1), strings.ReplaceAll(line, `\|`, "|"))...)
		}
	}
	if len(all) < 200 {
		t.Errorf("only %d commands were found: the search itself is broken", len(all))
	}
	for _, c := range all {
		if why := check(model, c); why != "" {
			t.Errorf("%s: `stele %s`: %s", c.where, c.text, why)
		}
	}
}

// TestNamedFlags: each --flag and each STELE_VARIABLE in a message or a help text belongs to some verb.
func TestNamedFlags(t *testing.T) {
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(grammar(&cli{}).Model.Node)
	others := []string{"recursive", "endpoint-url", "ol-s", "x-s", "table-s", "version"} // of clients whose commands are shown, ends of bucket names, and of stele-verify
	for _, l := range literals(t) {
		for _, m := range flagWord.FindAllStringSubmatch(l.text, -1) {
			if !known[m[1]] && !strings.HasSuffix(m[1], "-") && !slices.Contains(others, m[1]) {
				t.Errorf("%s: no verb has the flag --%s", l.where, m[1])
			}
		}
		for _, name := range variable.FindAllString(l.text, -1) {
			flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "STELE_")), "_", "-")
			if !known[flag] && !strings.HasPrefix(name, "STELE_TARGET_") {
				t.Errorf("%s: %s is the variable of no flag", l.where, name)
			}
		}
	}
}

// TestCommandSearch: the search finds what should not be there.
func TestCommandSearch(t *testing.T) {
	model := grammar(&cli{}).Model.Node
	for text, bad := range map[string]bool{
		"look: `stele drill nas --full` tries":      false,
		"look: `stele drill nas --fully` tries":     true,
		"`stele frobnicate` helps":                  true,
		"    stele serve --fron dir:///x   # serve": true,
		"    stele serve --from dir:///x   # serve": false,
		"say: stele target ad NAME URL":             true,
		"`stele standby --from URL --data DIR`":     false,
		"`stele target add NAME URL [--evry TIME]`": true,
		"use the same version of stele on both":     false,
		"`stele ls -r -x`":                          true,
	} {
		why := ""
		for _, c := range commandsIn("here", text) {
			why += check(model, c)
		}
		if (why != "") != bad {
			t.Errorf("%s: %q", text, why)
		}
	}
}

// TestExamples: each verb's help has examples, and each of them parses.
func TestExamples(t *testing.T) {
	seen := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		if n.Type == kong.CommandNode && n.Leaf() {
			seen[verbOf(n)] = true
			if examples[verbOf(n)] == "" || !strings.Contains(n.Detail, "stele "+strings.Fields(verbOf(n))[0]) {
				t.Errorf("the help of %s has no example", verbOf(n))
			}
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(grammar(&cli{}).Model.Node)
	for verb, lines := range examples {
		if !seen[verb] {
			t.Errorf("there is an example of %q, which is no verb", verb)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
			line, _, _ = strings.Cut(line, " #")
			_, line, _ = strings.Cut(line, "stele ")
			line, _, _ = strings.Cut(line, " > ")
			args := splitWords(line)
			k, err := grammar(&cli{}, kong.Exit(func(int) {})).Parse(args)
			if err != nil {
				t.Errorf("%s: %v", line, err)
			} else if got := verbOf(k.Selected()); got != verb {
				t.Errorf("%s: is %q, and stands with %q", line, got, verb)
			}
		}
	}
}

// literal is a text in the source.
type literal struct{ where, text string }

// literals are the strings, and the help in the tags, of all programs and packages, without tests.
func literals(t *testing.T) (all []literal) {
	err := filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || strings.HasSuffix(d.Name(), "test")) { // no binary links a package of that name (TestArrows)
			if d.IsDir() && err == nil {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(l.Value)
			if help, ok := reflect.StructTag(text).Lookup("help"); ok {
				text = help
			}
			all = append(all, literal{strings.TrimPrefix(files.Position(l.Pos()).String(), repo+"/"), text})
			return err == nil
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// commandsIn are the commands that a text names: those in quotes to the closing one, others to the end of the sentence.
func commandsIn(where, text string) (all []namedCommand) {
	for _, m := range quotedCommand.FindAllStringSubmatch(text, -1) {
		all = append(all, namedCommand{where, m[1], true})
	}
	bare := quotedCommand.ReplaceAllString(text, "")
	for line := range strings.SplitSeq(bare, "\n") {
		for _, m := range bareCommand.FindAllStringSubmatch(line, -1) {
			c := m[1]
			if end := endOfCommand.FindStringIndex(c); end != nil {
				c = c[:end[0]]
			}
			all = append(all, namedCommand{where, c, strings.HasPrefix(line, "    ")})
		}
	}
	return all
}

// check says what is wrong with a command; empty: nothing.
func check(n *kong.Node, c namedCommand) string {
	flags := map[string]bool{"help": true}
	add := func(n *kong.Node) {
		for _, f := range n.Flags {
			flags[f.Name] = true
			if f.Short != 0 {
				flags[string(f.Short)] = true
			}
		}
	}
	add(n)
	words := strings.FieldsFunc(c.text, func(r rune) bool { return strings.ContainsRune(" []|…", r) })
	inVerb := true
	var wrong []string
	if magic.MatchString(c.text) {
		return ""
	}
	for i, w := range words {
		w = strings.Trim(w, `"'`)
		switch {
		case strings.HasPrefix(w, "--"):
			name, _, _ := strings.Cut(w[2:], "=")
			if name = strings.TrimRight(name, ".,:;)"); name != "" && !strings.Contains(name, "%") {
				wrong = append(wrong, name)
			}
		case len(w) == 2 && w[0] == '-' && w != "--":
			wrong = append(wrong, w[1:])
		case inVerb && plainWord.MatchString(w):
			child := childOf(n, w)
			if child == nil {
				inVerb = false
				if i == 0 && !c.sure {
					return "" // prose
				}
				if i == 0 || len(n.Children) > 0 && n.DefaultCmd == nil {
					return "there is no verb " + w
				}
				continue
			}
			n = child
			add(n)
		default:
			inVerb = false
		}
	}
	if n.DefaultCmd != nil {
		add(n.DefaultCmd)
	}
	for _, name := range wrong {
		if !flags[name] && n.Parent != nil {
			return "there is no flag " + name
		}
	}
	return ""
}

func childOf(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// splitWords splits a line as a shell does, as far as examples need it.
func splitWords(line string) (words []string) {
	word, in, quote := "", false, rune(0)
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '"' || r == '\'':
			quote, in = r, true
		case r == ' ':
			if in {
				words = append(words, word)
			}
			word, in = "", false
		default:
			word, in = word+string(r), true
		}
	}
	return words
}
