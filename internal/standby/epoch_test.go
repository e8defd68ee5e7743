package standby

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/node"
	"stele/internal/storetest"
)

// another is a second standby of the rig's primary, admitted unless it is keyless.
func (r *rig) another(name string, keyless bool) *rig {
	r.t.Helper()
	b := &rig{t: r.t, fs: r.fs, sfs: vfs.NewMem(), model: r.model, opt: r.opt, store: r.store}
	b.sopt = r.sopt
	b.sopt.Folder, b.sopt.Store.FS, b.sopt.Keyless = name, b.sfs, keyless
	b.sopt.Dial = func(ctx context.Context) (Primary, error) {
		var p Primary = direct{b.primary(), 0}
		if b.wrap != nil {
			p = b.wrap(p)
		}
		return p, nil
	}
	b.sopt.Sleep = func(ctx context.Context, d time.Duration) error {
		if b.slept++; b.slept > 100 {
			return errors.New("asked again a hundred times")
		}
		return ctx.Err()
	}
	if !keyless {
		rec, err := stele.NewStandby(name, b.sopt.Store)
		must(r.t, err)
		_, err = r.primary().AddStandby(r.t.Context(), stele.Local(), name, rec)
		must(r.t, err)
	}
	return b
}

// promote makes the rig's standby the primary, for it and for others, with the first at entries (0: all).
func (r *rig) promote(at uint64, others ...*rig) stele.Promotion {
	r.t.Helper()
	p, err := stele.Promote(r.t.Context(), r.sopt.Folder, stele.PromoteOptions{Options: r.sopt.Store, At: at, Reason: "a test"})
	must(r.t, err)
	s, err := node.Open(r.t.Context(), r.sopt.Folder, r.sopt.Store)
	must(r.t, err)
	r.t.Cleanup(func() { s.Close() })
	for _, x := range append(others, r) {
		x.mu.Lock()
		x.store = s
		x.mu.Unlock()
	}
	return p
}

// copyModel is what was put so far.
func (r *rig) copyModel() map[string][]byte { return maps.Clone(r.model) }

// check compares a standby with its primary.
func (r *rig) check(what string, s *Standby) {
	r.t.Helper()
	r.sameTree(s)
	if s.store.Store != nil {
		r.same(what, s.store.Store)
	}
}

// TestNewEpoch: a standby follows its store through promotions of others, whether it is behind the cut, at it or ahead of it, with and without keys; what it had beyond the cut stays as
// evidence. One that is set up later goes through all epochs from the first entry. It is promoted in its turn.
func TestNewEpoch(t *testing.T) {
	for _, ahead := range []int{-1, 0, 1} {
		for _, keyless := range []bool{false, true} {
			t.Run(fmt.Sprintf("ahead %d keyless %v", ahead, keyless), func(t *testing.T) { testNewEpoch(t, ahead, keyless) })
		}
	}
}

func testNewEpoch(t *testing.T, ahead int, keyless bool) {
	r := newRig(t)
	r.admit()
	b := r.another("second", keyless)
	for i := range 40 {
		r.put(fmt.Sprintf("k%d", i), 3000, uint64(i))
	}
	s, sb := r.open(), b.open()
	catchUp(t, b, sb)
	if ahead < 0 {
		for i := range 150 {
			r.put(fmt.Sprintf("behind%d", i), 3000, uint64(i))
		}
	}
	catchUp(t, r, s)
	model := r.copyModel()
	if ahead > 0 {
		for i := range 150 { // over the end of a segment
			r.put(fmt.Sprintf("ahead%d", i), 3000, uint64(i))
		}
		catchUp(t, b, sb)
	}
	had, _ := sb.store.Follow.Accepted()
	must(t, s.Close())
	p := r.promote(0, b)
	r.model, b.model = model, model
	r.put("new", 3000, 1)

	sb.primary = nil
	catchUp(t, b, sb)
	b.check("the standby of the new epoch", sb)
	if got := sb.Status(); got.Epoch != 2 || got.Frozen {
		t.Fatalf("it is in epoch %d, frozen %v", got.Epoch, got.Frozen)
	}
	b.evidence(had.Size, p.Cut)
	for i := range 20 {
		r.put(fmt.Sprintf("later%d", i), 3000, uint64(i))
	}
	must(t, sb.Close())
	sb = b.open()
	catchUp(t, b, sb)
	b.check("the standby, started anew", sb)

	c := r.another("third", false)
	sc := c.open()
	if sc.store.Follow.Pin.Epoch() != 2 {
		t.Fatalf("a standby set up in epoch 2 has pinned epoch %d", sc.store.Follow.Pin.Epoch())
	}
	catchUp(t, c, sc)
	c.check("a standby that was set up in epoch 2", sc)
	must(t, sc.Close())
	c.promote(0, r, b)
	r.put("newest", 3000, 1)
	sb.primary = nil
	catchUp(t, b, sb)
	b.check("the standby of the third epoch", sb)
	must(t, sb.Close())

	d := r.another("fourth", keyless)
	sd := d.open()
	catchUp(t, d, sd)
	d.check("a standby that was set up in epoch 3", sd)
	must(t, sd.Close())
	if keyless {
		return
	}
	d.promote(0, r)
	d.same("the primary of the fourth epoch", d.primary().Store)
	verified(t, d.primary(), 0)
}

