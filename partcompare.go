package stele

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
)

// partSpan is a stretch of keys.
type partSpan struct {
	prefix string
	exact  bool // the key prefix alone
}

// spansOf returns the stretches that a PartRestore's Key means, in order of key.
func spansOf(key string) []partSpan {
	if key == "" || strings.HasSuffix(key, "/") {
		return []partSpan{{prefix: key}}
	}
	return []partSpan{{prefix: key, exact: true}, {prefix: key + "/"}}
}

// partSide lists the current keys of one incarnation as of a size, a page at a time.
type partSide struct {
	s     *Store
	span  partSpan
	inc   uint64 // 0: there is nothing
	size  uint64 // 0: now
	stop  func() error
	rows  []index.Listed
	after string
	ended bool
}

const partPage = 1000

// peek returns the next row.
func (p *partSide) peek() (index.Listed, bool, error) {
	for len(p.rows) == 0 && !p.ended && p.inc != 0 {
		if err := p.page(); err != nil {
			return index.Listed{}, false, err
		}
	}
	if len(p.rows) == 0 {
		return index.Listed{}, false, nil
	}
	return p.rows[0], true, nil
}

func (p *partSide) page() error {
	if err := p.stop(); err != nil {
		return err
	}
	scan := index.Scan{Inc: p.inc, Prefix: p.span.prefix, After: p.after, Max: partPage, Size: p.size, Stop: p.stop}
	if p.span.exact {
		scan.Max = 1 // the first key with a prefix is the prefix, if there is one
	}
	rows := make([]index.Listed, 0, scan.Max)
	more, err := p.s.core.Index.List(scan, func(l index.Listed) error {
		p.after = l.Key
		if !p.span.exact || l.Key == p.span.prefix {
			rows = append(rows, l)
		}
		return nil
	})
	p.rows, p.ended = rows, !more || p.span.exact
	return err
}

// same reports whether a key is as it was: bytes, ETag, headers, metadata, checksum, tags. Locks are not compared: they have gone their own way since, and only lengthen.
func (j *partRestore) same(ctx context.Context, k *partKey) (bool, error) {
	if !k.is || k.then.Size != k.now.Size || k.then.ETag != k.now.ETag {
		return false, nil
	}
	r := j.s.core.Index.Reader()
	was, err := j.record(r, j.then.Inc, k.key, k.then.Entry)
	if err != nil {
		return false, err
	}
	is, err := j.record(r, j.inc, k.key, k.now.Entry)
	if err != nil {
		return false, err
	}
	old, err := r.AttrsAt(j.then.Inc, k.key, k.then.Entry, j.At.Size)
	if err != nil {
		return false, err
	}
	tags := is.Tags
	if k.now.Attrs {
		tags = k.tags
	}
	if was.Parts != is.Parts || !maps.Equal(was.Headers, is.Headers) || !maps.Equal(was.Meta, is.Meta) || !maps.Equal(old.Tags, tags) || !sameChecksum(was.Checksum, is.Checksum) {
		return false, nil
	}
	if was.Entry == is.Entry || was.Body.Kind == is.Body.Kind && was.Body.Ref == is.Body.Ref {
		return true, nil
	}
	return j.sameBytes(ctx, was.Entry, is.Entry)
}

func sameChecksum(a, b *entry.Checksum) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func (j *partRestore) record(r index.Reader, inc uint64, key string, at uint64) (index.Record, error) {
	rec, ok, err := r.Record(inc, key, at)
	if err == nil && !ok {
		err = fmt.Errorf("%w: the index has no record of %s: stop the server and delete the index folder, it will be rebuilt", ErrCorrupt, key)
	}
	return rec, err
}

