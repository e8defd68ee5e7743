package stele

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
)

// PartRestore asks for a part of the store as it was in a view (docs/adr/005-part-restore.md).
type PartRestore struct {
	By        Actor
	Bucket    string
	Key       string // this key and those below it (KEY/…); ending in a slash: those below it; empty: the whole bucket
	At        View
	To        string // the bucket that gets it; empty: Bucket. Made if it is missing
	HideNewer bool   // hide what is there now and was not then; else it is left alone. Not with To
	DryRun    bool   // compare and report, change nothing
	Reason    string // for the record; may be empty

	// Change is called for each key that is not as it was then, in order of key, one at a time; its error ends the restore. May be nil.
	Change func(PartChange) error
	// Progress is called now and then with what was settled so far. May be nil.
	Progress func(Tally)
}

// PartAction is what a restore of a part did, or in a dry run would do, with a key.
type PartAction string

const (
	PartRestored PartAction = "restored" // missing or different now: a new version has the old one's bytes and attributes
	PartNewer    PartAction = "newer"    // there now and not then: left alone
	PartHidden   PartAction = "hidden"   // the same, and hidden
	PartRefused  PartAction = "refused"  // Why says by what
)

// PartChange is what became of a key that was not as it had been.
type PartChange struct {
	Key     string
	Action  PartAction
	Size    int64  // bytes: of the version restored, else of the one there now
	From    string // version id of then; empty: there was none
	Now     string // version id that was current; empty: none
	Version string // version id made: the restored one, or the delete marker; empty in a dry run
	Entry   uint64 // that made it; 0 in a dry run
	Why     string // PartRefused
}

// PartReport is the outcome of a restore of a part.
type PartReport struct {
	Bucket, To string
	At         uint64    // ledger size of the view
	Made       bool      // To was missing and was made, in a dry run: would be
	Left       []Setting // documents that the bucket had then and that were not put back: they give rights, or hide things
	Restored   Tally
	Kept       Tally // as they were
	Newer      Tally
	Hidden     Tally
	Refused    Tally
}

// Tally is a number of keys and of their bytes.
type Tally struct{ Keys, Bytes int64 }

func (t *Tally) add(bytes int64) { t.Keys++; t.Bytes += bytes }

// RestorePart puts keys back as they were in a view, as new versions that name the old bytes: no byte is copied, nothing is hidden but what HideNewer says, and
// every version of before stays. What is as it was is left alone, so that a restore which was interrupted is gone on with by asking for it again. A key that changes
// between comparison and commit is compared again. The error is that which ended it; the report says what was done until then.
// ErrNoBucket: there was none of that name then. ErrBadState: HideNewer with another bucket. ErrReadOnly, ErrStandby: only a dry run is possible here.
func (s *Store) RestorePart(ctx context.Context, q PartRestore) (PartReport, error) {
	if err := s.core.Enter(); err != nil {
		return PartReport{}, err
	}
	defer s.core.Leave()
	ctx, end := s.core.UntilClosed(ctx)
	defer end()
	if q.At.Now() {
		q.At.Size = s.core.Size()
	}
	if q.To == "" {
		q.To = q.Bucket
	}
	j := &partRestore{PartRestore: q, s: s, reason: core.Reason(strings.TrimSuffix(fmt.Sprintf("restore as of @%d: %s", q.At.Size, q.Reason), ": "))}
	j.report = PartReport{Bucket: q.Bucket, To: q.To, At: q.At.Size}
	err := j.findBuckets(ctx)
	if err == nil {
		err = j.all(ctx)
	}
	return j.report, s.core.ClosedOr(err)
}

// partRestore is one under way.
type partRestore struct {
	PartRestore
	s      *Store
	reason string
	then   *index.Bucket // the incarnation of the view
	inc    uint64        // the incarnation that gets it; 0: none, in a dry run
	report PartReport
	done   Tally // settled
}

// partKey is a key that is not surely as it was.
type partKey struct {
	key       string
	then, now index.Current
	was, is   bool              // then, now are there
	tags      map[string]string // of now, where now.Attrs
	made      PartChange
	kept      bool
}

// partBatch is how many keys are settled at once and reported in order; partWorkers of them wait together for an fsync.
const (
	partBatch   = 4096
	partWorkers = 1024
)

