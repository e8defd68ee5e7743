package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stele"
	"stele/internal/config"
	"stele/internal/replicate"
)

type restoreCmd struct {
	From          string `required:"" placeholder:"URL" help:"The target: dir:///PATH or s3://BUCKET/PREFIX?endpoint=https://HOST:PORT."`
	At            string `placeholder:"WHEN" help:"Go on from this moment: 2026-11-20T10:00:00Z, 7d (ago), @123456 (ledger size) (all of it)."`
	SameEpoch     bool   `help:"Go on in the epoch of the old primary, which is gone for good."`
	AcceptLacking bool   `help:"Finish although packs are missing or damaged on the target."`
	Reason        string `placeholder:"TEXT" help:"Why, for the record."`
}

func (c *restoreCmd) Run(ctx context.Context, a *app) error {
	if a.cli.Server != "" {
		return usage{errors.New("restore makes a folder, and does not work through --server")}
	}
	if c.SameEpoch && c.At != "" {
		return usage{errors.New("a past moment begins a new epoch: --at and --same-epoch exclude each other")}
	}
	opt, err := a.options()
	if err != nil {
		return err
	}
	target, facts, err := config.OpenTarget(ctx, c.From, config.TargetOptions{ReadOnly: true, Store: a.data()})
	if err != nil {
		return err
	}
	start, p := time.Now(), a.progress("restored", "")
	r, err := stele.RestoreFolder(ctx, a.data(), stele.RestoreOptions{Options: opt, Target: target, Name: facts.Place, AcceptLacking: c.AcceptLacking,
		Progress: func(done, total int64) { p.bytes.Store(done); p.ofBytes.Store(total) }})
	p.end()
	if err != nil {
		return c.lacking(a, &r, err)
	}
	took := time.Since(start)
	epoch, cut, err := c.begin(ctx, a, opt, &r)
	if err != nil {
		return fmt.Errorf("the files are restored to %s, for reading only as yet: %w", a.data(), err)
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "store": r.Store, "data": a.data(), "size": r.Size, "root": r.Root.String(), "epoch": epoch, "cut": cut, "packs": r.Packs, "segments": r.Segments,
			"bytes": r.Bytes, "copied_bytes": r.CopiedBytes, "lacking": append([]string{}, r.Lacking...), "seconds": took.Seconds()})
	}
	if r.Size > 0 {
		a.say("restored store %s to %s: %s in %d packs and %d segments, %s, verified, in %s", r.Store, a.data(), entries(r.Size), r.Packs, r.Segments, size(r.Bytes), took.Round(time.Millisecond))
	}
	a.say("it goes on in epoch %d with %s", epoch, entries(cut))
	a.note("`stele serve --data %s` takes writes now; the root access key is a new one", a.data())
	return nil
}

// lacking shows which packs were not to be had.
func (c *restoreCmd) lacking(a *app, r *stele.Restored, err error) error {
	if errors.Is(err, replicate.ErrLacking) {
		for _, name := range r.Lacking {
			a.warn("missing or damaged on the target: %s", name)
		}
		return withHint(err, "restore from another target; or take what is there with --accept-lacking")
	}
	return err
}

// begin makes the copy a primary.
func (c *restoreCmd) begin(ctx context.Context, a *app, opt stele.Options, r *stele.Restored) (epoch uint32, cut uint64, err error) {
	if c.SameEpoch {
		return r.Epoch, r.Size, stele.ContinueEpoch(ctx, a.data(), opt)
	}
	at, err := (&promoteCmd{At: c.At}).size(ctx, a)
	if err != nil {
		return 0, 0, err
	}
	reason := c.Reason
	if reason == "" {
		reason = "restore from " + c.From
	}
	p, err := stele.Promote(ctx, a.data(), stele.PromoteOptions{Options: opt, At: at, Reason: reason, By: local})
	return p.To, p.Cut, err
}
