package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
	"stele/internal/guard"
	"stele/tree"
)

// methods are the calls, by name.
var methods = map[string]method{
	"Hello": call(reads, func(ctx context.Context, q request, _ any) (hello, error) {
		return hello{protocol, q.store.ID(), q.store.VKey(), q.store.Dir()}, nil
	}),
	"Put": {need: changes, serve: servePut},
	"Head": call(reads, func(ctx context.Context, q request, at stele.Place) (wireVersion, error) {
		v, err := q.store.Head(ctx, at)
		return versionToWire(v), err
	}),
	"OpenBody": stream(reads, serveBody),
	"Hide": call(changes, func(ctx context.Context, q request, h stele.HideRequest) (stele.HideResult, error) {
		h.By = q.by
		return q.store.Hide(ctx, h)
	}),
	"Prove": call(reads, func(ctx context.Context, q request, at stele.Place) (proof, error) {
		r, v, err := q.store.Prove(ctx, at)
		return proof{r, versionToWire(v)}, err
	}),
	"Consistency": call(reads, func(ctx context.Context, q request, a [2]uint64) ([]tree.Hash, error) {
		return consistency(ctx, q.store, a[0], a[1])
	}),
	"List": call(reads, func(ctx context.Context, q request, l stele.ListRequest) (wirePage, error) {
		p, err := q.store.List(ctx, paged(l))
		return pageToWire(p), err
	}),
	"ListVersions": call(reads, func(ctx context.Context, q request, l stele.ListRequest) (wirePage, error) {
		p, err := q.store.ListVersions(ctx, paged(l))
		return pageToWire(p), err
	}),
	"History": call(reads, func(ctx context.Context, q request, a nameArgs) ([]stele.Change, error) {
		return q.store.History(ctx, a.Bucket, a.Key)
	}),
	"WhyGone": call(reads, func(ctx context.Context, q request, a nameArgs) (*stele.Gone, error) {
		g, ok, err := q.store.WhyGone(ctx, a.Bucket, a.Key, a.At)
		if !ok {
			return nil, err
		}
		return &g, err
	}),
	"Buckets": call(reads, func(ctx context.Context, q request, a nameArgs) ([]stele.Bucket, error) {
		return q.store.Buckets(ctx, a.At)
	}),
	"Bucket": call(reads, func(ctx context.Context, q request, a nameArgs) (stele.Bucket, error) {
		return q.store.Bucket(ctx, a.Bucket, a.At)
	}),
	"CreateBucket": call(changes, func(ctx context.Context, q request, a bucketArgs) (stele.Committed, error) {
		return q.store.CreateBucket(ctx, q.by, a.Bucket, a.ObjectLock)
	}),
	"DeleteBucket": call(changes, func(ctx context.Context, q request, a bucketArgs) (stele.Committed, error) {
		return q.store.DeleteBucket(ctx, q.by, a.Bucket)
	}),
	"SetVersioning": call(changes, func(ctx context.Context, q request, a bucketArgs) (stele.Committed, error) {
		return q.store.SetVersioning(ctx, q.by, a.Bucket, a.Versioning)
	}),
	"SetObjectLock": call(changes, func(ctx context.Context, q request, a bucketArgs) (stele.Committed, error) {
		return q.store.SetObjectLock(ctx, q.by, a.Bucket, a.Default)
	}),
	"ViewAt": call(reads, func(ctx context.Context, q request, when string) (stele.View, error) {
		return q.store.ViewAt(ctx, when)
	}),
	"ParseBucket": call(reads, func(ctx context.Context, q request, name string) (parsedBucket, error) {
		n, at, err := q.store.ParseBucket(ctx, name)
		return parsedBucket{n, at}, err
	}),
	"Pin": call(changes, func(ctx context.Context, q request, a pinArgs) (stele.Pinned, error) {
		return q.store.Pin(ctx, q.by, a.Name, a.At)
	}),
	"Views": call(reads, func(ctx context.Context, q request, _ any) ([]stele.Pinned, error) { return q.store.Views(ctx) }),
	"Log":   stream(reads, serveLog),
	// Verify writes its outcome to the ledger, in the name of who asked; it weakens nothing, so that an auditor may.
	"Verify": stream(reads, serveVerify),
	"Hydration": call(reads, func(ctx context.Context, q request, _ any) (*stele.Hydration, error) {
		h, ok := q.store.Hydration()
		if !ok {
			return nil, nil
		}
		return &h, nil
	}),
	"DrillTarget": call(changes, serveDrill),
	"RestorePart": stream(changes, servePart(false)),
	"ComparePart": stream(reads, servePart(true)),
	"PromoteFrom": call(changes, func(ctx context.Context, q request, reason string) (stele.Promotion, error) {
		if q.promote == nil {
			return stele.Promotion{}, worded{errors.New("this server holds a primary already"), stele.ErrBadState}
		}
		guard.Spare(ctx)
		return q.promote(context.WithoutCancel(ctx), q.by, reason)
	}),
	"Stats":    call(reads, func(ctx context.Context, q request, _ any) (stele.Stats, error) { return q.store.Stats(ctx) }),
	"Scrubbed": call(reads, func(ctx context.Context, q request, _ any) (stele.ScrubStatus, error) { return q.store.Scrubbed(ctx) }),
	"HideBursts": call(reads, func(ctx context.Context, q request, _ any) ([]stele.HideBurst, error) {
		return q.store.HideBursts(ctx)
	}),
	"SeeHides": call(changes, func(ctx context.Context, q request, _ any) (stele.Committed, error) {
		return q.store.SeeHides(ctx, q.by)
	}),
	"CreateKey": call(changes, func(ctx context.Context, q request, a keyArgs) (entry.AccessKey, error) {
		return q.store.CreateKey(ctx, q.by, a.Role, a.Scope, a.Rate)
	}),
	"RevokeKey": call(changes, func(ctx context.Context, q request, a keyArgs) (stele.Committed, error) {
		return q.store.RevokeKey(ctx, q.by, a.ID)
	}),
	"Keys": call(reads, func(ctx context.Context, q request, _ any) ([]stele.KeyInfo, error) { return q.store.Keys(ctx) }),
	"AddTarget": call(changes, func(ctx context.Context, q request, spec stele.TargetSpec) (stele.Committed, error) {
		return q.store.AddTarget(ctx, q.by, spec)
	}),
	"AddTargetAnew": call(changes, func(ctx context.Context, q request, a anewArgs) (stele.Committed, error) {
		return q.store.AddTargetAnew(ctx, q.by, a.Spec, a.Kit)
	}),
	"RemoveTarget": call(changes, func(ctx context.Context, q request, a removeArgs) (time.Time, error) {
		return q.store.RemoveTarget(ctx, q.by, a.Name, a.Kit)
	}),
	"CancelRemoval": call(changes, func(ctx context.Context, q request, name string) (stele.Committed, error) {
		return q.store.CancelRemoval(ctx, q.by, name)
	}),
	"Targets": call(reads, func(ctx context.Context, q request, _ any) ([]stele.TargetStatus, error) { return q.store.Targets(ctx) }),
	"FlushTargets": call(changes, func(ctx context.Context, q request, _ any) (struct{}, error) {
		return struct{}{}, q.store.FlushTargets(ctx)
	}),
	"ConfirmKit": call(changes, func(ctx context.Context, q request, text []byte) (struct{}, error) {
		return struct{}{}, q.store.ConfirmKit(ctx, q.by, text)
	}),
	"AddStandby": call(changes, func(ctx context.Context, q request, a stele.StandbyInfo) (stele.Committed, error) {
		return q.store.AddStandby(ctx, q.by, a.Name, a.Recipient)
	}),
	"RemoveStandby": call(changes, func(ctx context.Context, q request, a stele.StandbyInfo) (stele.Committed, error) {
		return q.store.RemoveStandby(ctx, q.by, a.Name)
	}),
	"Standbys": call(reads, func(ctx context.Context, q request, _ any) ([]stele.StandbyInfo, error) { return q.store.Standbys(ctx) }),
	// Learn ends this store's epoch, on the word of its own signer and on nobody else's: so anyone may tell.
	"Learn": forAnyone(call(reads, func(ctx context.Context, q request, a learnArgs) (struct{}, error) {
		return struct{}{}, q.store.Learn(ctx, a.Entry, a.Data, "one at "+q.by.Address)
	})),
	"KitConfirmed": call(reads, func(ctx context.Context, q request, _ any) (time.Time, error) { return q.store.KitConfirmed() }),
}

