package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/bug"
	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/heal"
)

// healable is a closed ledger of several segments, a good copy of it, and what was healed.
type healable struct {
	Options
	good   *mem.Mem
	names  []string
	healed []heal.Healed
}

func newHealable(t testing.TB, n int) *healable {
	t.Helper()
	h := &healable{Options: closed(t, testEngine(t, vfs.NewMem()), n)}
	h.good = copyMem(t, h.Engine, all, nil)
	h.names = names(t, h.good)
	return h
}

// with is how to open the ledger with files of which one is replaced (by none, if b is nil), and with these copies.
func (h *healable) with(t testing.TB, name string, b []byte, copies ...engine.Engine) (Options, *mem.Mem) {
	t.Helper()
	m := copyMem(t, h.good, func(n string) bool { return n != name || b != nil }, func(n string, was []byte) []byte {
		if n == name {
			return b
		}
		return was
	})
	opt := h.Options
	opt.Engine = m
	opt.Clock = newClock()
	h.healed = nil
	if h.Published != nil { // each opening goes its own way
		note, err := h.Published.Load()
		opt.Published = new(memFile)
		if err = errors.Join(err, opt.Published.Store(note)); err != nil {
			t.Fatal(err)
		}
	}
	opt.Healed = func(x heal.Healed) { h.healed = append(h.healed, x) }
	opt.Copies = func() (out []engine.Copy) {
		for i, c := range copies {
			out = append(out, engine.Copy{Name: fmt.Sprint("copy", i), Engine: c})
		}
		return out
	}
	return opt, m
}

