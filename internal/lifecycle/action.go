package lifecycle

import (
	"time"

	"stele/internal/s3api/tagging"
)

// VersionState is what lifecycle rules ask about one version.
type VersionState struct {
	Key     string
	Size    int64
	Tags    []tagging.Tag
	Created time.Time

	Current         bool
	Marker          bool
	Alone           bool      // a current delete marker: no other version is left
	NoncurrentSince time.Time // when the next newer version was made; of versions that are not current
	NewerNoncurrent int       // how many noncurrent versions of the key are newer than this one
}

// Action is what a rule wants done to a version.
type Action uint8

const (
	Keep          Action = iota // nothing is due
	Expire                      // delete as a client does it without a version: a versioned bucket gets a marker
	DeleteVersion               // delete this version, or this marker
)

// Action tells what is due for v at now, and the rule that says so. Locks are not looked at: they are decided at the commit.
// Every rule that applies is asked; deleting a version comes before expiring it.
func (l *Configuration) Action(v *VersionState, now time.Time) (Action, string) {
	action, rule := Keep, ""
	for i := range l.Rules {
		r := &l.Rules[i]
		if a := r.action(v, now); a > action {
			action, rule = a, r.ID
		}
	}
	return action, rule
}

func (r *Rule) action(v *VersionState, now time.Time) Action {
	switch {
	case !r.Enabled || !r.Filter.covers(v.Key, v.Size, v.Tags):
		return Keep
	case !v.Current:
		if r.NoncurrentDays > 0 && v.NewerNoncurrent >= r.NewerNoncurrent && due(v.NoncurrentSince, r.NoncurrentDays, now) {
			return DeleteVersion
		}
	case v.Marker:
		// Days and Date clean up a lone marker as well once it is old enough (User Guide, "Removing expired object delete markers").
		if v.Alone && (r.ExpireMarkers || r.expired(v.Created, now)) {
			return DeleteVersion
		}
	case r.expired(v.Created, now):
		return Expire
	}
	return Keep
}

func (r *Rule) expired(created, now time.Time) bool {
	return r.ExpireDays > 0 && due(created, r.ExpireDays, now) || !r.ExpireDate.IsZero() && !now.Before(r.ExpireDate)
}

// Expiration tells when a current version will expire and by which rule, for the header x-amz-expiration; ok is false
// where it never will.
func (l *Configuration) Expiration(key string, size int64, tags []tagging.Tag, created time.Time) (at time.Time, rule string, ok bool) {
	for i := range l.Rules {
		r := &l.Rules[i]
		if !r.Enabled || !r.Filter.covers(key, size, tags) {
			continue
		}
		when := r.ExpireDate
		if r.ExpireDays > 0 {
			when = dueAt(created, r.ExpireDays)
		}
		if !when.IsZero() && (!ok || when.Before(at)) {
			at, rule, ok = when, r.ID, true
		}
	}
	return at, rule, ok
}

// AbortUpload tells whether an upload begun at initiated is to be aborted at now. at is when that is due, for the headers
// x-amz-abort-date and x-amz-abort-rule-id; it is zero where no rule is about the key.
func (l *Configuration) AbortUpload(key string, initiated, now time.Time) (abort bool, at time.Time, rule string) {
	for i := range l.Rules {
		r := &l.Rules[i]
		if !r.Enabled || r.AbortUploadDays == 0 || !r.Filter.covers(key, 0, nil) {
			continue
		}
		if when := dueAt(initiated, r.AbortUploadDays); at.IsZero() || when.Before(at) {
			at, rule = when, r.ID
		}
	}
	return !at.IsZero() && !now.Before(at), at, rule
}

// dueAt is S3's rule: so many days later, rounded up to the next midnight UTC.
func dueAt(from time.Time, days int) time.Time {
	t := from.UTC().AddDate(0, 0, days)
	midnight := t.Truncate(24 * time.Hour)
	if midnight.Equal(t) {
		return t
	}
	return midnight.AddDate(0, 0, 1)
}

func due(from time.Time, days int, now time.Time) bool { return !now.Before(dueAt(from, days)) }
