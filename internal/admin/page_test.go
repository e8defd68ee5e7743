package admin

import (
	"testing"

	"stele"
)

// TestPaged: nobody has the server hold a whole bucket's listing in memory.
func TestPaged(t *testing.T) {
	for asked, want := range map[int]int{1 << 40: maxListed, maxListed + 1: maxListed, 7: 7, 0: 0} {
		if got := paged(stele.ListRequest{Max: asked}).Max; got != want {
			t.Errorf("asked for %d, listed %d, want %d", asked, got, want)
		}
	}
}
