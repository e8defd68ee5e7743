package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/engine"
	"stele/tree"
)

// fullEngine has no room for a new file, or lacks something else for it, while full is set.
type fullEngine struct {
	engine.Appender
	full atomic.Bool
	lack error
}

func (e *fullEngine) Append(ctx context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	if e.full.Load() {
		return nil, fmt.Errorf("couldn't start %s: %w", name, e.lack)
	}
	return e.Appender.Append(ctx, name, opt)
}

// TestFull runs out of room, or of file descriptors, for the next segment: puts are refused, reads go on, and when there is room again so do puts.
func TestFull(t *testing.T) {
	for _, lack := range []error{engine.ErrFull, syscall.EMFILE} {
		t.Run(lack.Error(), func(t *testing.T) { testLack(t, lack) })
	}
}

func testLack(t *testing.T, lack error) {
	e := &fullEngine{Appender: testEngine(t, vfs.NewMem()), lack: lack}
	opt := testOptions(e)
	opt.SegmentBytes = 1 << 10
	l := mustCreate(t, opt)
	e.full.Store(true)
	var err error
	for i := 0; err == nil && i < 100; i++ {
		_, err = l.Append(ctx, put(fmt.Sprint(i)))
	}
	if !errors.Is(err, lack) || errors.Is(err, ErrFailed) || l.Err() != nil {
		t.Fatalf("on a full disk: %v", err)
	}
	if err := checkAll(l); err != nil {
		t.Errorf("reading on a full disk: %v", err)
	}
	e.full.Store(false)
	mustPut(t, l, "room again")
	if err := checkAll(l); err != nil {
		t.Error(err)
	}
	mustClose(t, l)
}