// sameBytes compares the digests of two entries: the same bytes may lie in other chunks.
func (j *partRestore) sameBytes(ctx context.Context, a, b uint64) (bool, error) {
	var bodies [2]entry.Body
	for i, at := range []uint64{a, b} {
		e, _, _, err := j.s.core.Ledger().Entry(ctx, at)
		if err != nil {
			return false, core.Translate(err)
		}
		if e.Private.Body == nil {
			return false, fmt.Errorf("%w: entry %d holds no object", ErrCorrupt, at)
		}
		bodies[i] = *e.Private.Body
	}
	parts := bodies[0].Kind == entry.BodyParts
	return bodies[0].SHA256 == bodies[1].SHA256 && parts == (bodies[1].Kind == entry.BodyParts), nil
}

// findBuckets finds the incarnation of then and the one that gets the keys, which is made if it is missing.
func (j *partRestore) findBuckets(ctx context.Context) (err error) {
	if j.HideNewer && j.To != j.Bucket {
		return core.BadState("what is newer is hidden only in the bucket itself, and %s is another one", j.To)
	}
	if !j.DryRun {
		if err := j.s.core.TakesBytes(0); err != nil {
			return err
		}
	}
	if j.then, err = j.s.bucketRow(j.Bucket, j.At); errors.Is(err, ErrNoBucket) {
		return fmt.Errorf("%w: there was no bucket %s at ledger size %d. `stele ls --at @%d` lists the buckets of then", ErrNoBucket, j.Bucket, j.At.Size, j.At.Size)
	} else if err != nil {
		return err
	}
	now, err := j.s.bucketRow(j.To, View{})
	switch {
	case err == nil:
		j.inc = now.Inc
		return j.finishBucket(ctx, now)
	case !errors.Is(err, ErrNoBucket):
		return err
	}
	if err := ValidBucketName(j.To); err != nil {
		return err
	}
	j.report.Made = true
	j.noteLeft()
	if j.DryRun {
		return nil
	}
	c, err := j.makeBucket(ctx)
	if err != nil {
		return err
	}
	j.inc = c.Entry
	if now, err = j.s.bucketRow(j.To, View{}); err != nil {
		return err
	}
	return j.finishBucket(ctx, now)
}

// makeBucket makes the bucket that gets the keys. Its entry says for which moment.
func (j *partRestore) makeBucket(ctx context.Context) (Committed, error) {
	return j.s.commit(ctx, j.By, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		if _, ok, err := r.Bucket(j.To); err != nil || ok {
			return ledger.Draft{}, orErr(err, fmt.Errorf("%w: %s was made meanwhile. Restore again", ErrBusy, j.To))
		}
		p := entry.Private{Bucket: j.To, Target: j.At.Size, Reason: j.reason}
		if j.then.ObjectLock {
			p.Value = "object-lock"
		}
		return ledger.Draft{Type: entry.BucketCreate, Private: p}, nil
	})
}

// finishBucket gives a bucket that a restore as of this moment made the versioning and the default retention of then, if it has none yet: the restore may have been interrupted.
func (j *partRestore) finishBucket(ctx context.Context, now *index.Bucket) error {
	e, _, _, err := j.s.core.Ledger().Entry(ctx, now.Inc)
	if err != nil {
		return core.Translate(err)
	}
	if e.Private.Target != j.At.Size || j.DryRun {
		return nil
	}
	if now.Versioning == "" && j.then.Versioning != "" {
		if _, err := j.s.SetVersioning(ctx, j.By, j.To, Versioning(j.then.Versioning)); err != nil {
			return err
		}
	}
	set, ok := j.then.Settings[settingObjectLock]
	if _, has := now.Settings[settingObjectLock]; !ok || has || !j.then.ObjectLock {
		return nil
	}
	var def Retention
	if err := json.Unmarshal([]byte(set.Value), &def); err != nil {
		return fmt.Errorf("couldn't read the default retention of bucket %s: %w", j.Bucket, err)
	}
	_, err = j.s.SetObjectLock(ctx, j.By, j.To, def)
	return err
}

// noteLeft names the settings that are not put back.
func (j *partRestore) noteLeft() {
	for name := range j.then.Settings {
		if slices.Contains(settings, Setting(name)) {
			j.report.Left = append(j.report.Left, Setting(name))
		}
	}
	slices.Sort(j.report.Left)
}