// evidence wants what was accepted beyond the cut to be kept, and told of, if there was any.
func (b *rig) evidence(had, cut uint64) {
	b.t.Helper()
	names, _ := b.sfs.List(b.sfs.PathJoin(b.sopt.Folder, evidenceFolder))
	if had <= cut {
		if len(names) > 0 {
			b.t.Fatalf("nothing was left out, and there is evidence: %v", names)
		}
		return
	}
	if len(names) != 1 || !strings.HasSuffix(names[0], "-epoch-2") {
		b.t.Fatalf("the evidence is %v", names)
	}
	f, err := b.sfs.Open(b.sfs.PathJoin(b.sopt.Folder, evidenceFolder, names[0], "reason.txt"))
	must(b.t, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	must(b.t, err)
	if want := fmt.Sprintf("entries %d to %d", cut, had-1); !strings.Contains(string(text), want) {
		b.t.Fatalf("the reason is %q, without %q", text, want)
	}
}

// verified verifies a store's files and wants this many entries of evidence in them.
func verified(t testing.TB, s *node.Node, evidence uint64) {
	t.Helper()
	report, err := s.Verify(t.Context(), stele.VerifyOptions{Deep: true})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Fatalf("the store has problems: %v", report.Problems)
	}
	var got uint64
	for _, e := range report.Evidence {
		got += e.To - e.From
	}
	if got != evidence {
		t.Fatalf("%d entries are evidence, not %d", got, evidence)
	}
}

// forger is a primary that shows another succession than its own.
type forger struct {
	Primary
	forge func(*stele.Succession)
}

func (f forger) Succession(ctx context.Context) (stele.Succession, error) {
	u, err := f.Primary.Succession(ctx)
	f.forge(&u)
	return u, err
}

// TestForgedEpoch: a new epoch that is not proven is refused, with evidence: nothing is shown for it, the receipt is garbled or that of another store, its own key is another.
func TestForgedEpoch(t *testing.T) {
	foreign := newRig(t)
	foreign.admit()
	fs := foreign.open()
	catchUp(t, foreign, fs)
	must(t, fs.Close())
	foreign.promote(0)
	theirs, err := foreign.primary().Ledger().Succession(t.Context())
	must(t, err)
	for name, forge := range map[string]func(*stele.Succession){
		"nothing is shown":         func(u *stele.Succession) { u.Receipts = nil },
		"no epochs are named":      func(u *stele.Succession) { u.Reigns = nil },
		"a receipt is garbled":     func(u *stele.Succession) { u.Receipts[0][len(u.Receipts[0])/2] ^= 1 },
		"it is another store's":    func(u *stele.Succession) { *u = theirs },
		"the key is another":       func(u *stele.Succession) { u.VKey = theirs.VKey },
		"it begins behind its cut": func(u *stele.Succession) { u.Reigns[0].Next = u.Reigns[0].End + 1 },
		"it begins far before it":  func(u *stele.Succession) { u.Reigns[0].Next = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.admit()
			b := r.another("second", false)
			r.put("k", 3000, 1)
			s, sb := r.open(), b.open()
			catchUp(t, r, s)
			catchUp(t, b, sb)
			must(t, s.Close())
			r.promote(0, b)
			b.wrap = func(p Primary) Primary { return forger{p, forge} }
			sb.primary = nil
			b.frozen(sb, "signature")
			must(t, sb.Close())
		})
	}
}

