package stele_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/internal/crashtest"
	"stele/internal/storetest"
)

// world is a store and the reference, which are asked the same.
type world struct {
	t  *rapid.T
	fs *crashtest.FS
	w  *storetest.Client
	s  *stele.Store
	m  *storetest.Reference

	versions []storetest.Change // of which bucket and key there was a version
	uploads  []storetest.Change
	keys     []string
}

var (
	modelBuckets  = []string{"one", "two", "three"}
	modelKeys     = []string{"a", "a/b", "a/c/d", "ü", "z\u0000z", "a//", "../up"}
	modelContents = []storetest.Content{storetest.Data("tiny", 1), storetest.Data("small", 500), storetest.Data("other", 501), storetest.Data("nothing", 0), storetest.Data("mid", 5000), storetest.Data("large", 50<<10), storetest.Data("zeros", 30<<10), storetest.Data("stream", 300<<10)}
)

func (x *world) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *world) open() {
	s, err := stele.Open(ctx, storetest.Folder, x.w.Options(x.fs))
	x.must(err)
	x.s = s
}

func pick[T any](x *world, label string, from []T) T { return rapid.SampledFrom(from).Draw(x.t, label) }

func (x *world) oneIn(n int, label string) bool {
	return rapid.IntRange(0, n-1).Draw(x.t, label) == 0
}

// draw makes up a change. Most are possible, some are not.
func (x *world) draw() storetest.Change {
	c := storetest.Change{Bucket: pick(x, "bucket", modelBuckets), Key: pick(x, "key", modelKeys)}
	c.Do = pick(x, "do", []string{"put", "put", "put", "put", "put", "hide", "hide", "hide", "copy", "tags", "retention", "hold", "createBucket", "createBucket", "deleteBucket",
		"versioning", "objectLock", "setting", "create", "part", "part", "complete", "abort", "pin", "createKey", "revokeKey"})
	if len(x.keys) > 0 && x.oneIn(6, "by a key") {
		c.By = pick(x, "access key", x.keys)
	}
	switch c.Do {
	case "put", "copy":
		x.drawPut(&c)
	case "hide", "tags", "retention", "hold":
		x.drawAt(&c)
	case "createBucket":
		c.On = x.oneIn(3, "object lock")
	case "versioning":
		c.State = pick(x, "state", []stele.Versioning{stele.Enabled, stele.Enabled, stele.Suspended})
	case "objectLock":
		c.Default = pick(x, "default", []stele.Retention{{}, {Mode: "GOVERNANCE", Days: 2}, {Mode: "COMPLIANCE", Years: 1}})
	case "setting":
		c.Setting, c.Doc = pick(x, "setting", []stele.Setting{stele.SettingPolicy, stele.SettingTagging}), pick(x, "doc", []string{"", "short", strings.Repeat("long", 2000)})
	case "part", "complete", "abort":
		x.drawUpload(&c)
	case "pin":
		c.Name = pick(x, "name", []string{"first", "second", "third"})
	case "revokeKey":
		if c.Name = "STELENOSUCHKEY"; len(x.keys) > 0 {
			c.Name = pick(x, "revoked", x.keys)
		}
	}
	return c
}

func (x *world) drawPut(c *storetest.Change) {
	c.Content = pick(x, "content", modelContents)
	if x.oneIn(4, "with meta") {
		c.Meta, c.Tags = map[string]string{"mtime": "12"}, map[string]string{"tag": "value"}
	}
	switch rapid.IntRange(0, 9).Draw(x.t, "condition") {
	case 0:
		c.If.NoneMatch = "*"
	case 1:
		c.If.Match = pick(x, "etag", modelContents).ETag()
	case 2:
		c.If.Match = "*"
	case 3:
		c.Append = true
	}
	if b := x.m.Live[c.Bucket]; b != nil && b.Lock && x.oneIn(3, "with lock") || x.oneIn(20, "with a lock that cannot be") {
		c.Lock = &entry.Lock{Mode: pick(x, "mode", []string{"GOVERNANCE", "COMPLIANCE"}), Until: x.now().Add(time.Duration(rapid.IntRange(-10, 100).Draw(x.t, "hours")) * time.Hour)}
	}
	if c.Do == "copy" {
		x.drawAt(c)
		c.SourceKey, c.Key = c.Key, pick(x, "copied to", modelKeys)
	}
}

