package stele_test

import (
	"testing"

	"stele"
	"stele/internal/storetest"
)

// TestWhyGone: a deleted bucket and a hidden object name the entry that took them away, in each view; what was never there, or is there, names none.
func TestWhyGone(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	alice := stele.LocalUser("1000", "alice")
	must := func(c stele.Committed, err error) uint64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c.Entry
	}
	put := func(bucket, key string) {
		t.Helper()
		if _, err := s.Put(ctx, stele.PutRequest{By: alice, Bucket: bucket, Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	hide := func(bucket, key string) uint64 {
		t.Helper()
		r, err := s.Hide(ctx, stele.HideRequest{By: alice, Bucket: bucket, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return r.Entry
	}
	check := func(bucket, key string, at stele.View, wantKey string, want uint64) {
		t.Helper()
		g, ok, err := s.WhyGone(ctx, bucket, key, at)
		if err != nil || ok != (want > 0) || ok && (g.Entry != want || g.Key != wantKey || g.By != "local:alice" || g.Address != "uid 1000" || g.Time.IsZero()) {
			t.Errorf("WhyGone(%s, %q, %d) = %+v, %v, %v, want entry %d", bucket, key, at.Size, g, ok, err, want)
		}
	}
	must(s.CreateBucket(ctx, alice, "plain", false))
	must(s.CreateBucket(ctx, alice, "versioned", false))
	must(s.SetVersioning(ctx, alice, "versioned", stele.Enabled))
	for _, b := range []string{"plain", "versioned"} {
		put(b, "k")
		put(b, "stays")
	}
	plain, marker := hide("plain", "k"), hide("versioned", "k")
	check("plain", "k", stele.View{}, "k", plain)
	check("versioned", "k", stele.View{}, "k", marker)
	check("plain", "k", stele.View{Size: plain + 1}, "k", plain)
	check("plain", "k", stele.View{Size: plain}, "", 0)
	check("plain", "stays", stele.View{}, "", 0)
	check("plain", "never", stele.View{}, "", 0)
	check("never", "k", stele.View{}, "", 0)
	check("never", "", stele.View{}, "", 0)
	check("plain", "", stele.View{}, "", 0)
	hide("plain", "stays")
	deleted := must(s.DeleteBucket(ctx, alice, "plain"))
	check("plain", "", stele.View{}, "", deleted)
	check("plain", "k", stele.View{}, "", deleted)
	check("plain", "k", stele.View{Size: deleted}, "k", plain)
	must(s.CreateBucket(ctx, alice, "plain", false))
	check("plain", "", stele.View{}, "", 0)
}
