package admin

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"stele"
)

// How often an access key may have the store verified. A verification reads much, and its outcome is an entry, which is kept for ever: a key that only reads must not be able to fill the ledger or to keep
// the disk busy.
const (
	verifyBurst = 10
	verifyEvery = time.Minute // one more
)

// verifications are those that access keys have asked for. The zero value is ready. Whoever comes over the socket is not bounded: he could verify the folder himself.
type verifications struct {
	mu sync.Mutex
	by map[string]*verifier // by access key
}

type verifier struct {
	pace  *rate.Limiter
	under bool // one is under way
}

// begin lets a key begin a verification, one at a time, and returns how to end it. ErrBusy, ErrRate.
func (v *verifications) begin(by stele.Actor, now time.Time) (end func(), err error) {
	if local := stele.Local().Key; by.Key == local || strings.HasPrefix(by.Key, local+":") {
		return func() {}, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.by == nil {
		v.by = map[string]*verifier{}
	}
	one := v.by[by.Key]
	if one == nil {
		one = &verifier{pace: rate.NewLimiter(rate.Every(verifyEvery), verifyBurst)}
		v.by[by.Key] = one
	}
	switch {
	case one.under:
		return nil, fmt.Errorf("%w: a verification that %s has asked for is still under way", stele.ErrBusy, by.Key)
	case !one.pace.AllowN(now, 1):
		return nil, fmt.Errorf("%w: %s has asked for %d verifications, each of which is an entry; it may ask for one more in a minute", stele.ErrRate, by.Key, verifyBurst)
	}
	one.under = true
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		one.under = false
	}, nil
}
