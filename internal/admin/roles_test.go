package admin_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/admin"
	"stele/internal/rpc"
	"stele/internal/s3api/doortest"
)

// Who may call what on the admin port. A route without a line fails TestRightsOfEachRoute.
var portRights = map[string]string{
	// What everybody may: it tells nothing of what is stored, or proves itself.
	"everybody": `GET /healthz/live GET /healthz/ready GET /healthz/write GET /metrics GET /ledger/checkpoint GET /ledger/handover POST /add-checkpoint POST /v1/Learn /v1/`,
	// What only reads.
	"admin auditor": `GET /ledger/tile/ GET /ledger/proof GET /ledger/consistency GET /ledger/entries
		GET /replica/state GET /replica/files GET /replica/file GET /replica/succession
		POST /v1/Hello POST /v1/Head POST /v1/OpenBody POST /v1/Prove POST /v1/Consistency POST /v1/List POST /v1/ListVersions POST /v1/History POST /v1/WhyGone
		POST /v1/Buckets POST /v1/Bucket POST /v1/ViewAt POST /v1/ParseBucket POST /v1/Views POST /v1/Log POST /v1/Verify POST /v1/Hydration POST /v1/ComparePart
		POST /v1/Stats POST /v1/Scrubbed POST /v1/HideBursts POST /v1/Keys POST /v1/Targets POST /v1/Standbys POST /v1/KitConfirmed POST /v1/ShareSets POST /v1/Following`,
	// What changes something.
	"admin": `POST /v1/Put POST /v1/Hide POST /v1/CreateBucket POST /v1/DeleteBucket POST /v1/SetVersioning POST /v1/SetObjectLock POST /v1/Pin POST /v1/DrillTarget
		POST /v1/RestorePart POST /v1/PromoteFrom POST /v1/PromoteStandby POST /v1/SeeHides POST /v1/CreateKey POST /v1/RevokeKey POST /v1/AddTarget POST /v1/AddTargetAnew POST /v1/RemoveTarget
		POST /v1/CancelRemoval POST /v1/FlushTargets POST /v1/ConfirmKit POST /v1/NoteShares POST /v1/ConfirmShare POST /v1/AddStandby POST /v1/RemoveStandby`,
}

// noFollower is a standby that does nothing.
type noFollower struct{}

func (noFollower) Following() rpc.FollowState { return rpc.FollowState{} }

func (noFollower) Promote(context.Context, stele.Actor, string) (stele.Promotion, error) {
	return stele.Promotion{}, stele.ErrBadState
}

// TestRightsOfEachRoute calls each route of the admin port in the name of each role, without a scope and with one. What is denied must leave nothing in the ledger but notes of it.
func TestRightsOfEachRoute(t *testing.T) {
	s := newStore(t)
	s.CreateBucket(t.Context(), by, "box", false) //nolint:errcheck // put fails below
	put(t, s, "box", "k", "bytes")
	opt := admin.Options{Store: s, Authenticate: authenticate(s), Metrics: admin.NewMetrics(s), Follower: noFollower{}, Witness: http.NotFoundHandler()}
	ts := httptest.NewServer(admin.NewServer(opt).Port())
	t.Cleanup(ts.Close)
	type caller struct {
		name, role string // no role: nobody who may be believed
		key        *doortest.Key
	}
	root := s.Keys().Root()
	callers := []caller{{"root", stele.RoleAdmin, &doortest.Key{ID: root.ID, Secret: root.Secret, Service: rpc.Service}}, {"wrong secret", "", &doortest.Key{ID: root.ID, Secret: "wrong", Service: rpc.Service}},
		{"root at the S3 address", "", &doortest.Key{ID: root.ID, Secret: root.Secret}}, {"anonymous", "", nil}}
	newKey := func(role string, scope ...string) *doortest.Key {
		k, err := s.Keys().Create(t.Context(), by, role, scope, 0)
		if err != nil {
			t.Fatal(err)
		}
		return &doortest.Key{ID: k.ID, Secret: k.Secret, Service: rpc.Service}
	}
	for _, role := range []string{stele.RoleAdmin, stele.RoleReadWrite, stele.RoleAppend, stele.RoleReadOnly, stele.RoleAuditor} {
		callers = append(callers, caller{role, role, newKey(role)}, caller{role + " of a bucket", "", newKey(role, "box")}, caller{role + " of a prefix", "", newKey(role, "box/k")})
	}
	revoked := newKey(stele.RoleAdmin)
	if _, err := s.Keys().Revoke(t.Context(), by, revoked.ID); err != nil {
		t.Fatal(err)
	}
	callers = append(callers, caller{"revoked", "", revoked})

	rights := map[string]string{}
	for who, routes := range portRights {
		words := strings.Fields(routes)
		for i := 0; i < len(words); i++ {
			pattern := words[i]
			if !strings.HasPrefix(pattern, "/") {
				i++
				pattern += " " + words[i]
			}
			rights[pattern] = who
		}
	}
	routes := admin.Routes(opt)
	for pattern := range rights {
		if !slices.Contains(routes, pattern) {
			t.Errorf("the table has a line for %s, which is no route", pattern)
		}
	}
	for _, pattern := range routes {
		who, ok := rights[pattern]
		if !ok {
			t.Errorf("the route %s has no line in the table portRights: say there who may call it", pattern)
			continue
		}
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "POST", pattern+"Nothing"
		}
		for _, c := range callers {
			allowed := who == "everybody" || c.role != "" && slices.Contains(strings.Fields(who), c.role)
			before := s.Ledger().Size()
			// No argument of any call: who is let in is told so, and nothing is done.
			r, err := http.NewRequest(method, ts.URL+path, strings.NewReader("?"))
			if err != nil {
				t.Fatal(err)
			}
			if c.key != nil {
				c.key.Sign(r, doortest.Sum([]byte("?")))
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			reply, _ := io.ReadAll(res.Body)
			res.Body.Close()
			refused := res.StatusCode == 403 || res.StatusCode == 401
			if refused == allowed || res.StatusCode >= 500 {
				t.Errorf("%s by %s: %d, allowed is %v\n%.200s", pattern, c.name, res.StatusCode, allowed, reply)
			}
			if s.Ledger().Size() == before {
				continue
			}
			if err := s.Ledger().Log(t.Context(), stele.LogQuery{From: before}, func(e *entry.Entry) error {
				if e.Type != entry.DeniedSum {
					t.Errorf("%s by %s wrote %s", pattern, c.name, e.Type)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
