package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/backup"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/keyring"
	"stele/internal/storetest"
	"stele/verify"
)

// drilled is a store and a target that holds what the store held when it was last closed.
type drilled struct {
	clock    *storetest.ManualClock
	fs       vfs.FS
	s        *stele.Store
	target   *mem.Mem
	recovery string
}

func newDrilled(t *testing.T) *drilled {
	t.Helper()
	d := &drilled{clock: storetest.NewClock(), fs: vfs.NewMem(), target: mem.New()}
	s := storetest.NewMem(t, stele.Options{FS: d.fs, Clock: d.clock})
	text, err := core.ReadFile(d.fs, "kit.txt")
	if err != nil {
		t.Fatal(err)
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	d.recovery = kit.RecoveryIdentity
	if _, err := s.CreateBucket(ctx, stele.Local(), "books", false); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		d.clock.Pass(time.Minute)
		drillPut(t, s, fmt.Sprintf("book-%d", i%15), drillText(uint64(i)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	(&storetest.BackedUp{Target: d.target}).CopyFrom(t, d.fs)
	d.s = d.reopen(t)
	return d
}

// drillText is text that cannot be compressed.
func drillText(seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 9))
	b := make([]byte, 3000)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func drillPut(t *testing.T, s *stele.Store, key, text string) {
	t.Helper()
	if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "books", Key: key, Body: strings.NewReader(text), Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
}

func (d *drilled) reopen(t *testing.T) *stele.Store {
	t.Helper()
	s, err := stele.Open(ctx, "data", stele.Options{FS: d.fs, Clock: d.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (d *drilled) options(seed uint64) backup.DrillOptions {
	return backup.DrillOptions{By: stele.Local().Who(), Target: d.target, Name: "nas", Place: "mem:///target", Rand: rand.New(rand.NewPCG(seed, 1))}
}

// TestDrill: a good copy passes, at whatever moment; the certificate is signed, is an entry, and says by which key the copy was opened and what would be lost.
func TestDrill(t *testing.T) {
	d := newDrilled(t)
	for seed := range uint64(6) {
		opt := d.options(seed)
		opt.Full = seed == 5
		if seed%2 == 0 {
			opt.Identity = d.recovery
		}
		c, signed, err := d.s.Rooms().Backups.Drill(ctx, opt)
		if err != nil || !c.OK {
			t.Fatalf("%+v %v", c, err)
		}
		if want := map[bool]string{true: verify.OpenedByRecovery, false: verify.OpenedByIdentity}[seed%2 == 0]; c.OpenedBy != want || c.Head == 0 || c.Size == 0 || c.Size > c.Head {
			t.Errorf("%+v", c)
		}
		if c.Versions == 0 {
			t.Errorf("nothing was read at size %d", c.Size)
		}
		back, err := verify.OpenCertificate(signed, d.s.Ledger().VKey())
		if err != nil || back.Root != c.Root || !back.OK {
			t.Errorf("%+v %v", back, err)
		}
	}
	d.clock.Pass(time.Hour)
	drillPut(t, d.s, "new", "not shipped")
	d.clock.Pass(30 * time.Minute)
	c, _, err := d.s.Rooms().Backups.Drill(ctx, d.options(1))
	if err != nil || !c.OK || c.RPOSeconds < 1800 {
		t.Errorf("%+v %v", c, err)
	}
	runs := 0
	if err := d.s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.DrillRun}}, func(e *entry.Entry) error {
		if runs++; e.Private.Name != "nas" || e.Private.Doc == nil || e.Private.Data["ok"] != "true" {
			t.Errorf("%+v", e.Private)
		}
		return nil
	}); err != nil || runs != 7 {
		t.Errorf("%d drills in the ledger, %v", runs, err)
	}
	names, err := d.fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, core.DrillPrefix) {
			t.Errorf("%s is left", n)
		}
	}
}

