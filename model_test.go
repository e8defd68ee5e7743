package stele

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

	"stele/entry"
	"stele/internal/core"
	"stele/internal/crashtest"
)

// world is a store and the reference, which are asked the same.
type world struct {
	t  *rapid.T
	fs *crashtest.FS
	w  *witnessed
	s  *Store
	m  *reference

	versions []change // of which bucket and key there was a version
	uploads  []change
	keys     []string
}

var (
	modelBuckets  = []string{"one", "two", "three"}
	modelKeys     = []string{"a", "a/b", "a/c/d", "ü", "z\u0000z", "a//", "../up"}
	modelContents = []content{b("tiny", 1), b("small", 500), b("other", 501), b("nothing", 0), b("mid", 5000), b("large", 50<<10), b("zeros", 30<<10), b("stream", 300<<10)}
)

func (x *world) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *world) open() {
	s, err := Open(ctx, crashFolder, x.w.options(x.fs))
	x.must(err)
	x.s = s
}

func pick[T any](x *world, label string, from []T) T { return rapid.SampledFrom(from).Draw(x.t, label) }

func (x *world) oneIn(n int, label string) bool {
	return rapid.IntRange(0, n-1).Draw(x.t, label) == 0
}

// draw makes up a change. Most are possible, some are not.
func (x *world) draw() change {
	c := change{bucket: pick(x, "bucket", modelBuckets), key: pick(x, "key", modelKeys)}
	c.do = pick(x, "do", []string{"put", "put", "put", "put", "put", "hide", "hide", "hide", "copy", "tags", "retention", "hold", "createBucket", "createBucket", "deleteBucket",
		"versioning", "objectLock", "setting", "create", "part", "part", "complete", "abort", "pin", "createKey", "revokeKey"})
	if len(x.keys) > 0 && x.oneIn(6, "by a key") {
		c.by = pick(x, "access key", x.keys)
	}
	switch c.do {
	case "put", "copy":
		x.drawPut(&c)
	case "hide", "tags", "retention", "hold":
		x.drawAt(&c)
	case "createBucket":
		c.on = x.oneIn(3, "object lock")
	case "versioning":
		c.state = pick(x, "state", []Versioning{Enabled, Enabled, Suspended})
	case "objectLock":
		c.def = pick(x, "default", []Retention{{}, {Mode: "GOVERNANCE", Days: 2}, {Mode: "COMPLIANCE", Years: 1}})
	case "setting":
		c.setting, c.doc = pick(x, "setting", []Setting{SettingPolicy, SettingTagging}), pick(x, "doc", []string{"", "short", strings.Repeat("long", 2000)})
	case "part", "complete", "abort":
		x.drawUpload(&c)
	case "pin":
		c.name = pick(x, "name", []string{"first", "second", "third"})
	case "revokeKey":
		if c.name = "STELENOSUCHKEY"; len(x.keys) > 0 {
			c.name = pick(x, "revoked", x.keys)
		}
	}
	return c
}

func (x *world) drawPut(c *change) {
	c.content = pick(x, "content", modelContents)
	if x.oneIn(4, "with meta") {
		c.meta, c.tags = map[string]string{"mtime": "12"}, map[string]string{"tag": "value"}
	}
	switch rapid.IntRange(0, 9).Draw(x.t, "condition") {
	case 0:
		c.cond.NoneMatch = "*"
	case 1:
		c.cond.Match = pick(x, "etag", modelContents).etag()
	case 2:
		c.cond.Match = "*"
	case 3:
		c.append = true
	}
	if b := x.m.live[c.bucket]; b != nil && b.lock && x.oneIn(3, "with lock") || x.oneIn(20, "with a lock that cannot be") {
		c.lock = &entry.Lock{Mode: pick(x, "mode", []string{"GOVERNANCE", "COMPLIANCE"}), Until: x.now().Add(time.Duration(rapid.IntRange(-10, 100).Draw(x.t, "hours")) * time.Hour)}
	}
	if c.do == "copy" {
		x.drawAt(c)
		c.srcKey, c.key = c.key, pick(x, "copied to", modelKeys)
	}
}

// now is the ledger's clock. It lags behind the wall clock where a store was closed for more than seven days in a month, all restarts together.
func (x *world) now() time.Time { return x.s.core.Ledger().ClockState().Ledger }

// drawAt picks a version that there was, or one that there never was.
func (x *world) drawAt(c *change) {
	if len(x.versions) > 0 && !x.oneIn(4, "current") {
		v := pick(x, "version", x.versions)
		c.bucket, c.key, c.version = v.bucket, v.key, v.version
	} else if x.oneIn(3, "odd version") {
		c.version = pick(x, "odd", []string{"null", "000000010000000000000001", "nonsense"})
	}
	c.bypass, c.on = x.oneIn(3, "bypass"), x.oneIn(2, "on")
	if c.mode = pick(x, "mode", []string{"", "GOVERNANCE", "COMPLIANCE"}); c.mode != "" {
		c.until = x.now().Add(time.Duration(rapid.IntRange(-5, 100).Draw(x.t, "hours")) * time.Hour)
	}
	if c.do == "tags" {
		c.tags = pick(x, "tags", []map[string]string{nil, {"a": "1"}, {"a": "2", "b": "ü"}})
	}
	if c.do == "hide" && x.oneIn(5, "conditional") {
		c.cond.Match = pick(x, "etag", modelContents).etag()
	}
}

