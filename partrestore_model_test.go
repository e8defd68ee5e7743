package stele_test

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stele"
	"stele/entry"
	"stele/internal/crashtest"
	"stele/internal/storetest"
)

// partText is what a bucket shows now below a key, by key. nil: there is no bucket.
func partText(s *stele.Store, bucket, key string) (map[string]string, error) {
	if _, err := s.Bucket(ctx, bucket, stele.View{}); errors.Is(err, stele.ErrNoBucket) {
		return nil, nil
	}
	out := map[string]string{}
	q := stele.ListRequest{Bucket: bucket, Max: 3}
	for {
		page, err := s.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, l := range page.Versions {
			if !storetest.InPart(key, l.Key) {
				continue
			}
			v, err := s.Head(ctx, stele.Place{Bucket: bucket, Key: l.Key})
			if err != nil {
				return nil, err
			}
			b, err := storetest.ReadBody(s, v)
			if err != nil {
				return nil, err
			}
			out[l.Key] = storetest.ObjectText(v.ETag, sha256.Sum256(b), v.Tags, v.Meta)
		}
		if q.After = page.Next; !page.Truncated {
			return out, nil
		}
	}
}

// versionsOf is every version that has an id of its own, and how it reads.
func versionsOf(s *stele.Store) (map[stele.Place]string, error) {
	out := map[stele.Place]string{}
	buckets, err := s.Buckets(ctx, stele.View{})
	if err != nil {
		return nil, err
	}
	for _, b := range buckets {
		page, err := s.ListVersions(ctx, stele.ListRequest{Bucket: b.Name, Max: 10000})
		if err != nil {
			return nil, err
		}
		for _, v := range page.Versions {
			if v.Null || v.Marker {
				continue
			}
			at := stele.Place{Bucket: b.Name, Key: v.Key, VersionID: v.ID}
			h, err := s.Head(ctx, at)
			if err != nil {
				return nil, err
			}
			body, err := storetest.ReadBody(s, h)
			if err != nil {
				return nil, err
			}
			out[at] = storetest.ObjectText(h.ETag, sha256.Sum256(body), h.Tags, h.Meta) + fmt.Sprint(h.Lock)
		}
	}
	return out, nil
}

// TestRestorePartModel does things at random and puts parts back as they were at random moments, as the reference of then says; nothing of before is lost.
func TestRestorePartModel(t *testing.T) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil { // keys and salts are random: a failure is known by its log
		t.Fatal(err)
	}
	if storetest.Full {
		if err := flag.Set("rapid.checks", "2000"); err != nil {
			t.Fatal(err)
		}
	}
	files := storetest.Template(t)
	rapid.Check(t, func(t *rapid.T) {
		x := &world{t: t, fs: crashtest.NewFS(), w: storetest.NewClient(), m: storetest.NewReference()}
		x.must(storetest.WriteFiles(x.fs, files))
		x.open()
		defer func() { _ = x.s.Close() }()
		past := map[uint64]*storetest.Reference{}
		var sizes []uint64
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			if x.step(); x.oneIn(3, "remember") {
				past[x.s.Ledger().Size()] = x.m.Clone()
				sizes = append(sizes, x.s.Ledger().Size())
			}
			if x.oneIn(10, "a day later") {
				x.w.Clock.Pass(24 * time.Hour)
			}
		}
		if len(sizes) == 0 {
			return
		}
		for range rapid.IntRange(1, 3).Draw(t, "restores") {
			at := pick(x, "moment", sizes)
			x.restorePart(past[at], stele.PartRestore{By: stele.Local(), Bucket: pick(x, "bucket", modelBuckets), Key: pick(x, "part", []string{"", "", "a", "a/", "a/c", "ü", "../up", "none"}), At: stele.View{Size: at},
				To: pick(x, "to", []string{"", "", "two", "fresh"}), HideNewer: x.oneIn(2, "hide newer")})
		}
		if r, err := x.s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true}); err != nil || !r.OK() {
			t.Fatalf("verify: %+v %v", r.Problems, err)
		}
		x.must(x.s.Close())
	})
}

// restorePart restores, and checks all that a restore promises.
func (x *world) restorePart(then *storetest.Reference, q stele.PartRestore) {
	to := q.To
	if to == "" {
		to = q.Bucket
	}
	before := x.s.Ledger().Size()
	was, err := partText(x.s, to, q.Key)
	x.must(err)
	versions, err := versionsOf(x.s)
	x.must(err)
	all, err := storetest.Show(x.s, stele.View{Size: before})
	x.must(err)

	dry := q
	dry.DryRun = true
	planned, err := x.s.RestorePart(ctx, dry)
	if n := x.writtenSince(before); n > 0 {
		x.t.Fatalf("a dry run wrote %d entries", n)
	}
	done, rerr := x.s.RestorePart(ctx, q)
	switch {
	case q.HideNewer && to != q.Bucket:
		if !errors.Is(rerr, stele.ErrBadState) {
			x.t.Fatalf("hiding in another bucket: %v", rerr)
		}
		return
	case then.Live[q.Bucket] == nil:
		if !errors.Is(err, stele.ErrNoBucket) || !errors.Is(rerr, stele.ErrNoBucket) {
			x.t.Fatalf("there was no bucket %s: %v, %v", q.Bucket, err, rerr)
		}
		return
	}
	x.must(errors.Join(err, rerr))
	if fmt.Sprint(planned) != fmt.Sprint(done) {
		x.t.Fatalf("the dry run said %+v, done was %+v", planned, done)
	}
	want := then.Live[q.Bucket].Part(q.Key)
	for key, text := range was {
		if _, ok := want[key]; !ok && !q.HideNewer {
			want[key] = text
		}
	}
	got, err := partText(x.s, to, q.Key)
	x.must(err)
	if !maps.Equal(got, want) {
		x.t.Fatalf("%+v: restored to\n%v\nwant\n%v\nbefore\n%v", q, got, want, was)
	}

	after := x.s.Ledger().Size()
	again, err := x.s.RestorePart(ctx, q)
	x.must(err)
	if x.writtenSince(after) > 0 || again.Restored.Keys+again.Hidden.Keys > 0 || again.Kept.Keys != done.Restored.Keys+done.Kept.Keys {
		x.t.Fatalf("done again, it did %+v after %+v", again, done)
	}
	now, err := versionsOf(x.s)
	x.must(err)
	for at, text := range versions {
		if now[at] != text {
			x.t.Fatalf("version %+v was %s and is %q", at, text, now[at])
		}
	}
	if later, err := storetest.Show(x.s, stele.View{Size: before}); err != nil || later != all {
		x.t.Fatalf("the view of before changed (%v):\n%s\nwas\n%s", err, later, all)
	}
}

// writtenSince counts the entries from a size on that are not the store's own.
func (x *world) writtenSince(size uint64) (n int) {
	x.must(x.s.Ledger().Log(ctx, stele.LogQuery{From: size}, func(e *entry.Entry) error {
		if !storetest.Housekeeping[e.Type] {
			n++
		}
		return nil
	}))
	return n
}
