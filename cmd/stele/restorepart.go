package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"stele"
	"stele/internal/rpc/client"
)

// part puts a part of a store back as it was, in the store or as files.
func (c *restoreCmd) part(ctx context.Context, a *app) error {
	switch {
	case c.SameEpoch || c.AcceptLacking:
		return usage{errors.New("--same-epoch and --accept-lacking go with --from")}
	case c.To != "" && c.ToDir != "":
		return usage{errors.New("--to and --to-dir name two places: use one of them")}
	case c.HideNewer && (c.To != "" || c.ToDir != ""):
		return usage{errors.New("--hide-newer is for the bucket itself: elsewhere nothing is hidden")}
	case c.Overwrite && c.ToDir == "":
		return usage{errors.New("--overwrite goes with --to-dir; in a bucket nothing is ever overwritten")}
	}
	bucket, key := split(c.Part)
	if bucket == "" {
		return usage{fmt.Errorf("%q names no bucket: write BUCKET or BUCKET/KEY", c.Part)}
	}
	open := a.openWrite
	if c.DryRun || c.ToDir != "" {
		open = a.openRead
	}
	s, err := open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	name, at, err := view(ctx, s, bucket, c.At)
	if err != nil {
		return err
	}
	if at.Now() && c.At == "" {
		return usage{fmt.Errorf("as of when? Try: stele restore %s --at 2h. --at takes %s, @123456 (ledger size) and a pinned view's name", shellWord(c.Part), whenHelp)}
	}
	if at.Now() {
		st, err := s.Stats(ctx)
		if err != nil {
			return err
		}
		at.Size = st.Entries
	}
	j := &partJob{app: a, cmd: c, bucket: name, key: key, start: time.Now()}
	if c.ToDir != "" {
		err = j.files(ctx, s, at)
	} else {
		err = j.objects(ctx, s, at)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return j.stopped(err)
	}
	return j.summary()
}

// partJob is a restore of a part under way.
type partJob struct {
	app         *app
	cmd         *restoreCmd
	bucket, key string
	start       time.Time
	table       *table // the first changes
	shown       int
	restored    int64 // told so far
	report      stele.PartReport
}

// partRows is how many changes are shown to people; --json has all.
const partRows = 20

// objects puts them back in a bucket.
func (j *partJob) objects(ctx context.Context, s client.Store, at stele.View) error {
	p := j.app.progress("compared", "object")
	defer p.end()
	var err error
	j.report, err = s.RestorePart(ctx, stele.PartRestore{By: local, Bucket: j.bucket, Key: j.key, At: at, To: j.cmd.To, HideNewer: j.cmd.HideNewer, DryRun: j.cmd.DryRun, Reason: j.cmd.Reason,
		Change: j.tell, Progress: func(done stele.Tally) { p.things.Store(done.Keys); p.bytes.Store(done.Bytes) }})
	return err
}

// partDoc is a change in JSON.
type partDoc struct {
	V       int              `json:"v"`
	Action  stele.PartAction `json:"action"`
	DryRun  bool             `json:"dry_run,omitempty"` // the action is what would be done
	Key     string           `json:"key"`
	Size    int64            `json:"size"`
	From    string           `json:"from,omitempty"`
	Now     string           `json:"now,omitempty"`
	Version string           `json:"version,omitempty"`
	Entry   uint64           `json:"entry,omitempty"`
	Why     string           `json:"why,omitempty"`
}

// tell shows a change: one at a time.
func (j *partJob) tell(c stele.PartChange) error {
	if c.Action == stele.PartRestored || c.Action == stele.PartHidden {
		j.restored++
	}
	if j.app.cli.JSON {
		return j.app.document(partDoc{1, c.Action, j.cmd.DryRun, c.Key, c.Size, c.From, c.Now, c.Version, c.Entry, c.Why})
	}
	if c.Action == stele.PartRefused {
		j.app.warn("%s %s: %s", j.word(stele.PartRefused), shown(c.Key), c.Why)
	}
	if j.shown++; j.app.cli.Quiet || j.shown > partRows {
		return nil
	}
	if j.table == nil {
		j.table = j.app.table("ACTION", "SIZE", "VERSION THEN", "VERSION NOW", "KEY")
	}
	j.table.row(j.word(c.Action), size(c.Size), orDash(c.From), orDash(c.Now), shown(c.Key))
	return nil
}

