package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"stele"
)

// Parts are restores of a part of the store.
type Parts interface {
	RestorePart(ctx context.Context, q stele.PartRestore) (stele.PartReport, error)
}

// partArgs is a stele.PartRestore on the wire; what it asks for is in the method's name: ComparePart is the dry run, which only reads.
type partArgs struct {
	Bucket, Key, To, Reason string `json:",omitempty"`
	At                      stele.View
	HideNewer               bool `json:",omitempty"`
}

// partLine is a change, progress or, last, the report.
type partLine struct {
	Change *stele.PartChange `json:",omitempty"`
	Done   *stele.Tally      `json:",omitempty"`
	Report *stele.PartReport `json:",omitempty"`
}

func servePart(dry bool) func(context.Context, request, partArgs, io.Writer) error {
	return func(ctx context.Context, q request, a partArgs, out io.Writer) error {
		enc := json.NewEncoder(out)
		last := time.Now()
		tell := func(l partLine) error {
			err := enc.Encode(l)
			if f, ok := out.(interface{ Flush() }); ok && time.Since(last) >= progressEvery {
				last = time.Now()
				f.Flush()
			}
			return err
		}
		var broken error
		r, err := q.store.RestorePart(ctx, stele.PartRestore{By: q.by, Bucket: a.Bucket, Key: a.Key, At: a.At, To: a.To, HideNewer: a.HideNewer, DryRun: dry, Reason: a.Reason,
			Change: func(c stele.PartChange) error { return tell(partLine{Change: &c}) },
			Progress: func(done stele.Tally) {
				if err := tell(partLine{Done: &done}); err != nil {
					broken = err
				}
			}})
		if err != nil {
			return err
		}
		if broken != nil {
			return fmt.Errorf("couldn't tell how far the restore is: %w", broken)
		}
		return tell(partLine{Report: &r})
	}
}

// RestorePart runs on the server; what it changes is streamed. Where it ends early the report is that of the changes told until then.
func (c *Client) RestorePart(ctx context.Context, q stele.PartRestore) (report stele.PartReport, err error) {
	method := "RestorePart"
	if q.DryRun {
		method = "ComparePart"
	}
	err = lines(ctx, c, method, partArgs{q.Bucket, q.Key, q.To, q.Reason, q.At, q.HideNewer}, func(l partLine) error {
		switch {
		case l.Change != nil && q.Change != nil:
			return q.Change(*l.Change)
		case l.Done != nil && q.Progress != nil:
			q.Progress(*l.Done)
		case l.Report != nil:
			report = *l.Report
		}
		return nil
	})
	return report, err
}
