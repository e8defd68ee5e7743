package s3api

import (
	"testing"

	"stele/internal/s3api/policy"
)

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

// TestEachOperationHasItsAction: what a request asks a policy for, with and without a version, is an action that a policy can name, and about what the request is about.
func TestEachOperationHasItsAction(t *testing.T) {
	about := map[level]policy.Level{onService: policy.OnStore, onBucket: policy.OnBucket, onKey: policy.OnObject}
	for _, r := range routes {
		want := about[r.level]
		if r.op == OpDeleteObjects || r.op == OpPostObject { // sent to the bucket, judged by each key
			want = policy.OnObject
		}
		for _, version := range []string{"", "v"} {
			q := &Request{Op: r.op, VersionID: version}
			if got := policy.LevelOf(q.Action()); got != want {
				t.Errorf("%s asks for %s, which the table of actions has at level %d, want %d", r.op, q.Action(), got, want)
			}
		}
	}
	for name, actions := range map[string]map[string]bool{"reads": reads, "puts": puts, "changes": changes, "bucketReads": bucketReads, "policyActions": policyActions} {
		for a := range actions {
			if policy.LevelOf(a) == 0 {
				t.Errorf("%s has %s, which is no action", name, a)
			}
		}
	}
}
