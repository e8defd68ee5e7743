package stele

import (
	"context"
	"slices"
	"strconv"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
)

// HideBurst is a burst of hides by one key in one bucket that a person should look at: many objects, a tenth of the bucket, or the bucket itself, within an hour.
type HideBurst struct {
	Key     string
	Bucket  string
	Began   time.Time
	Last    time.Time
	Objects int64  // taken out of the S3 view
	Before  uint64 // the ledger size before the first of them: what a view of that size shows is what was there
	Deleted bool   // the bucket was deleted too
}

// burstOf is how many objects within an hour, over all buckets, are a burst whatever share of a bucket they are.
const burstOf = 1000

// HideBursts returns the bursts of hides that nobody has seen yet, the newest first. They are read from rows that were counted with each hide; a burst is forgotten after index.BurstFor.
func (s *Store) HideBursts(ctx context.Context) (out []HideBurst, err error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	all, err := s.core.Index.Hides()
	if err != nil {
		return nil, core.Translate(err)
	}
	row, _, err := s.core.Index.Reader().Config(index.HidesSeen)
	if err != nil {
		return nil, core.Translate(err)
	}
	seen, _ := strconv.ParseUint(row.Value, 10, 64) // no row: nothing was seen
	for i := range all {
		h := &all[i]
		for _, b := range []index.HideBurst{h.Now, h.Worst} {
			if b.Objects == 0 || b.Entry < seen || s.core.Now().Sub(b.Last) > index.BurstFor {
				continue
			}
			there := s.core.Index.Totals(h.Inc).Objects
			tenth := b.Most >= index.HideFloor && b.Most*10 >= there+b.Objects
			gone := b.Deleted && (b.Most >= index.HideFloor || !isActor(h.Key, core.ActorLocal)) // who is on the machine itself may remove the folder: a few objects are no theft
			if gone || tenth || mostOf(all, h.Key, b.Last) >= burstOf {
				out = append(out, HideBurst{h.Key, h.Bucket, b.Began, b.Last, b.Objects, b.Before, b.Deleted})
			}
		}
	}
	slices.SortFunc(out, func(a, b HideBurst) int { return b.Last.Compare(a.Last) })
	return out, nil
}

// mostOf is how many objects a key has hidden in an hour, over all buckets, in the bursts that ended within an hour of a moment.
func mostOf(all []index.Hides, key string, at time.Time) (sum int64) {
	for i := range all {
		for _, b := range []index.HideBurst{all[i].Now, all[i].Worst} {
			if all[i].Key == key && b.Last.Sub(at).Abs() <= time.Hour {
				sum += b.Most
			}
		}
	}
	return sum
}

// SeeHides notes that a person has seen the bursts there are: they are no alarm any more. The key that made one of them may not say so.
func (s *Store) SeeHides(ctx context.Context, by Actor) (Committed, error) {
	bursts, err := s.HideBursts(ctx)
	if err != nil {
		return Committed{}, err
	}
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	if len(bursts) == 0 {
		return Committed{}, core.BadState("there is no burst of hides to look at")
	}
	seen := uint64(0)
	for _, b := range bursts {
		if b.Key == by.Key && !by.local {
			return Committed{}, core.BadState("key %s made one of these bursts. Another admin says that they are in order, or somebody on the machine itself", by.Key)
		}
	}
	return s.commit(ctx, by, func(_ index.Reader, at ledgerSlot) (ledgerDraft, error) {
		seen = at.Index
		return ledgerDraft{Type: entry.ConfigSet, Private: entry.Private{Name: index.HidesSeen, Value: strconv.FormatUint(seen, 10)}}, nil
	})
}
