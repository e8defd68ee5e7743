package stele

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"stele/entry"
	"stele/internal/index"
)

// denials are refusals on their way into the ledger. They can't flood it: a burst of lock refusals stands alone, all others are one entry a minute.
type denials struct {
	mu     sync.Mutex
	sums   map[string]*refusalSum // by kind and who
	tokens float64
	last   time.Time
}

const (
	denialBurst     = 100 // lock refusals that may stand alone at once
	denialPerSecond = 1   // and how many more each second
)

// Bounds of one minute's sum. Nobody can make a sum unwritable, or empty of what others did, by what he calls himself or asks for.
const (
	maxDenialKinds  = 64        // kinds that are told apart; the rest are counted together
	maxDenialKind   = 128       // bytes of one
	maxDenialPlaces = 32        // actions and buckets that are counted for one kind while the minute lasts
	toldPlaces      = 8         // how many of them are named
	maxToldPlaces   = 8 << 10   // bytes of all that are named
	maxDenialBucket = 63        // bytes of a bucket's name
	maxDenialClaim  = 64        // bytes of an access key id that was named and not proven
	otherPlaces     = "others " // what the places that are not named are called
)

// refusalSum is the count of one kind, and where they were.
type refusalSum struct {
	n       int
	places  tally // "GetObject photos"
	claimed tally // the access keys that were named by requests which proved none. They are no kinds of their own, or whoever makes up names would use up the kinds
}

// tally counts the names that are met most; those that made room for others are counted nowhere.
type tally map[string]int

func (d *denials) alone(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last.IsZero() {
		d.tokens = denialBurst
	} else if passed := now.Sub(d.last).Seconds(); passed > 0 {
		d.tokens = min(denialBurst, d.tokens+passed*denialPerSecond)
	}
	d.last = now
	if d.tokens < 1 {
		return false
	}
	d.tokens--
	return true
}

func (d *denials) count(kind, place, claimed string) {
	d.add(kind, &refusalSum{1, tally{place: 1}, tally{claimed: 1}})
}

func (d *denials) add(kind string, more *refusalSum) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sums == nil {
		d.sums = map[string]*refusalSum{}
	}
	_, known := d.sums[kind]
	if !known && (len(d.sums) >= maxDenialKinds || len(kind) > maxDenialKind || !utf8.ValidString(kind)) {
		kind = "other"
	}
	r := d.sums[kind]
	if r == nil {
		r = &refusalSum{places: tally{}, claimed: tally{}}
		d.sums[kind] = r
	}
	r.n += more.n
	r.places.add(more.places)
	r.claimed.add(more.claimed)
}

func (t tally) add(more tally) {
	for name, n := range more {
		t.at(name, n)
	}
}

// at counts a name. Where there are too many the rarest makes room, so that whoever asks for a thousand names hides no place where much was refused.
func (t tally) at(name string, n int) {
	if name == "" {
		return
	}
	if _, known := t[name]; !known && len(t) >= maxDenialPlaces {
		rarest, least := "", 0
		for p, k := range t {
			if rarest == "" || k < least || k == least && p < rarest {
				rarest, least = p, k
			}
		}
		delete(t, rarest)
	}
	t[name] += n
}

// text is the count, the places with most of it, and the keys that were claimed: "12: GetObject photos 9, PutObject docs 2, others 1; claimed STELEK 12". left is how many bytes may be
// spent on names.
func (r *refusalSum) text(left *int) string {
	out := fmt.Sprint(r.n)
	if told := r.places.told(r.n, left); told != "" {
		out += ": " + told
	}
	if told := r.claimed.told(r.n, left); told != "" {
		out += "; claimed " + told
	}
	return out
}

// told names the most frequent, of n in all.
func (t tally) told(n int, left *int) string {
	names := make([]string, 0, len(t))
	for p := range t {
		names = append(names, p)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(t[b], t[a]), cmp.Compare(a, b)) })
	var told []string
	rest := n
	for _, p := range names[:min(len(names), toldPlaces)] {
		one := fmt.Sprintf("%s %d", p, t[p])
		if *left -= len(one) + 2; *left < 0 {
			break
		}
		told, rest = append(told, one), rest-t[p]
	}
	if rest > 0 && len(told) > 0 {
		told = append(told, fmt.Sprint(otherPlaces, rest))
	}
	return strings.Join(told, ", ")
}

func (d *denials) take() map[string]*refusalSum {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.sums
	d.sums = nil
	return out
}

// refused records what object lock refused, as an entry of its own while few come, else in the minute's sum.
func (s *Store) refused(ctx context.Context, by Actor, bucket, key, version, what string, err error) {
	var re *RetentionError
	if !errors.As(err, &re) || s.opt.ReadOnly {
		return
	}
	if !s.denials.alone(s.now()) {
		s.DeniedAt(by, "lock."+what, "", bucket)
		return
	}
	_, aerr := s.commit(context.WithoutCancel(ctx), by, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
		return ledgerDraft{Type: entry.DeniedLock, Private: entry.Private{Bucket: bucket, Key: key, Name: what, Value: version, Reason: re.Error()}}, nil
	})
	if aerr != nil {
		s.log.Error("couldn't record a refused change", "bucket", bucket, "key", key, "err", aerr)
	}
}

// Denied counts a refusal of another kind. A minute's counts become one entry.
func (s *Store) Denied(by Actor, kind string) { s.DeniedAt(by, kind, "", "") }

// DeniedAt is Denied of an action on a bucket; either may be empty. The entry names the eight with the most refusals of each kind and who; the bucket's name is what a client sent.
// Of requests that proved no key it also names the keys that they claimed, as claimed.
func (s *Store) DeniedAt(by Actor, kind, action, bucket string) {
	if by.Key != "" {
		by.Claimed = "" // what is proven is not claimed
	}
	s.denials.count(strings.TrimSpace(kind+" "+by.Key), placeOf(action, bucket), claimOf(by.Claimed))
}

// claimOf is an access key id as a sum names it: text from outside, bounded, with only what ids usually consist of.
func claimOf(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._+@=", r) {
			return r
		}
		return '_'
	}, id[:min(len(id), maxDenialClaim)])
}

func placeOf(action, bucket string) string {
	bucket, _, _ = strings.Cut(bucket, "--at-") // a view of the past is of that bucket
	if len(bucket) > maxDenialBucket || strings.ContainsFunc(bucket, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r))
	}) {
		bucket = "" // no name of a bucket
	}
	return strings.TrimSpace(action + " " + bucket)
}

func (s *Store) appendDenials(ctx context.Context) error {
	sums := s.denials.take()
	if len(sums) == 0 {
		return nil
	}
	kinds := make([]string, 0, len(sums))
	for kind := range sums {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b string) int { return cmp.Or(cmp.Compare(sums[b].n, sums[a].n), cmp.Compare(a, b)) })
	data, left := make(map[string]string, len(sums)), maxToldPlaces
	for _, kind := range kinds {
		data[kind] = sums[kind].text(&left)
	}
	_, err := s.commit(ctx, Actor{Key: actorStele}, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
		return ledgerDraft{Type: entry.DeniedSum, Private: entry.Private{Data: data}}, nil
	})
	if err != nil {
		for kind, r := range sums {
			s.denials.add(kind, r) // for the next minute
		}
	}
	return err
}
