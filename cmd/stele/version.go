package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for a release.
var version = ""

type versionCmd struct {
	VKey bool `name:"vkey" help:"Print the store's verifier key instead: it checks every receipt of the store. Give it to whoever is to check, by another way than the receipt."`
}

func (c versionCmd) Run(ctx context.Context, a *app) error {
	if c.VKey {
		return c.vkey(ctx, a)
	}
	v, rev := versionText()
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "version": v, "commit": rev, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	}
	fmt.Fprintf(a.stdout, "stele %s", v)
	if rev != "" {
		fmt.Fprintf(a.stdout, " (%s)", rev)
	}
	fmt.Fprintf(a.stdout, ", %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

func (versionCmd) vkey(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "vkey": s.Ledger().VKey()})
	}
	_, err = fmt.Fprintln(a.stdout, s.Ledger().VKey())
	return err
}

func versionText() (v, commit string) {
	v = version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, ""
	}
	if v == "" {
		v = "devel"
		if m := info.Main.Version; m != "" && m != "(devel)" {
			v = m
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			commit = s.Value[:12]
		}
	}
	return v, commit
}
