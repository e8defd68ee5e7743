package admin_test

import (
	"errors"
	"fmt"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/rpc"
	"stele/internal/rpc/client"
)

// testParts restores a part: the changes, the report and the errors are those of the store.
func testParts(t *testing.T, s client.Store) {
	ctx := t.Context()
	must[stele.Committed](t)(s.CreateBucket(ctx, by, "docs", false))
	for i := range 3 {
		put(t, s, "docs", fmt.Sprint("k", i), "one")
	}
	at := stele.View{Size: must[stele.Stats](t)(s.Stats(ctx)).Entries}
	put(t, s, "docs", "k1", "two")
	put(t, s, "docs", "k3", "three")
	must[stele.HideResult](t)(s.Hide(ctx, stele.HideRequest{By: by, Bucket: "docs", Key: "k2"}))
	for _, dry := range []bool{true, false} {
		var told []string
		r, err := s.RestorePart(ctx, stele.PartRestore{By: by, Bucket: "docs", At: at, HideNewer: true, DryRun: dry, Reason: "why", Change: func(c stele.PartChange) error {
			told = append(told, fmt.Sprintf("%s %s %d %v", c.Action, c.Key, c.Size, c.Entry > 0))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("[restored k1 3 %[1]v restored k2 3 %[1]v hidden k3 5 %[1]v]", !dry); fmt.Sprint(told) != want {
			t.Errorf("told %v, want %v", told, want)
		}
		if r.Restored != (stele.Tally{Keys: 2, Bytes: 6}) || r.Kept.Keys != 1 || r.Hidden.Keys != 1 || r.At != at.Size || r.To != "docs" {
			t.Errorf("%+v", r)
		}
	}
	if got := read(t, s, stele.Place{Bucket: "docs", Key: "k1"}); got != "one" {
		t.Errorf("restored to %q", got)
	}
	var last *entry.Entry
	if err := s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.ObjectPut}}, func(e *entry.Entry) error { last = e; return nil }); err != nil || last.Private.Reason != fmt.Sprintf("restore as of @%d: why", at.Size) {
		t.Errorf("%+v %v", last, err)
	}
	if _, err := s.RestorePart(ctx, stele.PartRestore{By: by, Bucket: "none", At: at}); !errors.Is(err, stele.ErrNoBucket) {
		t.Errorf("no such bucket: %v", err)
	}
	if _, err := s.RestorePart(ctx, stele.PartRestore{By: by, Bucket: "docs", At: stele.View{Size: 1 << 30}}); !errors.Is(err, stele.ErrFuture) {
		t.Errorf("the future: %v", err)
	}
	stop := errors.New("enough")
	put(t, s, "docs", "k1", "two")
	if _, err := s.RestorePart(ctx, stele.PartRestore{By: by, Bucket: "docs", At: at, Change: func(stele.PartChange) error { return stop }}); !errors.Is(err, stop) {
		t.Errorf("what the caller says ends it: %v", err)
	}
}

// TestPartRoles: only an admin restores; an auditor compares; a key that is limited to a bucket does neither.
func TestPartRoles(t *testing.T) {
	s := newStore(t)
	must[stele.Committed](t)(s.CreateBucket(t.Context(), by, "docs", false))
	put(t, s, "docs", "k", "one")
	at := stele.View{Size: s.Ledger().Size()}
	must[stele.HideResult](t)(s.Hide(t.Context(), stele.HideRequest{By: by, Bucket: "docs", Key: "k"}))
	url := port(t, s).URL
	for role, may := range map[string]struct{ compare, restore bool }{
		stele.RoleAuditor: {compare: true}, stele.RoleReadWrite: {}, stele.RoleAppend: {}, stele.RoleReadOnly: {}, stele.RoleAdmin: {true, true},
	} {
		k := must[entry.AccessKey](t)(s.Keys().Create(t.Context(), by, role, nil, 0))
		c, err := client.Dial(t.Context(), url, k, nil)
		if err == nil {
			_, err = c.RestorePart(t.Context(), stele.PartRestore{Bucket: "docs", At: at, DryRun: true})
		}
		if errors.Is(err, rpc.ErrDenied) == may.compare {
			t.Errorf("%s compares: %v", role, err)
		}
		_, err = c.RestorePart(t.Context(), stele.PartRestore{Bucket: "docs", At: at, By: by})
		_, gone := s.Head(t.Context(), stele.Place{Bucket: "docs", Key: "k"})
		if errors.Is(err, rpc.ErrDenied) == may.restore || errors.Is(gone, stele.ErrNoKey) == may.restore {
			t.Errorf("%s restores: %v, %v", role, err, gone)
		}
		if may.restore {
			must[stele.HideResult](t)(s.Hide(t.Context(), stele.HideRequest{By: by, Bucket: "docs", Key: "k"}))
		}
	}
}
