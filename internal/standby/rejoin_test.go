package standby

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/crashtest"
	"stele/internal/node"
	"stele/tree"
)

// failedOver is a primary that went on after its standby was promoted, and whose folder nobody holds; its options, and what it held.
func failedOver(t *testing.T) (r *rig, opt stele.Options, had before) {
	r = newRig(t)
	r.admit()
	for i := range 10 {
		r.put(fmt.Sprintf("k%d", i), 3000, uint64(i))
	}
	s := r.open()
	catchUp(t, r, s)
	must(t, s.Close())
	model := r.copyModel()
	for i := range 5 {
		r.put(fmt.Sprintf("tail%d", i), 3000, uint64(i))
	}
	old, opt := r.primary(), r.opt
	must(t, old.Close())
	head, err := tree.OpenCheckpoint(old.Ledger().Checkpoint(), old.Ledger().VKey())
	must(t, err)
	p := r.promote(0)
	r.model = model
	r.put("new", 3000, 1)
	rec, err := stele.NewStandby("primary", opt)
	if err == nil {
		t.Fatalf("a store's folder is made a standby's, %s, without a word of who took over", rec)
	}
	return r, opt, before{head, p.Cut}
}

// admitOld admits the former primary's own identity on the present one.
func admitOld(t *testing.T, r *rig, s *node.Node, opt stele.Options) {
	t.Helper()
	pin, ok, err := stele.PinOf("primary", opt)
	if err != nil || !ok {
		t.Fatalf("the former primary's folder is no standby's: %v %v", pin, err)
	}
	rec, err := stele.NewStandby("primary", opt)
	must(t, err)
	_, err = s.AddStandby(t.Context(), stele.Local(), "old", rec)
	must(t, err)
}

// TestRejoin: the folder of a former primary becomes a standby's of the one that took over; what it held beyond the cut is evidence in it; and it can be promoted in its turn.
func TestRejoin(t *testing.T) {
	r, opt, had := failedOver(t)
	b := &rig{t: t, sfs: opt.FS, model: r.model, store: r.primary()}
	b.sopt = r.sopt
	b.sopt.Folder, b.sopt.Store = "primary", opt
	s := New(b.sopt)
	must(t, s.Open(t.Context()))
	c, _ := s.store.Follow.Accepted()
	if c != had.head {
		t.Fatalf("it has accepted %v, and held %v", c, had.head)
	}
	if err := s.round(t.Context(), false); !errors.Is(err, errNotAdmitted) {
		t.Fatalf("not admitted: %v", err)
	}
	admitOld(t, r, r.primary(), opt)
	s.primary = nil
	catchUp(t, b, s)
	b.check("the former primary", s)
	b.evidence(had.head.Size, had.cut)
	must(t, s.Close())
	must(t, holdsEvidence(opt.FS, "primary", had.head))
	s = b.open() // once more, as a standby like any other
	catchUp(t, b, s)
	must(t, s.Close())
	b.promote(0, r)
	b.same("the former primary, promoted again", b.primary().Store)
	verified(t, b.primary(), had.head.Size-had.cut)
}

// TestRejoinOther: a store's folder is left as it is if the one that is to be followed has not taken over from it.
func TestRejoinOther(t *testing.T) {
	r, other := newRig(t), newRig(t)
	must(t, r.primary().Close())
	opt := r.sopt
	opt.Folder, opt.Store = "primary", r.opt
	for what, dial := range map[string]func(context.Context) (Primary, error){
		"another store": func(context.Context) (Primary, error) { return direct{other.primary(), 0}, nil },
	} {
		opt.Dial = dial
		if err := New(opt).Open(t.Context()); !errors.Is(err, stele.ErrSuccession) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	s, err := node.Open(t.Context(), "primary", r.opt)
	must(t, err)
	_, err = s.CreateBucket(t.Context(), stele.Local(), "still", false)
	must(t, errors.Join(err, s.Close()))
}

// TestRejoinCrash: the power goes at every write while a former primary's folder becomes a standby's: it is the one or the other, with all that it held.
func TestRejoinCrash(t *testing.T) {
	r, opt, had := failedOver(t)
	u, err := r.primary().Ledger().Succession(t.Context())
	must(t, err)
	on := func(fs vfs.FS) stele.Options {
		o := opt
		o.FS = fs
		return o
	}
	crashtest.Run(t, crashtest.Scenario[before]{
		Stride: 3,
		Setup: func(fs vfs.FS, o *before) error {
			*o = had
			return durably(opt.FS, fs, "primary")
		},
		Work: func(fs vfs.FS, o *before) error {
			return stele.Rejoin(context.Background(), "primary", on(fs), "test", u)
		},
		Check: func(fs vfs.FS, o *before) error {
			if _, ok, err := stele.PinOf("primary", on(fs)); err != nil {
				return err
			} else if !ok {
				if err := stele.Rejoin(context.Background(), "primary", on(fs), "test", u); err != nil {
					return err
				}
			}
			s, err := stele.OpenStandby(context.Background(), "primary", on(fs))
			if err != nil {
				return err
			}
			c, _ := s.Follow.Accepted()
			here := s.Follow.Here()
			if err := errors.Join(readAll(s.Store), s.Close()); err != nil {
				return err
			}
			if c != o.head || here != o.head.Size {
				return fmt.Errorf("it has accepted %v and holds %d entries, of %v", c, here, o.head)
			}
			return holdsEvidence(fs, "primary", o.head)
		},
		Copy: func(o *before) *before { c := *o; return &c },
	})
}
