package main

import (
	"bufio"
	"context"
	"fmt"
	"strconv"

	"stele"
	"stele/internal/rpc/client"
)

type lsCmd struct {
	Place     string `arg:"" optional:"" name:"bucket/prefix" help:"What to list; without it, buckets."`
	Recursive bool   `short:"r" help:"List everything below, not just one level."`
	Versions  bool   `help:"List versions and delete markers too, newest first."`
	At        string `placeholder:"WHEN" help:"${at}"`
}

func (c *lsCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	bucket, prefix := split(c.Place)
	if bucket == "" {
		return c.buckets(ctx, a, s)
	}
	name, at, err := view(ctx, s, bucket, c.At)
	if err != nil {
		return err
	}
	q := stele.ListRequest{Bucket: name, Prefix: prefix, At: at}
	if !c.Recursive {
		q.Delimiter = "/"
	}
	list := s.List
	if c.Versions {
		list = s.ListVersions
	}
	out := bufio.NewWriter(a.stdout)
	w := *a
	w.stdout = out
	found := false
	err = each(ctx, q, list, func(p stele.Page) error {
		found = found || len(p.Versions)+len(p.Prefixes) > 0
		if err := c.page(&w, p); err != nil {
			return err
		}
		return out.Flush()
	})
	switch {
	case err != nil || found:
	case prefix != "":
		place := shown(name + "/" + prefix)
		err = withHint(fmt.Errorf("%w: nothing begins with %s", stele.ErrNoKey, place), "`stele ls %s --at WHEN` shows what was there at a past moment", place)
	case at.Now() && !c.Versions:
		a.note("nothing is in %s now; `stele ls %s --at WHEN` shows what was in it, `stele log --bucket %s` what became of it", name, name, name)
	}
	return err
}

// page prints prefixes and versions in one order.
func (c *lsCmd) page(a *app, p stele.Page) error {
	for len(p.Versions) > 0 || len(p.Prefixes) > 0 {
		if len(p.Versions) == 0 || len(p.Prefixes) > 0 && p.Prefixes[0] < p.Versions[0].Key {
			if err := c.prefix(a, p.Prefixes[0]); err != nil {
				return err
			}
			p.Prefixes = p.Prefixes[1:]
			continue
		}
		if err := c.version(a, &p.Versions[0]); err != nil {
			return err
		}
		p.Versions = p.Versions[1:]
	}
	return nil
}

func (c *lsCmd) prefix(a *app, prefix string) error {
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "prefix": prefix})
	}
	pad := ""
	if c.Versions {
		pad = fmt.Sprintf("%24s  %-8s", "", "")
	}
	_, err := fmt.Fprintf(a.stdout, "%20s  %10s  %s%s\n", "", "folder", pad, shown(prefix))
	return err
}

// objectDoc is an object version as JSON. Fields that a verb does not know are left out.
type objectDoc struct {
	V       int               `json:"v"`
	Bucket  string            `json:"bucket"`
	Key     string            `json:"key"`
	Version string            `json:"version"`
	Entry   uint64            `json:"entry"`
	Time    string            `json:"time"`
	Size    int64             `json:"size"`
	ETag    string            `json:"etag,omitempty"`
	SHA256  string            `json:"sha256,omitempty"`
	Marker  bool              `json:"marker,omitempty"`
	Latest  *bool             `json:"latest,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
}

func docOf(v *stele.Version) objectDoc {
	return objectDoc{V: 1, Bucket: v.Bucket, Key: v.Key, Version: v.ID, Entry: v.Entry, Time: moment(v.Time), Size: v.Size, ETag: v.ETag, Marker: v.Marker, Meta: v.Meta}
}

func (c *lsCmd) version(a *app, v *stele.Version) error {
	if a.cli.JSON {
		d := docOf(v)
		if c.Versions {
			d.Latest = &v.Latest
		}
		return a.document(d)
	}
	bytes := size(v.Size)
	if v.Marker {
		bytes = "marker"
	}
	if !c.Versions {
		_, err := fmt.Fprintf(a.stdout, "%s  %10s  %s\n", moment(v.Time), bytes, shown(v.Key))
		return err
	}
	state := ""
	if v.Latest {
		state = "latest"
	}
	_, err := fmt.Fprintf(a.stdout, "%s  %10s  %-24s  %-6s  %s\n", moment(v.Time), bytes, v.ID, state, shown(v.Key))
	return err
}

func (c *lsCmd) buckets(ctx context.Context, a *app, s client.Store) error {
	if c.Versions || c.Recursive {
		return usage{fmt.Errorf("name a bucket to list what is in it")}
	}
	at, err := viewAt(ctx, s, "--at", c.At)
	if err != nil {
		return err
	}
	return listBuckets(ctx, a, s, at)
}

type bucketDoc struct {
	V          int               `json:"v"`
	Name       string            `json:"name"`
	Created    string            `json:"created"`
	Entry      uint64            `json:"entry"`
	Owner      string            `json:"owner"`
	Versioning string            `json:"versioning"`
	ObjectLock bool              `json:"object_lock"`
	Default    *stele.Retention  `json:"default_retention,omitempty"`
	Objects    *int64            `json:"objects,omitempty"` // of now; not told of the past
	Bytes      *int64            `json:"bytes,omitempty"`
	Settings   map[string]string `json:"settings,omitempty"`
}

func bucketDocOf(b *stele.Bucket, at stele.View) bucketDoc {
	d := bucketDoc{V: 1, Name: b.Name, Created: moment(b.Created), Entry: b.Inc, Owner: b.Owner, Versioning: versioningText(b), ObjectLock: b.ObjectLock}
	if b.Default.Mode != "" {
		d.Default = &b.Default
	}
	if at.Now() {
		d.Objects, d.Bytes = &b.Objects, &b.Bytes
	}
	return d
}

func versioningText(b *stele.Bucket) string {
	if b.Versioning == stele.Unversioned {
		return "off"
	}
	return string(b.Versioning)
}

func lockText(b *stele.Bucket) string {
	if !b.ObjectLock {
		return "-"
	}
	return retentionText(b.Default)
}

func retentionText(r stele.Retention) string {
	switch {
	case r.Mode == "":
		return "on"
	case r.Years > 0:
		return fmt.Sprintf("%s %s", r.Mode, count(r.Years, "year"))
	}
	return fmt.Sprintf("%s %s", r.Mode, count(r.Days, "day"))
}

func listBuckets(ctx context.Context, a *app, s client.Store, at stele.View) error {
	list, err := s.Buckets(ctx, at)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		for i := range list {
			if err := a.document(bucketDocOf(&list[i], at)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		a.note("no buckets; `stele bucket create NAME` makes one, `stele log --type bucket.delete` shows those that were deleted")
		return nil
	}
	t := a.table("BUCKET", "CREATED", "OBJECTS", "SIZE", "VERSIONING", "LOCK")
	for i := range list {
		b := &list[i]
		objects, bytes := "-", "-"
		if at.Now() {
			objects, bytes = strconv.FormatInt(b.Objects, 10), size(b.Bytes)
		}
		t.row(b.Name, moment(b.Created), objects, bytes, versioningText(b), lockText(b))
	}
	return t.end()
}
