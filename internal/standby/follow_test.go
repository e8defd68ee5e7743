package standby

import (
	"fmt"
	"testing"
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
	if got := s.store.Here(); got < n {
		r.t.Fatalf("the standby has %d entries, at least %d were accepted before", got, n)
	}
}
