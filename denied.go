package stele

import (
	"context"
	"errors"

	"stele/entry"
	"stele/internal/index"
	"stele/internal/ledger"
)

// refused records what object lock refused, as an entry of its own while few come, else in the minute's sum.
func (s *Store) refused(ctx context.Context, by Actor, bucket, key, version, what string, err error) {
	var re *RetentionError
	if !errors.As(err, &re) || !s.core.TakesWrites() {
		return
	}
	if !s.core.DeniedAlone() {
		s.DeniedAt(by, "lock."+what, "", bucket)
		return
	}
	_, aerr := s.commit(context.WithoutCancel(ctx), by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.DeniedLock, Private: entry.Private{Bucket: bucket, Key: key, Name: what, Value: version, Reason: re.Error()}}, nil
	})
	if aerr != nil {
		s.core.Log.Error("couldn't record a refused change", "bucket", bucket, "key", key, "err", aerr)
	}
}

// Denied counts a refusal of another kind. A minute's counts become one entry.
func (s *Store) Denied(by Actor, kind string) { s.DeniedAt(by, kind, "", "") }

// DeniedAt is Denied of an action on a bucket; either may be empty. The entry names the eight with the most refusals of each kind and who; the bucket's name is what a client sent.
// Of requests that proved no key it also names the keys that they claimed, as claimed.
func (s *Store) DeniedAt(by Actor, kind, action, bucket string) {
	if by.Key != "" {
		by.Claimed = "" // what is proven is not claimed
	}
	s.core.CountDenied(kind, by.Key, by.Claimed, action, bucket)
}