// all merges the listing of then with that of now, page by page.
func (j *partRestore) all(ctx context.Context) error {
	batch := make([]partKey, 0, partBatch)
	for _, span := range spansOf(j.Key) {
		then := &partSide{s: j.s, span: span, inc: j.then.Inc, size: j.At.Size, stop: j.s.core.GoOn(ctx)}
		now := &partSide{s: j.s, span: span, inc: j.inc, stop: j.s.core.GoOn(ctx)}
		for {
			k, more, err := j.next(then, now)
			if err != nil {
				return err
			}
			if !more {
				break
			}
			if k.kept {
				j.keep(k.now.Size)
				continue
			}
			if batch = append(batch, k); len(batch) == partBatch {
				if err := j.settle(ctx, batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
	}
	return j.settle(ctx, batch)
}

// next returns the next key of either side. What the rows alone show to be the same version with the same attributes is kept.
func (j *partRestore) next(then, now *partSide) (k partKey, more bool, err error) {
	a, was, err := then.peek()
	if err != nil {
		return k, false, err
	}
	b, is, err := now.peek()
	if err != nil || !was && !is {
		return k, false, err
	}
	if was && (!is || a.Key <= b.Key) {
		k.key, k.then, k.was = a.Key, a.Current, true
		then.rows = then.rows[1:]
	}
	if is && (!was || b.Key <= a.Key) {
		k.key, k.now, k.is = b.Key, b.Current, true
		now.rows = now.rows[1:]
	}
	k.kept = k.was && k.is && then.inc == now.inc && k.then.Entry == k.now.Entry && !k.now.Attrs
	return k, true, nil
}

func (j *partRestore) keep(bytes int64) {
	j.report.Kept.add(bytes)
	j.settled(bytes)
}

// tellEvery is after how many keys Progress is called.
const tellEvery = 1000

func (j *partRestore) settled(bytes int64) {
	if j.done.add(bytes); j.done.Keys%tellEvery == 0 && j.Progress != nil {
		j.Progress(j.done)
	}
}

// settle settles a batch of keys side by side, so that they share fsyncs, and reports them in order.
func (j *partRestore) settle(ctx context.Context, batch []partKey) error {
	if len(batch) > 0 && !j.DryRun {
		if err := j.s.core.TakesBytes(0); err != nil {
			return err
		}
	}
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(partWorkers, len(batch)) {
		all.Go(func() {
			for work.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(batch) {
					return
				}
				if err := j.one(work, &batch[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(j.tell(batch), context.Cause(work))
}

// tell counts what became of a batch, and reports what was changed. Keys that were not come to have no action.
func (j *partRestore) tell(batch []partKey) error {
	tallies := map[PartAction]*Tally{PartRestored: &j.report.Restored, PartNewer: &j.report.Newer, PartHidden: &j.report.Hidden, PartRefused: &j.report.Refused}
	var told error
	for i := range batch {
		k := &batch[i]
		switch {
		case k.kept:
			j.keep(k.now.Size)
		case k.made.Action != "":
			tallies[k.made.Action].add(k.made.Size)
			j.settled(k.made.Size)
			if j.Change != nil && told == nil {
				told = j.Change(k.made)
			}
		}
	}
	return told
}

// partTries is how often a key that changes under our hands is compared again.
const partTries = 20

// one settles a key. Its error ends the whole; what concerns this key alone is its Why.
func (j *partRestore) one(ctx context.Context, k *partKey) error {
	for try := 1; ; try++ {
		err := j.once(ctx, k)
		if errors.Is(err, errChanged) && try < partTries {
			if k.now, k.is, err = j.s.core.Index.Reader().Current(j.inc, k.key); err != nil {
				return err
			}
			continue
		}
		if errors.Is(err, errChanged) {
			err = fmt.Errorf("%w: it changes all the while", ErrBusy)
		}
		switch {
		case err != nil && j.onlyThis(err):
			k.made.Action, k.made.Why, err = PartRefused, err.Error(), nil
		case err != nil:
			k.made.Action = ""
		}
		return err
	}
}

// onlyThis reports whether an error is about one key, so that the others can go on.
func (j *partRestore) onlyThis(err error) bool {
	for _, is := range []error{ErrBusy, ErrErased, ErrOverwriteDenied, ErrTooLarge} {
		if errors.Is(err, is) {
			return true
		}
	}
	return errors.As(err, new(*RetentionError))
}

// once compares a key and does what has to be done. errChanged: it was changed meanwhile, and nothing was done.
func (j *partRestore) once(ctx context.Context, k *partKey) error {
	k.made = PartChange{Key: k.key, Size: k.then.Size}
	if k.was {
		k.made.From = j.s.versionID(k.then.Entry, k.then.Null)
	}
	if k.is {
		k.made.Now = j.s.versionID(k.now.Entry, k.now.Null)
	}
	if k.tags = nil; k.is && k.now.Attrs {
		a, err := j.s.core.Index.Reader().Attrs(j.inc, k.key, k.now.Entry)
		if err != nil {
			return err
		}
		k.tags = a.Tags
	}
	if !k.was {
		k.made.Size = k.now.Size
		return j.newer(ctx, k)
	}
	same, err := j.same(ctx, k)
	if k.kept = same; same || err != nil {
		return err
	}
	if k.made.Action = PartRestored; j.DryRun {
		return nil
	}
	return j.putBack(ctx, k)
}

// newer leaves alone, or hides, what was not there.
func (j *partRestore) newer(ctx context.Context, k *partKey) error {
	switch {
	case !k.is:
		k.kept = true // gone meanwhile: as it was
		return nil
	case !j.HideNewer:
		k.made.Action = PartNewer
		return nil
	}
	if k.made.Action = PartHidden; j.DryRun {
		return nil
	}
	var p entry.Private
	c, err := j.commit(ctx, k, func(r index.Reader, b *index.Bucket, _ time.Time) (entry.Type, *entry.Private, error) {
		p = entry.Private{}
		return entry.ObjectHide, &p, hideCurrent(r, b, HideRequest{Bucket: j.To, Key: k.key}, &p)
	})
	if k.made.Entry = c.Entry; p.Marker {
		k.made.Version = j.s.versionID(c.Entry, p.Null)
	}
	return err
}

// putBack commits a new version that names the bytes of then.
func (j *partRestore) putBack(ctx context.Context, k *partKey) error {
	src, _, _, err := j.s.core.Ledger().Entry(ctx, k.then.Entry)
	if err != nil {
		return core.Translate(err)
	}
	old, err := j.s.core.Index.Reader().AttrsAt(j.then.Inc, k.key, k.then.Entry, j.At.Size)
	if err != nil {
		return err
	}
	sp := &src.Private
	if src.Type != entry.ObjectPut || sp.Body == nil {
		return fmt.Errorf("%w: entry %d should have written %s/%s: delete the index folder, it will be rebuilt", ErrCorrupt, k.then.Entry, j.Bucket, k.key)
	}
	var null bool
	c, err := j.commit(ctx, k, func(r index.Reader, b *index.Bucket, now time.Time) (entry.Type, *entry.Private, error) {
		p := &entry.Private{Body: sp.Body, ETag: sp.ETag, Part: sp.Part, Checksum: sp.Checksum, Headers: sp.Headers, Meta: sp.Meta, Tags: old.Tags, Target: k.then.Entry}
		if err := overwritable(r, b, k.key, j.By, Conditions{}); err != nil {
			return "", nil, err
		}
		var err error
		p.Lock, err = j.lockAgain(r, b, k, now)
		p.Null = b.Versioning != string(Enabled)
		null = p.Null
		return entry.ObjectPut, p, err
	})
	k.made.Entry, k.made.Version = c.Entry, j.s.versionID(c.Entry, null)
	return err
}

// commit commits a change of a key, if the key is still what it was compared with: errChanged.
func (j *partRestore) commit(ctx context.Context, k *partKey, draft func(r index.Reader, b *index.Bucket, now time.Time) (entry.Type, *entry.Private, error)) (Committed, error) {
	return j.s.commit(ctx, j.By, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		b, err := bucketFor(r, j.To)
		if err == nil && b.Inc != j.inc {
			err = fmt.Errorf("%w: %s was deleted and made anew meanwhile. Restore again", ErrNoBucket, j.To)
		}
		if err == nil {
			err = j.unchanged(r, k)
		}
		if err != nil {
			return ledger.Draft{}, err
		}
		typ, p, err := draft(r, b, at.Time)
		if err != nil {
			return ledger.Draft{}, err
		}
		p.Bucket, p.Key, p.Inc, p.Reason = j.To, k.key, b.Inc, j.reason
		return ledger.Draft{Type: typ, Private: *p}, nil
	})
}

// unchanged refuses, in commit order, a key that is not any more what it was compared with.
func (j *partRestore) unchanged(r index.Reader, k *partKey) error {
	cur, ok, err := r.Current(j.inc, k.key)
	if err != nil {
		return err
	}
	if ok != k.is || ok && (cur.Entry != k.now.Entry || cur.Attrs != k.now.Attrs) {
		return errChanged
	}
	if !ok || !cur.Attrs {
		return nil
	}
	a, err := r.Attrs(j.inc, k.key, cur.Entry)
	if err == nil && !maps.Equal(a.Tags, k.tags) {
		err = errChanged
	}
	return err
}

// lockAgain returns the lock of the restored version: the old version's as it is now, as far as it has not ended, and the bucket's default, the stricter mode and the later date of both.
func (j *partRestore) lockAgain(r index.Reader, b *index.Bucket, k *partKey, now time.Time) (*entry.Lock, error) {
	l, err := j.s.lockFor(b, nil, now, false)
	if err != nil || !b.ObjectLock {
		return l, err
	}
	old, err := attrsOf(r, j.then, k.key, k.then.Entry)
	if err != nil {
		return nil, err
	}
	var to entry.Lock
	if l != nil {
		to = *l
	}
	to.Hold = to.Hold || old.Lock.Hold
	if old.Lock.Mode != "" && old.Lock.Until.After(now) {
		if to.Mode != entry.Compliance {
			to.Mode = old.Lock.Mode
		}
		if old.Lock.Until.After(to.Until) {
			to.Until = old.Lock.Until
		}
	}
	if to == (entry.Lock{}) {
		return nil, nil
	}
	return &to, nil
}