// TestDrillFinds: what is wrong with a copy is in the certificate, which is an entry all the same.
func TestDrillFinds(t *testing.T) {
	fails := func(d *drilled, what string, opt backup.DrillOptions, say string) {
		t.Helper()
		c, signed, err := d.s.Rooms().Backups.Drill(ctx, opt)
		if err != nil || c.OK || signed == nil || !strings.Contains(strings.Join(c.Problems, "\n"), say) {
			t.Errorf("%s: %+v %v", what, c, err)
		}
	}
	d := newDrilled(t)
	// A byte in the middle of every pack.
	rotten := mem.New()
	copyEngine(t, d.target, rotten, func(name string, b []byte) []byte {
		if strings.HasPrefix(name, engine.Packs) {
			for at := 500; at < len(b)-500; at += 60 {
				b[at] ^= 1
			}
		}
		return b
	})
	opt := d.options(0) // a moment at which there are objects
	opt.Target = rotten
	fails(d, "rotten packs", opt, "books/book-")
	opt.Full = true
	fails(d, "rotten packs, read whole", opt, "packs/")
	// Another store's copy.
	other := newDrilled(t)
	opt.Target = other.target
	fails(d, "another store's copy", opt, "can't be opened")
	opt.Target = mem.New()
	fails(d, "an empty target", opt, "can't be opened")
	// Another course of the same store: the folder as it was when it was shipped, continued twice.
	forked := newDrilled(t)
	files := storetest.ReadFiles(t, forked.fs, "data")
	drillPut(t, forked.s, "here", "one course")
	fork := &drilled{clock: forked.clock, fs: vfs.NewMem(), target: mem.New()}
	if err := storetest.WriteFiles(fork.fs, files); err != nil {
		t.Fatal(err)
	}
	fork.s = fork.reopen(t)
	drillPut(t, fork.s, "there", "the other")
	drillPut(t, fork.s, "there", "and more")
	if err := fork.s.Close(); err != nil {
		t.Fatal(err)
	}
	(&storetest.BackedUp{Target: fork.target}).CopyFrom(t, fork.fs)
	opt = forked.options(1)
	opt.Target = fork.target
	fails(forked, "a fork", opt, "history")
	// The wrong recovery key is the caller's mistake and proves nothing.
	opt = d.options(1)
	opt.Identity = other.recovery
	if _, signed, err := d.s.Rooms().Backups.Drill(ctx, opt); !errors.Is(err, stele.ErrWrongKey) || signed != nil {
		t.Errorf("another store's kit: %v", err)
	}
}

// lacking is a target whose files can't be opened, in one folder, for a reason of this machine's.
type lacking struct {
	engine.Engine
	folder string
	why    error
	after  *atomic.Int64 // nil: each file; else the one that is opened after so many. It counts down, as files may be opened side by side
	once   bool          // and those behind it are opened again
}

func (l lacking) runsOut() bool {
	n := l.after.Add(-1)
	return n == -1 || n < -1 && !l.once
}

func (l lacking) Open(ctx context.Context, name string) (engine.File, error) {
	if strings.HasPrefix(name, l.folder) && (l.after == nil || l.runsOut()) {
		return nil, fmt.Errorf("couldn't open %s: %w", name, l.why)
	}
	return l.Engine.Open(ctx, name)
}

