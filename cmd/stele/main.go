// Command stele is the store's command line: one file per verb. A verb works on a data folder by itself, through the socket of the
// server that holds the folder, or on a server's admin port; it sees a client.Store and need not know which.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	os.Exit((&app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}).run(os.Args[1:]))
}

// run parses the arguments, runs the verb and returns the exit code.
func (a *app) run(args []string) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var cli cli
	a.cli = &cli.Globals
	helped := -1
	parser := grammar(&cli, kong.Writers(a.stdout, a.stderr), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(a), kong.Exit(func(c int) { helped = c }))
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if helped >= 0 {
		return helped
	}
	if err != nil {
		a.verb, err = misuse(err)
		return a.fail(ctx, err)
	}
	a.verb = verbOf(k.Selected())
	if v, ok := k.Selected().Target.Addr().Interface().(interface{ forUser() bool }); !ok || !v.forUser() {
		keepPrivate()
	}
	if err := k.Run(); err != nil {
		return a.fail(ctx, err)
	}
	return 0
}

// forUser says of a verb that it makes files for the user, where he says, with the modes that he is used to. In all other verbs what is made without a mode is made for this user alone. What Stele
// makes for itself is private in any case (internal/durable); this also holds for what a library makes without being asked.
func (*getCmd) forUser() bool       { return true }
func (c *restoreCmd) forUser() bool { return c.ToDir != "" }
func (*proveCmd) forUser() bool     { return true }
func (*drillRunCmd) forUser() bool  { return true }
