package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
	"stele/internal/guard"
	"stele/internal/rpc"
	"stele/tree"
)

// methods serve the calls that every server has.
var methods = []method{
	on(rpc.Hello, func(ctx context.Context, q request, _ rpc.None) (rpc.Greeting, error) {
		return rpc.Greeting{Protocol: rpc.Protocol, ID: q.store.ID(), VKey: q.store.Ledger().VKey(), Store: q.store.Dir()}, nil
	}),
	onUpload(rpc.Put, servePut),
	on(rpc.Head, func(ctx context.Context, q request, at stele.Place) (rpc.Version, error) {
		v, err := q.store.Head(ctx, at)
		return rpc.VersionOf(v), err
	}),
	onDownload(rpc.OpenBody, serveBody),
	on(rpc.Hide, func(ctx context.Context, q request, h stele.HideRequest) (stele.HideResult, error) {
		h.By = q.by
		return q.store.Hide(ctx, h)
	}),
	on(rpc.Prove, func(ctx context.Context, q request, at stele.Place) (rpc.Proven, error) {
		r, v, err := q.store.Ledger().Prove(ctx, at)
		return rpc.Proven{Receipt: r, Version: rpc.VersionOf(v)}, err
	}),
	on(rpc.Consistency, func(ctx context.Context, q request, a [2]uint64) ([]tree.Hash, error) {
		return consistency(ctx, q.store, a[0], a[1])
	}),
	on(rpc.List, func(ctx context.Context, q request, l stele.ListRequest) (rpc.Page, error) {
		p, err := q.store.List(ctx, paged(l))
		return rpc.PageOf(p), err
	}),
	on(rpc.ListVersions, func(ctx context.Context, q request, l stele.ListRequest) (rpc.Page, error) {
		p, err := q.store.ListVersions(ctx, paged(l))
		return rpc.PageOf(p), err
	}),
	on(rpc.History, func(ctx context.Context, q request, h stele.HistoryRequest) (p rpc.ChangePage, err error) {
		if h.Max <= 0 || h.Max > maxListed {
			h.Max = maxListed
		}
		p.Changes, p.More, err = q.store.History(ctx, h)
		return p, err
	}),
	on(rpc.WhyGone, func(ctx context.Context, q request, a rpc.NameArgs) (*stele.Gone, error) {
		g, ok, err := q.store.WhyGone(ctx, a.Bucket, a.Key, a.At)
		if !ok {
			return nil, err
		}
		return &g, err
	}),
	on(rpc.Buckets, func(ctx context.Context, q request, a rpc.NameArgs) ([]stele.Bucket, error) {
		return q.store.Buckets(ctx, a.At)
	}),
	on(rpc.Bucket, func(ctx context.Context, q request, a rpc.NameArgs) (stele.Bucket, error) {
		return q.store.Bucket(ctx, a.Bucket, a.At)
	}),
	on(rpc.CreateBucket, func(ctx context.Context, q request, a rpc.BucketArgs) (stele.Committed, error) {
		return q.store.CreateBucket(ctx, q.by, a.Bucket, a.ObjectLock)
	}),
	on(rpc.DeleteBucket, func(ctx context.Context, q request, a rpc.BucketArgs) (stele.Committed, error) {
		return q.store.DeleteBucket(ctx, q.by, a.Bucket)
	}),
	on(rpc.SetVersioning, func(ctx context.Context, q request, a rpc.BucketArgs) (stele.Committed, error) {
		return q.store.SetVersioning(ctx, q.by, a.Bucket, a.Versioning)
	}),
	on(rpc.SetObjectLock, func(ctx context.Context, q request, a rpc.BucketArgs) (stele.Committed, error) {
		return q.store.SetObjectLock(ctx, q.by, a.Bucket, a.Default)
	}),
	on(rpc.ViewAt, func(ctx context.Context, q request, when string) (stele.View, error) {
		return q.store.ViewAt(ctx, when)
	}),
	on(rpc.ParseBucket, func(ctx context.Context, q request, name string) (rpc.ParsedBucket, error) {
		n, at, err := q.store.ParseBucket(ctx, name)
		return rpc.ParsedBucket{Name: n, At: at}, err
	}),
	on(rpc.Pin, func(ctx context.Context, q request, a rpc.PinArgs) (stele.Pinned, error) {
		return q.store.Pin(ctx, q.by, a.Name, a.At)
	}),
	on(rpc.Views, func(ctx context.Context, q request, _ rpc.None) ([]stele.Pinned, error) { return q.store.Views(ctx) }),
	onLines(rpc.Log, serveLog),
	onLines(rpc.Verify, serveVerify),
	on(rpc.Hydration, func(ctx context.Context, q request, _ rpc.None) (*stele.Hydration, error) {
		h, ok := q.store.Hydration()
		if !ok {
			return nil, nil
		}
		return &h, nil
	}),
	on(rpc.DrillTarget, func(ctx context.Context, q request, a stele.DrillRequest) (stele.Drilled, error) {
		return q.store.DrillTarget(ctx, q.by, a)
	}),
	onLines(rpc.RestorePart, servePart(false)),
	onLines(rpc.ComparePart, servePart(true)),
	on(rpc.PromoteFrom, func(ctx context.Context, q request, reason string) (stele.Promotion, error) {
		if q.promote == nil {
			return stele.Promotion{}, rpc.Worded(errors.New("this server holds a primary already"), stele.ErrBadState)
		}
		guard.Spare(ctx)
		return q.promote(context.WithoutCancel(ctx), q.by, reason)
	}),
	on(rpc.Stats, func(ctx context.Context, q request, _ rpc.None) (stele.Stats, error) { return q.store.Stats(ctx) }),
	on(rpc.Scrubbed, func(ctx context.Context, q request, _ rpc.None) (stele.ScrubStatus, error) {
		return q.store.Scrubbed(ctx)
	}),
	on(rpc.HideBursts, func(ctx context.Context, q request, _ rpc.None) ([]stele.HideBurst, error) {
		return q.store.HideBursts(ctx)
	}),
	on(rpc.SeeHides, func(ctx context.Context, q request, _ rpc.None) (stele.Committed, error) {
		return q.store.SeeHides(ctx, q.by)
	}),
	on(rpc.CreateKey, func(ctx context.Context, q request, a rpc.KeyArgs) (entry.AccessKey, error) {
		return q.store.Keys().Create(ctx, q.by, a.Role, a.Scope, a.Rate)
	}),
	on(rpc.RevokeKey, func(ctx context.Context, q request, a rpc.KeyArgs) (stele.Committed, error) {
		return q.store.Keys().Revoke(ctx, q.by, a.ID)
	}),
	on(rpc.Keys, func(ctx context.Context, q request, _ rpc.None) ([]stele.KeyInfo, error) {
		return q.store.Keys().List(ctx)
	}),
	on(rpc.AddTarget, func(ctx context.Context, q request, spec stele.TargetSpec) (stele.Committed, error) {
		return q.store.AddTarget(ctx, q.by, spec)
	}),
	on(rpc.AddTargetAnew, func(ctx context.Context, q request, a rpc.AnewArgs) (stele.Committed, error) {
		return q.store.AddTargetAnew(ctx, q.by, a.Spec, a.Kit)
	}),
	on(rpc.RemoveTarget, func(ctx context.Context, q request, a rpc.RemoveArgs) (time.Time, error) {
		return q.store.RemoveTarget(ctx, q.by, a.Name, a.Kit)
	}),
	on(rpc.CancelRemoval, func(ctx context.Context, q request, name string) (stele.Committed, error) {
		return q.store.CancelRemoval(ctx, q.by, name)
	}),
	on(rpc.Targets, func(ctx context.Context, q request, _ rpc.None) ([]stele.TargetStatus, error) {
		return q.store.Targets(ctx)
	}),
	on(rpc.FlushTargets, func(ctx context.Context, q request, _ rpc.None) (rpc.Done, error) {
		return rpc.Done{}, q.store.FlushTargets(ctx)
	}),
	on(rpc.ConfirmKit, func(ctx context.Context, q request, text []byte) (rpc.Done, error) {
		return rpc.Done{}, q.store.Keys().ConfirmKit(ctx, q.by, text)
	}),
	on(rpc.NoteShares, func(ctx context.Context, q request, a rpc.SharesArgs) (rpc.Done, error) {
		return rpc.Done{}, q.store.Keys().NoteShares(ctx, q.by, a.Of, a.Verifiers)
	}),
	on(rpc.ConfirmShare, func(ctx context.Context, q request, a rpc.ShareArgs) (rpc.Done, error) {
		return rpc.Done{}, q.store.Keys().ConfirmShare(ctx, q.by, a.Of, a.Index, a.Proof)
	}),
	on(rpc.ShareSets, func(ctx context.Context, q request, _ rpc.None) ([]stele.ShareSet, error) {
		return q.store.Keys().ShareSets()
	}),
	on(rpc.AddStandby, func(ctx context.Context, q request, a stele.StandbyInfo) (stele.Committed, error) {
		return q.store.AddStandby(ctx, q.by, a.Name, a.Recipient)
	}),
	on(rpc.RemoveStandby, func(ctx context.Context, q request, a stele.StandbyInfo) (stele.Committed, error) {
		return q.store.RemoveStandby(ctx, q.by, a.Name)
	}),
	on(rpc.Standbys, func(ctx context.Context, q request, _ rpc.None) ([]stele.StandbyInfo, error) {
		return q.store.Standbys(ctx)
	}),
	on(rpc.Learn, func(ctx context.Context, q request, a rpc.LearnArgs) (rpc.Done, error) {
		return rpc.Done{}, q.store.Learn(ctx, a.Entry, a.Data, "one at "+q.by.Address)
	}),
	on(rpc.KitConfirmed, func(ctx context.Context, q request, _ rpc.None) (time.Time, error) {
		return q.store.Keys().KitConfirmed()
	}),
}