// TestLongEntries: when entries become much longer than foreseen, a segment ends early instead of growing without bounds.
func TestLongEntries(t *testing.T) {
	e := testEngine(t, vfs.NewMem())
	opt := testOptions(e)
	opt.SegmentBytes = 64 << 10
	l := mustCreate(t, opt)
	for fixed := false; !fixed; { // until the sequencer has fixed where the segment ends
		if _, err := l.Append(ctx, func(at Slot) (Draft, error) { fixed = l.seq.rotateAt > 0; return put("short")(at) }); err != nil {
			t.Fatal(err)
		}
	}
	noise := make([]byte, 20<<10)
	for i := range 40 {
		for j := range noise {
			noise[j] = 'a' + byte(rand.IntN(26))
		}
		if _, err := l.Append(ctx, func(Slot) (Draft, error) {
			return Draft{entry.ConfigSet, entry.Private{Name: fmt.Sprint(i), Value: string(noise)}}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkAll(l); err != nil {
		t.Error(err)
	}
	mustClose(t, l)
	if err := e.List(ctx, engine.Segments, func(i engine.Info) error {
		if i.SizeBytes > 2*opt.SegmentBytes {
			t.Errorf("%s has %d bytes", i.Name, i.SizeBytes)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if tails, err := e.Tails(ctx); err != nil || len(tails) != 0 {
		t.Errorf("%d tails left, %v", len(tails), err)
	}
	l, err := Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
}

// TestPublishFull: on a full disk the published checkpoint stays where it is; nothing else stops.
func TestPublishFull(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	tried := make(chan int)
	n := 0
	opt.PublishEvery = time.Nanosecond
	opt.Published = storeErr(func(note []byte) error {
		if n++; n <= 5 {
			tried <- n
		}
		if n < 5 {
			return fmt.Errorf("couldn't write: %w", syscall.ENOSPC)
		}
		return nil
	})
	l := mustCreate(t, opt)
	for i := range tried {
		if i < 5 && l.Published() != nil {
			t.Error("published what couldn't be kept")
		}
		if i == 5 {
			break
		}
	}
	mustPut(t, l, "k")
	mustClose(t, l)
	if l.Published() == nil {
		t.Error("never published")
	}
}

// TestPublishStarved: without a free file descriptor the published checkpoint stays where it is, somebody is told, and nothing else stops. Any other error ends the ledger.
func TestPublishStarved(t *testing.T) {
	for _, lack := range []error{syscall.EMFILE, syscall.ENFILE} {
		opt := testOptions(testEngine(t, vfs.NewMem()))
		opt.PublishEvery = time.Nanosecond
		tried, told := make(chan int), make(chan error, 100)
		n := 0
		opt.Published = storeErr(func(note []byte) error {
			if n++; n <= 3 {
				tried <- n
			}
			if n < 3 {
				return fmt.Errorf("couldn't write: %w", lack)
			}
			return nil
		})
		opt.Unpublished = func(err error) { told <- err }
		l := mustCreate(t, opt)
		for i := range tried {
			if i == 3 {
				break
			}
		}
		mustPut(t, l, "k")
		if err := l.Err(); err != nil {
			t.Errorf("%v ended the ledger: %v", lack, err)
		}
		mustClose(t, l)
		if l.Published() == nil {
			t.Error("never published")
		}
		if err := <-told; !errors.Is(err, lack) {
			t.Errorf("told %v, want %v", err, lack)
		}
	}
	opt := testOptions(testEngine(t, vfs.NewMem()))
	failed := make(chan struct{}, 100)
	opt.Published = storeErr(func([]byte) error { failed <- struct{}{}; return syscall.EIO })
	l := mustCreate(t, opt)
	<-failed
	if err := l.Close(); !errors.Is(err, ErrFailed) {
		t.Errorf("after EIO: %v, want ErrFailed", err)
	}
}

type storeErr func([]byte) error

func (f storeErr) Load() ([]byte, error)   { return nil, nil }
func (f storeErr) Store(note []byte) error { return f(note) }

// TestApplyFails: entries that can't be derived are not acknowledged, and nothing is taken any more.
func TestApplyFails(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	boom := errors.New("boom")
	opt.Apply = func(batch []entry.Entry) error {
		if batch[0].Index == 2 {
			return boom
		}
		return nil
	}
	l := mustCreate(t, opt)
	mustPut(t, l, "a")
	for range 3 {
		if _, err := l.Append(ctx, put("b")); !errors.Is(err, ErrFailed) || !errors.Is(err, boom) {
			t.Errorf("append: %v", err)
		}
	}
	if err := l.Close(); !errors.Is(err, boom) {
		t.Errorf("close: %v", err)
	}
	opt.Apply = nil
	l, err := Open(ctx, opt) // the entry is there: it was durable
	if err != nil {
		t.Fatal(err)
	}
	if l.Size() != 3 {
		t.Errorf("size %d, want 3", l.Size())
	}
	mustClose(t, l)
}

// TestWithdraw cancels a proposal that waits and one that is being decided.
func TestWithdraw(t *testing.T) {
	l := mustCreate(t, testOptions(testEngine(t, vfs.NewMem())))
	defer l.Close()
	began, hold := make(chan struct{}), make(chan struct{})
	deciding, cancelDeciding := context.WithCancel(ctx)
	first := make(chan error, 1)
	go func() {
		_, err := l.Append(deciding, func(at Slot) (Draft, error) { close(began); <-hold; return put("first")(at) })
		first <- err
	}()
	<-began
	waiting, cancelWaiting := context.WithCancel(ctx)
	second := make(chan error, 1)
	go func() {
		_, err := l.Append(waiting, put("second"))
		second <- err
	}()
	cancelWaiting()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("withdrawn: %v", err)
	}
	cancelDeciding()
	close(hold)
	if err := <-first; err != nil {
		t.Errorf("decided, then canceled: %v", err)
	}
	mustPut(t, l, "third")
	if l.Size() != 3 {
		t.Errorf("size %d, want 3: the init, the first and the third", l.Size())
	}
}

// TestPublished: the published checkpoint lags, is kept, and is the newest one after Close.
func TestPublished(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	file := new(memFile)
	opt.Published = file
	l := mustCreate(t, opt)
	for range 20 {
		mustPut(t, l, "k")
	}
	c, err := tree.OpenCheckpoint(l.Checkpoint(), l.VKey())
	if err != nil || c.Size != 21 {
		t.Fatalf("checkpoint of size %d, %v", c.Size, err)
	}
	mustClose(t, l)
	if !bytes.Equal(file.note, l.Published()) || !bytes.Equal(file.note, l.Checkpoint()) {
		t.Error("after close the newest head isn't published")
	}
	if file.stores > 2 {
		t.Errorf("published %d times within an hour", file.stores)
	}
	l, err = Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(l.Published(), file.note) {
		t.Error("reopened without a published checkpoint")
	}
	mustClose(t, l)
}

// TestPublishedMoves: with no pause asked for, every head is published in time without a further put.
func TestPublishedMoves(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	moved := make(chan []byte, 100)
	opt.Published, opt.PublishEvery = storeErr(func(note []byte) error { moved <- note; return nil }), time.Nanosecond
	l := mustCreate(t, opt)
	defer l.Close()
	mustPut(t, l, "k")
	for note := range moved {
		if c, err := tree.OpenCheckpoint(note, l.VKey()); err != nil || c.Size == 2 {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}
