package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"stele/internal/engine"
)

// errOrder: directory buckets of AWS list so, and are no place for a store.
var errOrder = errors.New("the server doesn't list in ascending order")

// List implements engine.Engine. It costs a request for a thousand objects; on a versioned bucket for a thousand versions and markers. A page that fails is asked for again from the
// last name given to fn.
func (s *S3) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	if err := engine.CheckPrefix(prefix); err != nil {
		return err
	}
	b, err := s.learn(ctx)
	if err != nil {
		return fmt.Errorf("couldn't list %s: %w", prefix, err)
	}
	l := &listing{s: s, prefix: prefix, fn: fn, versions: b.versioned}
	for attempt := 1; ; attempt++ {
		before := l.last
		err := l.run(ctx)
		switch {
		case l.stopped != nil:
			return l.stopped
		case err == nil:
			return nil
		case l.last != before:
			attempt = 1
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if attempt >= s.opt.Attempts || !transient(err) || s.sleep(ctx, again.Jittered(attempt)) != nil {
			return fmt.Errorf("couldn't list %s: %w", prefix, s.explain(err, "s3:ListBucket and s3:ListBucketVersions"))
		}
	}
}

// listing is one List.
type listing struct {
	s        *S3
	prefix   string
	fn       func(engine.Info) error
	versions bool
	last     string // the newest name given to fn
	stopped  error  // what fn ended it with
}

// run lists what comes after last.
func (l *listing) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opt := minio.ListObjectsOptions{Prefix: l.s.key(l.prefix), Recursive: true, WithVersions: l.versions}
	if l.last != "" {
		opt.StartAfter = l.s.key(l.last)
	}
	var file engine.Info // the versions of a name come newest first, so each is the file until an older one comes
	for o := range l.s.read.ListObjectsIter(ctx, l.s.opt.Bucket, opt) {
		if o.Err != nil {
			return o.Err
		}
		name, ours := strings.CutPrefix(o.Key, l.s.prefix)
		if !ours || o.IsDeleteMarker || engine.CheckName(name) != nil || name == l.last {
			continue // a marker hides nothing here; a probe or another's object is no file; some servers include the name to start after
		}
		if name < l.last || name < file.Name {
			return errOrder
		}
		if name != file.Name {
			if err := l.give(file); err != nil {
				return err
			}
		}
		file = engine.Info{Name: name, SizeBytes: o.Size}
		if !l.versions {
			if err := l.give(file); err != nil {
				return err
			}
			file = engine.Info{}
		}
	}
	if err := ctx.Err(); err != nil {
		return err // the client's listing ends in silence when its context does
	}
	return l.give(file)
}

func (l *listing) give(file engine.Info) error {
	if file.Name == "" {
		return nil
	}
	if l.stopped = l.fn(file); l.stopped != nil {
		return l.stopped
	}
	l.last = file.Name
	return nil
}