// TestDrillOnAStarvedMachine: a drill for which this machine has too few open files, no memory or no room is not tried. It is no failure of the copy: no certificate says so, and nothing becomes stale.
func TestDrillOnAStarvedMachine(t *testing.T) {
	d := newDrilled(t)
	for _, folder := range []string{engine.Segments, engine.Packs} {
		for _, why := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC, syscall.EDQUOT, engine.ErrFull} {
			opt := d.options(1)
			opt.Target = lacking{Engine: d.target, folder: folder, why: why}
			if c, signed, err := d.s.Rooms().Backups.Drill(ctx, opt); !errors.Is(err, why) || signed != nil || !strings.Contains(err.Error(), "says nothing of the copy") {
				t.Errorf("%s, %v: %+v %v", folder, why, c, err)
			}
		}
		opt := d.options(1)
		opt.Target = lacking{Engine: d.target, folder: folder, why: syscall.EIO}
		if c, _, err := d.s.Rooms().Backups.Drill(ctx, opt); err != nil || c.OK {
			t.Errorf("%s, a disk that fails: %+v %v", folder, c, err)
		}
	}
	gone := mem.New()
	copyEngine(t, d.target, gone, func(_ string, b []byte) []byte { return b })
	names := []string{}
	if err := gone.List(ctx, engine.Packs, func(i engine.Info) error { names = append(names, i.Name); return nil }); err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if err := gone.Remove(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	opt := d.options(1)
	opt.Target = gone
	if c, _, err := d.s.Rooms().Backups.Drill(ctx, opt); err != nil || c.OK || strings.Contains(strings.Join(c.Problems, " "), "erased") {
		t.Errorf("without packs: %+v %v", c, err)
	}
}

// TestFullDrillRunsShort: the machine has no file descriptor, for a moment or from then on, at any moment of a full drill. The copy is never called damaged, and is called sound only if all of it was
// read, perhaps at a second try.
func TestFullDrillRunsShort(t *testing.T) {
	d := newDrilled(t)
	for _, once := range []bool{false, true} {
		short := 0
		for after, tried := int64(0), false; !tried; after++ {
			left := new(atomic.Int64)
			left.Store(after)
			opt := d.options(1)
			opt.Full, opt.Target = true, lacking{d.target, "", syscall.EMFILE, left, once}
			c, signed, err := d.s.Rooms().Backups.Drill(ctx, opt)
			tried = left.Load() >= 0
			switch {
			case errors.Is(err, syscall.EMFILE) && signed == nil && strings.Contains(err.Error(), "says nothing of the copy"):
				short++
			case err != nil || !c.OK || !tried && !once:
				t.Fatalf("after %d files, once %v: %+v %v", after, once, c, err)
			}
		}
		if short == 0 {
			t.Errorf("once %v: no drill ran short", once)
		}
	}
}

// TestFullDrillRunsShortBesideDamage: what a full drill had found when the machine ran short is proven, and stands in the certificate; what it did not read does not.
func TestFullDrillRunsShortBesideDamage(t *testing.T) {
	d := newDrilled(t)
	damaged, broken := mem.New(), false
	copyEngine(t, d.target, damaged, func(name string, b []byte) []byte {
		if !broken && strings.HasPrefix(name, engine.Packs) {
			broken, b = true, bytes.Clone(b)
			b[len(b)/2] ^= 1
		}
		return b
	})
	both := 0
	for after, tried := int64(0), false; !tried; after++ {
		left := new(atomic.Int64)
		left.Store(after)
		opt := d.options(1)
		opt.Full, opt.Target = true, lacking{damaged, "", syscall.EMFILE, left, true}
		c, signed, err := d.s.Rooms().Backups.Drill(ctx, opt)
		tried = left.Load() >= 0
		said := strings.Join(c.Problems, "\n")
		switch {
		case errors.Is(err, syscall.EMFILE) && signed == nil && len(c.Problems) == 0: // before anything was found
		case err != nil || c.OK || !strings.Contains(said, "corrupt") || strings.Contains(said, syscall.EMFILE.Error()):
			t.Fatalf("after %d files: %+v %v", after, c, err)
		case !tried:
			both++
		}
	}
	if both == 0 {
		t.Error("no drill found the damage and ran short")
	}
}