// now is the ledger's clock. It lags behind the wall clock where a store was closed for more than seven days in a month, all restarts together.
func (x *world) now() time.Time { return x.s.Rooms().Core.Ledger().ClockState().Ledger }

// drawAt picks a version that there was, or one that there never was.
func (x *world) drawAt(c *storetest.Change) {
	if len(x.versions) > 0 && !x.oneIn(4, "current") {
		v := pick(x, "version", x.versions)
		c.Bucket, c.Key, c.Version = v.Bucket, v.Key, v.Version
	} else if x.oneIn(3, "odd version") {
		c.Version = pick(x, "odd", []string{"null", "000000010000000000000001", "nonsense"})
	}
	c.Bypass, c.On = x.oneIn(3, "bypass"), x.oneIn(2, "on")
	if c.Mode = pick(x, "mode", []string{"", "GOVERNANCE", "COMPLIANCE"}); c.Mode != "" {
		c.Until = x.now().Add(time.Duration(rapid.IntRange(-5, 100).Draw(x.t, "hours")) * time.Hour)
	}
	if c.Do == "tags" {
		c.Tags = pick(x, "tags", []map[string]string{nil, {"a": "1"}, {"a": "2", "b": "ü"}})
	}
	if c.Do == "hide" && x.oneIn(5, "conditional") {
		c.If.Match = pick(x, "etag", modelContents).ETag()
	}
}

func (x *world) drawUpload(c *storetest.Change) {
	if c.Upload = "00000000000000000000000000000000"; len(x.uploads) > 0 {
		u := pick(x, "upload", x.uploads)
		c.Bucket, c.Key, c.Upload = u.Bucket, u.Key, u.Upload
	}
	c.Number, c.Content = rapid.IntRange(1, 3).Draw(x.t, "number"), pick(x, "content", modelContents)
	if c.Do == "part" && x.oneIn(12, "large part") {
		c.Content = storetest.Data("zero part", stele.MinPartSize+100)
	}
	c.Parts = pick(x, "parts", [][]int{{1}, {1}, {2}, {1, 2}, {1, 2, 3}, {2, 1}})
}

// step makes a change on both and compares the answers.
func (x *world) step() {
	c := x.draw()
	before := x.s.Ledger().Size()
	asked, made, got := x.w.Ask(x.s, c)
	_, want := x.m.Decide(&c, x.now())
	switch {
	case want == nil && got == nil:
		if !x.take(asked, before) {
			x.t.Fatalf("%v was acknowledged and is not in the ledger", asked)
		}
		x.made(asked, made)
	case errors.Is(want, stele.ErrKeyRevoked) && storetest.IsRefusal(got): // what is seen to be wrong before the commit is said first
	case want == nil || got == nil || !storetest.SameError(got, want):
		x.t.Fatalf("%v: the store says %v, the reference %v", asked, got, want)
	case errors.As(got, new(*stele.RetentionError)):
		x.recorded(asked, before)
	}
	x.glance(asked)
}

// take applies to the reference the entries from a size on, and reports whether the change is among them.
func (x *world) take(asked *storetest.Change, from uint64) (there bool) {
	x.must(x.s.Ledger().Log(ctx, stele.LogQuery{From: from}, func(e *entry.Entry) error {
		if storetest.Housekeeping[e.Type] || e.Type == entry.DeniedLock {
			return nil
		}
		if there = e.Private.Request == asked.Request; !there {
			return fmt.Errorf("entry %d: %s of %q, only %v was asked for", e.Index, e.Type, e.Private.Request, asked)
		}
		apply, err := x.m.Decide(asked.Named(e), e.Time)
		if err == nil {
			apply(e.Index, e.Time)
		}
		return err
	}))
	return there
}

// recorded expects the entry of a refusal by a lock.
func (x *world) recorded(asked *storetest.Change, from uint64) {
	n := 0
	x.must(x.s.Ledger().Log(ctx, stele.LogQuery{From: from, Types: []entry.Type{entry.DeniedLock}}, func(e *entry.Entry) error {
		if e.Private.Request == asked.Request && e.Private.Bucket == asked.Bucket && e.Private.Key == asked.Key {
			n++
		}
		return nil
	}))
	if n != 1 {
		x.t.Fatalf("%v was refused by a lock, and %d entries say so", asked, n)
	}
}

func (x *world) made(c *storetest.Change, made string) {
	switch c.Do {
	case "put", "copy", "complete", "hide":
		if made != "" {
			x.versions = append(x.versions, storetest.Change{Bucket: c.Bucket, Key: c.Key, Version: made})
		}
	case "create":
		x.uploads = append(x.uploads, storetest.Change{Bucket: c.Bucket, Key: c.Key, Upload: made})
	case "createKey":
		x.keys = append(x.keys, made)
	}
}

