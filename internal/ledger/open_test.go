package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/segment"
	"stele/tree"
)

// closed makes a ledger of n puts and closes it.
func closed(t testing.TB, e engine.Engine, n int) Options {
	t.Helper()
	opt := testOptions(e)
	opt.Published = new(memFile)
	l := mustCreate(t, opt)
	for i := range n {
		mustPut(t, l, fmt.Sprint(i))
	}
	mustClose(t, l)
	return opt
}

// TestBehind opens a ledger of which somebody has seen more.
func TestBehind(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 5)
	opt.Seen = []Seen{{"the index", 6}, {"target nas", 9}}
	var behind *BehindError
	if _, err := Open(ctx, opt); !errors.Is(err, ErrBehind) || !errors.As(err, &behind) || *behind != (BehindError{"target nas", 9, 6}) {
		t.Errorf("open behind a target: %v", err)
	}
	ro, err := OpenReadOnly(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, ro)
	opt.Seen = []Seen{{"the index", 6}}
	l, err := Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)

	// The published checkpoint of a longer life of the same ledger.
	longer := closed(t, testEngine(t, vfs.NewMem()), 7)
	opt.Published = longer.Published
	if _, err := Open(ctx, opt); !errors.Is(err, ErrBehind) || !strings.Contains(err.Error(), "published checkpoint") {
		t.Errorf("open behind the published checkpoint: %v", err)
	}
	defer SetFaults(Faults{skipSeen: true})()
	if l, err = Open(ctx, opt); err != nil {
		t.Fatalf("with the check left out the ledger must open, else this test proves nothing: %v", err)
	}
	mustClose(t, l)
}

// TestForked opens a ledger of which somebody has seen another one: same name, same size, other entries.
func TestForked(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 5)
	other := closed(t, testEngine(t, vfs.NewMem()), 3) // other salts, so another root
	opt.Published = other.Published
	if _, err := Open(ctx, opt); !errors.Is(err, ErrForked) {
		t.Errorf("open of a fork: %v", err)
	}
}

