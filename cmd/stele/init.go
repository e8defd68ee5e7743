package main

import (
	"context"

	"stele"
	"stele/internal/node"
)

type initCmd struct {
	Kit string `placeholder:"FILE" help:"Where the recovery kit goes (stele-recovery-kit.txt beside the data folder, never in it)."`
}

func (c *initCmd) Run(ctx context.Context, a *app) error {
	opt := stele.Options{Kit: c.Kit, Log: a.logger(), FS: a.fs}
	s, err := node.Create(ctx, a.data(), opt)
	if err != nil {
		return err
	}
	id, vkey, root := s.ID(), s.Ledger().VKey(), s.Keys().Root().ID
	if err := s.Close(); err != nil {
		return err
	}
	kit, clock := s.KitWritten(), ""
	if doubt := s.ClockDoubt(); doubt != nil {
		clock = doubt.Error()
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "data": a.data(), "store": id, "vkey": vkey, "kit": kit, "access_key": root, "clock": clock})
	}
	a.say("made store %s in %s", id, a.data())
	a.say("verifier key: %s", vkey)
	if clock != "" {
		a.say("\nWARNING: %s", clock)
	}
	a.sayKit(kit)
	return nil
}

// sayKit tells where the recovery kit went and what is to be done with it.
func (a *app) sayKit(kit string) {
	a.say("\nrecovery kit: %s", kit)
	a.say("  Without this machine the kit is the only way to the data. Print it, or move it to two places where the store is not, and then:")
	a.say("  stele kit confirm FILE")
}