// glance compares the key that a change was about.
func (x *world) glance(c *storetest.Change) {
	v, err := x.s.Head(ctx, stele.Place{Bucket: c.Bucket, Key: c.Key})
	var want *storetest.RefVersion
	if b := x.m.Live[c.Bucket]; b != nil {
		want = b.Current(c.Key)
	}
	switch {
	case want == nil && (errors.Is(err, stele.ErrNoKey) || errors.Is(err, stele.ErrNoBucket)):
	case want == nil || err != nil:
		x.t.Fatalf("after %v the current version is %+v, %v; want %+v", c, v, err, want)
	case v.ID != want.ID() || v.ETag != want.ETag() || v.Size != want.Size() || v.Lock.Mode != want.Lock.Mode || !v.Lock.Until.Equal(want.Lock.Until) || v.Lock.Hold != want.Lock.Hold:
		x.t.Fatalf("after %v the current version is %+v, want %+v", c, v, *want)
	}
}

// crash lets the power go, or an fsync fail, some writes from now on, and goes on in what is left.
func (x *world) crash() {
	if x.oneIn(3, "failed fsync") {
		x.fs.FailSync(rapid.IntRange(0, 12).Draw(x.t, "fsyncs"), x.oneIn(2, "persisted"))
	} else {
		x.fs.CutPower(rapid.IntRange(0, 40).Draw(x.t, "writes"), func(n int) int { return n / 2 })
	}
	var asked *storetest.Change
	var err error
	before := x.s.Ledger().Size()
	for range 30 {
		before = x.s.Ledger().Size()
		c := x.draw()
		var made string
		if asked, made, err = x.w.Ask(x.s, c); err != nil && !storetest.IsRefusal(err) {
			break // in flight
		}
		if err == nil {
			if !x.take(asked, before) {
				x.t.Fatalf("%v was acknowledged and is not in the ledger", asked)
			}
			x.made(asked, made)
		}
		asked = nil
	}
	_ = x.s.Close() // it may say what happened
	x.fs = x.fs.Clone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(x, "percent that came back", []int{0, 100, 50}), RNG: rand.New(rand.NewPCG(1, rapid.Uint64().Draw(x.t, "seed")))})
	x.open()
	if asked != nil {
		x.take(asked, before) // all of it or nothing
	}
	x.must(storetest.SameText("after a crash", x.s, stele.View{}, x.m.Render(true)))
}

func (x *world) reopen() {
	x.must(x.s.Close())
	if x.oneIn(3, "switched off for days") { // the second time the ledger's clock stays behind
		x.w.Clock.Pass(5 * 24 * time.Hour)
	}
	if x.oneIn(3, "without the index") {
		x.must(x.fs.RemoveAll(x.fs.PathJoin(storetest.Folder, core.DirIndex)))
	}
	x.open()
}

// TestModel asks the store and the reference the same at random, with restarts, crashes and days in between.
func TestModel(t *testing.T) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil { // keys and salts are random: a failure is known by its log
		t.Fatal(err)
	}
	if storetest.Full {
		if err := flag.Set("rapid.checks", "5000"); err != nil {
			t.Fatal(err)
		}
	}
	files := storetest.Template(t)
	rapid.Check(t, func(t *rapid.T) {
		x := &world{t: t, fs: crashtest.NewFS(), w: storetest.NewClient(), m: storetest.NewReference()}
		x.must(storetest.WriteFiles(x.fs, files))
		x.open()
		defer func() { _ = x.s.Close() }()
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 39).Draw(t, "step") {
			case 0:
				x.reopen()
			case 1:
				x.crash()
			case 2, 3:
				x.w.Clock.Pass(time.Duration(rapid.IntRange(1, 60).Draw(t, "hours")) * time.Hour)
			case 4:
				x.must(storetest.SameText("now", x.s, stele.View{}, x.m.Render(true)))
			default:
				x.step()
			}
		}
		x.must(storetest.SameText("at the end", x.s, stele.View{}, x.m.Render(true)))
		x.must(x.w.Compare(x.s))
		if r, err := x.s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true}); err != nil || !r.OK() {
			t.Fatalf("verify: %+v %v", r.Problems, err)
		}
		x.must(x.s.Close())
	})
}
