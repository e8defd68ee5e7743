package standby

import (
	"context"
	"errors"
	"strings"
	"testing"

	"stele/tree"
)

// TestVouch: a standby vouches for what it accepted, waits for what is to come, and says no to another root and when it is frozen.
func TestVouch(t *testing.T) {
	r := newRig(t)
	r.admit()
	r.put("a", 3000, 1)
	s := New(r.sopt)
	must(t, s.Open(t.Context()))
	defer s.Close()
	ended, end := context.WithCancel(t.Context())
	end()
	head := func() tree.Checkpoint {
		c, err := tree.OpenCheckpoint(r.primary().Ledger().Checkpoint(), r.primary().Ledger().VKey())
		must(t, err)
		return c
	}
	c := head()
	if err := s.Vouch(ended, c); !errors.Is(err, context.Canceled) {
		t.Errorf("before anything was accepted: %v", err)
	}
	vouched := make(chan error)
	go func() { vouched <- s.Vouch(t.Context(), c) }()
	must(t, s.round(t.Context(), false))
	must(t, <-vouched)
	must(t, s.Vouch(ended, tree.Checkpoint{Origin: c.Origin, Size: c.Size, Root: c.Root}))
	c.Root[0] ^= 1
	if err := s.Vouch(t.Context(), c); !errors.Is(err, ErrOther) {
		t.Errorf("another root: %v", err)
	}
	s.note(func(st *Status) { st.Frozen, st.Err = true, "it is frozen" })
	if err := s.Vouch(t.Context(), head()); err == nil || !strings.Contains(err.Error(), "it is frozen") {
		t.Errorf("frozen: %v", err)
	}
}
