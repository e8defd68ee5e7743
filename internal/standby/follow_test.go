package standby

import (
	"context"
	"fmt"
	"testing"

	"stele"
)

// TestFollow: what the primary acknowledged is on the standby, byte for byte and in the same tree: small and large objects, across sealed segments and packs, after
// the standby was started anew, and after the primary was.
func TestFollow(t *testing.T) {
	r := newRig(t)
	r.put("before", 3000, 1)
	r.admit()
	s := r.open()
	catchUp(t, r, s)
	r.same("the standby", s.store.Store)
	r.sameTree(s)
	for i := range 150 {
		r.put(fmt.Sprintf("small/%d", i), 2000, uint64(i))
		if i%7 == 0 {
			catchUp(t, r, s)
		}
	}
	r.put("large", 1<<20, 3)
	catchUp(t, r, s)
	r.same("the standby", s.store.Store)
	r.sameTree(s)
	must(t, s.Close())

	r.put("meanwhile", 70000, 4)
	s = r.open()
	r.mustHave(s, 100) // what was there is readable before the primary is asked
	catchUp(t, r, s)
	r.same("the standby, started anew", s.store.Store)
	r.sameTree(s)

	r.restart()
	s.primary = nil
	r.put("after", 5000, 5)
	catchUp(t, r, s)
	r.same("the standby of a primary that was started anew", s.store.Store)
	r.sameTree(s)
	must(t, s.Close())
}

func (r *rig) mustHave(s *Standby, n uint64) {
	r.t.Helper()
	if got := s.store.Follow.Here(); got < n {
		r.t.Fatalf("the standby has %d entries, at least %d were accepted before", got, n)
	}
}

// waits notes whether it was asked to wait, and does not.
type waits struct {
	Primary
	asked *[]bool
}

func (w waits) ReplicaState(ctx context.Context, from uint64, keyrings int, wait bool) (stele.ReplicaState, error) {
	*w.asked = append(*w.asked, wait)
	return w.Primary.ReplicaState(ctx, from, keyrings, false)
}

// TestKeylessWaits: a standby without keys waits for the primary's next change like any other, and does not ask as fast as it can.
func TestKeylessWaits(t *testing.T) {
	r := newRig(t)
	var asked []bool
	r.wrap = func(p Primary) Primary { return waits{p, &asked} }
	r.sopt.Keyless = true
	s := r.open()
	defer s.Close()
	must(t, s.round(t.Context(), true))
	must(t, s.round(t.Context(), true))
	if !asked[len(asked)-1] {
		t.Errorf("asked to wait: %v; want so once it knows where the primary stands", asked)
	}
}