// maxListed is how much one page of a listing holds: a caller who asks for all at once would have the server hold it all in memory.
const maxListed = 1000

// paged bounds a listing to a page. Whoever wants more asks for the next one.
func paged(l stele.ListRequest) stele.ListRequest {
	l.Max = min(l.Max, maxListed)
	return l
}

// PutPath is the path of the call whose body is an object's bytes. It may come unsigned, since nobody would read a large one twice.
const PutPath = "/v1/Put"

// servePut takes the arguments from the query, which the signature covers, and the body as it comes. A body that breaks off is an
// error of its reader and nothing is committed.
func servePut(q request, w http.ResponseWriter) {
	var a putArgs
	if err := json.Unmarshal([]byte(q.URL.Query().Get("q")), &a); err != nil {
		writeReply[any](w, nil, fmt.Errorf("%w: %v", ErrProtocol, err))
		return
	}
	v, err := q.store.Put(q.Context(), stele.PutRequest{By: q.by, Bucket: a.Bucket, Key: a.Key, Body: q.body, Size: a.Size,
		Headers: a.Headers, Meta: a.Meta, Tags: a.Tags, Lock: a.Lock, If: a.If})
	writeReply(w, versionToWire(v), err)
}

// serveBody reads the body that an entry names. The entry's own words are used, not the client's.
func serveBody(ctx context.Context, q request, a bodyArgs, out io.Writer) error {
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

func serveLog(ctx context.Context, q request, l stele.LogQuery, out io.Writer) error {
	b := bufio.NewWriterSize(out, 64<<10)
	enc := lineEncoder(b)
	err := q.store.Log(ctx, l, func(e *entry.Entry) error { return enc.Encode(LineOf(e)) })
	if ferr := b.Flush(); err == nil {
		err = ferr
	}
	return err
}

// progressEvery is how often Verify tells of its progress.
const progressEvery = 200 * time.Millisecond

func serveVerify(ctx context.Context, q request, a verifyArgs, out io.Writer) error {
	var mu sync.Mutex // Progress comes from several goroutines
	enc := json.NewEncoder(out)
	var last time.Time
	var broken error
	tell := func(l verifyLine) {
		if err := enc.Encode(l); err != nil && broken == nil {
			broken = err
		}
		if f, ok := out.(interface{ Flush() }); ok {
			f.Flush()
		}
	}
	r, err := q.store.Verify(ctx, stele.VerifyOptions{By: q.by, Deep: a.Deep, Heal: a.Heal,
		Progress: func(done, total int64) {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); now.Sub(last) >= progressEvery {
				last = now
				tell(verifyLine{Done: done, Total: total})
			}
		},
		Problem: func(p fsck.Problem) {
			mu.Lock()
			defer mu.Unlock()
			tell(verifyLine{Problem: &p})
		},
	})
	if err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	tell(verifyLine{Report: &wireReport{r, r.Root.String()}})
	return broken
}
