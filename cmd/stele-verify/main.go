// Command stele-verify is for auditors: it checks offline, with a public key, what a Stele store says. It links what is
// checked (package verify) and Go's own library, and neither a store nor a server: docs/VERIFY.md.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
)

func main() {
	os.Exit((&app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}).run(os.Args[1:]))
}

// app is one run of the program.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	verb string
	vkey string // the verifier key; a file's content where a file was named
	json bool
}

// verb is a line of the table of verbs.
type verb struct {
	name, args, help string
	example          string
	least, most      int // arguments; most < 0: any number
	run              func(a *app, args []string) error
}

// verbs is the grammar.
func verbs() []verb { return []verb{receiptVerb, certificateVerb, successionVerb} }

// run parses the arguments, runs the verb and returns the exit code.
func (a *app) run(args []string) int {
	if len(args) == 0 || slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		return a.help(args)
	}
	if slices.Contains(args, "--version") {
		fmt.Fprintln(a.stdout, versionText())
		return 0
	}
	v, rest, err := a.parse(args)
	if err == nil {
		err = v.run(a, rest)
	}
	if err != nil {
		return a.fail(err)
	}
	return 0
}
