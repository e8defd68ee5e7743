package witness

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/bug"
	"stele/internal/crashtest"
	"stele/internal/durable"
	"stele/tree"
)

// oracle is what the world has seen cosigned: the root of each size, and by which key.
type oracle struct {
	roots map[uint64]tree.Hash
	vkey  string
}

// ask has a history's checkpoint of this size cosigned, as a client does: it asks once more with the size that it is told. What is cosigned is noted.
func (o *oracle) ask(t testing.TB, w *Witness, h *history, size uint64) error {
	_, err := w.AddCheckpoint(0, nil, h.note(size))
	var kept *SizeError
	if errors.As(err, &kept) && kept.Kept <= size {
		_, err = w.AddCheckpoint(kept.Kept, h.proof(t, kept.Kept, size), h.note(size))
	}
	if err != nil {
		return err
	}
	if root, ok := o.roots[size]; ok && root != h.roots[size] {
		return fmt.Errorf("%w: of size %d", errTwo, size)
	}
	o.roots[size] = h.roots[size]
	return nil
}

var errTwo = errors.New("two roots are cosigned")

// scenario: a log grows and has each size cosigned. After the fault the log's owner, with the true key, tries another history; and then the true one goes on.
func scenario(t testing.TB) crashtest.Scenario[oracle] {
	const size = 8
	h, forged := newHistory(t, size+1, size+1, ""), newHistory(t, size+1, 0, "!")
	return crashtest.Scenario[oracle]{
		Setup: func(fs vfs.FS, o *oracle) error {
			o.roots = map[uint64]tree.Hash{}
			return durable.MkdirAll(fs, "w")
		},
		Work: func(fs vfs.FS, o *oracle) error {
			w, err := Open(options(fs, h))
			if err != nil {
				return err
			}
			o.vkey = w.VKey()
			for n := uint64(1); n <= size; n++ {
				if err := o.ask(t, w, h, n); err != nil {
					return err
				}
			}
			return nil
		},
		Check: func(fs vfs.FS, o *oracle) error {
			w, err := Open(options(fs, h))
			if err != nil {
				return err
			}
			if o.vkey != "" && w.VKey() != o.vkey {
				return errors.New("the key is another one")
			}
			var newest uint64
			other := forged
			for n, root := range o.roots {
				if newest = max(newest, n); root == forged.roots[n] {
					other = h // an earlier Check had it cosigned, as the first one
				}
			}
			if kept := w.logs["store/1"].kept; kept.Size < newest {
				return fmt.Errorf("size %d was cosigned, %d is kept", newest, kept.Size)
			}
			for n := uint64(1); n <= size; n++ {
				if err := o.ask(t, w, other, n); errors.Is(err, errTwo) {
					return err
				} else if err == nil && newest > 0 {
					return fmt.Errorf("another history is cosigned at %d, after the one at %d", n, newest)
				} else if err == nil {
					return nil // nothing was cosigned before: any history may be the first
				}
			}
			return nil
		},
		Copy: func(o *oracle) *oracle { return &oracle{maps.Clone(o.roots), o.vkey} },
	}
}

// TestCrash: the power goes at every write, or every fsync fails: never are two roots of one size cosigned.
func TestCrash(t *testing.T) { crashtest.Run(t, scenario(t)) }

// TestCrashBugs: each deliberate bug is noticed by TestCrash.
func TestCrashBugs(t *testing.T) {
	for name, b := range map[string]bug.Bug{"a checkpoint is cosigned before it is durable": bug.CosignUnkept, "a proof is not checked": bug.CosignInconsistency} {
		t.Run(name, func(t *testing.T) {
			bug.Plant(t, b)
			var failure *crashtest.Failure
			if _, err := scenario(t).CutPower(); !errors.As(err, &failure) {
				t.Fatalf("not noticed: %v", err)
			}
			t.Log(failure)
		})
	}
}

// TestFailedStaysFailed: after a failed fsync nothing is cosigned, what was cosigned before neither, until the witness is opened again.
func TestFailedStaysFailed(t *testing.T) {
	h := newHistory(t, 9, 9, "")
	fs := crashtest.NewFS()
	w := open(t, fs, h)
	_, err := w.AddCheckpoint(0, nil, h.note(5))
	must(t, err)
	fs.FailSync(0, false)
	for range 2 {
		if _, err := w.AddCheckpoint(5, h.proof(t, 5, 9), h.note(9)); !errors.Is(err, ErrFailed) {
			t.Errorf("after a failed fsync: %v", err)
		}
	}
	_, err = open(t, fs, h).AddCheckpoint(5, h.proof(t, 5, 9), h.note(9))
	must(t, err)
}
