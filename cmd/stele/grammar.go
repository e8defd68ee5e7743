package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// grammar is the parser of the command line.
func grammar(c *cli, options ...kong.Option) *kong.Kong {
	k, err := kong.New(c, append([]kong.Option{kong.Name("stele"), kong.Description(description), kong.DefaultEnvars("STELE"), kong.Vars(helpVars), kong.WithHyphenPrefixedParameters(true),
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }), // without the name of the variable at each flag: the rule is told once
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110})}, options...)...)
	if err != nil {
		panic("stele: " + err.Error()) // the grammar itself is wrong
	}
	showExamples(k.Model.Node)
	k.Model.HelpFlag.Help = "What a verb does, and its flags."
	return k
}

// showExamples puts the examples of each verb into its help.
func showExamples(n *kong.Node) {
	if lines := examples[verbOf(n)]; lines != "" && n.Type == kong.CommandNode {
		n.Detail = strings.TrimSpace(n.Detail + "\n\nFor example:\n\n    " + strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n    "))
	}
	for _, c := range n.Children {
		showExamples(c)
	}
}

// verbOf is how a verb is written: target add. The one that is meant where none is named, as run of drill, goes without its name.
func verbOf(n *kong.Node) string {
	var words []string
	for ; n != nil && n.Parent != nil; n = n.Parent {
		if n.Parent.DefaultCmd != n {
			words = append([]string{n.Name}, words...)
		}
	}
	return strings.Join(words, " ")
}

// misuse words what the parser says: err names the verb that was meant as far as it was understood.
func misuse(err error) (verb string, _ error) {
	var pe *kong.ParseError
	if !errors.As(err, &pe) || pe.Context == nil {
		return "", usage{err}
	}
	node := pe.Context.Model.Node
	for _, p := range pe.Context.Path {
		if p.Command != nil {
			node = p.Command
		}
	}
	verb = verbOf(node)
	text := err.Error()
	told, guess, _ := strings.Cut(text, ", did you mean ")
	if guess != "" {
		guess = ". Did you mean " + strings.NewReplacer(`"`, "", ", ", " or ").Replace(strings.TrimPrefix(guess, "one of "))
	}
	form := "stele " + strings.TrimSuffix(strings.TrimSuffix(node.Summary(), " [flags]"), " ...")
	switch {
	case strings.HasPrefix(told, "missing flags: "):
		text = strings.TrimPrefix(told, "missing flags: ") + " is missing"
	case strings.HasPrefix(told, "expected ") && len(node.Children) > 0:
		text = "say which: " + strings.Join(childNames(node), ", ")
	case strings.HasPrefix(told, "expected "):
		text = "something is missing: " + form
	case strings.HasPrefix(told, "unexpected argument ") && len(node.Children) > 0 && (node.DefaultCmd == nil || len(node.DefaultCmd.Positional) == 0):
		text = "there is no " + strings.TrimSpace("verb "+verb) + " " + strings.TrimPrefix(told, "unexpected argument ") + guess
	case strings.HasPrefix(told, "unexpected argument "):
		text = strings.TrimPrefix(told, "unexpected argument ") + " is one argument too many: " + form
	case strings.HasPrefix(told, "unknown flag "):
		text = "there is no flag " + strings.TrimPrefix(told, "unknown flag ") + guess
	default:
		text = plainValue(told)
	}
	return verb, usage{errors.New(text)}
}

func childNames(n *kong.Node) (names []string) {
	for _, c := range n.Children {
		names = append(names, c.Name)
	}
	return names
}

// plainValue words what the parser says of a value: `--sample: expected a valid 64 bit int but got "no"`.
func plainValue(text string) string {
	if flag, rest, ok := strings.Cut(text, ": expected "); ok {
		kind, got, _ := strings.Cut(rest, " but got ")
		got, _, _ = strings.Cut(got, ": ")
		switch {
		case strings.HasSuffix(kind, "int"):
			return fmt.Sprintf("%s: %s is not a whole number", flag, got)
		case kind == "duration":
			return fmt.Sprintf("%s: %s is not a time. Write 30s, 5m or 24h", flag, got)
		}
	}
	if flag, rest, ok := strings.Cut(text, " must be one of "); ok {
		choice, got, _ := strings.Cut(rest, " but got ")
		return fmt.Sprintf("%s: %s is none of %s", flag, got, strings.ReplaceAll(strings.ReplaceAll(choice, `"`, ""), ",", ", "))
	}
	return text
}
