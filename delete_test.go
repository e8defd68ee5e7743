package stele_test

import (
	"errors"
	"testing"
	"time"

	"stele"
	"stele/internal/core"
	"stele/internal/storetest"
)

// TestConditionalHide is AWS's "How to perform conditional deletes": the condition is about the current version; 412 where it does not hold or where the latest version is a delete marker, not found where
// there never was one. Size and time (directory buckets) hold for what is not there.
func TestConditionalHide(t *testing.T) {
	other, zero := int64(99), int64(0)
	past := time.Now().Add(-1000 * time.Hour)
	for _, state := range []stele.Versioning{stele.Unversioned, stele.Enabled, stele.Suspended} {
		s := storetest.NewMem(t, stele.Options{})
		storetest.MakeBucket(t, s, "books", false, state)
		v := storetest.Put(t, s, "books", "there", []byte("x"))
		storetest.Put(t, s, "books", "marked", []byte("x"))
		if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "marked"}); err != nil {
			t.Fatal(err)
		}
		marked := stele.ErrPrecondition
		if state == stele.Unversioned {
			marked = stele.ErrNoKey
		}
		one := int64(1)
		for _, c := range []struct {
			key  string
			cond stele.Conditions
			want error
		}{
			{"there", stele.Conditions{Match: `"00000000000000000000000000000000"`}, stele.ErrPrecondition},
			{"there", stele.Conditions{Size: &other}, stele.ErrPrecondition},
			{"there", stele.Conditions{ModifiedTime: &past}, stele.ErrPrecondition},
			{"there", stele.Conditions{Match: "*", Size: &zero}, stele.ErrPrecondition},
			{"none", stele.Conditions{Match: "*"}, stele.ErrNoKey},
			{"none", stele.Conditions{Match: v.ETag}, stele.ErrNoKey},
			{"marked", stele.Conditions{Match: "*"}, marked},
			{"marked", stele.Conditions{Match: v.ETag}, marked},
			{"never", stele.Conditions{Size: &one}, nil},
			{"never", stele.Conditions{ModifiedTime: &past}, nil},
			{"there", stele.Conditions{Match: v.ETag, Size: &one, ModifiedTime: &v.Time}, nil},
		} {
			before := s.Ledger().Size()
			if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: c.key, If: c.cond}); !errors.Is(err, c.want) || err != nil && c.want == nil {
				t.Errorf("%q: %s %+v: %v, want %v", state, c.key, c.cond, err, c.want)
			} else if err != nil && s.Ledger().Size() != before {
				t.Errorf("%q: %s %+v: refused, and the ledger has grown", state, c.key, c.cond)
			}
		}
		w := storetest.Put(t, s, "books", "again", []byte("x"))
		if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "again", VersionID: w.ID, If: stele.Conditions{Match: `"no"`}}); !errors.Is(err, stele.ErrPrecondition) {
			t.Errorf("%q: by version: %v", state, err)
		}
		if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "again", VersionID: w.ID, If: stele.Conditions{Match: w.ETag}}); err != nil {
			t.Errorf("%q: by version: %v", state, err)
		}
	}
}

