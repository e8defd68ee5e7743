package stele

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
)

// HideRequest is an S3 DeleteObject: it takes something out of the S3 view and erases nothing.
type HideRequest struct {
	By          Actor
	Bucket, Key string
	VersionID   string // empty: what DELETE without a version id does in the bucket's versioning state
	If          Conditions
}

// HideResult says what was done.
type HideResult struct {
	VersionID string // of the marker made, or of the version hidden; empty: nothing had to be done
	Marker    bool   // VersionID is a delete marker
	Committed
}

// Hide hides a version, or adds a delete marker. Hiding what is not there succeeds and changes nothing, as at AWS. A *RetentionError if a lock forbids it; that refusal is an entry.
func (s *Store) Hide(ctx context.Context, q HideRequest) (HideResult, error) {
	if err := s.core.Enter(); err != nil {
		return HideResult{}, err
	}
	defer s.core.Leave()
	if err := ValidKey(q.Key); err != nil {
		return HideResult{}, err
	}
	var res HideResult
	var mark *entry.Private
	c, err := s.commit(ctx, q.By, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		p := entry.Private{Bucket: q.Bucket, Key: q.Key}
		mark = &p
		b, err := bucketFor(r, q.Bucket)
		if err != nil {
			return ledger.Draft{}, err
		}
		p.Inc = b.Inc
		if q.VersionID != "" {
			err = s.hideVersion(r, b, q, at, &p, &res)
		} else {
			err = hideCurrent(r, b, q, &p)
		}
		return ledger.Draft{Type: entry.ObjectHide, Private: p}, err
	})
	if errors.Is(err, core.ErrNoChange) {
		return HideResult{}, nil
	}
	if err != nil {
		s.refused(ctx, q.By, q.Bucket, q.Key, q.VersionID, "hide", err)
		return HideResult{}, err
	}
	res.Committed = c
	if mark.Marker {
		res.Marker, res.VersionID = true, s.versionID(c.Entry, mark.Null)
	}
	return res, nil
}

// hideCurrent drafts a DELETE without version id: a marker where versioning is or was on, else the current version is hidden.
func hideCurrent(r index.Reader, b *index.Bucket, q HideRequest, p *entry.Private) error {
	if b.Versioning != "" && q.If == (Conditions{}) {
		p.Marker, p.Null = true, b.Versioning != string(Enabled)
		return nil
	}
	cur, ok, err := r.Latest(b.Inc, q.Key)
	if err != nil {
		return err
	}
	if err := q.If.hides(cur, ok, q.Key); err != nil {
		return err
	}
	if b.Versioning != "" {
		p.Marker, p.Null = true, b.Versioning != string(Enabled)
		return nil
	}
	if !ok {
		return core.ErrNoChange
	}
	p.Target, p.Null = cur.Entry, cur.Null
	return nil
}

// hides judges the conditions of a DELETE: a delete marker matches no ETag and is not a missing key (AWS: "How to perform conditional deletes").
func (c Conditions) hides(cur index.Current, ok bool, key string) error {
	if c.Match != "" && ok && cur.Marker || c.Entry != 0 && (!ok || cur.Entry != c.Entry) {
		return ErrPrecondition
	}
	return c.check(cur, ok && !cur.Marker, key)
}

// hideVersion drafts a DELETE of a version, which object lock may refuse.
func (s *Store) hideVersion(r index.Reader, b *index.Bucket, q HideRequest, at ledger.Slot, p *entry.Private, res *HideResult) error {
	cur, ok, err := s.find(r, b, Place{Bucket: q.Bucket, Key: q.Key, VersionID: q.VersionID})
	if err != nil {
		return err
	}
	if err := q.If.hides(cur, ok, q.Key); err != nil {
		return err
	}
	if !ok {
		return core.ErrNoChange
	}
	if q.If.Noncurrent {
		if latest, _, err := r.Latest(b.Inc, q.Key); err != nil || latest.Entry == cur.Entry {
			return orErr(err, ErrPrecondition)
		}
	}
	if !cur.Marker && b.ObjectLock {
		a, err := attrsOf(r, b, q.Key, cur.Entry)
		if err != nil {
			return err
		}
		if re := core.Forbids(a.Lock, at.Time, q.By.Bypass); re != nil {
			re.Bucket, re.Key, re.VersionID = q.Bucket, q.Key, q.VersionID
			return re
		}
		p.Bypass = q.By.Bypass && a.Lock.Mode == entry.Governance && a.Lock.Active(at.Time)
	}
	p.Target, p.Null = cur.Entry, cur.Null
	res.VersionID, res.Marker = q.VersionID, cur.Marker
	return nil
}

// attrsOf returns lock and tags of a version for a decision. An index without the version's record can't say that there is no lock.
func attrsOf(r index.Reader, b *index.Bucket, key string, version uint64) (index.Attrs, error) {
	if _, ok, err := r.Record(b.Inc, key, version); err != nil {
		return index.Attrs{}, err
	} else if !ok {
		return index.Attrs{}, fmt.Errorf("%w: the index has no record of %s/%s: stop the server and delete the index folder, it will be rebuilt", ErrCorrupt, b.Name, key)
	}
	return r.Attrs(b.Inc, key, version)
}

