package main

import (
	"context"
	"fmt"
)

type viewCmd struct {
	Pin  viewPinCmd  `cmd:"" help:"Name a view of the past; a pinned view keeps its bytes."`
	List viewListCmd `cmd:"" help:"List pinned views."`
}

type viewPinCmd struct {
	Name string `arg:"" help:"A letter and up to 15 lower-case letters or digits: it stands in bucket names, BUCKET--at-NAME."`
	At   string `placeholder:"WHEN" help:"${at}"`
}

func (c *viewPinCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := viewAt(ctx, s, "--at", c.At)
	if err != nil {
		return err
	}
	p, err := s.Pin(ctx, local, c.Name, v)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "view": p.Name, "size": p.Size, "created": moment(p.Created)})
	}
	a.say("pinned %s at size %d: read it with --at %s, or by S3 as BUCKET--at-%s", p.Name, p.Size, p.Name, p.Name)
	return nil
}

type viewListCmd struct{}

func (viewListCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	pins, err := s.Views(ctx)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		for _, p := range pins {
			if err := a.document(map[string]any{"v": 1, "view": p.Name, "size": p.Size, "created": moment(p.Created)}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(pins) == 0 {
		a.note("no pinned views; `stele view pin NAME --at WHEN` makes one")
		return nil
	}
	t := a.table("VIEW", "SIZE", "PINNED")
	for _, p := range pins {
		t.row(p.Name, fmt.Sprint(p.Size), moment(p.Created))
	}
	return t.end()
}