// maxListed is how much one page of a listing holds: a caller who asks for all at once would have the server hold it all in memory.
const maxListed = 1000

// paged bounds a listing to a page. Whoever wants more asks for the next one.
func paged(l stele.ListRequest) stele.ListRequest {
	l.Max = min(l.Max, maxListed)
	return l
}

// servePut commits nothing if the body breaks off: that is an error of its reader.
func servePut(ctx context.Context, q request, a rpc.PutArgs, body io.Reader) (rpc.Version, error) {
	v, err := q.store.Put(ctx, stele.PutRequest{By: q.by, Bucket: a.Bucket, Key: a.Key, Body: body, Size: a.Size,
		Headers: a.Headers, Meta: a.Meta, Tags: a.Tags, Lock: a.Lock, If: a.If})
	return rpc.VersionOf(v), err
}

// serveBody reads the body that an entry names. The entry's own words are used, not the client's.
func serveBody(ctx context.Context, q request, a rpc.BodyArgs, out io.Writer) error {
	v := stele.Version{Entry: a.Entry}
	if err := q.store.Describe(ctx, &v); err != nil {
		return err
	}
	if v.Body.Kind == "" {
		return fmt.Errorf("%w: entry %d holds no object", stele.ErrNoVersion, a.Entry)
	}
	v.Size = v.Body.Size
	r, err := q.store.OpenBody(ctx, v, a.Off, a.N)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(out, r)
	return err
}

