package stele_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"stele"
	"stele/internal/index"
	"stele/internal/storetest"
)

// TestEmptyingByPages lists versions and hides each page before the next is asked for, as every tool that empties a bucket does. A page may end with a null
// version, which is then gone: the rest of its key must come all the same.
func TestEmptyingByPages(t *testing.T) {
	for _, past := range []bool{false, true} {
		for size := 1; size <= 5; size++ {
			s := storetest.NewMem(t, stele.Options{})
			storetest.MakeBucket(t, s, "books", false, stele.Enabled)
			for key := range 3 {
				for range 2 {
					storetest.Put(t, s, "books", fmt.Sprint("k", key), nil)
				}
				setVersioning(t, s, stele.Suspended)
				storetest.Put(t, s, "books", fmt.Sprint("k", key), nil)
				setVersioning(t, s, stele.Enabled)
				storetest.Put(t, s, "books", fmt.Sprint("k", key), nil)
			}
			q := stele.ListRequest{Bucket: "books", Max: size}
			if past {
				q.At = stele.View{Size: s.Ledger().Size()}
			}
			seen := map[string]bool{}
			for {
				page, err := s.ListVersions(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range page.Versions {
					if seen[v.Key+v.ID] {
						t.Errorf("pages of %d: %s %s came twice", size, v.Key, v.ID)
					}
					seen[v.Key+v.ID] = true
					if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: v.Key, VersionID: v.ID}); err != nil {
						t.Fatal(err)
					}
				}
				if q.After, q.AfterID = page.Next, page.NextID; !page.Truncated {
					break
				}
			}
			if len(seen) != 12 {
				t.Errorf("pages of %d, past %v: %d versions of 12", size, past, len(seen))
			}
			if _, err := s.DeleteBucket(ctx, stele.Local(), "books"); err != nil {
				t.Errorf("pages of %d: %v", size, err)
			}
		}
	}
}

func setVersioning(t *testing.T, s *stele.Store, to stele.Versioning) {
	t.Helper()
	if _, err := s.SetVersioning(ctx, stele.Local(), "books", to); err != nil {
		t.Fatal(err)
	}
}

// TestNullMarker: a client may name the null version as a marker; in a bucket that was never versioned the page's own marker is "null", as at AWS.
func TestNullMarker(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	storetest.Put(t, s, "books", "a", nil)
	storetest.Put(t, s, "books", "b", nil)
	page, err := s.ListVersions(ctx, stele.ListRequest{Bucket: "books", Max: 1})
	if err != nil || page.Next != "a" || page.NextID != "null" {
		t.Fatalf("%+v %v", page, err)
	}
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a"}); err != nil {
		t.Fatal(err)
	}
	keys := func(id string) (out []string) {
		t.Helper()
		page, err := s.ListVersions(ctx, stele.ListRequest{Bucket: "books", Max: 10, After: "a", AfterID: id})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			out = append(out, v.Key+" "+string(map[bool]string{true: "null", false: "id"}[v.Null]))
		}
		return out
	}
	if got := keys("null"); !slices.Equal(got, []string{"b null"}) {
		t.Errorf("%q", got)
	}
	storetest.Put(t, s, "books", "a", nil)
	setVersioning(t, s, stele.Enabled)
	storetest.Put(t, s, "books", "a", nil)
	if got := keys("null"); !slices.Equal(got, []string{"b null"}) {
		t.Errorf("after the null version, the oldest: %q", got)
	}
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a", VersionID: "null"}); err != nil {
		t.Fatal(err)
	}
	if got := keys("null"); !slices.Equal(got, []string{"a id", "b null"}) {
		t.Errorf("where it is gone nothing is left out: %q", got)
	}
	if _, err := s.ListVersions(ctx, stele.ListRequest{Bucket: "books", Max: 10, After: "a", AfterID: "rubbish"}); !errors.Is(err, stele.ErrBadName) {
		t.Error(err)
	}
}

// TestPastListingEnds: a view of the past reads also what is hidden. Who gave up does not make it go on.
func TestPastListingEnds(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	for i := range 3000 {
		key := fmt.Sprintf("k%05d", i)
		storetest.Put(t, s, "books", key, nil)
		if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	at := stele.View{Size: s.Ledger().Size()}
	if page, err := s.List(ctx, stele.ListRequest{Bucket: "books", Max: 10, At: at}); err != nil || len(page.Versions) != 0 {
		t.Fatalf("%+v %v", page, err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for name, list := range map[string]func(context.Context, stele.ListRequest) (stele.Page, error){"List": s.List, "ListVersions": s.ListVersions} {
		if _, err := list(gone, stele.ListRequest{Bucket: "books", Max: 10, At: at}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPastPageOfManyVersions: a page of a key with many versions costs the memory of a page.
func TestPastPageOfManyVersions(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Enabled)
	var first stele.Version
	const many = 4000
	for i := range many {
		if v := storetest.Put(t, s, "books", "a", nil); i == 0 {
			first = v
		}
	}
	at := stele.View{Size: s.Ledger().Size()}
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := live(), uint64(0)
	n := 0
	b, err := s.Bucket(ctx, "books", at)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Rooms().Core.Index.List(index.Scan{Inc: b.Inc, Max: 1000, Size: at.Size, Versions: true}, func(index.Listed) error {
		if n++; n == 10 {
			most = live()
			most -= min(before, most)
		}
		return nil
	})
	if err != nil || n != 1000 {
		t.Fatal(n, err)
	}
	if most > 400<<10 {
		t.Errorf("after ten versions of %d the page holds %d KiB", many, most>>10)
	}
	if v, err := s.Head(ctx, stele.Place{Bucket: "books", Key: "a", VersionID: first.ID, At: at}); err != nil || v.Entry != first.Entry || v.Latest {
		t.Errorf("%+v %v", v, err)
	}
}
