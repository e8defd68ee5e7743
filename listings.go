package stele

import (
	"context"
	"fmt"

	"stele/internal/backup"
)

// copyForDrill opens a copy of the store for a drill, in a folder of its own.
func (s *Store) copyForDrill(ctx context.Context, folder string, from From, identity string) (*backup.Copied, error) {
	copied, err := OpenFrom(ctx, folder, from, Options{FS: s.opt.FS, Clock: s.opt.Clock, Identity: identity, Log: s.opt.Log})
	if err != nil {
		return nil, err
	}
	return &backup.Copied{Core: copied.core, Care: copied.care, Lists: func(ctx context.Context, size uint64) (int64, []string, error) {
		return s.sameListings(ctx, copied, View{size})
	}}, nil
}

// sameListings compares the first keys of each bucket in a view, in a copy and in the store itself: they must be the same. What the copy does not yield is a difference, what the store does not
// yield is an error.
func (s *Store) sameListings(ctx context.Context, copied *Store, at View) (keys int64, differs []string, err error) {
	theirs, err := copied.Buckets(ctx, at)
	if err != nil {
		return 0, []string{err.Error()}, ctx.Err()
	}
	for _, b := range theirs {
		q := ListRequest{Bucket: b.Name, Max: 1000, At: at}
		page, err := copied.List(ctx, q)
		if err != nil {
			return keys, append(differs, err.Error()), ctx.Err()
		}
		ours, err := s.List(ctx, q)
		if err != nil {
			return keys, differs, err
		}
		if !sameKeys(page, ours) {
			differs = append(differs, fmt.Sprintf("bucket %s lists other keys in the copy than in the store as of entry %d", b.Name, at.Size))
		}
		keys += int64(len(page.Versions))
	}
	return keys, differs, nil
}

func sameKeys(a, b Page) bool {
	if len(a.Versions) != len(b.Versions) || a.Truncated != b.Truncated {
		return false
	}
	for i := range a.Versions {
		if x, y := &a.Versions[i], &b.Versions[i]; x.Key != y.Key || x.Entry != y.Entry || x.Size != y.Size || x.ETag != y.ETag {
			return false
		}
	}
	return true
}