// TestHideInEveryState walks through what DELETE does to null versions and markers as AWS's "Deleting object versions from a versioning-suspended bucket" has it.
func TestHideInEveryState(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	shows := func(want ...string) {
		t.Helper()
		page, err := s.ListVersions(ctx, stele.ListRequest{Bucket: "books", Max: 100})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, v := range page.Versions {
			kind := "version"
			if v.Marker {
				kind = "marker"
			}
			if v.Null {
				kind = "null " + kind
			}
			if v.Latest != (i == 0) {
				t.Errorf("%s is latest: %v", v.ID, v.Latest)
			}
			got = append(got, kind)
		}
		if len(got) != len(want) {
			t.Fatalf("%q, want %q", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	hide := func(version string) stele.HideResult {
		t.Helper()
		r, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a", VersionID: version})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	set := func(to stele.Versioning) {
		t.Helper()
		if _, err := s.SetVersioning(ctx, stele.Local(), "books", to); err != nil {
			t.Fatal(err)
		}
	}
	storetest.Put(t, s, "books", "a", []byte("1"))
	storetest.Put(t, s, "books", "a", []byte("2"))
	shows("null version")
	hide("null")
	shows()
	storetest.Put(t, s, "books", "a", []byte("3"))
	set(stele.Enabled)
	m := hide("")
	shows("marker", "null version")
	if !m.Marker || m.VersionID == "null" {
		t.Errorf("%+v", m)
	}
	hide("null")
	shows("marker")
	if r := hide(m.VersionID); !r.Marker || r.VersionID != m.VersionID {
		t.Errorf("%+v", r)
	}
	shows()
	storetest.Put(t, s, "books", "a", []byte("4"))
	set(stele.Suspended)
	storetest.Put(t, s, "books", "a", []byte("5"))
	shows("null version", "version")
	if r := hide(""); !r.Marker || r.VersionID != "null" {
		t.Errorf("%+v", r)
	}
	shows("null marker", "version")
	hide("")
	shows("null marker", "version")
	set(stele.Enabled)
	storetest.Put(t, s, "books", "a", []byte("6"))
	shows("version", "null marker", "version")
	set(stele.Suspended)
	storetest.Put(t, s, "books", "a", []byte("7"))
	shows("null version", "version", "version")
	hide("null")
	shows("version", "version")
	if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a"}); string(got) != "6" {
		t.Errorf("current is %q", got)
	}
	v, err := s.Head(ctx, stele.Place{Bucket: "books", Key: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := s.Head(ctx, stele.Place{Bucket: "books", Key: "a", VersionID: v.ID}); err != nil || !w.Latest {
		t.Errorf("the latest version by its id: %+v %v", w, err)
	}
	hide("")
	if w, err := s.Head(ctx, stele.Place{Bucket: "books", Key: "a", VersionID: v.ID}); err != nil || w.Latest {
		t.Errorf("behind a marker: %+v %v", w, err)
	}
	if w, err := s.Head(ctx, stele.Place{Bucket: "books", Key: "a"}); !errors.Is(err, stele.ErrNoKey) || !w.Marker || !w.Latest {
		t.Errorf("the marker: %+v %v", w, err)
	}
	if _, err := s.DeleteBucket(ctx, stele.Local(), "books"); !errors.Is(err, stele.ErrBucketNotEmpty) {
		t.Error(err)
	}
}

// TestAppendHidesNothing: who may only add makes nothing invisible, a null version behind a delete marker neither.
func TestAppendHidesNothing(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	by := stele.Actor{Key: core.ActorLocal, NoOverwrite: true}
	add := func(key string) error {
		_, err := s.Put(ctx, stele.PutRequest{By: by, Bucket: "books", Key: key, Size: 0})
		return err
	}
	if err := add("a"); err != nil {
		t.Fatal(err)
	}
	if err := add("a"); !errors.Is(err, stele.ErrOverwriteDenied) {
		t.Errorf("a live key: %v", err)
	}
	if _, err := s.Put(ctx, stele.PutRequest{By: by, Bucket: "books", Key: "a", Size: 0, If: stele.Conditions{NoneMatch: "*"}}); !errors.Is(err, stele.ErrPrecondition) {
		t.Errorf("a live key, with If-None-Match: *: %v", err)
	}
	setVersioning(t, s, stele.Enabled)
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a"}); err != nil {
		t.Fatal(err)
	}
	setVersioning(t, s, stele.Suspended)
	if err := add("a"); !errors.Is(err, stele.ErrOverwriteDenied) {
		t.Errorf("it would hide the null version: %v", err)
	}
	setVersioning(t, s, stele.Enabled)
	if err := add("a"); err != nil {
		t.Errorf("behind a marker: %v", err)
	}
	storetest.Put(t, s, "books", "b", nil)
	setVersioning(t, s, stele.Suspended)
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := add("b"); err != nil {
		t.Errorf("over a null marker: %v", err)
	}
}
