package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"stele"
	"stele/internal/rpc/client"
)

type rmCmd struct {
	Objects   []string `arg:"" name:"bucket/key" help:"Objects; with -r folders."`
	Recursive bool     `short:"r" help:"Hide everything below a folder."`
	All       bool     `help:"With -r, let a bucket's name alone mean everything in it."`
	VersionID string   `placeholder:"ID" help:"Hide this version."`

	mu sync.Mutex // one line at a time
}

func (c *rmCmd) Run(ctx context.Context, a *app) error {
	if c.VersionID != "" && (c.Recursive || len(c.Objects) != 1) {
		return usage{errors.New("--version-id goes with one object")}
	}
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	n := 0
	for _, o := range c.Objects {
		k, err := c.one(ctx, a, s, o)
		n += k
		if err != nil {
			return err
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	if n > 0 {
		a.say("hidden, not erased: `stele history` shows them, --at reads them")
	}
	return nil
}

func (c *rmCmd) one(ctx context.Context, a *app, s client.Store, arg string) (int, error) {
	if c.Recursive {
		return c.tree(ctx, a, s, arg)
	}
	bucket, key, err := object(arg)
	if err != nil {
		return 0, err
	}
	return c.hide(ctx, a, s, bucket, key)
}

// hide hides one object. What is not there is an error for a person, though S3 has it a success.
func (c *rmCmd) hide(ctx context.Context, a *app, s client.Store, bucket, key string) (int, error) {
	if _, err := s.Head(ctx, stele.Place{Bucket: bucket, Key: key, VersionID: c.VersionID}); err != nil && !errors.Is(err, stele.ErrMarker) {
		return 0, err
	}
	r, err := s.Hide(ctx, stele.HideRequest{By: local, Bucket: bucket, Key: key, VersionID: c.VersionID})
	if err != nil {
		return 0, fmt.Errorf("couldn't hide %s/%s: %w", bucket, shown(key), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.cli.JSON {
		return 1, a.document(map[string]any{"v": 1, "bucket": bucket, "key": key, "hidden": true, "entry": r.Entry, "version": r.VersionID, "marker": r.Marker})
	}
	a.say("hid %s/%s (entry %d)", bucket, shown(key), r.Entry)
	return 1, nil
}

func (c *rmCmd) tree(ctx context.Context, a *app, s client.Store, arg string) (n int, err error) {
	bucket, prefix := split(arg)
	if prefix == "" && !c.All {
		return 0, usage{fmt.Errorf("%s is a whole bucket: add --all to hide everything in it", arg)}
	}
	q := stele.ListRequest{Bucket: bucket, Prefix: folder(prefix)}
	err = each(ctx, q, s.List, func(p stele.Page) error {
		k, err := c.page(ctx, a, s, bucket, p.Versions)
		n += k
		return err
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: nothing lies in %s/%s", stele.ErrNoKey, bucket, shown(folder(prefix)))
	}
	return n, err
}

// hiders is how many objects are hidden at once: those that wait together share an fsync.
const hiders = 64

// page hides the objects of a page of a listing.
func (c *rmCmd) page(ctx context.Context, a *app, s client.Store, bucket string, page []stele.Version) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, hidden atomic.Int64
	var work sync.WaitGroup
	for range min(hiders, len(page)) {
		work.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(page) {
					return
				}
				k, err := c.hide(ctx, a, s, bucket, page[i].Key)
				hidden.Add(int64(k))
				if err != nil && !errors.Is(err, stele.ErrNoKey) { // it may be gone meanwhile
					cancel(err)
				}
			}
		})
	}
	work.Wait()
	return int(hidden.Load()), context.Cause(ctx)
}
