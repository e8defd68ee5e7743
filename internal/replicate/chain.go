package replicate

import (
	"cmp"
	"slices"

	"stele/internal/segment"
)

// link is a file of entries first to end-1 of an epoch.
type link struct {
	name       string // on the target
	epoch      uint32
	first, end uint64 // end is 0 while nobody has asked the footer of a sealed segment
	size       int64  // bytes
	sealed     bool   // else a tail
}

// as is the name that the link has in a source.
func (l *link) as() string { return segment.Name(l.epoch, l.first) }

// gap is where entries are missing below some that are there.
type gap struct{ from, to uint64 }

// gapOf returns the gap behind a chain; false if there is none.
func gapOf(links, all []link) (gap, bool) {
	if len(links) == 0 {
		return gap{}, false
	}
	last := links[len(links)-1]
	for _, l := range all {
		if l.epoch == last.epoch && !l.sealed && l.first > last.end {
			return gap{last.end, l.first}, true
		}
	}
	return gap{}, false
}

// chain chooses what makes the longest ledger of the highest epoch: an epoch counts only up to where the next one that counts begins (what it has beyond is the cut-off tail);
// in each epoch the sealed segments, then the fewest tails that go on without a gap. endOf reads where a sealed segment ends. A gap between sealed segments is left for the ledger to complain of.
func chain(links []link, endOf func(*link) (uint64, error)) ([]link, error) {
	byEpoch := map[uint32][]link{}
	for _, l := range links {
		byEpoch[l.epoch] = append(byEpoch[l.epoch], l)
	}
	epochs := make([]uint32, 0, len(byEpoch))
	for e := range byEpoch {
		epochs = append(epochs, e)
	}
	slices.Sort(epochs)
	slices.Reverse(epochs)
	limit := ^uint64(0)
	var parts [][]link
	for _, e := range epochs {
		part, err := chainOf(byEpoch[e], limit, endOf)
		if err != nil {
			return nil, err
		}
		if len(part) > 0 {
			limit = part[0].first
			parts = append(parts, part)
		}
	}
	slices.Reverse(parts)
	return slices.Concat(parts...), nil
}

// chainOf is the chain of one epoch: its files that begin below limit.
func chainOf(links []link, limit uint64, endOf func(*link) (uint64, error)) ([]link, error) {
	var out, tails []link
	after := uint64(0) // where the sealed segments go on beyond the limit; 0: they don't
	slices.SortFunc(links, func(a, b link) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.end, a.end)) })
	for _, l := range links {
		switch {
		case l.sealed && l.first < limit:
			out = append(out, l)
		case l.sealed && after == 0:
			after = l.first
		case !l.sealed && l.first < limit:
			tails = append(tails, l)
		}
	}
	at := uint64(0)
	if len(tails) > 0 && len(out) == 0 {
		at = tails[0].first
	}
	for i := range out {
		switch l := &out[i]; {
		case i+1 < len(out):
			l.end = out[i+1].first
		case after > 0:
			l.end = after
		default:
			end, err := endOf(l)
			if err != nil {
				return nil, err
			}
			l.end = end
		}
		at = out[i].end
	}
	for _, t := range tails { // ascending; of those that begin at one entry the longest comes first
		if t.first == at && at < limit {
			out = append(out, t)
			at = t.end
		}
	}
	return out, nil
}
