package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/core"
	"stele/internal/logtest"
	"stele/internal/storetest"
)

// TestFailingWork: what fails beside requests is known, with since when and why, until it succeeds or is not there any more; also after a restart, and to who only reads.
func TestFailingWork(t *testing.T) {
	fs := vfs.NewMem()
	s, err := stele.Create(ctx, "a", stele.Options{FS: fs, Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	s.Rooms().Core.Outcomes(core.WorkLifecycle, map[string]error{"b": errors.New("first"), "c": errors.New("no")})
	since := s.Rooms().Core.FailingWork()[0].Since
	s.Rooms().Core.Outcomes(core.WorkLifecycle, map[string]error{"b": errors.New("second")}) // c is well, or gone
	s.Rooms().Core.Outcome(core.WorkDrills, nil)
	s.Rooms().Core.Outcome(core.WorkDrills, stele.ErrClosed) // no failure of its own
	s.Rooms().Core.Outcome(core.WorkDrills, context.Canceled)
	is := func(s *stele.Store, times int) {
		t.Helper()
		all := s.Rooms().Core.FailingWork()
		if len(all) != 1 || all[0].Of != "b" || all[0].Times != times || !all[0].Since.Equal(since) {
			t.Fatalf("%+v", all)
		}
		st, err := s.Stats(ctx)
		if err != nil || len(st.Failing) != 1 {
			t.Fatalf("%+v, %v", st.Failing, err)
		}
	}
	is(s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = stele.Open(ctx, "a", stele.Options{FS: fs, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	is(s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, "a", stele.Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	is(s, 2)
	s.Rooms().Core.Outcomes(core.WorkLifecycle, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, "a", stele.Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if all := s.Rooms().Core.FailingWork(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// TestFailingIsToldOnce: the log has what goes on failing when it begins and once an hour, also where each try names a file of its own, and where it is tried each minute.
func TestFailingIsToldOnce(t *testing.T) {
	log, clock := new(logtest.Buffer), storetest.NewClock()
	s, err := stele.Create(ctx, "a", stele.Options{FS: vfs.NewMem(), Kit: "kit.txt", Clock: clock, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	told := func() int { return strings.Count(log.String(), "work beside requests failed") }
	for i := range 119 {
		s.Rooms().Core.Outcome(core.WorkDrills, fmt.Errorf("couldn't write a/targets.%016x.tmp: no space left", i))
		if want := 1 + i/60; told() != want {
			t.Fatalf("after %d minutes the log has it %d times, want %d:\n%s", i, told(), want, log)
		}
		clock.Pass(time.Minute)
	}
	s.Rooms().Core.Outcome(core.WorkDrills, errors.New("access denied"))
	if told() != 3 {
		t.Errorf("another reason is not told:\n%s", log)
	}
	s.Rooms().Core.Outcome(core.WorkDrills, nil)
	s.Rooms().Core.Outcome(core.WorkDrills, errors.New("access denied"))
	if told() != 4 {
		t.Errorf("that it fails again is not told:\n%s", log)
	}
}

// TestChoresFail: a chore that fails is named and holds up no other one; it is tried again, and gone when it succeeds.
func TestChoresFail(t *testing.T) {
	s, err := stele.Create(ctx, "a", stele.Options{FS: vfs.NewMem(), Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var bad error
	done := 0
	chores := []core.Chore{{What: "one", Do: func(context.Context) error { return bad }}, {What: "two", Do: func(context.Context) error { done++; return nil }}}
	bad = errors.New("no")
	left := s.Rooms().Core.Round(ctx, chores)
	if len(left) != 1 || done != 1 || len(s.Rooms().Core.FailingWork()) != 1 || s.Rooms().Core.FailingWork()[0].Of != "one" {
		t.Fatalf("%v, %d, %+v", left, done, s.Rooms().Core.FailingWork())
	}
	bad = nil
	if left = s.Rooms().Core.Round(ctx, left); len(left) != 0 || len(s.Rooms().Core.FailingWork()) != 0 {
		t.Errorf("%v, %+v", left, s.Rooms().Core.FailingWork())
	}
	named := map[string]bool{}
	for _, c := range s.Rooms().Core.MinuteChores() {
		named[c.What] = true
	}
	for _, c := range s.Rooms().Core.WokenChores() {
		if !named[c.What] {
			t.Errorf("%s is not tried again if it fails", c.What)
		}
	}
}
