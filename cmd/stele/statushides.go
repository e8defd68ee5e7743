package main

import (
	"context"
	"fmt"

	"stele"
)

// burstDoc is a burst of hides in status --json.
type burstDoc struct {
	Key     string `json:"key"`
	Bucket  string `json:"bucket"`
	Began   string `json:"began"`
	Last    string `json:"last"`
	Objects int64  `json:"objects"`
	Deleted bool   `json:"bucket_deleted"`
	At      string `json:"at"` // the moment before it, for ls and restore
}

func burstDocs(all []stele.HideBurst) []burstDoc {
	docs := []burstDoc{}
	for _, b := range all {
		docs = append(docs, burstDoc{b.Key, b.Bucket, moment(b.Began), moment(b.Last), b.Objects, b.Deleted, before(&b)})
	}
	return docs
}

// before is the moment before a burst as --at takes it.
func before(b *stele.HideBurst) string { return fmt.Sprintf("@%d", b.Before) }

// printBursts says who hid what, and how to look and to undo it.
func printBursts(a *app, all []stele.HideBurst) {
	for i := range all {
		b := &all[i]
		also := ""
		if b.Deleted {
			also = ", and deleted the bucket"
		}
		a.say("hidden   key %s hid %s of bucket %s from %s to %s%s", shown(b.Key), count(b.Objects, "object"), b.Bucket, moment(b.Began), moment(b.Last), also)
		a.say("         look: stele ls %s --at %s    undo: stele restore %s --at %s    stop it: stele key revoke %s", b.Bucket, before(b), b.Bucket, before(b), shown(b.Key))
	}
}

// staleBursts names the bursts of hides that nobody has seen yet.
func staleBursts(all []stele.HideBurst) (stale []string) {
	for i := range all {
		stale = append(stale, fmt.Sprintf("key %s hid %s of bucket %s from %s on. If that is in order: `stele status --seen`", shown(all[i].Key), count(all[i].Objects, "object"), all[i].Bucket, moment(all[i].Began)))
	}
	return stale
}

// seeHides notes that whoever runs this has seen the bursts there are.
func seeHides(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := s.SeeHides(ctx, local)
	if err != nil {
		return err
	}
	a.say("noted in entry %d: the bursts of hides up to now are no alarm any more", done.Entry)
	return s.Close()
}
