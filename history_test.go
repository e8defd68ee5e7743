package stele_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/storetest"
)

// TestHistoryByPages: pages of any size make the whole history, over versions, markers, tags, locks, hidings and lives.
func TestHistoryByPages(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	for life := range 2 {
		storetest.MakeBucket(t, s, "books", true, stele.Enabled)
		var ids []string
		for i := range 3 {
			v := storetest.Put(t, s, "books", "a", []byte(fmt.Sprint(i)))
			ids = append(ids, v.ID)
			at := stele.Place{Bucket: "books", Key: "a", VersionID: ids[0]}
			_, err1 := s.SetTags(ctx, stele.Local(), at, map[string]string{"n": fmt.Sprint(i)})
			_, err2 := s.SetHold(ctx, stele.Local(), stele.Place{Bucket: "books", Key: "a"}, i%2 == 0)
			_, err3 := s.SetRetention(ctx, stele.Local(), at, entry.Governance, time.Now().Add(time.Duration(i+1)*time.Hour))
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Fatal(err)
			}
		}
		r, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a"})
		if err != nil {
			t.Fatal(err)
		}
		by := stele.Local()
		by.Bypass = true
		for _, id := range append(ids, r.VersionID) {
			if _, err := s.SetHold(ctx, by, stele.Place{Bucket: "books", Key: "a", VersionID: id}, false); err != nil && !errors.Is(err, stele.ErrMarker) {
				t.Fatal(err)
			}
			if _, err := s.Hide(ctx, stele.HideRequest{By: by, Bucket: "books", Key: "a", VersionID: id}); err != nil {
				t.Fatal(err)
			}
		}
		if life == 0 {
			if _, err := s.DeleteBucket(ctx, stele.Local(), "books"); err != nil {
				t.Fatal(err)
			}
		}
	}
	whole, err := storetest.AllChanges(s, "books", "a")
	if err != nil || len(whole) != 2*(3*4+1+3+4) {
		t.Fatalf("%d changes, %v", len(whole), err)
	}
	for i := range whole[1:] {
		if whole[i].Entry <= whole[i+1].Entry {
			t.Fatalf("entry %d before entry %d", whole[i].Entry, whole[i+1].Entry)
		}
	}
	for size := 1; size <= len(whole)+1; size++ {
		var got []stele.Change
		q := stele.HistoryRequest{Bucket: "books", Key: "a", Max: size}
		for {
			page, more, err := s.History(ctx, q)
			if err != nil || len(page) > size || more && len(page) != size {
				t.Fatalf("%d changes, more %v, %v", len(page), more, err)
			}
			got = append(got, page...)
			if !more {
				break
			}
			q.Before = page[len(page)-1].Entry
		}
		if !reflect.DeepEqual(got, whole) {
			t.Fatalf("pages of %d make another history", size)
		}
	}
	if _, _, err := s.History(ctx, stele.HistoryRequest{Bucket: "books", Key: "none", Max: 1}); !errors.Is(err, stele.ErrNoKey) {
		t.Error(err)
	}
	if page, more, err := s.History(ctx, stele.HistoryRequest{Bucket: "books", Key: "a", Max: 1, Before: 1}); err != nil || more || len(page) != 0 {
		t.Errorf("%v %v %v", page, more, err)
	}
	gone, cancel := storetest.Cancelled()
	defer cancel()
	if _, _, err := s.History(gone, stele.HistoryRequest{Bucket: "books", Key: "a"}); err == nil {
		t.Error("nobody waits for it, and it was made")
	}
}
