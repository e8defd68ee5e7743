package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"stele"
	"stele/entry"
)

type bucketCmd struct {
	Create     bucketCreateCmd     `cmd:"" help:"Make a bucket."`
	List       bucketListCmd       `cmd:"" help:"List buckets."`
	Info       bucketInfoCmd       `cmd:"" help:"All about one bucket."`
	Versioning bucketVersioningCmd `cmd:"" help:"Enable or suspend versioning."`
	Lock       bucketLockCmd       `cmd:"" help:"Switch object lock on and set the default retention. It can't be switched off."`
	Delete     bucketDeleteCmd     `cmd:"" help:"Delete an empty bucket. Earlier views still show it."`
}

type bucketCreateCmd struct {
	Name       string `arg:"" help:"3 to 63 lower-case letters, digits, dots and hyphens."`
	Versioning bool   `help:"Keep every version in S3's view."`
	Lock       bool   `help:"With object lock, and so with versioning."`
}

func (c *bucketCreateCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := s.CreateBucket(ctx, local, c.Name, c.Lock)
	if err != nil {
		return err
	}
	if c.Versioning && !c.Lock {
		if _, err := s.SetVersioning(ctx, local, c.Name, stele.Enabled); err != nil {
			return fmt.Errorf("the bucket was made, but couldn't enable versioning: %w", err)
		}
	}
	return a.committed(s.Close(), done, "bucket", c.Name, "made bucket %s", c.Name)
}

// committed says what was done and in which entry.
func (a *app) committed(err error, done stele.Committed, field, value, format string, args ...any) error {
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, field: value, "entry": done.Entry, "time": moment(done.Time)})
	}
	a.say("%s (entry %d)", fmt.Sprintf(format, args...), done.Entry)
	return nil
}

type bucketListCmd struct {
	At string `placeholder:"WHEN" help:"${at}"`
}

func (c *bucketListCmd) Run(ctx context.Context, a *app) error {
	return (&lsCmd{At: c.At}).Run(ctx, a)
}

type bucketInfoCmd struct {
	Name string `arg:"" help:"The bucket."`
	At   string `placeholder:"WHEN" help:"${at}"`
}

func (c *bucketInfoCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	name, at, err := view(ctx, s, c.Name, c.At)
	if err != nil {
		return err
	}
	b, err := s.Bucket(ctx, name, at)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		d := bucketDocOf(&b, at)
		d.Settings = map[string]string{}
		for k, v := range b.Settings {
			d.Settings[string(k)] = v
		}
		return a.document(d)
	}
	t := a.table("BUCKET", b.Name)
	t.row("created", fmt.Sprintf("%s by %s (entry %d)", moment(b.Created), who(b.Owner), b.Inc))
	t.row("versioning", versioningText(&b))
	t.row("object lock", lockText(&b))
	if at.Now() {
		t.row("objects", thousands(uint64(b.Objects)))
		t.row("size", size(b.Bytes))
	}
	for _, k := range slices.Sorted(maps.Keys(b.Settings)) {
		t.row(string(k), fmt.Sprintf("%d bytes (--json shows them)", len(b.Settings[k])))
	}
	return t.end()
}

type bucketVersioningCmd struct {
	Name string `arg:"" help:"The bucket."`
	To   string `arg:"" name:"on|suspend" enum:"on,suspend" help:"on or suspend."`
}

func (c *bucketVersioningCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	to := stele.Enabled
	if c.To == "suspend" {
		to = stele.Suspended
	}
	done, err := s.SetVersioning(ctx, local, c.Name, to)
	if err != nil {
		return err
	}
	return a.committed(s.Close(), done, "bucket", c.Name, "versioning of %s is %s", c.Name, to)
}

type bucketLockCmd struct {
	Name  string `arg:"" help:"The bucket. It must have versioning on."`
	Mode  string `enum:"GOVERNANCE,COMPLIANCE,none" default:"none" help:"Default retention mode of new versions: GOVERNANCE, COMPLIANCE or none."`
	Days  int    `xor:"time" help:"How long new versions are locked by default, in days."`
	Years int    `xor:"time" help:"In years."`
	Yes   bool   `short:"y" help:"Lock for more than ten years under COMPLIANCE without being asked."`
}

// askAbove is the number of days from which a COMPLIANCE default is asked about: no backup rule wants more, and a typo could be mended by nobody.
const askAbove = 3653

// insist asks before new versions are locked for so long that nobody may live to see them free.
func (c *bucketLockCmd) insist(a *app, r stele.Retention) error {
	if c.Yes || r.Mode != entry.Compliance || r.Days+365*r.Years <= askAbove {
		return nil
	}
	what := fmt.Sprintf("each new version in %s would be locked (%s), and nobody could end that earlier: not an admin, not the recovery key", c.Name, retentionText(r))
	yes, asked, err := a.ask(what + ". Do it?")
	if err != nil || yes {
		return err
	}
	if asked {
		return errors.New("nothing was changed")
	}
	return withHint(usage{errors.New(what)}, "check the number; if it is what you want add --yes. --mode GOVERNANCE can be ended by an admin")
}

func (c *bucketLockCmd) Run(ctx context.Context, a *app) error {
	r := stele.Retention{Mode: c.Mode, Days: c.Days, Years: c.Years}
	if c.Mode == "none" {
		r.Mode = ""
	}
	switch {
	case c.Days < 0 || c.Years < 0:
		return usage{fmt.Errorf("a time of retention is not negative")}
	case (r.Mode == "") != (c.Days == 0 && c.Years == 0):
		return usage{fmt.Errorf("a default retention is --mode with --days or --years")}
	}
	if err := c.insist(a, r); err != nil {
		return err
	}
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := s.SetObjectLock(ctx, local, c.Name, r)
	if err != nil {
		return err
	}
	return a.committed(s.Close(), done, "bucket", c.Name, "object lock of %s: %s", c.Name, retentionText(r))
}

type bucketDeleteCmd struct {
	Name string `arg:"" help:"The bucket."`
}

func (c *bucketDeleteCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := s.DeleteBucket(ctx, local, c.Name)
	if err != nil {
		return err
	}
	return a.committed(s.Close(), done, "bucket", c.Name, "deleted bucket %s; views before entry %d still show it", c.Name, done.Entry)
}
