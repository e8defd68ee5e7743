package stele_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"stele"
	"stele/internal/storetest"
)

// TestCompleteTwice: a client that did not hear the first answer asks again, and hears it. Whatever was written meanwhile stays.
func TestCompleteTwice(t *testing.T) {
	for _, state := range []stele.Versioning{stele.Unversioned, stele.Enabled} {
		s := storetest.NewMem(t, stele.Options{})
		storetest.MakeBucket(t, s, "books", false, state)
		u := storetest.BeginUpload(t, s, "a")
		p := storetest.PutPart(t, s, u, 1, []byte("part"))
		q := stele.CompleteRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Parts: []stele.Part{p}, If: stele.Conditions{NoneMatch: "*"}}
		var wg sync.WaitGroup
		var got [4]stele.Version
		for i := range got {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var err error
				if got[i], err = s.Multipart().Complete(ctx, q); err != nil {
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		storetest.Put(t, s, "books", "a", []byte("newer"))
		size := s.Ledger().Size()
		again, err := s.Multipart().Complete(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range got {
			if v.Entry != again.Entry || v.ID != again.ID || v.ETag != again.ETag || v.Size != again.Size {
				t.Errorf("%+v and %+v", v, again)
			}
		}
		if s.Ledger().Size() != size || string(storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a"})) != "newer" {
			t.Error("the second answer changed something")
		}
		q.Parts = []stele.Part{{Number: 1, ETag: strings.Repeat("0", 32)}}
		if _, err := s.Multipart().Complete(ctx, q); !errors.Is(err, stele.ErrNoUpload) {
			t.Errorf("other parts: %v", err)
		}
		u = storetest.BeginUpload(t, s, "a")
		p = storetest.PutPart(t, s, u, 1, []byte("part"))
		if _, err := s.Multipart().Abort(ctx, stele.Local(), "books", "a", u.ID); err != nil {
			t.Fatal(err)
		}
		q.Upload, q.Parts = u.ID, []stele.Part{p}
		if _, err := s.Multipart().Complete(ctx, q); !errors.Is(err, stele.ErrNoUpload) {
			t.Errorf("aborted: %v", err)
		}
	}
}

// TestPartsAreNamedExactly: the ETag of a part is no If-Match list.
func TestPartsAreNamedExactly(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	u := storetest.BeginUpload(t, s, "a")
	p := storetest.PutPart(t, s, u, 1, []byte("part"))
	for _, etag := range []string{"*", "", "x, " + p.ETag, p.ETag + ",x", "W/" + p.ETag} {
		if _, err := s.Multipart().Complete(ctx, stele.CompleteRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Parts: []stele.Part{{Number: 1, ETag: etag}}}); !errors.Is(err, stele.ErrInvalidPart) {
			t.Errorf("%q: %v", etag, err)
		}
	}
	if _, err := s.Multipart().Complete(ctx, stele.CompleteRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Parts: []stele.Part{{Number: 1, ETag: `"` + p.ETag + `"`}}}); err != nil {
		t.Error(err)
	}
}

// TestUploadOfAnotherLife: an upload ends with its bucket's incarnation, in each of its calls.
func TestUploadOfAnotherLife(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	u := storetest.BeginUpload(t, s, "a")
	p := storetest.PutPart(t, s, u, 1, []byte("part"))
	if _, err := s.DeleteBucket(ctx, stele.Local(), "books"); err != nil {
		t.Fatal(err)
	}
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	if _, err := s.Multipart().Get(ctx, "books", "a", u.ID); !errors.Is(err, stele.ErrNoUpload) {
		t.Error(err)
	}
	if _, err := s.Multipart().PutPart(ctx, stele.PartRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Number: 2, Body: unread{t}, Size: 1}); !errors.Is(err, stele.ErrNoUpload) {
		t.Error(err)
	}
	if _, err := s.Multipart().Complete(ctx, stele.CompleteRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Parts: []stele.Part{p}}); !errors.Is(err, stele.ErrNoUpload) {
		t.Error(err)
	}
	if _, err := s.Multipart().Abort(ctx, stele.Local(), "books", "a", u.ID); !errors.Is(err, stele.ErrNoUpload) {
		t.Error(err)
	}
	if page, err := s.Multipart().List(ctx, stele.ListRequest{Bucket: "books", Max: 10}); err != nil || len(page.Uploads) != 0 {
		t.Errorf("%+v %v", page, err)
	}
}

