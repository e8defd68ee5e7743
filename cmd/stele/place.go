package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"stele"
	"stele/internal/rpc/client"
)

// split takes BUCKET/KEY apart; the key is everything behind the first slash, as it is.
func split(arg string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(arg, "s3://"), "/")
	return bucket, key
}

// object takes an argument that must name an object.
func object(arg string) (bucket, key string, err error) {
	bucket, key = split(arg)
	if bucket == "" || key == "" {
		return "", "", usage{fmt.Errorf("%q names no object: write BUCKET/KEY", arg)}
	}
	return bucket, key, nil
}

// view finds the bucket and the moment that an argument and --at name. NAME--at-… is a bucket as of a time, as S3 clients write it.
func view(ctx context.Context, s client.Store, bucket, at string) (string, stele.View, error) {
	name, v, err := s.ParseBucket(ctx, bucket)
	if err != nil || at == "" {
		return name, v, err
	}
	if !v.Now() {
		return "", v, usage{errors.New("--at and a bucket as of a time name two moments: use one of them")}
	}
	v, err = viewAt(ctx, s, "--at", at)
	return name, v, err
}

// viewAt is the view that a flag names. An error quotes the flag and what was given.
func viewAt(ctx context.Context, s client.Store, flag, when string) (stele.View, error) {
	v, err := s.ViewAt(ctx, when)
	switch {
	case errors.Is(err, stele.ErrBadMoment): // the words quote it
		err = fmt.Errorf("%s %w", flag, err)
	case errors.Is(err, stele.ErrFuture), errors.Is(err, stele.ErrBeforeStore):
		err = fmt.Errorf("%s %.64q: %w", flag, when, err)
	}
	return v, err
}

// place finds the version that BUCKET/KEY, --at and --version-id name.
func place(ctx context.Context, s client.Store, arg, at, versionID string) (stele.Place, error) {
	bucket, key, err := object(arg)
	if err != nil {
		return stele.Place{}, err
	}
	name, v, err := view(ctx, s, bucket, at)
	return stele.Place{Bucket: name, Key: key, VersionID: versionID, At: v}, err
}

// folder is the prefix of what lies in a folder of a bucket: empty, or ending in a slash.
func folder(prefix string) string {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return prefix
	}
	return prefix + "/"
}

// pageSize is how many keys a verb asks for at once.
const pageSize = 1000

// each calls fn for every listed version and prefix, page by page.
func each(ctx context.Context, q stele.ListRequest, list func(context.Context, stele.ListRequest) (stele.Page, error), fn func(stele.Page) error) error {
	q.Max = pageSize
	for {
		p, err := list(ctx, q)
		if err != nil {
			return err
		}
		if err := fn(p); err != nil {
			return err
		}
		if !p.Truncated {
			return nil
		}
		q.After, q.AfterID = p.Next, p.NextID
	}
}
