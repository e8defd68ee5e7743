package core

import (
	"time"

	"golang.org/x/time/rate"
)

// rates hold access keys to the entries a second that they may cause (DESIGN section 5: counts of entries have quotas, since no entry is ever removed). A burst of a minute's worth is let
// through, then as many as the rate says. Only the sequencer asks, by entry time; what was used is forgotten when the process ends.
type rates map[string]*rate.Limiter

// BurstSeconds is how many seconds' worth of entries may come at once.
const BurstSeconds = 60

// allow takes one entry from a key's allowance of so many entries a second; false if nothing is left.
func (r *rates) allow(key string, perSecond int, now time.Time) bool {
	l := (*r)[key]
	if l == nil || l.Limit() != rate.Limit(perSecond) { // a key's rate does not change, but if it did, the new one would count
		if *r == nil {
			*r = rates{}
		}
		l = rate.NewLimiter(rate.Limit(perSecond), perSecond*BurstSeconds)
		(*r)[key] = l
	}
	return l.AllowN(now, 1)
}
