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
	Part      string `arg:"" optional:"" name:"bucket/key" help:"Put this part of the store back as it was --at a moment: a bucket, or a key and all below it."`
	At        string `placeholder:"WHEN" help:"The moment: ${when}, @123456 (ledger size), for a part also a pinned view's name. With --from: go on from there (all of it)."`
	To        string `placeholder:"BUCKET" help:"Put the part into this bucket; made if it is missing."`
	ToDir     string `placeholder:"DIR" help:"Write the part as files into this folder."`
	HideNewer bool   `help:"Hide what is there now and was not then (it is left alone)."`
	Overwrite bool   `help:"With --to-dir, replace files that differ."`
	DryRun    bool   `short:"n" help:"Compare and report; change nothing."`

	From          string `placeholder:"URL" help:"Make the folder --data of this target: dir:///PATH or s3://BUCKET/PREFIX?endpoint=https://HOST:PORT."`
	SameEpoch     bool   `help:"With --from, go on in the epoch of the old primary, which is gone for good."`
	AcceptLacking bool   `help:"With --from, finish although packs are missing or damaged on the target."`
	Without       string `placeholder:"PATTERN,…" help:"With --from, leave these files of the target out, as keyring/000007,segments/000099-*: junk that somebody put there and nobody may remove."`
	Reason        string `placeholder:"TEXT" help:"Why, for the record."`
}

func (c *restoreCmd) Run(ctx context.Context, a *app) error {
	switch {
	case c.Part == "" && c.From == "":
		return usage{errors.New("restore what? A part of this store, stele restore BUCKET[/KEY] --at WHEN; or a whole folder from a target, stele restore --from URL --data DIR")}
	case c.Part != "" && c.From != "":
		return usage{errors.New("a part is put back in the store that is there, --from makes a whole folder: use one of them. `stele serve --from` serves a target at once, and its parts with it")}
	case c.Part != "" && c.Without != "":
		return usage{errors.New("--without leaves files of a target out, and goes with --from")}
	case c.Part != "":
		return c.part(ctx, a)
	case c.To != "" || c.ToDir != "" || c.HideNewer || c.Overwrite || c.DryRun:
		return usage{errors.New("--to, --to-dir, --hide-newer, --overwrite and --dry-run are for a part, BUCKET[/KEY]: --from makes a whole folder")}
	}
	return c.folder(ctx, a)
}

// folder makes a folder of what a target holds.
func (c *restoreCmd) folder(ctx context.Context, a *app) error {
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
	target, facts, err := config.OpenTarget(ctx, c.From, config.TargetOptions{ReadOnly: true, Without: c.Without, Store: a.data()})
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
	return buried(err)
}

// buried adds to the error of a target that holds what doesn't prove itself how to do without that.
func buried(err error) error {
	if !errors.Is(err, stele.ErrCorrupt) && !errors.Is(err, stele.ErrWrongKey) {
		return err
	}
	return withHint(err, "if a file that is named here is not the store's own (somebody may have put it there), leave it out with --without NAME; else use another target")
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
