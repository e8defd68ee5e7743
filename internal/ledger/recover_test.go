package ledger

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
)

// putTail puts b into a store's folder as a crash leaves it.
func putTail(t testing.TB, fs vfs.FS, name, suffix string, b []byte) {
	t.Helper()
	testEngine(t, fs) // makes the folders
	f, err := fs.Create("store/open/"+strings.ReplaceAll(name, "/", "_")+"."+suffix, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(b)); err != nil { // a vfs.File may scribble on what it is given, and does under -race
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
			if !errors.Is(err, frame.ErrCorrupt) || errors.Is(err, frame.ErrVersion) {
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
