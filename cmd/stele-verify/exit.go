package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"stele/verify"
)

// Exit codes, as those of stele (docs/CLI.md). Frozen.
const (
	exitError    = 1
	exitUsage    = 2
	exitNotFound = 4
	exitVerify   = 6
)

// usage is an error in how the verb was called.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// hinted is an error with its next step.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// errNoSource: a file that should be read is not there.
var errNoSource = errors.New("no such file")

// sourceError words what went wrong with a file.
func sourceError(err error) error {
	var pe *fs.PathError
	switch {
	case !errors.As(err, &pe):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s", errNoSource, shown(pe.Path))
	}
	return fmt.Errorf("couldn't read %s: %w", shown(pe.Path), pe.Err)
}

// judge returns what a script and a person see of an error: the exit code and the next step.
func (a *app) judge(err error) (code int, hint string) {
	var h hinted
	if errors.As(err, &h) {
		hint = h.hint
	}
	switch {
	case errors.As(err, new(usage)):
		return exitUsage, "`" + strings.TrimSpace("stele-verify "+a.verb) + " --help` shows how"
	case errors.Is(err, verify.ErrFailed):
		return exitVerify, hint
	case errors.Is(err, errNoSource):
		return exitNotFound, hint
	case errors.Is(err, verify.ErrVersion):
		return exitError, "install the newest stele-verify: this one reads older formats only"
	}
	return exitError, hint
}

// fail prints an error and its next step, each on a line, and returns the exit code.
func (a *app) fail(err error) int {
	code, hint := a.judge(err)
	message := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
	if a.json {
		b, _ := json.Marshal(struct {
			V      int    `json:"v"`
			Error  string `json:"error"`
			Hint   string `json:"hint,omitempty"`
			ExitAs int    `json:"exit"`
		}{1, message, hint, code})
		fmt.Fprintf(a.stderr, "%s\n", b)
		return code
	}
	name := "stele-verify"
	if code == exitUsage && a.verb != "" {
		name += " " + a.verb
	}
	fmt.Fprintf(a.stderr, "%s: %s\n", name, message)
	if hint != "" {
		fmt.Fprintf(a.stderr, "  next: %s\n", hint)
	}
	return code
}
