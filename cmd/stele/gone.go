package main

import (
	"context"
	"errors"
	"fmt"

	"stele"
	"stele/internal/rpc/client"
)

// telling is a store whose errors say of what is gone when, by whom, how to look at it, and how to have it back. A bare "no such bucket" frightens who has lost one, and helps nobody.
type telling struct{ client.Store }

func tellWhy(s client.Store, err error) (client.Store, error) {
	if err != nil {
		return nil, err
	}
	return telling{s}, nil
}

// plain is the store itself, for what asks which kind it is.
func plain(s client.Store) client.Store {
	if t, ok := s.(telling); ok {
		return t.Store
	}
	return s
}

// serverOf returns the server through which a verb works.
func serverOf(s client.Store) (*client.Client, bool) {
	c, ok := plain(s).(*client.Client)
	return c, ok
}

// why adds to an error that something is not there what became of it. Key may be empty.
func (t telling) why(ctx context.Context, err error, bucket, key string, at stele.View) error {
	if !errors.Is(err, stele.ErrNoBucket) && !errors.Is(err, stele.ErrNoKey) || errors.As(err, new(hinted)) {
		return err
	}
	g, ok, werr := t.Store.WhyGone(ctx, bucket, key, at)
	switch {
	case werr != nil: // what was asked for is not there, whatever became of it
		return err
	case ok && g.Key == "":
		return withHint(fmt.Errorf("%w: it was deleted at %s by %s (entry %d)", err, moment(g.Time), byWhom(g), g.Entry),
			"only an empty bucket can be deleted: `stele log --bucket %s` shows who hid what before; `stele ls %s --at WHEN` shows it at a moment before that, `stele restore %s --at WHEN` puts it back", bucket, bucket, bucket)
	case ok:
		name := shown(bucket + "/" + key)
		return withHint(fmt.Errorf("%w: it was hidden at %s by %s (entry %d)", err, moment(g.Time), byWhom(g), g.Entry),
			"`stele cat %s --at @%d` reads it as it was, `stele restore %s --at @%d` puts it back", name, g.Entry, name, g.Entry)
	case errors.Is(err, stele.ErrNoKey) && key != "":
		return withHint(err, "`stele history %s` shows whether it was ever there; --at reads it as it was", shown(bucket+"/"+key))
	}
	return err
}

func byWhom(g stele.Gone) string {
	if g.Address == "" {
		return who(g.By)
	}
	return who(g.By) + " from " + shown(g.Address)
}

func (t telling) Head(ctx context.Context, at stele.Place) (stele.Version, error) {
	v, err := t.Store.Head(ctx, at)
	return v, t.why(ctx, err, at.Bucket, at.Key, at.At)
}

func (t telling) List(ctx context.Context, q stele.ListRequest) (stele.Page, error) {
	p, err := t.Store.List(ctx, q)
	return p, t.why(ctx, err, q.Bucket, "", q.At)
}

func (t telling) ListVersions(ctx context.Context, q stele.ListRequest) (stele.Page, error) {
	p, err := t.Store.ListVersions(ctx, q)
	return p, t.why(ctx, err, q.Bucket, "", q.At)
}

func (t telling) Bucket(ctx context.Context, name string, at stele.View) (stele.Bucket, error) {
	b, err := t.Store.Bucket(ctx, name, at)
	return b, t.why(ctx, err, name, "", at)
}

func (t telling) Put(ctx context.Context, q stele.PutRequest) (stele.Version, error) {
	v, err := t.Store.Put(ctx, q)
	return v, t.why(ctx, err, q.Bucket, "", stele.View{})
}

func (t telling) DeleteBucket(ctx context.Context, by stele.Actor, name string) (stele.Committed, error) {
	done, err := t.Store.DeleteBucket(ctx, by, name)
	return done, t.why(ctx, err, name, "", stele.View{})
}

func (t telling) SetVersioning(ctx context.Context, by stele.Actor, bucket string, to stele.Versioning) (stele.Committed, error) {
	done, err := t.Store.SetVersioning(ctx, by, bucket, to)
	return done, t.why(ctx, err, bucket, "", stele.View{})
}

func (t telling) SetObjectLock(ctx context.Context, by stele.Actor, bucket string, def stele.Retention) (stele.Committed, error) {
	done, err := t.Store.SetObjectLock(ctx, by, bucket, def)
	return done, t.why(ctx, err, bucket, "", stele.View{})
}

func (t telling) History(ctx context.Context, q stele.HistoryRequest) ([]stele.Change, bool, error) {
	page, more, err := t.Store.History(ctx, q)
	return page, more, t.why(ctx, err, q.Bucket, "", stele.View{})
}

func (t telling) RestorePart(ctx context.Context, q stele.PartRestore) (stele.PartReport, error) {
	r, err := t.Store.RestorePart(ctx, q)
	return r, t.why(ctx, err, q.Bucket, "", q.At)
}

// goneRemark is a remark about a bucket of which something is shown though it was deleted; empty if it was not.
func goneRemark(ctx context.Context, s client.Store, bucket string) string {
	g, ok, err := s.WhyGone(ctx, bucket, "", stele.View{})
	if err != nil || !ok {
		return "" // only a remark
	}
	return fmt.Sprintf("bucket %s was deleted at %s by %s (entry %d); `stele restore %s --at WHEN` puts it back as it was at a moment", bucket, moment(g.Time), byWhom(g), g.Entry, bucket)
}