// copyMem copies the sealed files for which keep says so, changed by edit.
func copyMem(t testing.TB, e engine.Engine, keep func(name string) bool, edit func(name string, b []byte) []byte) *mem.Mem {
	t.Helper()
	out := mem.New()
	err := e.List(ctx, engine.Segments, func(i engine.Info) error {
		if !keep(i.Name) {
			return nil
		}
		b := readAll(t, e, i.Name)
		if edit != nil {
			b = edit(i.Name, b)
		}
		return out.Create(ctx, i.Name, int64(len(b)), bytes.NewReader(b))
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readAll(t testing.TB, e engine.Engine, name string) []byte {
	t.Helper()
	f, err := e.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return b
}

func all(string) bool { return true }

func names(t testing.TB, e engine.Engine) (out []string) {
	t.Helper()
	if err := e.List(ctx, engine.Segments, func(i engine.Info) error { out = append(out, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMissingSegment(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 100)
	segments := names(t, opt.Engine)
	if len(segments) < 4 {
		t.Fatalf("%d segments", len(segments))
	}
	for i, gone := range segments {
		bad := opt
		bad.Engine = copyMem(t, opt.Engine, func(name string) bool { return name != gone }, nil)
		_, err := Open(ctx, bad)
		switch {
		case i == len(segments)-1 && !errors.Is(err, ErrBehind):
			t.Errorf("without the last segment: %v", err)
		case i < len(segments)-1 && (!errors.Is(err, frame.ErrCorrupt) || !strings.Contains(err.Error(), "copy")):
			t.Errorf("without segment %s: %v", gone, err)
		}
	}
}

func TestForeignSegment(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 3)
	for name, c := range map[string]struct {
		edit func(name string, b []byte) []byte
		want error
	}{
		"newer version": {func(_ string, b []byte) []byte { b[9] = 7; return b }, frame.ErrVersion},
		"other magic":   {func(_ string, b []byte) []byte { b[0] = 'X'; return b }, frame.ErrCorrupt},
		"empty":         {func(string, []byte) []byte { return nil }, frame.ErrCorrupt},
		"a text":        {func(string, []byte) []byte { return []byte(strings.Repeat("hello ", 100)) }, frame.ErrCorrupt},
	} {
		bad := opt
		bad.Engine = copyMem(t, opt.Engine, all, c.edit)
		if _, err := Open(ctx, bad); !errors.Is(err, c.want) || c.want == frame.ErrVersion && errors.Is(err, frame.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}

	k, err := keyring.New([16]byte{0xbb})
	if err != nil {
		t.Fatal(err)
	}
	bad := opt
	bad.Keys = k
	if _, err := Open(ctx, bad); err == nil || !strings.Contains(err.Error(), "of store aa01") {
		t.Errorf("another store's keyring: %v", err)
	}
	if k, err = keyring.New(opt.Keys.StoreID); err != nil { // the same store, other keys: a keyring restored from elsewhere
		t.Fatal(err)
	}
	bad.Keys = k
	if _, err := Open(ctx, bad); err == nil || !strings.Contains(err.Error(), "keyring") {
		t.Errorf("a keyring with another signer: %v", err)
	}

	bad = opt
	m := copyMem(t, opt.Engine, all, nil)
	if err := m.Create(ctx, engine.Segments+"notes.txt", 2, strings.NewReader("hi")); err != nil {
		t.Fatal(err)
	}
	bad.Engine = m
	if _, err := Open(ctx, bad); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("a file that is no segment: %v", err)
	}
}

// TestFlips flips every byte of a small ledger: opening or reading all of it notices.
func TestFlips(t *testing.T) {
	opt := closed(t, testEngine(t, vfs.NewMem()), 9)
	opt.Published = nil
	for _, name := range names(t, opt.Engine) {
		for i := range readAll(t, opt.Engine, name) {
			bad := opt
			bad.Engine = copyMem(t, opt.Engine, all, func(n string, b []byte) []byte {
				if n == name {
					b[i] ^= 0x04
				}
				return b
			})
			if err := verifyAll(bad); err == nil {
				t.Errorf("flip of byte %d of %s was not noticed", i, name)
			} else if !errors.Is(err, frame.ErrCorrupt) && !errors.Is(err, frame.ErrVersion) {
				t.Errorf("flip of byte %d of %s: %v", i, name, err)
			}
		}
	}
	if err := verifyAll(opt); err != nil {
		t.Error(err)
	}
}

// verifyAll opens a ledger, reads everything, and scans the segments frame by frame, which reads the commits that no reader needs.
func verifyAll(opt Options) error {
	l, err := OpenReadOnly(ctx, opt)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := checkAll(l); err != nil {
		return err
	}
	for _, f := range l.segments {
		e, err := opt.Engine.Open(ctx, f.name)
		if err != nil {
			return err
		}
		s := segment.NewScanner(e, e.Size(), f.first, opt.Keys.Sealer)
		for err == nil {
			_, err = s.Next()
		}
		if err == io.EOF {
			err = s.Whole()
		}
		if err := errors.Join(err, e.Close()); err != nil {
			return err
		}
	}
	return nil
}

// putTail puts b into a store's folder as a crash leaves it.
func putTail(t testing.TB, fs vfs.FS, name, suffix string, b []byte) {
	t.Helper()
	testEngine(t, fs) // makes the folders
	f, err := fs.Create("store/open/"+strings.ReplaceAll(name, "/", "_")+"."+suffix, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTornTail recovers a tail that is cut at every byte: what was committed in it is there, and the ledger goes on.
func TestTornTail(t *testing.T) {
	full := vfs.NewMem()
	size, tail := tailOf(t, full, 4)
	last := uint64(0)
	for cut := range len(tail) + 1 {
		fs := vfs.NewMem()
		putTail(t, fs, segment.Name(1, 0), "0123456789abcdef", tail[:cut])
		opt := testOptions(testEngine(t, fs))
		l, err := Open(ctx, opt)
		if errors.Is(err, ErrNone) && last == 0 {
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if n := l.Size(); n != last && n != last+1 {
			t.Fatalf("cut at %d: %d entries after %d", cut, n, last)
		}
		last = l.Size()
		mustPut(t, l, "on")
		if cut%16 == 0 {
			if err := checkAll(l); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, l)
	}
	if last != size {
		t.Errorf("the whole tail gave %d entries, want %d", last, size)
	}
}

// TestDamagedTail flips bytes of a tail: entries that were acknowledged are never cut away in silence.
func TestDamagedTail(t *testing.T) {
	size, tail := tailOf(t, vfs.NewMem(), 4)
	for i := range tail {
		bad := bytes.Clone(tail)
		bad[i] ^= 0x20
		fs := vfs.NewMem()
		putTail(t, fs, segment.Name(1, 0), "0123456789abcdef", bad)
		l, err := Open(ctx, testOptions(testEngine(t, fs)))
		if errors.Is(err, ErrNone) && len(bytes.TrimRight(tail, "\x00")) > 0 {
			t.Fatalf("flip of byte %d: the ledger is gone without a word", i)
		}
		if err != nil {
			if !errors.Is(err, frame.ErrCorrupt) && !errors.Is(err, frame.ErrVersion) {
				t.Fatalf("flip of byte %d: %v", i, err)
			}
			if left, err := testEngine(t, fs).Tails(ctx); err != nil || len(left) == 0 {
				t.Fatalf("flip of byte %d: the tail was removed", i)
			}
			continue
		}
		// Only the last batch may be taken for torn, and what is behind it for room.
		if n := l.Size(); n < size-1 {
			t.Fatalf("flip of byte %d: %d entries of %d", i, n, size)
		}
		mustClose(t, l)
	}
}

// TestTwoTails recovers two tails in order, and copies of an earlier recovery that was cut short beside them.
func TestTwoTails(t *testing.T) {
	fs := vfs.NewMem()
	stuck := &stuckEngine{Appender: testEngine(t, fs), release: make(chan error)}
	opt := testOptions(stuck)
	opt.SegmentBytes = 2 << 10
	l := mustCreate(t, opt)
	for second := false; !second; {
		mustPut(t, l, "k")
		l.mu.RLock()
		second = len(l.segments) > 1 && l.segments[1].end > l.segments[1].first
		l.mu.RUnlock()
	}
	size, root := l.Head()
	stuck.release <- errors.New("killed")
	if err := l.Close(); !errors.Is(err, ErrFailed) {
		t.Fatalf("closed after a failure: %v", err)
	}
	d := testEngine(t, fs)
	tails, err := d.Tails(ctx)
	if err != nil || len(tails) < 2 {
		t.Fatalf("%d tails, %v", len(tails), err)
	}
	f, err := tails[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	cut := make([]byte, f.Size()/2)
	if _, err := f.ReadAt(cut, 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	putTail(t, fs, tails[0].Name, "0000000000000000", cut) // sorts first
	putTail(t, fs, tails[0].Name, "ffffffffffffffff", cut)
	putTail(t, fs, tails[0].Name, "8888888888888888", nil)

	opt.Engine = d
	l, err = Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if s, r := l.Head(); s != size || r != root {
		t.Errorf("recovered %d entries, want %d", s, size)
	}
	if err := checkAll(l); err != nil {
		t.Error(err)
	}
	mustClose(t, l)
	if tails, err = d.Tails(ctx); err != nil || len(tails) != 0 {
		t.Errorf("%d tails left, %v", len(tails), err)
	}
}

// stuckEngine holds up the first Publish until it is told how it ends.
type stuckEngine struct {
	engine.Appender
	release chan error
}

func (e *stuckEngine) Append(ctx context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	g, err := e.Appender.Append(ctx, name, opt)
	return &stuckFile{g, e}, err
}

type stuckFile struct {
	engine.Growing
	e *stuckEngine
}

func (f *stuckFile) Publish() error {
	if err := <-f.e.release; err != nil {
		return err
	}
	return f.Growing.Publish()
}

// fullEngine has no room for a new file while full is set.
type fullEngine struct {
	engine.Appender
	full atomic.Bool
}

func (e *fullEngine) Append(ctx context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	if e.full.Load() {
		return nil, fmt.Errorf("couldn't start %s: %w", name, engine.ErrFull)
	}
	return e.Appender.Append(ctx, name, opt)
}

// TestFull runs out of room for the next segment: puts are refused, reads go on, and when there is room again so do puts.
func TestFull(t *testing.T) {
	e := &fullEngine{Appender: testEngine(t, vfs.NewMem())}
	opt := testOptions(e)
	opt.SegmentBytes = 1 << 10
	l := mustCreate(t, opt)
	e.full.Store(true)
	var err error
	for i := 0; err == nil && i < 100; i++ {
		_, err = l.Append(ctx, put(fmt.Sprint(i)))
	}
	if !errors.Is(err, engine.ErrFull) || errors.Is(err, ErrFailed) || l.Err() != nil {
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

// TestReadOnlyDir opens a folder without the right to write, and any engine that can't append.
func TestReadOnlyDir(t *testing.T) {
	fs := vfs.NewMem()
	opt := closed(t, testEngine(t, fs), 20)
	ro, err := dir.Open(fs, "store", dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []engine.Engine{ro, struct{ engine.Engine }{opt.Engine}} {
		opt.Engine = e
		l, err := OpenReadOnly(ctx, opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkAll(l); err != nil {
			t.Error(err)
		}
		mustClose(t, l)
	}
	if _, err := Open(ctx, opt); err == nil {
		t.Error("opened for writing an engine that can't append")
	}
}