// SetRetention sets the retention of a version; an empty mode removes it. A retention that has not ended may be lengthened; GOVERNANCE is shortened, removed or made COMPLIANCE only with By.Bypass, COMPLIANCE
// never: each refusal is a *RetentionError. The date is rounded up to whole microseconds. ErrBadState: a date in the past, another mode, a bucket without object lock. ErrBadName: a date beyond Options.MaxRetentionDays.
func (s *Store) SetRetention(ctx context.Context, by Actor, at Place, mode string, until time.Time) (Version, error) {
	if err := s.core.Enter(); err != nil {
		return Version{}, err
	}
	defer s.core.Leave()
	return s.setAttr(ctx, by, at, "retention", func(b *index.Bucket, a index.Attrs, now time.Time, p *entry.Private) (entry.Type, error) {
		if err := lockable(b); err != nil {
			return "", err
		}
		if mode == "" {
			until = time.Time{}
		}
		until, err := lockUntil(mode, until)
		if err != nil {
			return "", err
		}
		if mode != "" && !until.After(now) {
			return "", core.BadState("the retain-until date %s is in the past", until.UTC().Format(time.RFC3339))
		}
		old, to := a.Lock, entry.Lock{Mode: mode, Until: until}
		if !old.Allows(to, now, by.Bypass) {
			return "", &RetentionError{Mode: old.Mode, Until: old.Until, Hold: old.Hold}
		}
		if mode != "" && (until.After(old.Until) || mode != old.Mode) {
			if err := s.within(until, now); err != nil {
				return "", err
			}
		}
		p.Bypass = !old.Lengthens(to, now)
		if mode != "" {
			p.Lock = &to
		}
		return entry.ObjectRetention, nil
	})
}

// SetHold puts a version under legal hold, or ends that, which needs By.EndHold: else a *RetentionError.
func (s *Store) SetHold(ctx context.Context, by Actor, at Place, on bool) (Version, error) {
	if err := s.core.Enter(); err != nil {
		return Version{}, err
	}
	defer s.core.Leave()
	return s.setAttr(ctx, by, at, "hold", func(b *index.Bucket, a index.Attrs, now time.Time, p *entry.Private) (entry.Type, error) {
		if err := lockable(b); err != nil {
			return "", err
		}
		switch {
		case on:
			p.Lock = &entry.Lock{Hold: true}
		case a.Lock.Hold && !by.EndHold:
			return "", &RetentionError{Hold: true}
		}
		return entry.ObjectHold, nil
	})
}

func lockable(b *index.Bucket) error {
	if !b.ObjectLock {
		return core.BadState("bucket %s has no object lock", b.Name)
	}
	return nil
}

// SetTags replaces the tags of a version; nil removes them.
func (s *Store) SetTags(ctx context.Context, by Actor, at Place, tags map[string]string) (Version, error) {
	if err := s.core.Enter(); err != nil {
		return Version{}, err
	}
	defer s.core.Leave()
	return s.setAttr(ctx, by, at, "tags", func(b *index.Bucket, a index.Attrs, now time.Time, p *entry.Private) (entry.Type, error) {
		p.Tags = tags
		return entry.ObjectTags, nil
	})
}

// setAttr commits a change of a version's lock or tags.
func (s *Store) setAttr(ctx context.Context, by Actor, at Place, what string, draft func(b *index.Bucket, a index.Attrs, now time.Time, p *entry.Private) (entry.Type, error)) (Version, error) {
	var v Version
	_, err := s.commit(ctx, by, func(r index.Reader, slot ledger.Slot) (ledger.Draft, error) {
		b, err := bucketFor(r, at.Bucket)
		if err != nil {
			return ledger.Draft{}, err
		}
		cur, ok, err := s.find(r, b, at)
		if err != nil {
			return ledger.Draft{}, err
		}
		v = Version{Bucket: at.Bucket, Key: at.Key, ID: s.versionID(cur.Entry, cur.Null), Entry: cur.Entry, Marker: cur.Marker, Null: cur.Null, Size: cur.Size, ETag: cur.ETag}
		switch {
		case !ok:
			return ledger.Draft{}, missing(at)
		case cur.Marker:
			return ledger.Draft{}, markerErr(at)
		}
		a, err := attrsOf(r, b, at.Key, cur.Entry)
		if err != nil {
			return ledger.Draft{}, err
		}
		if as := at.As; as != nil && (as.Inc != b.Inc || as.Entry != cur.Entry || !maps.Equal(as.Tags, a.Tags)) {
			return ledger.Draft{}, ErrBusy
		}
		p := entry.Private{Bucket: at.Bucket, Key: at.Key, Inc: b.Inc, Target: cur.Entry}
		typ, err := draft(b, a, slot.Time, &p)
		var re *RetentionError
		if errors.As(err, &re) {
			re.Bucket, re.Key, re.VersionID = at.Bucket, at.Key, v.ID
		}
		return ledger.Draft{Type: typ, Private: p}, err
	})
	if err != nil {
		s.refused(ctx, by, at.Bucket, at.Key, at.VersionID, what, err)
	}
	return v, err
}
