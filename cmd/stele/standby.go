package main

import (
	"context"
	"fmt"
	"time"
)

type standbyCmd struct {
	Follow standbyFollowCmd `cmd:"" default:"withargs" help:"Follow a primary: verify what it writes, keep a copy, serve reads, and be ready to take over."`
	Add    standbyAddCmd    `cmd:"" help:"On the primary: admit a standby, to whom the keyring is then wrapped."`
	List   standbyListCmd   `cmd:"" help:"On the primary: list the admitted standbys."`
	Rm     standbyRmCmd     `cmd:"" help:"On the primary: wrap the keyring to a standby no longer."`
	Status standbyStatusCmd `cmd:"" help:"On a running standby: where it stands. Exit 6 if it is frozen, 7 if it has heard nothing for a minute."`
}

type standbyAddCmd struct {
	Name      string `arg:"" help:"What to call it."`
	Recipient string `arg:"" help:"Its recipient, age1…, as it prints it."`
}

func (c *standbyAddCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := s.AddStandby(ctx, local, c.Name, c.Recipient)
	if err != nil {
		return fmt.Errorf("couldn't admit the standby: %w", err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "standby": c.Name, "recipient": c.Recipient, "entry": done.Entry})
	}
	a.say("admitted %s: the keyring is wrapped to it as well", c.Name)
	return nil
}

type standbyListCmd struct{}

func (standbyListCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	all, err := s.Standbys(ctx)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		for _, b := range all {
			if err := a.document(map[string]any{"v": 1, "standby": b.Name, "recipient": b.Recipient}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		a.note("no standby is admitted; `stele standby --from URL` on another machine prints its recipient")
		return nil
	}
	t := a.table("STANDBY", "RECIPIENT")
	for _, b := range all {
		t.row(b.Name, b.Recipient)
	}
	return t.end()
}

type standbyRmCmd struct {
	Name string `arg:"" help:"The standby's name."`
}

func (c *standbyRmCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := s.RemoveStandby(ctx, local, c.Name)
	if err != nil {
		return fmt.Errorf("couldn't remove the standby: %w", err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "standby": c.Name, "removed": true, "entry": done.Entry})
	}
	a.say("removed %s (entry %d). What it has copied it can still read", c.Name, done.Entry)
	return nil
}

type standbyStatusCmd struct{}

// quietFor is how long a standby may hear nothing of its primary before its status is stale.
const quietFor = time.Minute

func (standbyStatusCmd) Run(ctx context.Context, a *app) error {
	f, err := a.following(ctx)
	if err != nil {
		return err
	}
	lag := max(f.Primary, f.Accepted) - f.Accepted
	if a.cli.JSON {
		err = a.document(map[string]any{"v": 1, "from": f.From, "epoch": f.Epoch, "keyless": f.Keyless, "accepted": f.Accepted, "lag": lag, "last_accepted": moment(f.LastAccepted),
			"last_contact": moment(f.LastContact), "frozen": f.Frozen, "error": f.Err, "witness": f.Witness})
		if err != nil {
			return err
		}
	} else {
		a.say("follows      %s, epoch %d", f.From, f.Epoch)
		a.say("accepted     %s, %d behind", entries(f.Accepted), lag)
		a.say("last heard   %s", moment(f.LastContact))
		a.say("cosigns as   %s", f.Witness)
		if f.Err != "" {
			a.say("trouble      %s", shown(f.Err))
		}
	}
	switch {
	case f.Frozen:
		return errFrozen
	case time.Since(f.LastContact) > quietFor:
		return errQuiet
	}
	return nil
}
