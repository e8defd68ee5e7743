package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stele"
	"stele/internal/s3api/tagging"
)

// Enforced counts what one run of lifecycle enforcement did.
type Enforced struct {
	Expired  int // current versions hidden, by a marker where the bucket is versioned
	Versions int // noncurrent versions and lone markers hidden
	Aborted  int // uploads aborted
	Locked   int // versions that object lock keeps; they are asked again at the next run
}

// actor is whom the ledger names for what lifecycle rules do.
var actor = stele.Actor{Key: "stele", Request: "lifecycle"}

// enforcePage is the number of versions looked at under one listing.
const enforcePage = 1000

// Enforce does once what the buckets' lifecycle rules say is due at now. Each change is an entry like a client's, decided at the commit, so that locks hold
// and a newer version is never hidden in place of the one that was seen. Like any delete it hides; what is erased and when is the keep period's matter.
// What fails in one bucket holds up no other one: failed has the buckets whose rules could not be applied, or AllBuckets.
func Enforce(ctx context.Context, store *stele.Store, now time.Time) (done Enforced, failed map[string]error) {
	failed = map[string]error{}
	buckets, err := store.Buckets(ctx, stele.View{})
	if err != nil {
		failed[AllBuckets] = fmt.Errorf("couldn't list the buckets: %w", err)
		return done, failed
	}
	for _, b := range buckets {
		if _, set := b.Settings[stele.SettingLifecycle]; !set {
			continue
		}
		if err := enforceOn(ctx, store, b.Name, now, &done); err != nil && !errors.Is(err, stele.ErrNoBucket) { // deleted meanwhile
			failed[b.Name] = err
		}
	}
	return done, failed
}

// AllBuckets stands for the buckets where they can't be told.
const AllBuckets = "all buckets"

func enforceOn(ctx context.Context, store *stele.Store, bucket string, now time.Time, done *Enforced) error {
	full, err := store.Bucket(ctx, bucket, stele.View{})
	if err != nil {
		return err
	}
	rules, err := Parse([]byte(full.Settings[stele.SettingLifecycle]))
	if err != nil {
		return fmt.Errorf("the rules can't be read and are left alone, put them anew: %w", err)
	}
	e := enforcer{ctx: ctx, store: store, rules: rules, bucket: bucket, now: now, done: done}
	return errors.Join(e.versions(), e.uploads())
}

type enforcer struct {
	ctx    context.Context
	store  *stele.Store
	rules  *Configuration
	bucket string
	now    time.Time
	done   *Enforced

	key   string    // whose versions are being walked, newest first
	count int       // versions of it seen
	since time.Time // when the version before (the next newer one) was made
	lone  *stele.Version
}

func (e *enforcer) versions() error {
	q := stele.ListRequest{Bucket: e.bucket, Max: enforcePage}
	for {
		page, err := e.store.ListVersions(e.ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Versions {
			if err := e.version(&page.Versions[i]); err != nil {
				return err
			}
		}
		if !page.Truncated {
			return e.loneMarker()
		}
		q.After, q.AfterID = page.Next, page.NextID
	}
}

func (e *enforcer) version(v *stele.Version) error {
	if v.Key != e.key {
		if err := e.loneMarker(); err != nil {
			return err
		}
		e.key, e.count = v.Key, 0
	} else {
		e.lone = nil // the marker above has company
	}
	state := VersionState{Key: v.Key, Size: v.Size, Created: v.Time, Current: v.Latest, Marker: v.Marker, NoncurrentSince: e.since, NewerNoncurrent: max(0, e.count-1)}
	e.count, e.since = e.count+1, v.Time
	if v.Latest && v.Marker {
		e.lone = v
		return nil
	}
	if e.rules.asksTags() && !v.Marker {
		full, err := e.store.Head(e.ctx, stele.Place{Bucket: e.bucket, Key: v.Key, VersionID: v.ID})
		if errors.Is(err, stele.ErrNoVersion) {
			return nil
		}
		if err != nil {
			return err
		}
		for k, val := range full.Tags {
			state.Tags = append(state.Tags, tagging.Tag{Key: k, Value: val})
		}
	}
	return e.act(v, &state)
}

// loneMarker acts on a current marker once it is known that no other version is left below it.
func (e *enforcer) loneMarker() error {
	v := e.lone
	if e.lone = nil; v == nil {
		return nil
	}
	return e.act(v, &VersionState{Key: v.Key, Created: v.Time, Current: true, Marker: true, Alone: true})
}

func (e *enforcer) act(v *stele.Version, state *VersionState) error {
	// The version that was seen and no other: a newer one may have the same bytes, and so the same ETag, or the same id, "null".
	q := stele.HideRequest{By: actor, Bucket: e.bucket, Key: v.Key, If: stele.Conditions{Entry: v.Entry}}
	count := &e.done.Versions
	switch action, _ := e.rules.Action(state, e.now); action {
	case Keep:
		return nil
	case Expire:
		count = &e.done.Expired
	case DeleteVersion:
		if kept, err := e.kept(v); kept || err != nil {
			return err
		}
		q.VersionID, q.If.Noncurrent = v.ID, !state.Current // what came back into view meanwhile is not due any more
	}
	_, err := e.store.Hide(e.ctx, q)
	var locked *stele.RetentionError
	switch {
	case errors.As(err, &locked):
		e.done.Locked++
	case errors.Is(err, stele.ErrPrecondition) || errors.Is(err, stele.ErrNoKey):
	case err != nil:
		return err
	default:
		*count++
	}
	return nil
}

// kept looks at a version's lock first, so that a rule which meets a million locked versions each day doesn't put as many refusals on the record.
func (e *enforcer) kept(v *stele.Version) (bool, error) {
	if v.Marker {
		return false, nil
	}
	full, err := e.store.Head(e.ctx, stele.Place{Bucket: e.bucket, Key: v.Key, VersionID: v.ID})
	if errors.Is(err, stele.ErrNoVersion) || errors.Is(err, stele.ErrNoKey) {
		return true, nil // hidden meanwhile
	}
	if full.Lock.Hold || full.Lock.Mode != "" && full.Lock.Until.After(e.now) {
		e.done.Locked++
		return true, nil
	}
	return false, err
}

func (e *enforcer) uploads() error {
	q := stele.ListRequest{Bucket: e.bucket, Max: enforcePage}
	for {
		page, err := e.store.Multipart().List(e.ctx, q)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			abort, _, _ := e.rules.AbortUpload(u.Key, u.Started, e.now)
			if !abort {
				continue
			}
			if _, err := e.store.Multipart().Abort(e.ctx, actor, e.bucket, u.Key, u.ID); err != nil && !errors.Is(err, stele.ErrNoUpload) {
				return err
			}
			e.done.Aborted++
		}
		if !page.Truncated {
			return nil
		}
		q.After, q.AfterID = page.Next, page.NextID
	}
}

// asksTags reports whether a rule filters by tag, so that each version has to be read.
func (l *Configuration) asksTags() bool {
	for i := range l.Rules {
		if len(l.Rules[i].Filter.Tags) > 0 {
			return true
		}
	}
	return false
}