func serveLog(ctx context.Context, q request, l stele.LogQuery, out *lineStream[rpc.EntryLine]) error {
	return q.store.Ledger().Log(ctx, l, func(e *entry.Entry) error { return out.tell(rpc.LineOf(e)) })
}

// progressEvery is how often Verify tells of its progress.
const progressEvery = 200 * time.Millisecond

func serveVerify(ctx context.Context, q request, a rpc.VerifyArgs, out *lineStream[rpc.VerifyLine]) error {
	end, err := q.verifications.begin(q.by, time.Now())
	if err != nil {
		return err
	}
	defer end()
	var mu sync.Mutex // Progress comes from several goroutines
	var last time.Time
	var broken error
	tell := func(l rpc.VerifyLine) {
		err := out.tell(l)
		if err == nil {
			err = out.flush()
		}
		broken = cmp.Or(broken, err)
	}
	r, err := q.store.Verify(ctx, stele.VerifyOptions{By: q.by, Deep: a.Deep, Heal: a.Heal,
		Progress: func(done, total int64) {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); now.Sub(last) >= progressEvery {
				last = now
				tell(rpc.VerifyLine{Done: done, Total: total})
			}
		},
		Problem: func(p fsck.Problem) {
			mu.Lock()
			defer mu.Unlock()
			tell(rpc.VerifyLine{Problem: &p})
		},
	})
	if err != nil && len(r.Problems) == 0 {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	tell(rpc.VerifyLine{Report: rpc.ReportOf(r)}) // one that ended early has what it found until then
	return cmp.Or(err, broken)
}
