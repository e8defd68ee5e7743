package replicate

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// swapped is a target in whose place another one is put.
type swapped struct{ engine.Engine }

// TestSwapped puts something else in the place of a target between two shipments of one session: it is noticed before anything is written, and the next session brings an old state of the
// target up again, and refuses another store's.
func TestSwapped(t *testing.T) {
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	t.Cleanup(func() { p.mustClose(t) })
	m, target := &model{}, &swapped{Engine: mem.New()}
	put := func(n int) {
		for i := range 30 {
			if err := m.put(p, fmt.Sprintf("k%d-%d", n, i), random(3000, uint64(n*100+i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0)
	s := mustConnect(t, p, target)
	if err := s.shipNow(); err != nil {
		t.Fatal(err)
	}
	old := clone(t, target, nil)
	put(1)
	if err := s.shipNow(); err != nil {
		t.Fatal(err)
	}
	foreign := mem.New()
	create(t, foreign, ownerFile([16]byte{1, 2, 3}), "copy")
	for name, other := range map[string]*mem.Mem{"an old state": old, "another store's": foreign, "nothing": mem.New()} {
		t.Run(name, func(t *testing.T) {
			was := target.Engine
			defer func() { target.Engine = was }()
			target.Engine = other
			before := snapshot(t, other)
			put(len(m.log))
			if err := s.shipNow(); !errors.Is(err, errMoved) {
				t.Fatalf("shipped to another place: %v", err)
			}
			if got := snapshot(t, other); len(got) != len(before) {
				t.Fatalf("%d files became %d", len(before), len(got))
			}
			next, err := connect(ctx, p.origin(), target, 0, nil)
			if name == "another store's" {
				if !errors.Is(err, ErrForeign) {
					t.Errorf("the next session: %v", err)
				}
				return
			}
			if err == nil {
				err = next.shipNow()
			}
			if err != nil {
				t.Fatal(err)
			}
			if size, err := checkTarget(target, p, m); err != nil || size != p.led.Size() {
				t.Errorf("%d of %d entries: %v", size, p.led.Size(), err)
			}
		})
	}
	if err := s.shipNow(); err != nil {
		t.Errorf("its own is back: %v", err)
	}
}
