package core

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"stele/entry"
	"stele/internal/index"
	"stele/internal/ledger"
)

// denials are refusals on their way into the ledger. They can't flood it: a burst of lock refusals stands alone, all others are one entry a minute.
type denials struct {
	mu    sync.Mutex
	sums  map[string]*refusalSum // by kind and who
	limit *rate.Limiter          // of the lock refusals that stand alone; nil: there was none yet
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

// alone says whether a lock refusal stands alone now.
func (d *denials) alone(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limit == nil {
		d.limit = rate.NewLimiter(denialPerSecond, denialBurst)
	}
	return d.limit.AllowN(now, 1)
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

// CountDenied counts a refusal of a kind, of who it was or claimed to be, for an action on a bucket, each of which may be empty. A minute's counts become one entry.
func (s *Store) CountDenied(kind, key, claimed, action, bucket string) {
	s.denials.count(strings.TrimSpace(kind+" "+key), placeOf(action, bucket), claimOf(claimed))
}

// DeniedAlone reports whether a refusal may have an entry of its own.
func (s *Store) DeniedAlone() bool { return s.denials.alone(s.Now()) }

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

// appendDenials writes the refusals counted so far as one entry. After an error they are counted with the next ones. A crash loses the counts of at most a minute; nothing else rests on them.
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
	_, err := s.Record(ctx, Who{Key: ActorStele}, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.DeniedSum, Private: entry.Private{Data: data}}, nil
	})
	if err != nil {
		for kind, r := range sums {
			s.denials.add(kind, r) // for the next minute
		}
	}
	return err
}