// TestNoUploadsAreAskedFor: a page of no uploads is not truncated: it would have no marker to go on from.
func TestNoUploadsAreAskedFor(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	storetest.BeginUpload(t, s, "a")
	if page, err := s.Multipart().List(ctx, stele.ListRequest{Bucket: "books"}); err != nil || page.Truncated || len(page.Uploads) != 0 {
		t.Errorf("%+v %v", page, err)
	}
	u := storetest.BeginUpload(t, s, "b")
	storetest.PutPart(t, s, u, 1, nil)
	if parts, _, more, err := s.Multipart().Parts(ctx, "books", "b", u.ID, 0, 0); err != nil || more || len(parts) != 0 {
		t.Errorf("%+v %v %v", parts, more, err)
	}
	for after, want := range map[int]int{-5: 1, 0: 1, 1: 0, stele.MaxParts: 0, 65535: 0, 1 << 20: 0} { // a number that wraps would begin anew
		if parts, _, _, err := s.Multipart().Parts(ctx, "books", "b", u.ID, after, 10); err != nil || len(parts) != want {
			t.Errorf("after %d: %+v %v", after, parts, err)
		}
	}
}

// TestUploadsByPrefix: pages of uploads with a delimiter show each prefix once, in order, whatever the page size.
func TestUploadsByPrefix(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	for _, key := range []string{"a", "a/", "a/1", "a/2/3", "a/é", "a0", "b//", "b//x", "c/\U0010FFFF", "d"} {
		for range 3 {
			storetest.BeginUpload(t, s, key)
		}
	}
	want := "a a a a/ a0 a0 a0 b/ c/ d d d"
	for size := 1; size <= 13; size++ {
		var got []string
		q := stele.ListRequest{Bucket: "books", Delimiter: "/", Max: size}
		for pages := 0; ; pages++ {
			page, err := s.Multipart().List(ctx, q)
			if err != nil || pages > 20 {
				t.Fatalf("%d pages: %v", pages, err)
			}
			n := len(page.Uploads) + len(page.Prefixes)
			if n > size || n < size && page.Truncated {
				t.Errorf("a page of %d holds %d", size, n)
			}
			var names []string
			for _, u := range page.Uploads {
				names = append(names, u.Key)
			}
			names = append(names, page.Prefixes...)
			slices.Sort(names)
			got = append(got, names...)
			if q.After, q.AfterID = page.Next, page.NextID; !page.Truncated {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("pages of %d: %q", size, got)
		}
	}
	page, err := s.Multipart().List(ctx, stele.ListRequest{Bucket: "books", Prefix: "a/", Delimiter: "/", Max: 10})
	if err != nil || len(page.Uploads) != 9 || len(page.Prefixes) != 1 {
		t.Errorf("below a prefix: %d uploads, %q, %v", len(page.Uploads), page.Prefixes, err)
	}
}

// TestCompleteBesidePutPart: parts that arrive while an upload is completed are in the object or not, but what the ETags name is what is read.
func TestCompleteBesidePutPart(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Enabled)
	for round := range 20 {
		u := storetest.BeginUpload(t, s, "a")
		first := storetest.PutPart(t, s, u, 1, []byte(fmt.Sprint("first ", round)))
		var wg sync.WaitGroup
		for g := range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := range 5 {
					body := fmt.Sprint(g, i, round)
					_, err := s.Multipart().PutPart(ctx, stele.PartRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Number: 1 + g, Body: strings.NewReader(body), Size: int64(len(body))})
					if err != nil && !errors.Is(err, stele.ErrNoUpload) {
						t.Error(err)
					}
				}
			}()
		}
		v, err := s.Multipart().Complete(ctx, stele.CompleteRequest{By: stele.Local(), Bucket: "books", Key: "a", Upload: u.ID, Parts: []stele.Part{first}})
		wg.Wait()
		switch {
		case errors.Is(err, stele.ErrInvalidPart), errors.Is(err, stele.ErrBusy): // part 1 was replaced first
		case err != nil:
			t.Error(err)
		default:
			if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a", VersionID: v.ID}); string(got) != fmt.Sprint("first ", round) {
				t.Errorf("%q", got)
			}
		}
		s.Multipart().Abort(ctx, stele.Local(), "books", "a", u.ID)
	}
}
