package main

import (
	"context"
	"errors"
	"fmt"

	"stele"
	"stele/internal/fsck"
	"stele/internal/rpc/client"
)

type promoteCmd struct {
	At     string `placeholder:"WHEN" help:"Go on from this moment: ${when}, or @123456 (ledger size). What came after it stays in the old epoch's files, as evidence (all of it counts)."`
	Reason string `placeholder:"TEXT" help:"Why, for the record."`
	Yes    bool   `short:"y" help:"Begin a new epoch though this folder is a primary's already. --at says so too."`
}

func (c *promoteCmd) Run(ctx context.Context, a *app) error {
	if a.cli.Server != "" {
		return usage{errors.New("promote works on a folder that no server holds, not through --server")}
	}
	running, err := client.ConnectFollower(ctx, a.data())
	if err != nil {
		return err
	}
	if running != nil {
		defer running.Close()
		if c.At != "" {
			return usage{errors.New("a running standby goes on from all that it accepted: stop it to promote it with --at")}
		}
		p, err := running.PromoteStandby(ctx, c.Reason)
		if err != nil {
			return err
		}
		return a.promoted(p, "the same addresses take writes now")
	}
	server, err := client.Connect(ctx, a.data())
	if err != nil {
		return err
	}
	if server != nil {
		defer server.Close()
		return c.running(ctx, a, server)
	}
	opt, err := a.options()
	if err != nil {
		return err
	}
	at, err := c.size(ctx, a)
	if err != nil {
		return err
	}
	if err := c.insist(ctx, a, opt); err != nil {
		return err
	}
	p, err := stele.Promote(ctx, a.data(), stele.PromoteOptions{Options: opt, At: at, Reason: c.Reason, By: local})
	if err != nil {
		return err
	}
	return a.promoted(p, "`stele serve` takes writes now")
}

// insist asks before a primary begins another epoch: nothing is won by that, and whoever follows it or has pinned its key must take the new one. The usual reason is a folder that was taken for another.
func (c *promoteCmd) insist(ctx context.Context, a *app, opt stele.Options) error {
	if c.Yes || c.At != "" {
		return nil
	}
	primary, err := stele.IsPrimary(ctx, a.data(), opt)
	if err != nil || !primary {
		return err
	}
	what := fmt.Sprintf("%s is a primary's folder already: `stele serve --data %s` takes writes as it is. A promotion would begin a new epoch with a new signing key; standbys, targets and whoever pinned the verifier key would have to follow it", a.data(), shellWord(a.data()))
	yes, asked, err := a.ask(what + ". Begin it?")
	if err != nil || yes {
		return err
	}
	if asked {
		return errors.New("nothing was changed")
	}
	return withHint(usage{errors.New(what)}, "promote a standby, or a copy whose old server is gone (name it with --data); to go back to a past moment add --at WHEN; to begin a new epoch all the same add --yes")
}

// running promotes what a server serves from a backup.
func (c *promoteCmd) running(ctx context.Context, a *app, server *client.Client) error {
	h, err := server.Hydration(ctx)
	if err != nil {
		return err
	}
	if h == nil {
		return withHint(fmt.Errorf("%w: a server holds %s", stele.ErrLocked, a.data()), "stop that server: while it runs, it is the primary")
	}
	if c.At != "" {
		return usage{errors.New("--at is for a folder that no server holds: stop the server when the folder is full")}
	}
	p, err := server.PromoteFrom(ctx, c.Reason)
	if err != nil {
		return err
	}
	return a.promoted(p, "the server takes writes now")
}

func (a *app) promoted(p stele.Promotion, now string) error {
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "store": p.Store, "from_epoch": p.From, "epoch": p.To, "cut": p.Cut, "left": p.Left, "vkey": p.VKey})
	}
	a.say("store %s is in epoch %d, which goes on from epoch %d with its first %s", p.Store, p.To, p.From, entries(p.Cut))
	if p.Left > 0 {
		a.say("%s beyond that stay in the files of epoch %d, as evidence", entries(p.Left), p.From)
	}
	a.say("verifier key: %s", p.VKey)
	a.note("%s. Whoever pinned the old key finds the new one, with the old signer's consent, in entry %d", now, p.Cut)
	return nil
}

// size is the ledger size at --at, 0 for all.
func (c *promoteCmd) size(ctx context.Context, a *app) (uint64, error) {
	if c.At == "" {
		return 0, nil
	}
	s, err := a.openRead(ctx)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	v, err := viewAt(ctx, s, "--at", c.At)
	if err != nil {
		return 0, err
	}
	return v.Size, s.Close()
}

// evidence tells what earlier epochs hold beyond where a later one went another way.
func (a *app) evidence(list []fsck.Evidence) error {
	for _, e := range list {
		if a.cli.JSON {
			if err := a.document(map[string]any{"v": 1, "evidence": e.Epoch, "from": e.From, "to": e.To, "files": e.Files, "broken": e.Broken}); err != nil {
				return err
			}
			continue
		}
		state := "as they were signed; they are evidence, and not of the store"
		if e.Broken != "" {
			state = "evidence, of which not all can be proven: " + shown(e.Broken)
		}
		fmt.Fprintf(a.stdout, "epoch %d went on beyond where the next one left it: entries %d to %d, %s\n", e.Epoch, e.From, max(e.From+1, e.To)-1, state)
	}
	return nil
}
