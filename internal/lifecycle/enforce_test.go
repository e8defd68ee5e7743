package lifecycle

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stele"
)

func TestEnforceHides(t *testing.T) {
	ctx := context.Background()
	s, err := stele.Create(ctx, filepath.Join(t.TempDir(), "data"), stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	by := stele.Local()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.CreateBucket(ctx, by, "logs", true) // versioned, with object lock
	must(err)
	write := func(key string) stele.Version {
		t.Helper()
		v, err := s.Put(ctx, stele.PutRequest{By: by, Bucket: "logs", Key: key, Body: strings.NewReader(key), Size: int64(len(key))})
		must(err)
		return v
	}
	old, locked := write("tmp/a"), write("tmp/b")
	write("tmp/a")
	write("tmp/b")
	write("keep/c")
	_, err = s.SetHold(ctx, by, stele.Place{Bucket: "logs", Key: "tmp/b", VersionID: locked.ID}, true)
	must(err)
	_, err = s.Multipart().Create(ctx, by, stele.Upload{Bucket: "logs", Key: "tmp/u"})
	must(err)
	_, err = s.SetSetting(ctx, by, "logs", stele.SettingLifecycle, `<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>tmp/</Prefix></Filter>
<Expiration><Days>30</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays></NoncurrentVersionExpiration>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>`)
	must(err)

	run := func(days int) Enforced {
		t.Helper()
		done, failed := Enforce(ctx, s, time.Now().AddDate(0, 0, days))
		if len(failed) > 0 {
			t.Fatal(failed)
		}
		return done
	}
	if got := run(0); got != (Enforced{}) {
		t.Fatalf("at once: %+v", got)
	}
	if got := run(4); got != (Enforced{Aborted: 1}) {
		t.Fatalf("after 4 days: %+v", got)
	}
	if got := run(9); got != (Enforced{Versions: 1, Locked: 1}) {
		t.Fatalf("after 9 days: %+v", got)
	}
	if _, err := s.Head(ctx, stele.Place{Bucket: "logs", Key: "tmp/a", VersionID: old.ID}); err == nil {
		t.Fatal("the noncurrent version is still shown")
	}
	if _, err := s.Head(ctx, stele.Place{Bucket: "logs", Key: "tmp/a", VersionID: old.ID, At: stele.View{Size: old.Entry + 1}}); err != nil {
		t.Fatalf("the past lost it: %v", err)
	}
	if got := run(32); got.Expired != 2 {
		t.Fatalf("after 32 days: %+v", got)
	}
	page, err := s.List(ctx, stele.ListRequest{Bucket: "logs", Max: 10})
	must(err)
	if len(page.Versions) != 1 || page.Versions[0].Key != "keep/c" {
		t.Fatalf("left: %+v", page.Versions)
	}
}

// A rule hides the version that it saw, and no other: neither a newer one with the same bytes, nor one that took over the id "null", nor what came back into view.
func TestEnforceHidesWhatItSaw(t *testing.T) {
	ctx := context.Background()
	s, err := stele.Create(ctx, filepath.Join(t.TempDir(), "data"), stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	by := stele.Local()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(bucket, key string) stele.Version {
		t.Helper()
		v, err := s.Put(ctx, stele.PutRequest{By: by, Bucket: bucket, Key: key, Body: strings.NewReader("same"), Size: 4})
		must(err)
		return v
	}
	hide := func(bucket, key, id string) stele.HideResult {
		t.Helper()
		r, err := s.Hide(ctx, stele.HideRequest{By: by, Bucket: bucket, Key: key, VersionID: id})
		must(err)
		return r
	}
	for _, b := range []string{"plain", "versions"} {
		_, err = s.CreateBucket(ctx, by, b, false)
		must(err)
	}
	rules, err := Parse([]byte(`<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration>
<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule></LifecycleConfiguration>`))
	must(err)
	late := func(bucket string, seen stele.Version, current bool) {
		t.Helper()
		var done Enforced
		e := enforcer{ctx: ctx, store: s, rules: rules, bucket: bucket, now: time.Now().AddDate(0, 0, 9), done: &done}
		state := VersionState{Key: seen.Key, Size: seen.Size, Created: seen.Time, Current: current}
		if !current {
			state.NoncurrentSince = seen.Time
		}
		must(e.act(&seen, &state))
		if done != (Enforced{}) {
			t.Errorf("%s/%s: %+v", bucket, seen.Key, done)
		}
	}
	shown := func(bucket, key string, want stele.Version) {
		t.Helper()
		if v, err := s.Head(ctx, stele.Place{Bucket: bucket, Key: key}); err != nil || v.Entry != want.Entry {
			t.Errorf("%s/%s is the version of entry %d (%v), want %d", bucket, key, v.Entry, err, want.Entry)
		}
	}
	seen := write("plain", "put again")
	newer := write("plain", "put again")
	late("plain", seen, true)
	shown("plain", "put again", newer)

	null := write("versions", "null") // what is written before versioning has the id "null", and so has what is written after its end
	_, err = s.SetVersioning(ctx, by, "versions", stele.Enabled)
	must(err)
	write("versions", "null")
	back := write("versions", "back")
	marker := hide("versions", "back", "")
	_, err = s.SetVersioning(ctx, by, "versions", stele.Suspended)
	must(err)
	newer = write("versions", "null")
	late("versions", null, false)
	shown("versions", "null", newer)

	hide("versions", "back", marker.VersionID)
	late("versions", back, false)
	shown("versions", "back", back)
}

// TestEnforceFails: rules that can't be applied in one bucket are named, and hold up those of no other one.
func TestEnforceFails(t *testing.T) {
	ctx := context.Background()
	s, err := stele.Create(ctx, filepath.Join(t.TempDir(), "data"), stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for bucket, rules := range map[string]string{"bad": "no XML", "good": `<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>`} {
		_, err := s.CreateBucket(ctx, stele.Local(), bucket, false)
		if err == nil {
			_, err = s.SetSetting(ctx, stele.Local(), bucket, stele.SettingLifecycle, rules)
		}
		if err == nil {
			_, err = s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: bucket, Key: "k", Body: strings.NewReader("x"), Size: 1})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	done, failed := Enforce(ctx, s, time.Now().AddDate(0, 0, 3))
	if done.Expired != 1 || len(failed) != 1 || failed["bad"] == nil {
		t.Errorf("%+v, %v", done, failed)
	}
}
