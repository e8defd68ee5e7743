package admin_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"stele/internal/admin"
	"stele/internal/rpc"
)

// TestEachCallHasAHandler walks the table of calls: the server has a route for each, and no route of a call that the table does not have.
func TestEachCallHasAHandler(t *testing.T) {
	s := newStore(t)
	routes := admin.Routes(admin.Options{Store: s, Authenticate: authenticate(s), Follower: noFollower{}, Witness: http.NotFoundHandler()})
	var calls, served []string
	for _, r := range rpc.All() {
		calls = append(calls, "POST "+r.Path())
	}
	slices.Sort(calls)
	for _, r := range routes {
		if strings.HasPrefix(r, "POST /v1/") {
			served = append(served, r)
		}
	}
	for _, c := range calls {
		if !slices.Contains(served, c) {
			t.Errorf("%s is in the table and has no handler", c)
		}
	}
	for _, c := range served {
		if !slices.Contains(calls, c) {
			t.Errorf("%s has a handler and is not in the table", c)
		}
	}
}
