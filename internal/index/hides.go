package index

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"stele/entry"
)

// Bursts of hides. A stolen key can hide everything, and destroys nothing; that somebody does so must be seen. So each hide is counted as it is folded: one row for each key and bucket holds the last
// hour in slots, the burst under way, and the worst one before it. Nothing is scanned, and the rows are made again with the index.

const (
	hideHour  = time.Hour
	hideSlot  = 10 * time.Minute
	HideFloor = 10 // objects within an hour below which there is no burst
)

// HideBurst is a run of hides by one key in one bucket, with at least HideFloor of them in each hour.
type HideBurst struct {
	Began   time.Time `json:"began"`
	Before  uint64    `json:"before"` // its first hide's entry, and so the ledger size before it
	Last    time.Time `json:"last"`
	Entry   uint64    `json:"entry"`             // of its last hide
	Objects int64     `json:"objects"`           // taken out of the S3 view in all
	Most    int64     `json:"most"`              // of them within an hour
	Deleted bool      `json:"deleted,omitempty"` // the same key then deleted the bucket
}

// Hides are the hides of one key in one incarnation of a bucket.
type Hides struct {
	Key    string     `json:"key"`
	Bucket string     `json:"bucket"`
	Inc    uint64     `json:"inc"`
	Slots  []hideTime `json:"slots"`
	Now    HideBurst  `json:"now"`
	Worst  HideBurst  `json:"worst,omitzero"`
}

type hideTime struct {
	At    time.Time `json:"at"` // of the first
	Entry uint64    `json:"entry"`
	N     int64     `json:"n"`
}

// HidesSeen names the setting (Reader.Config) whose Value is the entry, in decimal, up to which a person has seen all bursts.
const HidesSeen = "hides.seen"

// BurstFor is how long a burst is remembered.
const BurstFor = 30 * 24 * time.Hour

func hidesOf(key, bucket string, inc uint64) string {
	return NamedBy(entry.ObjectHide, fmt.Sprintf("%s/%s@%d", key, bucket, inc))
}

// countHide counts an object that its key took out of the S3 view.
func (c *change) countHide(e *entry.Entry, r Reader) error {
	p := &e.Private
	setting := hidesOf(p.Actor, p.Bucket, p.Inc)
	h, _, err := namedValue[Hides](r, setting)
	if err != nil {
		return err
	}
	h.Key, h.Bucket, h.Inc = p.Actor, p.Bucket, p.Inc
	h.add(e.Index, e.Time.UTC())
	c.setNamed(setting, h)
	return nil
}

func (h *Hides) add(at uint64, now time.Time) {
	sum := int64(0)
	for len(h.Slots) > 0 && now.Sub(h.Slots[0].At) > hideHour {
		h.Slots = h.Slots[1:]
	}
	for _, s := range h.Slots {
		sum += s.N
	}
	if n := len(h.Slots); n == 0 || now.Sub(h.Slots[n-1].At) > hideSlot {
		h.Slots = append(h.Slots, hideTime{At: now, Entry: at})
	}
	h.Slots[len(h.Slots)-1].N++
	if sum < HideFloor { // the burst before, if there was one, is over; perhaps one begins
		if b := h.Now; b.Most >= HideFloor && (b.Most >= h.Worst.Most || now.Sub(h.Worst.Last) > BurstFor) {
			h.Worst = b
		}
		h.Now = HideBurst{Began: h.Slots[0].At, Before: h.Slots[0].Entry, Objects: sum}
	}
	b := &h.Now
	b.Objects, b.Most, b.Last, b.Entry = b.Objects+1, max(b.Most, sum+1), now, at
}

// bucketGone notes that who hid objects of a bucket a short time ago has deleted it.
func (c *change) bucketGone(e *entry.Entry, inc uint64, r Reader) error {
	setting := hidesOf(e.Private.Actor, e.Private.Bucket, inc)
	h, ok, err := namedValue[Hides](r, setting)
	if err != nil || !ok || e.Time.Sub(h.Now.Last) > hideHour {
		return err
	}
	h.Now.Deleted, h.Now.Entry = true, e.Index
	c.setNamed(setting, h)
	return nil
}

// Hides returns what is known of the hides of each key in each bucket.
func (db *DB) Hides() (out []Hides, err error) {
	all, err := db.Named(entry.ObjectHide)
	for _, n := range all {
		var h Hides
		err = cmp.Or(err, json.Unmarshal([]byte(n.Value), &h))
		out = append(out, h)
	}
	return out, err
}
