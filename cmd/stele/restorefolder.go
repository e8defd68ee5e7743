package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stele"
	"stele/internal/replicate"
	"stele/internal/target"
)

type restoreCmd struct {
	Part      string `arg:"" optional:"" name:"bucket/key" help:"What to put back in the store as it was --at a moment: a bucket, or a key and all below it. Left out with --from."`
	At        string `placeholder:"WHEN" help:"The moment to go back to: ${when} or @123456 (ledger size); for BUCKET/KEY also a pinned view's name. With --from it may be left out: the newest."`
	Reason    string `placeholder:"TEXT" help:"Why, for the record."`
	To        string `group:"Put BUCKET/KEY back as it was" placeholder:"BUCKET" help:"Put it into this bucket instead; made if it is missing."`
	ToDir     string `group:"Put BUCKET/KEY back as it was" placeholder:"DIR" help:"Write it as files into this folder instead."`
	HideNewer bool   `group:"Put BUCKET/KEY back as it was" help:"Hide what is there now and was not then (it is left alone)."`
	Overwrite bool   `group:"Put BUCKET/KEY back as it was" help:"With --to-dir, replace files that differ."`
	DryRun    bool   `group:"Put BUCKET/KEY back as it was" short:"n" help:"Say what would be done; change nothing."`

	From          string `group:"Or make a data folder of a backup" placeholder:"URL" help:"The target. The folder --data, missing or empty, becomes the store that lies there: ${targets}."`
	SameEpoch     bool   `group:"Or make a data folder of a backup" help:"Go on in the epoch of the old primary, which is gone for good."`
	AcceptLacking bool   `group:"Or make a data folder of a backup" help:"Finish although packs are missing or damaged on the target."`
	Without       string `group:"Or make a data folder of a backup" placeholder:"PATTERN,…" help:"Leave these files of the target out, as keyring/000007,segments/000099-*: junk that somebody put there and nobody may remove."`
}

// Help says which of two things restore does.
func (restoreCmd) Help() string {
	return `Two things, which have nothing to do with each other:

Put a part back as it was, in this store: stele restore BUCKET[/KEY] --at WHEN. The store keeps its past, so no backup is needed. Nothing is erased: what lies there now stays in the history.

Make a data folder of a backup, when the store itself is gone: stele restore --from URL --data DIR.`
}

func (c *restoreCmd) Run(ctx context.Context, a *app) error {
	switch {
	case c.Part == "" && c.From == "":
		return usage{errors.New("restore what? To put a part of this store back as it was: stele restore BUCKET[/KEY] --at WHEN. To make a data folder of a backup: stele restore --from URL --data DIR")}
	case c.Part != "" && c.From != "":
		return usage{errors.New("BUCKET/KEY puts a part of this store back, from its own past; --from makes a new data folder of a backup: use one of them. To take a part out of a backup: `stele serve --from URL` elsewhere, and restore from that with --to-dir")}
	case c.Part != "" && c.Without != "":
		return usage{errors.New("--without leaves files of a backup out, and goes with --from")}
	case c.Part != "":
		return c.part(ctx, a)
	case c.To != "" || c.ToDir != "" || c.HideNewer || c.Overwrite || c.DryRun:
		return usage{errors.New("--to, --to-dir, --hide-newer, --overwrite and --dry-run are for putting BUCKET[/KEY] back: --from makes a whole data folder, and has none of them")}
	}
	return c.folder(ctx, a)
}

// folder makes a folder of what a target holds.
func (c *restoreCmd) folder(ctx context.Context, a *app) error {
	if a.cli.Server != "" {
		return usage{errors.New("restore --from makes a data folder on this machine: leave --server out")}
	}
	if c.SameEpoch && c.At != "" {
		return usage{errors.New("a past moment begins a new epoch: --at and --same-epoch exclude each other")}
	}
	opt, err := a.options()
	if err != nil {
		return err
	}
	from, facts, err := target.Open(ctx, c.From, target.Options{ReadOnly: true, Without: c.Without, Store: a.data()})
	if err != nil {
		return err
	}
	start, p := time.Now(), a.progress("restored", "")
	r, err := stele.RestoreFolder(ctx, a.data(), stele.RestoreOptions{Options: opt, Target: from, Name: facts.Place, AcceptLacking: c.AcceptLacking,
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
		a.say("made the data folder %[2]s of the backup of store %[1]s: %[3]s in %d packs and %d segments, %s, verified, in %s", r.Store, a.data(), entries(r.Size), r.Packs, r.Segments, size(r.Bytes), took.Round(time.Millisecond))
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
	return a.buried(err)
}

// buried asks for the recovery kit where none was given, and adds to the error of a target that holds what doesn't prove itself how to do without that.
func (a *app) buried(err error) error {
	if errors.Is(err, stele.ErrWrongKey) && a.cli.RecoveryKey == "" {
		return withHint(ofKind{errors.New("a backup is opened with the recovery kit of its store, and none was given"), stele.ErrWrongKey}, "name the recovery kit, which was made with the store: --recovery-key stele-recovery-kit.txt")
	}
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