// word says what was done to a key, or would be.
func (j *partJob) word(action stele.PartAction) string {
	done, would := string(action), ""
	switch action {
	case stele.PartRestored:
		would = "would restore"
	case stele.PartHidden:
		would = "would hide"
	case stele.PartRefused:
		done, would = "left out", "would leave out"
	case stele.PartNewer:
		return "newer, stays"
	}
	if j.cmd.DryRun && would != "" {
		return would
	}
	return done
}

// stopped says how far a restore came that ended early. What is restored is seen to be so by the next one.
func (j *partJob) stopped(err error) error {
	if j.restored > 0 && !j.cmd.DryRun {
		return soFar{err, objectsAre(j.restored) + " restored at least, and will be kept: the same command goes on"}
	}
	return err
}

func objectsAre(n int64) string {
	if n == 1 {
		return "1 object is"
	}
	return thousands(uint64(n)) + " objects are"
}

func (j *partJob) summary() error {
	r, took := &j.report, time.Since(j.start)
	if r.Restored.Keys+r.Kept.Keys+r.Newer.Keys+r.Hidden.Keys+r.Refused.Keys == 0 && j.key != "" {
		return fmt.Errorf("%w: nothing lay in %s/%s then, and nothing does now", stele.ErrNoKey, j.bucket, shown(j.key))
	}
	if j.app.cli.JSON {
		if err := j.document(took); err != nil {
			return err
		}
	} else if err := j.print(took); err != nil {
		return err
	}
	if r.Refused.Keys > 0 {
		return withHint(fmt.Errorf("%w: %s left out", errPartial, count(r.Refused.Keys, "object")), "the lines above say why; `stele cat --at @%d` reads any key as it was", r.At)
	}
	return nil
}

func (j *partJob) document(took time.Duration) error {
	r := &j.report
	place := r.To
	if j.cmd.ToDir != "" {
		place = j.cmd.ToDir
	}
	return j.app.document(map[string]any{"v": 1, "bucket": r.Bucket, "to": place, "at": r.At, "dry_run": j.cmd.DryRun, "made": r.Made, "settings_left": append([]stele.Setting{}, r.Left...), "seconds": took.Seconds(),
		"restored": r.Restored.Keys, "restored_bytes": r.Restored.Bytes, "kept": r.Kept.Keys, "kept_bytes": r.Kept.Bytes, "newer": r.Newer.Keys, "newer_bytes": r.Newer.Bytes,
		"hidden": r.Hidden.Keys, "hidden_bytes": r.Hidden.Bytes, "refused": r.Refused.Keys, "refused_bytes": r.Refused.Bytes})
}

func (j *partJob) print(took time.Duration) error {
	r, a := &j.report, j.app
	if j.table != nil {
		if err := j.table.end(); err != nil {
			return err
		}
	}
	if j.shown > partRows {
		a.say("… and %s more; --json lists all", thousands(uint64(j.shown-partRows)))
	}
	restored, hidden := "restored", "hid"
	if j.cmd.DryRun {
		restored, hidden = "dry run, nothing was changed: would restore", "would hide"
	}
	place := "in " + r.To
	if j.cmd.ToDir != "" {
		place = "into " + shown(j.cmd.ToDir)
	}
	words := []string{fmt.Sprintf("%s %s, %s, %s as of @%d", restored, count(r.Restored.Keys, "object"), size(r.Restored.Bytes), place, r.At)}
	for _, t := range []struct {
		stele.Tally
		verb, rest string
	}{{r.Hidden, hidden + " ", " newer"}, {r.Kept, "", " " + asTheyWere(r.Kept.Keys)}, {r.Newer, "", " newer and left alone"}, {r.Refused, "", " left out"}} {
		if t.Keys > 0 {
			words = append(words, t.verb+thousands(uint64(t.Keys))+t.rest)
		}
	}
	a.say("%s; in %s", strings.Join(words, ", "), took.Round(time.Millisecond))
	if r.Made && !j.cmd.DryRun {
		a.say("bucket %s was made anew, with the versioning and the object lock of then", r.To)
	}
	if len(r.Left) > 0 {
		a.note("not put back: the bucket's %s. `stele log --type bucket.config --bucket %s` shows them", joined(r.Left), r.Bucket)
	}
	return nil
}

func asTheyWere(n int64) string {
	if n == 1 {
		return "as it was"
	}
	return "as they were"
}

func joined(names []stele.Setting) string {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return strings.Join(out, ", ")
}
