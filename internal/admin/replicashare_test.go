package admin

import (
	"context"
	"net/http"
	"testing"

	"stele"
	"stele/internal/guard"
)

// TestReplicaPlacesAreShared: one key's calls that wait, or that are read slowly, leave places for another key's.
func TestReplicaPlacesAreShared(t *testing.T) {
	for _, size := range []int{replicaReads, replicaWaiting} {
		pool := guard.NewPool(size)
		by := func(ctx context.Context, key string) request {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/replica/state", nil)
			if err != nil {
				t.Fatal(err)
			}
			return request{Request: r, by: stele.Actor{Key: key}}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for n := 0; ; n++ {
			if _, err := by(gone, "auditor").enter(pool); err != nil {
				break
			}
			if n == size {
				t.Fatalf("one key has all %d places", size)
			}
		}
		if _, err := by(gone, "standby").enter(pool); err != nil {
			t.Errorf("of %d places none is left for another key: %v", size, err)
		}
	}
}
