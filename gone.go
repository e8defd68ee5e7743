package stele

import (
	"context"
	"errors"
	"math"
	"time"

	"stele/entry"
)

// Gone says why a bucket or an object that was once there is not there: the entry that deleted the bucket, or hid the object.
type Gone struct {
	Bucket, Key string // Key is empty where the bucket was deleted
	Entry       uint64 // a view of this size is the last in which it is there; of a bucket, empty by then
	Time        time.Time
	By, Address string // as in the entry
}

// WhyGone finds out why a bucket or a key, which may be empty, is not in a view; ok is false if it never was there until then, or is there.
func (s *Store) WhyGone(ctx context.Context, bucket, key string, at View) (g Gone, ok bool, err error) {
	if err := s.core.Enter(); err != nil {
		return g, false, err
	}
	defer s.core.Leave()
	size := at.Size
	if at.Now() {
		size = math.MaxInt64
	}
	row, deleted, err := s.core.Index.BucketDeleted(bucket, size)
	switch {
	case err != nil:
		return g, false, err
	case deleted:
		return s.gone(ctx, bucket, "", row)
	case key == "":
		return g, false, nil
	}
	if v, err := s.Head(ctx, Place{Bucket: bucket, Key: key, At: at}); v.Marker && errors.Is(err, ErrNoKey) {
		return s.gone(ctx, bucket, key, v.Entry)
	}
	page, _, err := s.History(ctx, HistoryRequest{Bucket: bucket, Key: key, Before: at.Size, Max: 1})
	if errors.Is(err, ErrNoBucket) || errors.Is(err, ErrNoKey) || err == nil && (len(page) == 0 || page[0].Type != entry.ObjectHide) {
		return g, false, nil
	}
	if err != nil {
		return g, false, err
	}
	return s.gone(ctx, bucket, key, page[0].Entry)
}

func (s *Store) gone(ctx context.Context, bucket, key string, at uint64) (Gone, bool, error) {
	e, err := s.Ledger().Entry(ctx, at)
	if err != nil {
		return Gone{}, false, err
	}
	return Gone{Bucket: bucket, Key: key, Entry: at, Time: e.Time, By: e.Private.Actor, Address: e.Private.Address}, true, nil
}
