package stele

import "testing"

// TestWhyGone: a deleted bucket and a hidden object name the entry that took them away, in each view; what was never there, or is there, names none.
func TestWhyGone(t *testing.T) {
	s := newMemStore(t, Options{})
	alice := LocalUser("1000", "alice")
	must := func(c Committed, err error) uint64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c.Entry
	}
	put := func(bucket, key string) {
		t.Helper()
		if _, err := s.Put(ctx, PutRequest{By: alice, Bucket: bucket, Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	hide := func(bucket, key string) uint64 {
		t.Helper()
		r, err := s.Hide(ctx, HideRequest{By: alice, Bucket: bucket, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return r.Entry
	}
	check := func(bucket, key string, at View, wantKey string, want uint64) {
		t.Helper()
		g, ok, err := s.WhyGone(ctx, bucket, key, at)
		if err != nil || ok != (want > 0) || ok && (g.Entry != want || g.Key != wantKey || g.By != "local:alice" || g.Address != "uid 1000" || g.Time.IsZero()) {
			t.Errorf("WhyGone(%s, %q, %d) = %+v, %v, %v, want entry %d", bucket, key, at.Size, g, ok, err, want)
		}
	}
	must(s.CreateBucket(ctx, alice, "plain", false))
	must(s.CreateBucket(ctx, alice, "versioned", false))
	must(s.SetVersioning(ctx, alice, "versioned", Enabled))
	for _, b := range []string{"plain", "versioned"} {
		put(b, "k")
		put(b, "stays")
	}
	plain, marker := hide("plain", "k"), hide("versioned", "k")
	check("plain", "k", View{}, "k", plain)
	check("versioned", "k", View{}, "k", marker)
	check("plain", "k", View{Size: plain + 1}, "k", plain)
	check("plain", "k", View{Size: plain}, "", 0)
	check("plain", "stays", View{}, "", 0)
	check("plain", "never", View{}, "", 0)
	check("never", "k", View{}, "", 0)
	check("never", "", View{}, "", 0)
	check("plain", "", View{}, "", 0)
	hide("plain", "stays")
	deleted := must(s.DeleteBucket(ctx, alice, "plain"))
	check("plain", "", View{}, "", deleted)
	check("plain", "k", View{}, "", deleted)
	check("plain", "k", View{Size: deleted}, "k", plain)
	must(s.CreateBucket(ctx, alice, "plain", false))
	check("plain", "", View{}, "", 0)
}