func (x *world) drawUpload(c *change) {
	if c.upload = "00000000000000000000000000000000"; len(x.uploads) > 0 {
		u := pick(x, "upload", x.uploads)
		c.bucket, c.key, c.upload = u.bucket, u.key, u.upload
	}
	c.number, c.content = rapid.IntRange(1, 3).Draw(x.t, "number"), pick(x, "content", modelContents)
	if c.do == "part" && x.oneIn(12, "large part") {
		c.content = b("zero part", MinPartSize+100)
	}
	c.parts = pick(x, "parts", [][]int{{1}, {1}, {2}, {1, 2}, {1, 2, 3}, {2, 1}})
}

// step makes a change on both and compares the answers.
func (x *world) step() {
	c := x.draw()
	before := x.s.Size()
	asked, made, got := x.w.ask(x.s, c)
	_, want := x.m.decide(&c, x.now())
	switch {
	case want == nil && got == nil:
		if !x.take(asked, before) {
			x.t.Fatalf("%v was acknowledged and is not in the ledger", asked)
		}
		x.made(asked, made)
	case errors.Is(want, ErrKeyRevoked) && isRefusal(got): // what is seen to be wrong before the commit is said first
	case want == nil || got == nil || !sameError(got, want):
		x.t.Fatalf("%v: the store says %v, the reference %v", asked, got, want)
	case errors.As(got, new(*RetentionError)):
		x.recorded(asked, before)
	}
	x.glance(asked)
}

// take applies to the reference the entries from a size on, and reports whether the change is among them.
func (x *world) take(asked *change, from uint64) (there bool) {
	x.must(x.s.Log(ctx, LogQuery{From: from}, func(e *entry.Entry) error {
		if housekeeping[e.Type] || e.Type == entry.DeniedLock {
			return nil
		}
		if there = e.Private.Request == asked.request; !there {
			return fmt.Errorf("entry %d: %s of %q, only %v was asked for", e.Index, e.Type, e.Private.Request, asked)
		}
		apply, err := x.m.decide(asked.named(e), e.Time)
		if err == nil {
			apply(e.Index, e.Time)
		}
		return err
	}))
	return there
}

// recorded expects the entry of a refusal by a lock.
func (x *world) recorded(asked *change, from uint64) {
	n := 0
	x.must(x.s.Log(ctx, LogQuery{From: from, Types: []entry.Type{entry.DeniedLock}}, func(e *entry.Entry) error {
		if e.Private.Request == asked.request && e.Private.Bucket == asked.bucket && e.Private.Key == asked.key {
			n++
		}
		return nil
	}))
	if n != 1 {
		x.t.Fatalf("%v was refused by a lock, and %d entries say so", asked, n)
	}
}

func (x *world) made(c *change, made string) {
	switch c.do {
	case "put", "copy", "complete", "hide":
		if made != "" {
			x.versions = append(x.versions, change{bucket: c.bucket, key: c.key, version: made})
		}
	case "create":
		x.uploads = append(x.uploads, change{bucket: c.bucket, key: c.key, upload: made})
	case "createKey":
		x.keys = append(x.keys, made)
	}
}

// glance compares the key that a change was about.
func (x *world) glance(c *change) {
	v, err := x.s.Head(ctx, Place{Bucket: c.bucket, Key: c.key})
	var want *refVersion
	if b := x.m.live[c.bucket]; b != nil {
		want = b.current(c.key)
	}
	switch {
	case want == nil && (errors.Is(err, ErrNoKey) || errors.Is(err, ErrNoBucket)):
	case want == nil || err != nil:
		x.t.Fatalf("after %v the current version is %+v, %v; want %+v", c, v, err, want)
	case v.ID != want.id() || v.ETag != want.etag() || v.Size != want.size() || v.Lock.Mode != want.lock.Mode || !v.Lock.Until.Equal(want.lock.Until) || v.Lock.Hold != want.lock.Hold:
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
	var asked *change
	var err error
	before := x.s.Size()
	for range 30 {
		before = x.s.Size()
		c := x.draw()
		var made string
		if asked, made, err = x.w.ask(x.s, c); err != nil && !isRefusal(err) {
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
	x.must(sameText("after a crash", x.s, View{}, x.m.render(true)))
}

func (x *world) reopen() {
	x.must(x.s.Close())
	if x.oneIn(3, "switched off for days") { // the second time the ledger's clock stays behind
		x.w.clock.pass(5 * 24 * time.Hour)
	}
	if x.oneIn(3, "without the index") {
		x.must(x.fs.RemoveAll(x.fs.PathJoin(crashFolder, core.DirIndex)))
	}
	x.open()
}

// TestModel asks the store and the reference the same at random, with restarts, crashes and days in between.
func TestModel(t *testing.T) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil { // keys and salts are random: a failure is known by its log
		t.Fatal(err)
	}
	if full {
		if err := flag.Set("rapid.checks", "5000"); err != nil {
			t.Fatal(err)
		}
	}
	files := newTemplate(t)
	rapid.Check(t, func(t *rapid.T) {
		x := &world{t: t, fs: crashtest.NewFS(), w: newWitness(), m: newReference()}
		x.must(restore(x.fs, files))
		x.open()
		defer func() { _ = x.s.Close() }()
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 39).Draw(t, "step") {
			case 0:
				x.reopen()
			case 1:
				x.crash()
			case 2, 3:
				x.w.clock.pass(time.Duration(rapid.IntRange(1, 60).Draw(t, "hours")) * time.Hour)
			case 4:
				x.must(sameText("now", x.s, View{}, x.m.render(true)))
			default:
				x.step()
			}
		}
		x.must(sameText("at the end", x.s, View{}, x.m.render(true)))
		x.must(x.w.compare(x.s))
		if r, err := x.s.Verify(ctx, VerifyOptions{By: Local(), Deep: true}); err != nil || !r.OK() {
			t.Fatalf("verify: %+v %v", r.Problems, err)
		}
		x.must(x.s.Close())
	})
}
