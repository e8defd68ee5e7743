package s3api

import "testing"

// TestEachOperationHasAllItsParts: an operation that the table says is carried out has a function that does so, one that is refused has none, and each but the CORS preflight, which is told by its method, has a route.
func TestEachOperationHasAllItsParts(t *testing.T) {
	routed := map[Op]bool{}
	for _, r := range routes {
		routed[r.op] = true
	}
	for op := opUnknown + 1; op < opCount; op++ {
		if op == OpPreflight {
			continue
		}
		if op.String() == "" {
			t.Errorf("operation %d has no row", op)
		}
		if done := operations[op] != nil; done != op.Implemented() {
			t.Errorf("%s: the table says that it is carried out: %v; a function that does so is there: %v", op, op.Implemented(), done)
		}
		if !routed[op] {
			t.Errorf("%s has no route", op)
		}
	}
}
