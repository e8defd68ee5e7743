package replicate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// TestIdleLooks: nothing is written any more, and the target is emptied, another store's is put in its place, or its newest file is removed. That is known within a minute, and at once to who asks.
func TestIdleLooks(t *testing.T) {
	foreign := mem.New()
	create(t, foreign, ownerFile([16]byte{1, 2, 3}), "copy")
	for _, asked := range []bool{false, true} {
		for name, want := range map[string]error{"emptied": ErrEmptied, "another store's": ErrForeign, "its newest file is gone": nil} {
			t.Run(name, func(t *testing.T) {
				_, target, s, clock, told := lossRig(t)
				s.Look(ctx) // it waits for something to happen from here on
				tails := slices.DeleteFunc(target.names(t, engine.Tails), func(name string) bool { _, _, _, ok := parseTailSegment(name); return !ok })
				switch {
				case want == nil:
					target.vanish(tails[len(tails)-1])
				case errors.Is(want, ErrForeign):
					target.Engine = foreign
				default:
					target.Engine = mem.New()
				}
				if asked {
					s.Look(ctx)
				} else {
					clock.advance(lookEvery)
				}
				if want == nil {
					if lost := <-told.told; !slices.Contains(lost, tails[len(tails)-1]) {
						t.Errorf("lost %q, want %s", lost, tails[len(tails)-1])
					}
					return
				}
				if !asked {
					<-told.failed
				}
				if st := s.Status(); !errors.Is(st.Err, want) || !st.Refused || st.Connected {
					t.Errorf("status = %+v, want %v", st, want)
				}
			})
		}
	}
}

// TestLookComesBack: who asks for a look has a target with an error tried again at once.
func TestLookComesBack(t *testing.T) {
	_, target, s, clock, told := lossRig(t)
	was := target.Engine
	target.Engine = mem.New()
	clock.advance(lookEvery)
	<-told.failed
	target.Engine = was
	s.Look(ctx)
	if st := s.Status(); st.Err != nil || !st.Connected {
		t.Errorf("status = %+v", st)
	}
}

// hanging is a target whose listings may hang, as those of a network file system do, whatever their context says.
type hanging struct {
	engine.Engine
	mu    sync.Mutex
	hangs chan struct{} // nil: they don't
	began chan struct{}
}

func (h *hanging) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	h.mu.Lock()
	hangs := h.hangs
	h.mu.Unlock()
	if hangs != nil {
		h.began <- struct{}{}
		<-hangs
	}
	return h.Engine.List(ctx, prefix, fn)
}

// TestHangingTarget: a target that doesn't answer holds up nobody who asks how it stands, and is not called well.
func TestHangingTarget(t *testing.T) {
	p, _, _, _, _ := lossRig(t)
	clock, target := newHandClock(), &hanging{Engine: mem.New(), began: make(chan struct{}, 100)}
	s := NewShipper(p.origin(), Options{Name: "nas", Clock: clock, Open: func(context.Context) (engine.Engine, error) { return target, nil }})
	runShipper(t, s)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	s.Look(ctx)
	hangs := make(chan struct{})
	target.mu.Lock()
	target.hangs = hangs
	target.mu.Unlock()
	clock.advance(lookEvery)
	<-target.began
	if st := s.Status(); st.Err != nil {
		t.Errorf("it is silent at once: %v", st.Err)
	}
	clock.advance(silentAfter)
	s.Look(ctx) // doesn't wait: a look is under way
	st := s.Status()
	if !errors.Is(st.Err, ErrSilent) || st.Connected || !st.ErrSince.Equal(clock.Now().Add(-silentAfter)) {
		t.Errorf("status = %+v", st)
	}
	target.mu.Lock()
	target.hangs = nil
	target.mu.Unlock()
	close(hangs)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Err != nil || !st.Connected {
		t.Errorf("once it answers: %+v", st)
	}
}
