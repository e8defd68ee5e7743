package stele

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/care"
	"stele/internal/core"
	"stele/tree"
)

// TestFailingWork: what fails beside requests is known, with since when and why, until it succeeds or is not there any more; also after a restart, and to who only reads.
func TestFailingWork(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Create(ctx, "a", Options{FS: fs, Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	s.core.Outcomes(core.WorkLifecycle, map[string]error{"b": errors.New("first"), "c": errors.New("no")})
	since := s.core.FailingWork()[0].Since
	s.core.Outcomes(core.WorkLifecycle, map[string]error{"b": errors.New("second")}) // c is well, or gone
	s.core.Outcome(core.WorkDrills, nil)
	s.core.Outcome(core.WorkDrills, ErrClosed) // no failure of its own
	s.core.Outcome(core.WorkDrills, context.Canceled)
	is := func(s *Store, times int) {
		t.Helper()
		all := s.core.FailingWork()
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
	s, err = Open(ctx, "a", Options{FS: fs, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	is(s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, "a", Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	is(s, 2)
	s.core.Outcomes(core.WorkLifecycle, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, "a", Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if all := s.core.FailingWork(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// lockedBuffer is a log that a test may read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestFailingIsToldOnce: the log has what goes on failing when it begins and once an hour, also where each try names a file of its own, and where it is tried each minute.
func TestFailingIsToldOnce(t *testing.T) {
	log, clock := new(lockedBuffer), newTestClock()
	s, err := Create(ctx, "a", Options{FS: vfs.NewMem(), Kit: "kit.txt", Clock: clock, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	told := func() int { return strings.Count(log.String(), "work beside requests failed") }
	for i := range 119 {
		s.core.Outcome(core.WorkDrills, fmt.Errorf("couldn't write a/targets.%016x.tmp: no space left", i))
		if want := 1 + i/60; told() != want {
			t.Fatalf("after %d minutes the log has it %d times, want %d:\n%s", i, told(), want, log)
		}
		clock.pass(time.Minute)
	}
	s.core.Outcome(core.WorkDrills, errors.New("access denied"))
	if told() != 3 {
		t.Errorf("another reason is not told:\n%s", log)
	}
	s.core.Outcome(core.WorkDrills, nil)
	s.core.Outcome(core.WorkDrills, errors.New("access denied"))
	if told() != 4 {
		t.Errorf("that it fails again is not told:\n%s", log)
	}
}

// TestChoresFail: a chore that fails is named and holds up no other one; it is tried again, and gone when it succeeds.
func TestChoresFail(t *testing.T) {
	s, err := Create(ctx, "a", Options{FS: vfs.NewMem(), Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var bad error
	done := 0
	chores := []core.Chore{{What: "one", Do: func(context.Context) error { return bad }}, {What: "two", Do: func(context.Context) error { done++; return nil }}}
	bad = errors.New("no")
	left := s.core.Round(ctx, chores)
	if len(left) != 1 || done != 1 || len(s.core.FailingWork()) != 1 || s.core.FailingWork()[0].Of != "one" {
		t.Fatalf("%v, %d, %+v", left, done, s.core.FailingWork())
	}
	bad = nil
	if left = s.core.Round(ctx, left); len(left) != 0 || len(s.core.FailingWork()) != 0 {
		t.Errorf("%v, %+v", left, s.core.FailingWork())
	}
	named := map[string]bool{}
	for _, c := range s.core.MinuteChores() {
		named[c.What] = true
	}
	for _, c := range s.core.WokenChores() {
		if !named[c.What] {
			t.Errorf("%s is not tried again if it fails", c.What)
		}
	}
}

// TestWitnessStatus: each witness' last cosignature is known, also after a restart; one that refuses is named with why, is asked again where nothing is written, and is forgotten when nobody asks it any more.
func TestWitnessStatus(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Create(ctx, "a", Options{FS: fs, Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	vkey := s.VKey()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	one, _ := honest(t, "one", vkey)
	asked := make(chan struct{}, 100)
	refuses := care.Witness{Name: "two", Ask: func(context.Context, []byte, func(context.Context, uint64, uint64) ([]tree.Hash, error)) ([]byte, error) {
		asked <- struct{}{}
		return nil, errors.New("I will not")
	}}
	waits := make(chan time.Duration, 100)
	soon := func(d time.Duration) <-chan time.Time {
		if d != care.WitnessPause {
			waits <- d
		}
		c := make(chan time.Time, 1)
		c <- time.Time{}
		return c
	}
	if s, err = Open(ctx, "a", Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	s.care.Opt.Witnesses, s.care.Opt.CosignWait = []care.Witness{one, refuses}, soon // and what an opening with witnesses begins
	s.core.KnowWitnesses([]string{"one", "two"})
	s.core.Background.Add(1)
	go s.care.KeepCosigned()
	for i := range 3 { // though nothing is written
		<-asked
		if d := <-waits; d != time.Minute<<i {
			t.Errorf("round %d: the next one after %s", i, d)
		}
	}
	is := func(all []core.WitnessStatus) {
		t.Helper()
		if len(all) != 2 || all[0].Cosigned.IsZero() || all[0].Error != "" || !all[1].Cosigned.IsZero() || all[1].Asked.IsZero() || all[1].Error != "I will not" {
			t.Fatalf("%+v", all)
		}
	}
	is(s.core.Witnesses())
	first := s.core.Witnesses()[1].Asked
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, "a", Options{FS: fs}); err != nil { // a verb
		t.Fatal(err)
	}
	is(s.core.Witnesses())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, "a", Options{FS: fs, Witnesses: []care.Witness{refuses}}); err != nil {
		t.Fatal(err)
	}
	if all := s.core.Witnesses(); len(all) != 1 || !all[0].Asked.Equal(first) {
		t.Errorf("%+v", all)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, "a", Options{FS: fs, Witnesses: []care.Witness{}}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if all := s.core.Witnesses(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}
