package admin

import (
	"context"
	"fmt"
	"time"

	"stele"
	"stele/internal/rpc"
)

// servePart restores a part of the store, or if dry says what a restore would change.
func servePart(dry bool) func(context.Context, request, rpc.PartArgs, *lineStream[rpc.PartLine]) error {
	return func(ctx context.Context, q request, a rpc.PartArgs, out *lineStream[rpc.PartLine]) error {
		last := time.Now()
		tell := func(l rpc.PartLine) error {
			err := out.tell(l)
			if err == nil && time.Since(last) >= progressEvery {
				last = time.Now()
				err = out.flush()
			}
			return err
		}
		var broken error
		r, err := q.store.RestorePart(ctx, stele.PartRestore{By: q.by, Bucket: a.Bucket, Key: a.Key, At: a.At, To: a.To, HideNewer: a.HideNewer, DryRun: dry, Reason: a.Reason,
			Change: func(c stele.PartChange) error { return tell(rpc.PartLine{Change: &c}) },
			Progress: func(done stele.Tally) {
				if err := tell(rpc.PartLine{Done: &done}); err != nil {
					broken = err
				}
			}})
		if err != nil {
			return err
		}
		if broken != nil {
			return fmt.Errorf("couldn't tell how far the restore is: %w", broken)
		}
		return tell(rpc.PartLine{Report: &r})
	}
}