// TestRewrittenThenPromoted: a history that was rewritten with the stolen keys is no better for a new epoch that goes on with it, whether that has fewer entries than were accepted or more.
func TestRewrittenThenPromoted(t *testing.T) {
	for _, more := range []int{1, 40} {
		r := newRig(t)
		r.put("common", 1000, 1)
		r.admit()
		stolen := r.steal()
		for i := range 20 {
			r.put("true", 1000, uint64(i))
		}
		s := r.open()
		catchUp(t, r, s)
		r.become(stolen)
		for i := range more {
			r.put("forged", 1000, uint64(i))
		}
		must(t, r.primary().Close())
		_, err := stele.Promote(t.Context(), "primary", stele.PromoteOptions{Options: r.opt})
		must(t, err)
		r.become(r.opt.FS)
		s.primary = nil
		r.frozen(s, "fork")
		must(t, s.Close())
	}
}

// TestLongTail: a new epoch that leaves out more than a standby can lag behind is followed on a person's word only, and for just that cut.
func TestLongTail(t *testing.T) {
	clock := storetest.NewClock()
	r := newRigOn(t, clock)
	r.admit()
	b := r.another("second", false)
	r.put("k", 3000, 1)
	s, sb := r.open(), b.open()
	catchUp(t, r, s)
	must(t, s.Close())
	model := r.copyModel()
	r.put("first of the tail", 3000, 2)
	clock.Pass(tailLimit + time.Second)
	r.put("last of the tail", 3000, 2)
	catchUp(t, b, sb)
	cut := r.promote(0, b).Cut
	r.model, b.model = model, model
	sb.primary = nil
	b.frozen(sb, "cut")
	must(t, sb.Close())

	b.sopt.AcceptCut = cut - 1
	sb = b.open()
	b.frozen(sb, "cut")
	must(t, sb.Close())
	b.sopt.AcceptCut = cut
	sb = b.open()
	must(t, sb.stillFrozen())
	catchUp(t, b, sb)
	b.check("the standby that was told so", sb)
	must(t, sb.Close())
}

// TestEarlierEpoch: a former primary that is met is told that its epoch has ended, and is not followed.
func TestEarlierEpoch(t *testing.T) {
	r := newRig(t)
	r.admit()
	b := r.another("second", false)
	r.put("k", 3000, 1)
	s, sb := r.open(), b.open()
	catchUp(t, r, s)
	must(t, s.Close())
	old := r.primary()
	r.promote(0, b)
	sb.primary = nil
	catchUp(t, b, sb)
	b.mu.Lock()
	b.store = old
	b.mu.Unlock()
	sb.primary = nil
	if err := sb.round(t.Context(), false); !errors.Is(err, errEarlier) {
		t.Fatalf("following a former primary: %v", err)
	}
	if _, err := old.CreateBucket(t.Context(), stele.Local(), "late", false); !errors.Is(err, stele.ErrSuperseded) {
		t.Fatalf("the former primary takes writes: %v", err)
	}
	must(t, sb.Close())
}

// TestNotAdmitted: a standby to which the new primary has not wrapped its keyring says so, stays what it is, also when it is started anew, and follows once it is admitted.
func TestNotAdmitted(t *testing.T) {
	r := newRig(t)
	r.admit()
	r.put("k", 3000, 1)
	s := r.open()
	catchUp(t, r, s)
	must(t, s.Close())
	b := r.another("second", false) // of which the first does not know
	sb := b.open()
	catchUp(t, b, sb)
	r.promote(0, b)
	r.put("new", 3000, 1)
	for range 2 {
		sb.primary = nil
		if err := sb.round(t.Context(), false); !errors.Is(err, errNotAdmitted) {
			t.Fatalf("following a primary that has not admitted this standby: %v", err)
		}
		must(t, sb.Close())
		sb = b.open()
		b.mustHave(sb, 5)
	}
	rec, err := stele.NewStandby(b.sopt.Folder, b.sopt.Store)
	must(t, err)
	_, err = b.primary().AddStandby(t.Context(), stele.Local(), "second", rec)
	must(t, err)
	catchUp(t, b, sb)
	b.check("the standby, admitted", sb)
	must(t, sb.Close())
}
