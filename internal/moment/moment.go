// Package moment reads moments as people write them: for --at, --since and --until of every verb, for the admin API, and for names of buckets as of a time.
//
// A moment is one of
//
//	now                                  the present
//	2h  90m  1h30m  7d  2w  "2h ago"     so long ago (w, d, h, m, s; each unit once, the largest first)
//	today  yesterday                     the beginning of that day, 00:00 UTC, as 2026-11-20 is the beginning of its day
//	04:04  04:04:30                      the last time that it was so late, in UTC: of today if that is past, else of yesterday
//	2026-11-20  "2026-11-20 10:00[:05]"  UTC, unless a zone follows; T in place of the space will do
//	2026-11-20T10:00:00.5+01:00          RFC 3339
//	20261120t100000z                     as names of buckets have it: that whole second is included
//	1795165200  1795165200.5             Unix seconds
//	@123456                              a ledger size: the first 123,456 entries
//	before-upgrade                       any other word may be the name of a pinned view
//
// All but the last three of them are times, and a time that has not come yet is no error here: the reader of the clock decides that.
package moment

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Moment is a moment as it was written: one of its fields says which. The zero Moment is the present.
type Moment struct {
	Time time.Time // zero: it is no time. Entries up to it are included
	Size uint64    // a ledger size; 0: it is none
	Name string    // a word that may be the name of a pinned view; empty: it is none
}

// ErrUnreadable: the text is no moment.
var ErrUnreadable = errors.New("not a time I can read")

// Try is what can be written instead of what can't be read.
const Try = `Try 2h, yesterday, "2026-11-20 10:00" (UTC)`

// maxText bounds what is looked at and quoted, in bytes: the longest form has about 40.
const maxText = 64

// unreadable is the error for a text; why may be empty.
func unreadable(text, why string) error {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	if why != "" {
		why = ": " + why
	}
	return fmt.Errorf("%q: %w%s. %s", text, ErrUnreadable, why, Try)
}

// Unreadable is the error for a word that turned out to name nothing.
func Unreadable(text string) error { return unreadable(text, "") }

var (
	namePattern   = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)
	agoPattern    = regexp.MustCompile(`^(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?$`)
	clockPattern  = regexp.MustCompile(`^[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?$`)
	secondPattern = regexp.MustCompile(`^[0-9]{8}t[0-9]{6}z$`)
	unixPattern   = regexp.MustCompile(`^[0-9]+(?:\.[0-9]{1,9})?$`)
)

// layouts are the dates with and without a time of day; without a zone they are in UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02 15:04Z07:00",
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
}

// Parse reads a moment. now is the reader's clock, for what is counted from it.
func Parse(text string, now time.Time) (Moment, error) {
	now = now.UTC()
	word := strings.TrimSpace(text)
	switch {
	case len(word) > maxText:
		return Moment{}, unreadable(text, "")
	case word == "" || word == "now":
		return Moment{}, nil
	case word == "today":
		return Moment{Time: dayOf(now)}, nil
	case word == "yesterday":
		return Moment{Time: dayOf(now).AddDate(0, 0, -1)}, nil
	case word[0] == '@':
		return size(text, word[1:])
	case secondPattern.MatchString(word):
		t, err := Second(word)
		return Moment{Time: t}, err
	case clockPattern.MatchString(word):
		return clock(text, word, now)
	case unixPattern.MatchString(word):
		return unix(text, word)
	}
	if rest, said := strings.CutSuffix(word, " ago"); said || agoPattern.MatchString(word) {
		return ago(text, strings.TrimSpace(rest), now)
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, strings.ToUpper(word)); err == nil {
			return timed(text, t)
		}
	}
	if namePattern.MatchString(word) {
		return Moment{Name: word}, nil
	}
	return Moment{}, unreadable(text, "")
}

// Second reads the form that stands in names of buckets, 20261120t100000z. The moment is that second's last microsecond, in which entry times are counted.
func Second(text string) (time.Time, error) {
	if !secondPattern.MatchString(text) {
		return time.Time{}, unreadable(text, "")
	}
	t, err := time.Parse("20060102t150405z", text)
	if err != nil {
		return time.Time{}, unreadable(text, "there is no such date or time of day")
	}
	m, err := timed(text, t)
	if err != nil {
		return time.Time{}, err
	}
	return m.Time.Add(time.Second - time.Microsecond), nil
}

// IsName reports whether a pinned view may be called so: a letter and up to 15 letters or digits, all lower-case, since it stands in names of buckets.
func IsName(word string) bool { return namePattern.MatchString(word) }

// IsWord reports whether a word is read as a moment, so that nothing else may be called so.
func IsWord(word string) bool {
	m, err := Parse(word, time.Unix(2*minUnix, 0))
	return err == nil && m.Name == ""
}

func dayOf(t time.Time) time.Time { return t.Truncate(24 * time.Hour) } // the zero time is a midnight in UTC

// timed refuses the zero time and before, which would be taken for the present.
func timed(text string, t time.Time) (Moment, error) {
	if t = t.UTC(); t.Year() < 1970 || t.Year() > 9999 {
		return Moment{}, unreadable(text, "the year must be 1970 or later")
	}
	return Moment{Time: t}, nil
}

func size(text, digits string) (Moment, error) {
	n, err := strconv.ParseUint(digits, 10, 53) // entries are counted below 2^53
	if err != nil || n == 0 || digits[0] == '+' {
		return Moment{}, unreadable(text, "behind @ stands a ledger size, a number from 1 on")
	}
	return Moment{Size: n}, nil
}

// clock is the last time that it was so late.
func clock(text, word string, now time.Time) (Moment, error) {
	var t time.Time
	var err error
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err = time.Parse(layout, word); err == nil {
			break
		}
	}
	if err != nil {
		return Moment{}, unreadable(text, "there is no such time of day")
	}
	at := dayOf(now).Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second)
	if at.After(now) {
		at = at.AddDate(0, 0, -1)
	}
	return timed(text, at)
}

// Unix seconds have nine digits or more since 1973. Fewer are rather a ledger size without its @, or a date without its dashes.
const (
	minUnix = 100_000_000
	maxUnix = 100_000_000_000 // beyond the year 5000: milliseconds
)

func unix(text, word string) (Moment, error) {
	whole, part, _ := strings.Cut(word, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case err != nil || n >= maxUnix:
		return Moment{}, unreadable(text, "Unix time is written in seconds")
	case n < minUnix:
		return Moment{}, unreadable(text, "a ledger size is written @"+whole+", a date with dashes")
	}
	nanos, err := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	if err != nil {
		return Moment{}, unreadable(text, "")
	}
	return timed(text, time.Unix(n, nanos))
}

// ago is a time before now: w, d, h, m and s, each once.
func ago(text, word string, now time.Time) (Moment, error) {
	m := agoPattern.FindStringSubmatch(word)
	if m == nil || word == "" {
		return Moment{}, unreadable(text, "")
	}
	var total time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i+1], 10, 64)
		if err != nil || n > int64(math.MaxInt64-total)/int64(unit) {
			return Moment{}, unreadable(text, "that is too long ago")
		}
		total += time.Duration(n) * unit
	}
	return timed(text, now.Add(-total))
}
