package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode"
)

// version is set by the linker for a release.
var version = ""

func versionText() string {
	v, commit := version, ""
	info, ok := debug.ReadBuildInfo()
	if v == "" {
		v = "devel"
		if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
	}
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				commit = " (" + s.Value[:12] + ")"
			}
		}
	}
	return fmt.Sprintf("stele-verify %s%s, %s %s/%s", v, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// help prints the help of the verb that is named, or of all.
func (a *app) help(args []string) int {
	for _, v := range verbs() {
		if len(args) > 0 && args[0] == v.name {
			fmt.Fprintf(a.stdout, "Usage: stele-verify %s %s\n\n%s\n\n%s\n\nFor example:\n\n    %s\n", v.name, v.args, v.help, flags, v.example)
			return 0
		}
	}
	fmt.Fprint(a.stdout, "Usage: stele-verify VERB …\n\nCheck offline, with a public key, what a Stele store says. It reads the files that are named and nothing else.\n")
	for _, v := range verbs() {
		fmt.Fprintf(a.stdout, "\n  %s %s\n      %s\n      For example: %s\n", v.name, v.args, v.help, v.example)
	}
	fmt.Fprintf(a.stdout, "\n%s\n", flags)
	return 0
}

const flags = `  --vkey KEY  The store's verifier key, or a file that holds it. Get it by another way than what is checked.
  --json      Print one JSON document.
  --version   Print the version.
  --help      What a verb does, with an example.

A file that is called - is standard input. Exit code 0: good; 6: checked, and not good; 4: no such file; 2: wrong use; 1: another error.`

// document prints v, which has its "v":1, as one line of JSON.
func (a *app) document(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func names() (all []string) {
	for _, v := range verbs() {
		all = append(all, v.name)
	}
	return all
}

// shown makes an argument safe to print.
func shown(s string) string {
	if s == "" || strings.HasPrefix(s, `"`) || strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