// whole opens, reads everything, scrubs and heals, and demands that the file is what it was.
func (h *healable) whole(t testing.TB, what, name string, opt Options, m *mem.Mem) {
	t.Helper()
	l, err := Open(ctx, opt)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := checkAll(l); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	for _, n := range l.Sealed() {
		if _, err := l.Scrub(ctx, n, func(int64) error { return nil }); err != nil {
			if err := l.Heal(ctx, n, err); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if !bytes.Equal(readAll(t, m, name), readAll(t, h.good, name)) {
		t.Errorf("%s: %s is not what it was", what, name)
	}
	if len(h.healed) != 1 || h.healed[0].Name != name {
		t.Errorf("%s: healed %+v", what, h.healed)
	}
	mustPut(t, l, "on")
	mustClose(t, l)
}

// TestHealSegmentFlips flips bytes of every segment, at Open and in a running ledger.
func TestHealSegmentFlips(t *testing.T) {
	h := newHealable(t, 50)
	stride := 43
	if testing.Short() {
		stride = 211
	}
	for _, name := range h.names {
		good := readAll(t, h.good, name)
		for i := 0; i < len(good); i += stride {
			bad := bytes.Clone(good)
			bad[i] ^= 0x04
			what := fmt.Sprintf("byte %d of %s", i, name)
			opt, m := h.with(t, name, bad, h.good)
			h.whole(t, what, name, opt, m)
		}
	}
}

// TestHealSegmentInUse damages a segment behind the back of a running ledger.
func TestHealSegmentInUse(t *testing.T) {
	h := newHealable(t, 300)
	for i, name := range h.names {
		for what, b := range map[string][]byte{"zeros": make([]byte, 3000), "empty": {}, "half": readAll(t, h.good, name)[:1500]} {
			opt, m := h.with(t, "", nil, h.good)
			l, err := Open(ctx, opt)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Replace(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
				t.Fatal(err)
			}
			if err := checkAll(l); err != nil {
				t.Errorf("%s in segment %d: %v", what, i, err)
			}
			if !bytes.Equal(readAll(t, m, name), readAll(t, h.good, name)) || len(h.healed) != 1 {
				t.Errorf("%s in segment %d: not what it was, healed %d", what, i, len(h.healed))
			}
			mustClose(t, l)
		}
	}
}

// TestHealGoneSegment removes each segment, the last one too, of which the published checkpoint knows; and two at once.
func TestHealGoneSegment(t *testing.T) {
	h := newHealable(t, 100)
	for i, name := range h.names {
		opt, m := h.with(t, name, nil, h.good)
		h.whole(t, "without "+name, name, opt, m)
		if i == 0 {
			continue
		}
		opt, m = h.with(t, name, nil, h.good)
		before := h.names[i-1]
		if err := m.Replace(ctx, before, 3, strings.NewReader("bad")); err != nil {
			t.Fatal(err)
		}
		l, err := Open(ctx, opt)
		if err != nil {
			t.Fatalf("without %s, and the one before it damaged: %v", name, err)
		}
		if err := checkAll(l); err != nil || len(h.healed) != 2 {
			t.Errorf("healed %d: %v", len(h.healed), err)
		}
		mustClose(t, l)
	}
}

// TestHealFromTheRightCopy: copies that are damaged, another course of history, or older are passed over; if there is no other the damaged file stays, and each is named.
func TestHealFromTheRightCopy(t *testing.T) {
	h := newHealable(t, 100)
	other := newHealable(t, 100) // the same keys sign another history
	for i, name := range h.names {
		bad := bytes.Clone(readAll(t, h.good, name))
		bad[len(bad)-40] ^= 1                               // the footer,
		bad[frame.HeaderSize+frame.FrameHeaderSize+14] ^= 1 // and the first leaf: without it the batches that are whole make no segment
		damaged := copyMem(t, h.good, all, func(string, []byte) []byte { return bytes.Clone(bad) })
		renamed := copyMem(t, h.good, all, func(string, []byte) []byte { return readAll(t, h.good, h.names[(i+1)%len(h.names)]) })
		forked := copyMem(t, h.good, all, func(n string, b []byte) []byte {
			if n == name && i < len(other.names) {
				return readAll(t, other.good, other.names[i])
			}
			return b
		})
		opt, m := h.with(t, name, bad, damaged, renamed, forked, mem.New(), h.good)
		h.whole(t, name, name, opt, m)
		if len(h.healed) == 1 && h.healed[0].From != "copy4" {
			t.Errorf("healed from %s", h.healed[0].From)
		}
		opt, m = h.with(t, name, bad, damaged, renamed, forked, mem.New())
		_, err := Open(ctx, opt)
		if !errors.Is(err, frame.ErrCorrupt) || !bytes.Equal(readAll(t, m, name), bad) || len(h.healed) != 0 {
			t.Errorf("segment %d without a good copy: %v; healed %d", i, err, len(h.healed))
			continue
		}
		for c := range 4 {
			if !strings.Contains(err.Error(), fmt.Sprintf("copy%d ", c)) {
				t.Errorf("%v does not name copy %d", err, c)
			}
		}
	}
}

// TestOlderSegmentHealsNothing: a copy that was made of the same segment earlier lacks entries that the damaged file proves.
func TestOlderSegmentHealsNothing(t *testing.T) {
	fs := vfs.NewCrashableMem()
	opt := testOptions(testEngine(t, fs))
	opt.SegmentBytes = 1 << 20
	l := mustCreate(t, opt)
	mustPut(t, l, "a")
	earlier := testEngine(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	early := opt
	early.Engine = earlier
	e, err := Open(ctx, early)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, e)
	mustPut(t, l, "b")
	mustClose(t, l)
	h := &healable{Options: opt, good: copyMem(t, opt.Engine, all, nil)}
	h.names = names(t, h.good)
	old := copyMem(t, earlier, all, nil)
	if len(h.names) != 1 || names(t, old)[0] != h.names[0] {
		t.Fatalf("%v, earlier %v", h.names, names(t, old))
	}
	bad := readAll(t, h.good, h.names[0])
	bad[binary.BigEndian.Uint64(bad[len(bad)-24:])-160] ^= 1 // in the private parts of the last batch, whose commit is whole
	bad[len(bad)-1] ^= 1                                     // the trailer
	open, m := h.with(t, h.names[0], bad, old)
	if _, err := Open(ctx, open); !errors.Is(err, heal.ErrUnproven) || !bytes.Equal(readAll(t, m, h.names[0]), bad) {
		t.Errorf("an older copy heals: %v", err)
	}
	open, m = h.with(t, h.names[0], bad, old, h.good)
	h.whole(t, "an older copy and a good one", h.names[0], open, m)

	open, m = h.with(t, "", nil, old)
	if l, err = Open(ctx, open); err != nil {
		t.Fatal(err)
	}
	if err := m.Replace(ctx, h.names[0], int64(len(bad)), bytes.NewReader(bad[:len(bad)/2:len(bad)/2])); err == nil {
		t.Fatal("half was taken for whole")
	}
	if err := m.Replace(ctx, h.names[0], 100, bytes.NewReader(bad[:100])); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := l.Entry(ctx, 2); !errors.Is(err, heal.ErrUnproven) || len(readAll(t, m, h.names[0])) != 100 {
		t.Errorf("an older copy heals a read: %v", err)
	}
	mustClose(t, l)
}

// TestReadsFromACopy: where nothing can be replaced (a full disk, a ledger that is open for reading) what is damaged is read from the copy.
func TestReadsFromACopy(t *testing.T) {
	h := newHealable(t, 100)
	for _, readOnly := range []bool{false, true} {
		opt, m := h.with(t, "", nil, h.good)
		open := Open
		if readOnly {
			open = OpenReadOnly
		}
		l, err := open(ctx, opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Replace(ctx, h.names[1], 3, strings.NewReader("bad")); err != nil {
			t.Fatal(err)
		}
		m.Limit(0)
		if err := checkAll(l); err != nil || len(h.healed) != 0 || l.Err() != nil && !readOnly {
			t.Errorf("read-only %t: %v, healed %d, %v", readOnly, err, len(h.healed), l.Err())
		}
		m.Limit(-1)
		mustClose(t, l)
	}
}

// turncoat is a copy that is good when it is read first and not when it is read again.
type turncoat struct {
	engine.Engine
	then  engine.Engine
	opens int
}

func (c *turncoat) Open(ctx context.Context, name string) (engine.File, error) {
	if c.opens++; c.opens > 1 {
		return c.then.Open(ctx, name)
	}
	return c.Engine.Open(ctx, name)
}

// TestHealNoticesATurncoat: what is proven is what is written. The deliberate bug, which does not look again, is noticed.
func TestHealNoticesATurncoat(t *testing.T) {
	h := newHealable(t, 50)
	name := h.names[0]
	for _, wrong := range bug.Ways() {
		if wrong {
			bug.Plant(t, bug.ReplaceUnproven)
		}
		later := copyMem(t, h.good, all, func(_ string, b []byte) []byte { b[300] ^= 1; return b })
		bad := []byte("bad")
		opt, m := h.with(t, name, bad, &turncoat{Engine: h.good, then: later})
		l, err := Open(ctx, opt)
		if noticed := err != nil && bytes.Equal(readAll(t, m, name), bad); noticed == wrong {
			t.Errorf("the bug is there: %t, noticed: %t (%v)", wrong, noticed, err)
		}
		if err == nil {
			_ = l.Close()
		}
	}
}

// TestHealSegmentCrash cuts the power at every write of an Open that heals, and fails each of its fsyncs.
func TestHealSegmentCrash(t *testing.T) {
	h := newHealable(t, 50)
	type nothing struct{}
	name := h.names[0]
	bad := readAll(t, h.good, name)
	bad[len(bad)-30] ^= 1
	crashtest.Run(t, crashtest.Scenario[nothing]{
		Setup: func(fs vfs.FS, _ *nothing) error {
			e := testEngine(t, fs)
			for _, n := range h.names {
				b := readAll(t, h.good, n)
				if n == name {
					b = bad
				}
				if err := e.Create(ctx, n, int64(len(b)), bytes.NewReader(b)); err != nil {
					return err
				}
			}
			return nil
		},
		Work:  func(fs vfs.FS, _ *nothing) error { return h.openOn(t, fs) },
		Check: func(fs vfs.FS, _ *nothing) error { return h.openOn(t, fs) },
	})
}

// openOn opens the ledger in a folder with the good copy at hand, and reads everything.
func (h *healable) openOn(t testing.TB, fs vfs.FS) error {
	opt, _ := h.with(t, "", nil, h.good)
	d, err := dir.Open(fs, "store", dir.Options{})
	if err != nil {
		return err
	}
	opt.Engine = d
	l, err := Open(ctx, opt)
	if err != nil {
		return err
	}
	if err := checkAll(l); err != nil {
		return errors.Join(err, l.Close())
	}
	if l.Size() < 51 {
		return fmt.Errorf("%d entries", l.Size())
	}
	return l.Close()
}
