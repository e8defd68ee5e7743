package ledger

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/segment"
)

// bounds are where the batches of a segment begin, and where the last one ends.
func bounds(t testing.TB, l *Ledger, f SegmentInfo) (at []uint64) {
	t.Helper()
	file, err := l.find(f.First)
	if err != nil {
		t.Fatal(err)
	}
	r, release, err := l.acquire(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := r.Batches(f.First, f.End, func(b segment.Batch) error { at = append(at, b.Commit.First); return nil }); err != nil {
		t.Fatal(err)
	}
	return append(at, f.End)
}

// inPieces is a copy of what a ledger holds now, each segment as several files of some batches, as a target has it while it grows.
func inPieces(t testing.TB, l *Ledger, keep func(SegmentInfo) bool) *mem.Mem {
	t.Helper()
	m := mem.New()
	for _, f := range l.Segments() {
		if keep != nil && !keep(f) {
			continue
		}
		at := bounds(t, l, f)
		for i := 0; i < len(at)-1; i = min(i+3, len(at)-1) {
			to := at[min(i+3, len(at)-1)]
			b, err := l.SegmentBytes(ctx, at[i], to)
			if err != nil {
				t.Fatal(err)
			}
			epoch, _, _ := segment.ParseName(f.Name)
			if err := m.Create(ctx, segment.Name(epoch, at[i]), int64(len(b)), bytes.NewReader(b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// piecesOf is a copy in pieces of a closed ledger.
func (h *healable) pieces(t testing.TB) *mem.Mem {
	t.Helper()
	opt, _ := h.with(t, "", nil)
	l, err := OpenReadOnly(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return inPieces(t, l, nil)
}

// TestHealSegmentFromPieces: a segment of which a copy has only pieces is made again of their batches: of the same name, length and entries; at Open, in a running ledger, and by the scrub.
func TestHealSegmentFromPieces(t *testing.T) {
	h := newHealable(t, 100)
	target := h.pieces(t)
	for i, name := range h.names {
		good := readAll(t, h.good, name)
		flipped := bytes.Clone(good)
		flipped[frame.HeaderSize+frame.FrameHeaderSize+20] ^= 1
		for what, bad := range map[string][]byte{"flipped": flipped, "gone": nil, "zeros": make([]byte, len(good)), "half": good[:len(good)/2]} {
			for _, running := range []bool{false, true} {
				open := bad
				if running {
					open = good
				}
				opt, m := h.with(t, name, open, target)
				l, err := Open(ctx, opt)
				if err != nil {
					t.Fatalf("segment %d %s: %v", i, what, err)
				}
				if running && bad != nil {
					if err := m.Replace(ctx, name, int64(len(bad)), bytes.NewReader(bad)); err != nil {
						t.Fatal(err)
					}
				}
				if err := checkAll(l); err != nil {
					t.Errorf("segment %d %s, running %t: %v", i, what, running, err)
				}
				for _, n := range l.Sealed() {
					if _, err := l.Scrub(ctx, n, func(int64) error { return nil }); err != nil {
						if err := l.Heal(ctx, n, err); err != nil {
							t.Errorf("segment %d %s, running %t: %v", i, what, running, err)
						}
					}
				}
				if n := len(readAll(t, m, name)); n == 0 || running && n != len(good) {
					t.Errorf("segment %d %s, running %t: %d bytes, were %d", i, what, running, n, len(good))
				}
				mustPut(t, l, "on")
				mustClose(t, l)
				if l, err = Open(ctx, opt); err != nil {
					t.Fatalf("segment %d %s, running %t: open again: %v", i, what, running, err)
				}
				if err := checkAll(l); err != nil {
					t.Errorf("segment %d %s, running %t: after a restart: %v", i, what, running, err)
				}
				mustClose(t, l)
			}
		}
	}
}

// TestHealSegmentFromTheRightPieces: pieces with a batch that nobody signed, or of another history, make nothing. The deliberate bug that takes unsigned batches is noticed.
func TestHealSegmentFromTheRightPieces(t *testing.T) {
	h := newHealable(t, 50)
	last := h.names[len(h.names)-1]
	bad := readAll(t, h.good, last)
	bad[frame.HeaderSize+frame.FrameHeaderSize+20] ^= 1
	bad[len(bad)-40] ^= 1
	unsigned := mem.New()
	target := h.pieces(t)
	for _, n := range names(t, target) {
		b := readAll(t, target, n)
		if _, first, _ := segment.ParseName(n); first >= firstOf(last) {
			b = h.unsign(t, n, b)
		}
		if err := unsigned.Create(ctx, n, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	other := newHealable(t, 50)
	check := func(what string, touchable bool, copies ...engine.Engine) {
		opt, m := h.with(t, last, bad, copies...)
		l, err := Open(ctx, opt)
		if touched := !bytes.Equal(readAll(t, m, last), bad); touched != touchable || !touchable && !errors.Is(err, frame.ErrCorrupt) {
			t.Errorf("%s: the file was replaced: %t; %v", what, touched, err)
		}
		if err == nil {
			_ = l.Close()
		}
	}
	check("unsigned", false, unsigned)
	check("another history", false, other.pieces(t))
	bug.Plant(t, bug.UnsignedPieces)
	check("unsigned, and the bug", true, unsigned)
}

func firstOf(name string) uint64 { _, first, _ := segment.ParseName(name); return first }

// unsign breaks the signatures of a segment's batches, all else whole.
func (h *healable) unsign(t testing.TB, name string, b []byte) []byte {
	t.Helper()
	epoch, first, _ := segment.ParseName(name)
	id := frame.NewFileID()
	sealer, err := h.Keys.Sealer(1, id)
	if err != nil {
		t.Fatal(err)
	}
	var m engine.Memory
	w, err := segment.Create(ctx, &m, segment.Options{StoreID: h.Keys.StoreID, KeyID: 1, Epoch: epoch, First: first, FileID: id, Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	s := segment.NewScanner(bytes.NewReader(b), int64(len(b)), first, h.Keys.Sealer)
	var scratch segment.Scratch
	for {
		batch, err := s.Next()
		if err == io.EOF {
			break
		}
		c := checkedBatch{Batch: batch}
		if err = errors.Join(err, c.check(&scratch)); err != nil {
			t.Fatal(err)
		}
		c.Commit.Signature[3] ^= 1
		if err := w.Append(c.Batch, c.firstTime); err != nil {
			t.Fatal(err)
		}
	}
	return m.Bytes()
}

// growingFile is the file of the one segment that grows.
func growingFile(t testing.TB, fs vfs.FS, name string) vfs.File {
	t.Helper()
	list, err := fs.List("store/open")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if bytes.HasPrefix([]byte(n), []byte("segments_"+name[len(engine.Segments):])) {
			f, err := fs.OpenReadWrite("store/open/"+n, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	t.Fatalf("%s does not grow: %v", name, list)
	return nil
}

// TestAGrowingSegmentHeals flips bytes of the segment that grows: entries are read from a copy's pieces and proven, what came since is read from here, the segment takes no more entries than
// the next batch, and is made again when it is sealed.
func TestAGrowingSegmentHeals(t *testing.T) {
	for at := int64(frame.HeaderSize); at < 1500; at += 131 {
		fs := vfs.NewMem()
		opt := testOptions(testEngine(t, fs))
		opt.SegmentBytes = 1 << 20
		var healed []heal.Healed
		opt.Healed = func(h heal.Healed) { healed = append(healed, h) }
		var target engine.Engine
		opt.Copies = func() []engine.Copy {
			if target == nil {
				return nil
			}
			return []engine.Copy{{Name: "target", Engine: target}}
		}
		l := mustCreate(t, opt)
		for range 8 {
			mustPut(t, l, "key")
		}
		target = inPieces(t, l, nil)
		mustPut(t, l, "later") // the copy has not got it
		name := l.Segments()[0].Name
		f := growingFile(t, fs, name)
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x20
		if _, err := f.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		if err := checkAll(l); err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		if _, err := l.SegmentBytes(ctx, 0, 9); err != nil {
			t.Errorf("byte %d: a shipper gets %v", at, err)
		}
		mustPut(t, l, "ends it")
		mustPut(t, l, "next")
		if segments := l.Segments(); len(segments) != 2 || segments[0].End < 10 || segments[0].End > 11 { // the sequencer may still be at the end of the batch before
			t.Errorf("byte %d: segments %+v", at, segments)
		}
		mustClose(t, l)
		if len(healed) != 1 || healed[0].Name != name {
			t.Errorf("byte %d: healed %+v", at, healed)
		}
		target = nil
		if l, err := Open(ctx, opt); err != nil {
			t.Errorf("byte %d: %v", at, err)
		} else {
			if err := checkAll(l); err != nil {
				t.Errorf("byte %d: %v", at, err)
			}
			for _, n := range l.Sealed() {
				if _, err := l.Scrub(ctx, n, func(int64) error { return nil }); err != nil {
					t.Errorf("byte %d: %v", at, err)
				}
			}
			mustClose(t, l)
		}
	}
}

// TestSealedWhileAReaderWaits: a reader meets damage in the segment that grows, and the segment is sealed before the reader's turn to lay a copy over it has come. The reader gets its entries all the same.
func TestSealedWhileAReaderWaits(t *testing.T) {
	fs := vfs.NewMem()
	opt := testOptions(testEngine(t, fs))
	opt.SegmentBytes = 16 << 10
	var l *Ledger
	var target engine.Engine
	seal := func() {}
	opt.Copies = func() []engine.Copy {
		seal()
		if target == nil {
			return nil
		}
		return []engine.Copy{{Name: "target", Engine: target}}
	}
	l = mustCreate(t, opt)
	for range 8 {
		mustPut(t, l, "key")
	}
	target = inPieces(t, l, nil)
	name := l.Segments()[0].Name
	f := growingFile(t, fs, name)
	at := int64(frame.HeaderSize + 300)
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x20
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	seal = func() {
		once.Do(func() {
			for len(l.Sealed()) == 0 {
				mustPut(t, l, strings.Repeat("k", 900))
			}
			l.mu.RLock()
			grown := l.segments[0]
			l.mu.RUnlock()
			for hidden := false; !hidden; runtime.Gosched() { // until its view is gone
				l.mu.RLock()
				hidden = grown.view == nil
				l.mu.RUnlock()
			}
		})
	}
	size := l.Size()
	read := 0
	if err := l.Entries(ctx, 0, size, func(*entry.Entry) error { read++; return nil }); err != nil || uint64(read) != size {
		t.Errorf("read %d of %d entries: %v", read, size, err)
	}
	if err := checkAll(l); err != nil {
		t.Error(err)
	}
	if len(l.Sealed()) == 0 {
		t.Error("nothing was sealed")
	}
	mustClose(t, l)
}

// TestADamagedTailHeals: a crash left a segment that does not yield an entry which it proves. Copies make it again, together with what is left of it; if nobody has the entry it is not opened.
func TestADamagedTailHeals(t *testing.T) {
	full := vfs.NewCrashableMem()
	opt := testOptions(testEngine(t, full))
	opt.SegmentBytes = 1 << 20
	l := mustCreate(t, opt)
	for range 5 {
		mustPut(t, l, "key")
	}
	early := inPieces(t, l, nil)
	_, _, growing := l.Growing()
	for range 5 {
		mustPut(t, l, "key")
	}
	name, target := l.Segments()[0].Name, inPieces(t, l, nil)
	crash := full.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, l)
	for what, c := range map[string]struct {
		at     []int64
		copies []engine.Engine
		heals  bool
	}{
		"what an early copy has":      {[]int64{400}, []engine.Engine{early}, true},
		"what it has not":             {[]int64{growing[0].DurableBytes + 50}, []engine.Engine{early}, false},
		"two spots, an early copy":    {[]int64{400, growing[0].DurableBytes + 50}, []engine.Engine{early}, false},
		"two spots, and all":          {[]int64{400, growing[0].DurableBytes + 50}, []engine.Engine{early, target}, true},
		"the header, an early copy":   {[]int64{40}, []engine.Engine{early}, false},
		"the header, and all entries": {[]int64{40}, []engine.Engine{target}, true},
	} {
		t.Run(what, func(t *testing.T) {
			moment := crash.CrashClone(vfs.CrashCloneCfg{})
			f := growingFile(t, moment, name)
			for _, at := range c.at {
				var b [1]byte
				if _, err := f.ReadAt(b[:], at); err != nil {
					t.Fatal(err)
				}
				b[0] ^= 1
				if _, err := f.WriteAt(b[:], at); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			crashed := opt
			crashed.Engine, crashed.Published = testEngine(t, moment), new(memFile)
			crashed.Copies = func() (all []engine.Copy) {
				for _, e := range c.copies {
					all = append(all, engine.Copy{Name: "copy", Engine: e})
				}
				return all
			}
			l, err := Open(ctx, crashed)
			if !c.heals {
				if !errors.Is(err, heal.ErrUnproven) || !errors.Is(err, frame.ErrCorrupt) {
					t.Errorf("opened: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := checkAll(l); err != nil || l.Size() != 11 {
				t.Errorf("%d entries: %v", l.Size(), err)
			}
			mustClose(t, l)
		})
	}
}

// TestRolledBackIntoAPiece: a ledger that was rolled back to where a copy has no file that begins there goes on within one.
func TestRolledBackIntoAPiece(t *testing.T) {
	fs := vfs.NewCrashableMem()
	opt := testOptions(testEngine(t, fs))
	opt.SegmentBytes = 1 << 20
	l := mustCreate(t, opt)
	for range 4 { // not where a piece begins
		mustPut(t, l, "key")
	}
	moment := fs.CrashClone(vfs.CrashCloneCfg{})
	for range 6 {
		mustPut(t, l, "key")
	}
	target := inPieces(t, l, nil)
	mustClose(t, l)
	back := opt
	back.Engine = testEngine(t, moment)
	back.Published = new(memFile)
	back.Seen = []Seen{{By: "target", Size: 11}}
	if _, err := Open(ctx, back); !errors.Is(err, ErrBehind) {
		t.Fatalf("without a copy: %v", err)
	}
	back.Engine = testEngine(t, moment)
	back.Copies = func() []engine.Copy { return []engine.Copy{{Name: "target", Engine: target}} }
	got, err := Open(ctx, back)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkAll(got); err != nil || got.Size() != 11 {
		t.Errorf("%d entries: %v", got.Size(), err)
	}
	mustClose(t, got)
}

// TestReadersAreLedAround: a ledger that is opened for reading while a segment is damaged or gone reads it from a copy, whole or in pieces, and writes nothing. Without a copy it says so.
func TestReadersAreLedAround(t *testing.T) {
	h := newHealable(t, 100)
	target := h.pieces(t)
	for i, name := range h.names {
		good := readAll(t, h.good, name)
		footer, header := bytes.Clone(good), bytes.Clone(good)
		footer[len(good)-40] ^= 1
		header[20] ^= 1
		for what, bad := range map[string][]byte{"footer": footer, "header": header, "gone": nil, "half": good[:len(good)/2]} {
			for _, c := range []engine.Engine{h.good, target} {
				opt, m := h.with(t, name, bad, c)
				before := m.List // what is there stays as it is
				l, err := OpenReadOnly(ctx, opt)
				if err != nil {
					t.Fatalf("segment %d, %s: %v", i, what, err)
				}
				if err := checkAll(l); err != nil {
					t.Errorf("segment %d, %s: %v", i, what, err)
				}
				mustClose(t, l)
				n := 0
				if err := before(ctx, name, func(engine.Info) error { n++; return nil }); err != nil || (n == 1) != (bad != nil) || bad != nil && !bytes.Equal(readAll(t, m, name), bad) || len(h.healed) != 0 {
					t.Errorf("segment %d, %s: a reader wrote: %d files, healed %d, %v", i, what, n, len(h.healed), err)
				}
			}
			if i == len(h.names)-1 && what == "gone" {
				continue // nobody here knows that there was one
			}
			opt, _ := h.with(t, name, bad)
			if _, err := OpenReadOnly(ctx, opt); !errors.Is(err, frame.ErrCorrupt) {
				t.Errorf("segment %d, %s, without a copy: %v", i, what, err)
			}
		}
	}
}
