package ledger

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/crashtest"
	"stele/internal/keyring"
)

// reigned is what a promotion was told, and so what must be found after a crash: the old epoch whole, or the new one.
type reigned struct {
	old, new oracle
	cut      uint64 // 0: all
	next     *keyring.Keyring
	begun    bool // Begin has returned, or a Check has seen the new epoch
}

func copyReigned(r *reigned) *reigned {
	c := *r
	c.old, c.new = *copyOracle(&r.old), *copyOracle(&r.new)
	return &c
}

// fillReigned leaves a ledger as a killed process does.
func fillReigned(cut uint64) func(vfs.FS, *reigned) error {
	return func(fs vfs.FS, r *reigned) error {
		r.cut = cut
		r.new.init()
		return fill(fs, &r.old)
	}
}

// promote begins a new epoch and writes in it.
func promote(fs vfs.FS, r *reigned) error {
	opt, m, err := r.old.options(fs)
	if err != nil {
		return err
	}
	l, err := OpenHalted(ctx, opt)
	if err != nil {
		return err
	}
	if r.cut == 0 {
		r.cut = l.Size()
	}
	if r.next, err = opt.Keys.Next(r.cut); err == nil {
		err = l.Begin(ctx, r.next, r.cut, entry.Private{Actor: "local"})
	}
	if err = errors.Join(err, l.Close()); err != nil {
		return err
	}
	r.begun = true
	opt.Keys = r.next
	if l, err = Open(ctx, opt); err != nil {
		return err
	}
	return errors.Join(r.new.propose(l, m, "reigned"), l.Close())
}

// checkReigned opens what is left, in the epoch that is there, and compares it with what was acknowledged in it and before.
func checkReigned(fs vfs.FS, r *reigned) error {
	opt, m, err := r.old.options(fs)
	if err != nil {
		return err
	}
	epoch, err := NewestEpoch(ctx, opt.Engine, opt.Keys)
	if err != nil {
		return err
	}
	if epoch < 2 && r.begun {
		return errors.New("the new epoch is gone")
	}
	o := &r.old
	if epoch == 2 {
		opt.Keys, o = r.next, &r.new
		if !r.begun { // from here on only this may be found
			r.begun = true
		}
		for index, key := range r.old.acked {
			if index < r.cut {
				o.acked[index] = key
			}
		}
	}
	l, err := Open(ctx, opt)
	if err != nil {
		return err
	}
	err = o.compare(l)
	if err == nil {
		err = o.propose(l, m, fmt.Sprintf("after %d", l.Size()))
	}
	return errors.Join(err, l.Close())
}

func reignScenario(cut uint64) crashtest.Scenario[reigned] {
	return crashtest.Scenario[reigned]{Setup: fillReigned(cut), Work: promote, Check: checkReigned, Copy: copyReigned}
}

// TestCrashInBegin cuts the power at every write, and fails every fsync, while a new epoch begins, with and without a cut.
func TestCrashInBegin(t *testing.T) {
	for name, cut := range map[string]uint64{"whole": 0, "within a batch": 6, "between batches": 4} {
		t.Run(name, func(t *testing.T) { crashtest.Run(t, reignScenario(cut)) })
	}
}

// TestCrashInBeginNotices: the crash test must see a new epoch that is acknowledged and not durable, or that drops too much.
func TestCrashInBeginNotices(t *testing.T) {
	for name, f := range map[string]struct {
		bugs []bug.Bug
		cut  uint64
	}{
		"cut one entry too far": {[]bug.Bug{bug.CutTooFar, bug.SkipParent}, 6},
		"another parent":        {[]bug.Bug{bug.OtherParent}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			bug.Plant(t, f.bugs...)
			if runs, err := reignScenario(f.cut).CutPower(); err == nil {
				t.Fatalf("the bug went unnoticed in %d runs", runs)
			} else {
				t.Log(err)
			}
		})
	}
}

// TestEpochModel runs random puts, kills and promotions, some of them to before earlier promotions, against a list in memory.
func TestEpochModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		opt := testOptions(testEngine(t, fs))
		opt.SegmentBytes = 1 << rapid.IntRange(9, 12).Draw(t, "segment")
		opt.Published = new(memFile)
		l, err := Create(ctx, opt, initDraft)
		if err != nil {
			t.Fatal(err)
		}
		salts, epochs := [][16]byte{}, []uint32{1} // epochs: of each entry
		first, _, _, err := l.Entry(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		salts = append(salts, first.Salt)
		reopen := func() {
			opt.Engine = testEngine(t, fs)
			if l, err = Open(ctx, opt); err != nil {
				t.Fatal(err)
			}
		}
		heads := map[Seen]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "n") {
					e, err := l.Append(ctx, put("k"))
					if err != nil {
						t.Fatal(err)
					}
					salts, epochs = append(salts, e.Salt), append(epochs, opt.Keys.Epoch)
				}
			},
			"kill": func(t *rapid.T) {
				l.fail(errors.New("killed"))
				if err := l.Close(); !errors.Is(err, ErrFailed) {
					t.Fatal(err)
				}
				reopen()
			},
			"promote": func(t *rapid.T) {
				if opt.Keys.Epoch > 6 {
					return
				}
				size, root := l.Head()
				heads[Seen{Size: size, Root: root, Epoch: opt.Keys.Epoch}] = true
				cut := rapid.IntRange(1, len(salts)).Draw(t, "cut")
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if opt, err = beginEpoch(opt, uint64(cut)); err != nil {
					t.Fatal(err)
				}
				reopen()
				e, _, _, err := l.Entry(ctx, uint64(cut))
				if err != nil || e.Type != entry.EpochBegin {
					t.Fatal(e.Type, err)
				}
				salts, epochs = append(salts[:cut:cut], e.Salt), append(epochs[:cut:cut], opt.Keys.Epoch)
			},
			"": func(t *rapid.T) {
				if l.Size() != uint64(len(salts)) {
					t.Fatalf("size %d, want %d", l.Size(), len(salts))
				}
				if err := l.Entries(ctx, 0, l.Size(), func(e *entry.Entry) error {
					if e.Salt != salts[e.Index] {
						return fmt.Errorf("entry %d is another one", e.Index)
					}
					if of := opt.Keys.EpochOf(e.Index); of != epochs[e.Index] {
						return fmt.Errorf("entry %d is of epoch %d, want %d", e.Index, of, epochs[e.Index])
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				for s := range maps.Keys(heads) {
					if err := l.Compare(ctx, s); err != nil {
						t.Fatalf("%+v: %v", s, err)
					}
				}
				at := rapid.IntRange(0, len(salts)-1).Draw(t, "at")
				e, _, _, err := l.Entry(ctx, uint64(at))
				if err != nil {
					t.Fatal(err)
				}
				if n, err := l.SizeAt(ctx, e.Time); err != nil || n <= uint64(at) {
					t.Fatalf("size at the time of entry %d is %d, %v", at, n, err)
				}
			},
		})
		if err := checkAll(l); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		ro, err := OpenReadOnly(ctx, opt)
		if err == nil {
			err = errors.Join(checkAll(ro), ro.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}
