package core

import (
	"time"
)

// rates hold access keys to the entries a second that they may cause (DESIGN section 5: counts of entries have quotas, since no entry is ever removed). A burst of a minute's worth is let
// through, then as many as the rate says. Only the sequencer asks, by entry time; what was used is forgotten when the process ends.
type rates map[string]*bucket

type bucket struct {
	left float64 // entries that may come now
	at   time.Time
}

// BurstSeconds is how many seconds' worth of entries may come at once.
const BurstSeconds = 60

// allow takes one entry from a key's allowance of rate entries a second; false if nothing is left.
func (r *rates) allow(key string, rate int, now time.Time) bool {
	full := float64(rate) * BurstSeconds
	b := (*r)[key]
	if b == nil {
		if *r == nil {
			*r = rates{}
		}
		b = &bucket{left: full}
		(*r)[key] = b
	} else {
		b.left = min(full, b.left+now.Sub(b.at).Seconds()*float64(rate)) // entry time never goes back
	}
	if b.at = now; b.left < 1 {
		return false
	}
	b.left--
	return true
}
