package stele

import (
	"bytes"
	"strings"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
)

// room is as long as anything gets that the commit of an object adds to what its request says.
var room = struct {
	body     entry.Body
	checksum entry.Checksum
	lock     entry.Lock
	text     string // an ETag, an id, an address
}{
	body: entry.Body{Kind: entry.BodyManifest, MD5: [16]byte(bytes.Repeat([]byte{1}, 16)), Ref: entry.ID(bytes.Repeat([]byte{1}, 32)),
		SHA256: entry.Hash(bytes.Repeat([]byte{1}, 32)), Size: entry.MaxInt},
	checksum: entry.Checksum{Algorithm: "CRC64NVME", Kind: "FULL_OBJECT", Value: strings.Repeat("=", 64)},
	lock:     entry.Lock{Hold: true, Mode: entry.Governance, Until: core.SomeTime},
	text:     strings.Repeat("=", 64),
}

// fits refuses before any body is read an object whose headers, metadata and tags its entry could not hold, whatever else the entry says.
func fits(q PutRequest) error {
	return core.Valid(&entry.Private{Bucket: q.Bucket, Key: q.Key, Headers: q.Headers, Meta: q.Meta, Tags: q.Tags,
		Actor: q.By.Key + room.text, Address: room.text, Request: q.By.Request + room.text, Upload: room.text, ETag: room.text,
		Body: &room.body, Checksum: &room.checksum, Lock: &room.lock, Inc: entry.MaxInt, Part: entry.MaxParts, Null: true, Bypass: true})
}

// askedLock judges a lock that a request asks for, but for the time, which only the commit knows, and brings its date to the precision of entries.
func askedLock(b *index.Bucket, asked *entry.Lock) (entry.Lock, error) {
	if asked == nil || *asked == (entry.Lock{}) {
		return entry.Lock{}, nil
	}
	if err := lockable(b); err != nil {
		return entry.Lock{}, err
	}
	l := *asked
	var err error
	l.Until, err = lockUntil(l.Mode, l.Until)
	return l, err
}

// within refuses a retention that ends later than Options.MaxRetentionDays allow: ErrBadName. A COMPLIANCE lock that a mistyped year made could be ended by nobody.
func (s *Store) within(until, now time.Time) error {
	days := s.opt.MaxRetentionDays
	if days <= 0 || !until.After(now.AddDate(0, 0, days)) {
		return nil
	}
	return core.BadValue("the retain-until date %s is farther away than the longest retention of this store, %d days (max-retention-days)", until.UTC().Format(time.RFC3339), days)
}

// lockUntil returns the date of a retention in whole microseconds, rounded up so that no lock is shorter than what was asked for. ErrBadState: an unknown mode, or a mode
// and no date, or a date and no mode, or a date that can't be written.
func lockUntil(mode string, until time.Time) (time.Time, error) {
	switch {
	case mode != "" && mode != entry.Governance && mode != entry.Compliance:
		return until, core.BadState("the retention mode %q is neither GOVERNANCE nor COMPLIANCE", mode)
	case (mode == "") != until.IsZero():
		return until, core.BadState("a retention has a mode and a retain-until date")
	case until.IsZero():
		return until, nil
	}
	up := until.UTC().Truncate(time.Microsecond)
	if up.Before(until) {
		up = up.Add(time.Microsecond)
	}
	if up.Year() > 9999 {
		return up, core.BadState("the retain-until date is after the year 9999")
	}
	return up, nil
}