// copyEngine copies every file of an engine, altered.
func copyEngine(t *testing.T, from, to engine.Engine, alter func(name string, b []byte) []byte) {
	t.Helper()
	for _, folder := range engine.Folders() {
		err := from.List(ctx, folder, func(i engine.Info) error {
			f, err := from.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			defer f.Close()
			b := make([]byte, f.Size())
			if _, err := f.ReadAt(b, 0); err != nil && f.Size() > 0 {
				return err
			}
			b = alter(i.Name, b)
			return to.Create(ctx, i.Name, int64(len(b)), bytes.NewReader(b))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailedDrillIsNoProof: after a drill that failed the store says so, also after a restart and with an index made again, until one passes; the newest that passed stays known.
func TestFailedDrillIsNoProof(t *testing.T) {
	d := newDrilled(t)
	if _, err := d.s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "mem:///target"}); !errors.Is(err, stele.ErrBadState) {
		t.Fatal(err) // this store was opened without a way to targets: its drills are what counts here
	}
	says := func(when string, passed, failed bool) {
		t.Helper()
		good, bad, err := d.s.Rooms().Backups.Drills(ctx, "nas")
		if err != nil || good.IsZero() == passed || bad.Since.IsZero() == failed || failed && !strings.Contains(bad.Problem, "can't be opened") {
			t.Errorf("%s: passed %v, failed %+v, %v", when, good, bad, err)
		}
	}
	run := func(target engine.Engine) {
		t.Helper()
		opt := d.options(1)
		opt.Target = target
		if _, _, err := d.s.Rooms().Backups.Drill(ctx, opt); err != nil {
			t.Fatal(err)
		}
	}
	says("before any", false, false)
	run(d.target)
	says("after one that passed", true, false)
	d.clock.Pass(time.Hour)
	run(mem.New())
	says("after one that failed", true, true)
	_, first, _ := d.s.Rooms().Backups.Drills(ctx, "nas")
	d.clock.Pass(time.Hour)
	run(mem.New())
	if _, bad, _ := d.s.Rooms().Backups.Drills(ctx, "nas"); !bad.Since.Equal(first.Since) || !bad.Last.After(first.Last) {
		t.Errorf("failing since %v, last %v", bad.Since, bad.Last)
	}
	for _, index := range []bool{true, false} {
		if err := d.s.Close(); err != nil {
			t.Fatal(err)
		}
		if !index {
			if err := d.fs.RemoveAll("data/index"); err != nil {
				t.Fatal(err)
			}
		}
		d.s = d.reopen(t)
		says("after a restart", true, true)
	}
	run(d.target)
	says("after another that passed", true, false)
}

// TestDrillWait: a failed drill is tried again within the hour, then as long after as it has failed so far, and once a day at least.
func TestDrillWait(t *testing.T) {
	const week = 7 * 24 * time.Hour
	at := func(failing time.Duration) stele.FailedDrill {
		now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
		return stele.FailedDrill{Since: now.Add(-failing), Last: now}
	}
	for _, c := range []struct {
		failed stele.FailedDrill
		every  time.Duration
		want   time.Duration
	}{
		{stele.FailedDrill{}, week, week}, {at(0), week, backup.DrillRetry}, {at(2 * time.Hour), week, 2 * time.Hour}, {at(week), week, 24 * time.Hour}, {at(week), time.Minute, time.Minute},
	} {
		if got := backup.DrillWait(c.failed, c.every); got != c.want {
			t.Errorf("%+v, every %v: %v, want %v", c.failed, c.every, got, c.want)
		}
	}
	if backup.DrillRetry > time.Hour-10*time.Minute {
		t.Error("a server looks every ten minutes: that is not within the hour")
	}
}

// TestCertificateCountsOnce: the versions in a certificate are as many as were read, each counted once, also where there are fewer than were asked for.
func TestCertificateCountsOnce(t *testing.T) {
	d := newDrilled(t) // 20 versions
	for _, full := range []bool{false, true} {
		opt := d.options(3)
		opt.Full, opt.Sample = full, 100
		c, _, err := d.s.Rooms().Backups.Drill(ctx, opt)
		if err != nil || !c.OK || c.Versions != 20 || c.Bytes != 20*3000 {
			t.Errorf("full %t: %d versions, %d bytes, %v", full, c.Versions, c.Bytes, err)
		}
	}
}
