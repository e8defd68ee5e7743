package stele

import (
	"errors"
	"testing"
	"time"

	"stele/internal/core"
)

// TestConditionalHide is AWS's "How to perform conditional deletes": the condition is about the current version; 412 where it does not hold or where the latest version is a delete marker, not found where
// there never was one. Size and time (directory buckets) hold for what is not there.
func TestConditionalHide(t *testing.T) {
	other, zero := int64(99), int64(0)
	past := time.Now().Add(-1000 * time.Hour)
	for _, state := range []Versioning{Unversioned, Enabled, Suspended} {
		s := newMemStore(t, Options{})
		makeBucket(t, s, "books", false, state)
		v := put(t, s, "books", "there", []byte("x"))
		put(t, s, "books", "marked", []byte("x"))
		if _, err := s.Hide(ctx, HideRequest{By: Local(), Bucket: "books", Key: "marked"}); err != nil {
			t.Fatal(err)
		}
		marked := ErrPrecondition
		if state == Unversioned {
			marked = ErrNoKey
		}
		one := int64(1)
		for _, c := range []struct {
			key  string
			cond Conditions
			want error
		}{
			{"there", Conditions{Match: `"00000000000000000000000000000000"`}, ErrPrecondition},
			{"there", Conditions{Size: &other}, ErrPrecondition},
			{"there", Conditions{ModifiedTime: &past}, ErrPrecondition},
			{"there", Conditions{Match: "*", Size: &zero}, ErrPrecondition},
			{"none", Conditions{Match: "*"}, ErrNoKey},
			{"none", Conditions{Match: v.ETag}, ErrNoKey},
			{"marked", Conditions{Match: "*"}, marked},
			{"marked", Conditions{Match: v.ETag}, marked},
			{"never", Conditions{Size: &one}, nil},
			{"never", Conditions{ModifiedTime: &past}, nil},
			{"there", Conditions{Match: v.ETag, Size: &one, ModifiedTime: &v.Time}, nil},
		} {
			before := s.Size()
			if _, err := s.Hide(ctx, HideRequest{By: Local(), Bucket: "books", Key: c.key, If: c.cond}); !errors.Is(err, c.want) || err != nil && c.want == nil {
				t.Errorf("%q: %s %+v: %v, want %v", state, c.key, c.cond, err, c.want)
			} else if err != nil && s.Size() != before {
				t.Errorf("%q: %s %+v: refused, and the ledger has grown", state, c.key, c.cond)
			}
		}
		w := put(t, s, "books", "again", []byte("x"))
		if _, err := s.Hide(ctx, HideRequest{By: Local(), Bucket: "books", Key: "again", VersionID: w.ID, If: Conditions{Match: `"no"`}}); !errors.Is(err, ErrPrecondition) {
			t.Errorf("%q: by version: %v", state, err)
		}
		if _, err := s.Hide(ctx, HideRequest{By: Local(), Bucket: "books", Key: "again", VersionID: w.ID, If: Conditions{Match: w.ETag}}); err != nil {
			t.Errorf("%q: by version: %v", state, err)
		}
	}
}

// TestHideInEveryState walks through what DELETE does to null versions and markers as AWS's "Deleting object versions from a versioning-suspended bucket" has it.
func TestHideInEveryState(t *testing.T) {
	s := newMemStore(t, Options{})
	makeBucket(t, s, "books", false, Unversioned)
	shows := func(want ...string) {
		t.Helper()
		page, err := s.ListVersions(ctx, ListRequest{Bucket: "books", Max: 100})
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
	hide := func(version string) HideResult {
		t.Helper()
		r, err := s.Hide(ctx, HideRequest{By: Local(), Bucket: "books", Key: "a", VersionID: version})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	set := func(to Versioning) {
		t.Helper()
		if _, err := s.SetVersioning(ctx, Local(), "books", to); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "books", "a", []byte("1"))
	put(t, s, "books", "a", []byte("2"))
	shows("null version")
	hide("null")
	shows()
	put(t, s, "books", "a", []byte("3"))
	set(Enabled)
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
	put(t, s, "books", "a", []byte("4"))
	set(Suspended)
	put(t, s, "books", "a", []byte("5"))
	shows("null version", "version")
	if r := hide(""); !r.Marker || r.VersionID != "null" {
		t.Errorf("%+v", r)
	}
	shows("null marker", "version")
	hide("")
	shows("null marker", "version")
	set(Enabled)
	put(t, s, "books", "a", []byte("6"))
	shows("version", "null marker", "version")
	set(Suspended)
	put(t, s, "books", "a", []byte("7"))
	shows("null version", "version", "version")
	hide("null")
	shows("version", "version")
	if got := read(t, s, Place{Bucket: "books", Key: "a"}); string(got) != "6" {
		t.Errorf("current is %q", got)
	}
	v, err := s.Head(ctx, Place{Bucket: "books", Key: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := s.Head(ctx, Place{Bucket: "books", Key: "a", VersionID: v.ID}); err != nil || !w.Latest {
		t.Errorf("the latest version by its id: %+v %v", w, err)
	}
	hide("")
	if w, err := s.Head(ctx, Place{Bucket: "books", Key: "a", VersionID: v.ID}); err != nil || w.Latest {
		t.Errorf("behind a marker: %+v %v", w, err)
	}
	if w, err := s.Head(ctx, Place{Bucket: "books", Key: "a"}); !errors.Is(err, ErrNoKey) || !w.Marker || !w.Latest {
		t.Errorf("the marker: %+v %v", w, err)
	}
	if _, err := s.DeleteBucket(ctx, Local(), "books"); !errors.Is(err, ErrBucketNotEmpty) {
		t.Error(err)
	}
}

// TestAppendHidesNothing: who may only add makes nothing invisible, a null version behind a delete marker neither.
func TestAppendHidesNothing(t *testing.T) {
	s := newMemStore(t, Options{})
	makeBucket(t, s, "books", false, Unversioned)
	by := Actor{Key: core.ActorLocal, NoOverwrite: true}
	add := func(key string) error {
		_, err := s.Put(ctx, PutRequest{By: by, Bucket: "books", Key: key, Size: 0})
		return err
	}
	if err := add("a"); err != nil {
		t.Fatal(err)
	}
	if err := add("a"); !errors.Is(err, ErrOverwriteDenied) {
		t.Errorf("a live key: %v", err)
	}
	if _, err := s.Put(ctx, PutRequest{By: by, Bucket: "books", Key: "a", Size: 0, If: Conditions{NoneMatch: "*"}}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("a live key, with If-None-Match: *: %v", err)
	}
	setVersioning(t, s, Enabled)
	if _, err := s.Hide(ctx, HideRequest{By: Local(), Bucket: "books", Key: "a"}); err != nil {
		t.Fatal(err)
	}
	setVersioning(t, s, Suspended)
	if err := add("a"); !errors.Is(err, ErrOverwriteDenied) {
		t.Errorf("it would hide the null version: %v", err)
	}
	setVersioning(t, s, Enabled)
	if err := add("a"); err != nil {
		t.Errorf("behind a marker: %v", err)
	}
	put(t, s, "books", "b", nil)
	setVersioning(t, s, Suspended)
	if _, err := s.Hide(ctx, HideRequest{By: Local(), Bucket: "books", Key: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := add("b"); err != nil {
		t.Errorf("over a null marker: %v", err)
	}
}
