package body

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/pack"
)

// wounded is a closed store of some objects in one pack, whose file can be damaged, and copies of it.
type wounded struct {
	fs     vfs.FS
	places *memPlaces
	seals  map[string]entry.Pack
	objs   []object
	name   string // of the pack
	good   []byte

	copies []engine.Copy
	now    atomic.Int64 // the monotonic clock

	mu       sync.Mutex
	healed   []heal.Healed
	unhealed []error
	told     chan struct{} // holds a token after any of them
}

const woundedRoot = "store"

func newWounded(t testing.TB, fs vfs.FS) *wounded {
	t.Helper()
	w := &wounded{fs: fs, places: newPlaces(), seals: map[string]entry.Pack{}, told: make(chan struct{}, 1)}
	s := w.open(t)
	for i, n := range []int{300, 900, 200} {
		o := object{seed: uint64(2 + 2*i), size: n}
		o.body = put(t, s, o.data(), int64(n)).Body
		w.objs = append(w.objs, o)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name := range w.seals {
		w.name = name
	}
	w.good = w.file(t)
	return w
}

func (w *wounded) options(t testing.TB, fs vfs.FS) Options {
	t.Helper()
	d, err := dir.Open(fs, woundedRoot, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opt := options(d, w.places)
	opt.Sealed = func(p entry.Pack) { w.mu.Lock(); defer w.mu.Unlock(); w.seals[p.Name] = p }
	opt.Seal = func(_ context.Context, name string) (entry.Pack, bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		p, ok := w.seals[name]
		return p, ok, nil
	}
	opt.Copies = func() []engine.Copy { return w.copies }
	opt.Healed = func(h heal.Healed) {
		w.mu.Lock()
		w.healed = append(w.healed, h)
		w.mu.Unlock()
		w.tell()
	}
	opt.Unhealed = func(_ string, err error) {
		w.mu.Lock()
		w.unhealed = append(w.unhealed, err)
		w.mu.Unlock()
		w.tell()
	}
	opt.Monotonic = func() time.Duration { return time.Duration(w.now.Load()) }
	return opt
}

func (w *wounded) tell() {
	select {
	case w.told <- struct{}{}:
	default:
	}
}

// wait returns once what was asked for is so, after a heal or the failure of one.
func (w *wounded) wait(is func() bool) {
	for !is() {
		<-w.told
	}
}

func (w *wounded) failures() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.unhealed)
}

func (w *wounded) open(t testing.TB) *Store { return open(t, w.options(t, w.fs)) }

func (w *wounded) path() string { return woundedRoot + "/" + w.name }

func (w *wounded) file(t testing.TB) []byte {
	t.Helper()
	f, err := w.fs.Open(w.path())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// damage puts other bytes, or none (nil), where the pack is.
func (w *wounded) damage(t testing.TB, b []byte) {
	t.Helper()
	putFile(t, w.fs, w.path(), b)
}

func putFile(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	if err := fs.Remove(path); err != nil && b == nil {
		t.Fatal(err)
	}
	if b == nil {
		return
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(bytes.Clone(b))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// copyOf is a folder that holds b as the pack.
func (w *wounded) copyOf(t testing.TB, name string, b []byte) engine.Copy {
	t.Helper()
	fs := vfs.NewMem()
	d, err := dir.Open(fs, "copy", dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b != nil {
		putFile(t, fs, "copy/"+w.name, b)
	}
	return engine.Copy{Name: name, Engine: d}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x20
	return b
}

// read reads every object; errWrong if one reads as what was not written.
func (w *wounded) read(s *Store) error {
	for _, o := range w.objs {
		if err := sameBytes(s, o); err != nil {
			return err
		}
	}
	return nil
}

// TestHealEveryByte flips each byte of a pack: all is read as if nothing had been, and the file is whole again.
func TestHealEveryByte(t *testing.T) {
	w := newWounded(t, vfs.NewMem())
	w.copies = []engine.Copy{w.copyOf(t, "nas", w.good)}
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for i := 0; i < len(w.good); i += stride {
		w.damage(t, flipped(w.good, i))
		s := w.open(t)
		if err := w.read(s); err != nil {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if _, err := s.Scrub(ctx, w.name, false, func(int64) error { return nil }); err != nil {
			if err := s.Heal(heal.AtOnce(ctx), w.name, err); err != nil && !errors.Is(err, ErrSound) {
				t.Fatalf("byte %d flipped: %v", i, err)
			}
		}
		if got := w.file(t); !bytes.Equal(got, w.good) {
			t.Fatalf("byte %d flipped: the file is not whole again", i)
		}
		if err := errors.Join(w.read(s), s.Close()); err != nil {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		h := w.healed[len(w.healed)-1]
		if len(w.healed) != 1+i/stride || h.From != "nas" || h.Name != w.name || h.Wrong != 1 || h.First != int64(i) || h.Last != int64(i) ||
			!bytes.Equal(h.Was, []byte{w.good[i] ^ 0x20}) || h.WasBytes != int64(len(w.good)) || h.WasSHA256 == (entry.Hash{}) {
			t.Fatalf("byte %d flipped: healed %d times, at last %+v", i, len(w.healed), h)
		}
	}
}

// TestHealGoneAndCut removes the pack, cuts it, lengthens it, puts zeros and another file there.
func TestHealGoneAndCut(t *testing.T) {
	w := newWounded(t, vfs.NewMem())
	w.copies = []engine.Copy{w.copyOf(t, "nas", w.good)}
	for what, b := range map[string][]byte{
		"gone": nil, "empty": {}, "half": w.good[:len(w.good)/2], "one short": w.good[:len(w.good)-1], "one long": append(bytes.Clone(w.good), 0),
		"zeros": make([]byte, len(w.good)),
	} {
		for _, known := range []bool{true, false} {
			w.damage(t, b)
			if !known {
				w.places = newPlaces()
			}
			s := w.open(t)
			if b == nil && !known { // nothing here knows the chunks: who goes through the entries does
				if gone := s.Missing([]string{w.name}); len(gone) != 1 {
					t.Fatalf("missing: %v", gone)
				}
				if err := s.Heal(heal.AtOnce(ctx), w.name, engine.ErrNotExist); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.read(s); err != nil {
				t.Errorf("%s, index known %t: %v", what, known, err)
			}
			if err := s.Heal(heal.AtOnce(ctx), w.name, errors.New(what)); err != nil && !errors.Is(err, ErrSound) {
				t.Errorf("%s: %v", what, err)
			}
			if got := w.file(t); !bytes.Equal(got, w.good) {
				t.Errorf("%s: the file is not whole again", what)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestHealFromTheGoodCopy: copies that are damaged, gone or lie are passed over, and each is named if none is good.
func TestHealFromTheGoodCopy(t *testing.T) {
	w := newWounded(t, vfs.NewMem())
	bad := w.bad(t)
	good := w.copyOf(t, "good", w.good)
	for i := range bad {
		w.copies = []engine.Copy{bad[i], bad[(i+1)%len(bad)], good}
		w.damage(t, make([]byte, len(w.good)))
		s := w.open(t)
		if err := w.read(s); err != nil {
			t.Errorf("%s, %s: %v", w.copies[0].Name, w.copies[1].Name, err)
		}
		if err := s.Heal(ctx, w.name, errors.New("zeros")); err != nil && !errors.Is(err, ErrSound) {
			t.Error(err)
		}
		if got := w.file(t); !bytes.Equal(got, w.good) {
			t.Errorf("%s, %s: the file is not whole again", w.copies[0].Name, w.copies[1].Name)
		}
		if h := w.healed[len(w.healed)-1]; h.From != "good" {
			t.Errorf("healed from %s", h.From)
		}
		s.Close()
	}
	w.copies = bad
	w.damage(t, flipped(w.good, 200)) // in the first chunk
	s := w.open(t)
	err := w.read(s)
	if !errors.Is(err, frame.ErrCorrupt) || errors.Is(err, errWrong) {
		t.Errorf("with bad copies only a read says %v", err)
	}
	w.wait(func() bool { return len(w.failures()) > 0 })
	for _, c := range bad {
		if err != nil && !strings.Contains(err.Error(), c.Name+" ") {
			t.Errorf("%v does not name %s", err, c.Name)
		}
	}
	if got := w.file(t); !bytes.Equal(got, flipped(w.good, 200)) {
		t.Error("a bad copy took the place of the file")
	}
	if got := w.failures(); !strings.Contains(got[0].Error(), "on "+bad[0].Name+" ") {
		t.Errorf("unhealed: %v", got)
	}
}

// bad are copies that must not be believed. All have chunk 0 damaged or another one in its place.
func (w *wounded) bad(t testing.TB) []engine.Copy {
	other := newWounded(t, vfs.NewMem()) // another pack of the same objects: valid under the same keys
	renamed := bytes.Clone(other.good)
	relabelled := bytes.Clone(other.good) // with our header: the frames do not open under our file key
	copy(relabelled, w.good[:frame.HeaderSize])
	h, err := frame.ParseHeader(w.good, frame.MagicPack)
	if err != nil {
		t.Fatal(err)
	}
	h.StoreID[0]++
	foreign := append(h.Append(nil), w.good[frame.HeaderSize:]...)
	return []engine.Copy{
		w.copyOf(t, "damaged", flipped(w.good, 200)), w.copyOf(t, "also-damaged", flipped(w.good, 205)), w.copyOf(t, "short", w.good[:150]),
		w.copyOf(t, "gone", nil), w.copyOf(t, "another-pack", renamed), w.copyOf(t, "relabelled", relabelled), w.copyOf(t, "foreign", foreign),
	}
}

// TestHealUnsealed: before there is a pack.seal entry a copy proves itself by every frame, and a forged footer over fewer chunks does not.
func TestHealUnsealed(t *testing.T) {
	w := newWounded(t, vfs.NewMem())
	clear(w.seals)
	w.copies = []engine.Copy{w.copyOf(t, "forged", w.forged(t))}
	w.damage(t, flipped(w.good, 200))
	s := w.open(t)
	err := s.Heal(ctx, w.name, errors.New("damaged"))
	if !errors.Is(err, heal.ErrUnproven) || !bytes.Equal(w.file(t), flipped(w.good, 200)) {
		t.Errorf("a forged footer heals: %v", err)
	}
	w.now.Add(int64(heal.RetryAfter))
	w.copies = append(w.copies, w.copyOf(t, "nas", w.good))
	if err := s.Heal(ctx, w.name, errors.New("damaged")); err != nil || !bytes.Equal(w.file(t), w.good) {
		t.Errorf("a good copy does not heal: %v", err)
	}
}

// forged is the pack cut behind its second chunk, with a footer and trailer that anyone can write.
func (w *wounded) forged(t testing.TB) []byte {
	t.Helper()
	chunks, err := pack.ReadIndex(bytes.NewReader(w.good), int64(len(w.good)))
	if err != nil {
		t.Fatal(err)
	}
	// As docs/FORMAT.md has it: version, count, ids, gaps, data lengths.
	kept := chunks[:2]
	end := kept[1].Offset + int64(kept[1].Length)
	footer := append(frame.Begin(nil), 0, byte(len(kept)))
	for _, c := range kept {
		footer = append(footer, c.ID[:]...)
	}
	footer = append(footer, 0, 0)
	for _, c := range kept {
		footer = binary.AppendUvarint(footer, uint64(int(c.Length)-pack.Overhead))
	}
	frame.End(footer, 0, frame.KindFooter, 0, uint32(len(kept)))
	trailer := binary.BigEndian.AppendUint64(nil, uint64(end))
	trailer = binary.BigEndian.AppendUint32(trailer, uint32(len(footer)))
	trailer = binary.BigEndian.AppendUint32(trailer, uint32(len(kept)))
	trailer = append(trailer, "STELEPKE\x00\x00\x00\x00"...)
	trailer = binary.BigEndian.AppendUint32(trailer, crc32.Checksum(trailer, crc32.MakeTable(crc32.Castagnoli)))
	b := append(append(bytes.Clone(w.good[:end]), footer...), trailer...)
	if _, err := pack.ReadIndex(bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatalf("the forgery is no pack: %v", err)
	}
	return b
}

// counted counts what a copy is asked for.
type counted struct {
	engine.Engine
	opens atomic.Int64
	gate  chan struct{} // if set, an Open waits for a token
}

func (c *counted) Open(ctx context.Context, name string) (engine.File, error) {
	c.opens.Add(1)
	if c.gate != nil {
		<-c.gate
	}
	return c.Engine.Open(ctx, name)
}

// TestNoHealStorm: many readers of a damaged pack ask a copy once for the chunk, once for the pack and once for what is left of it, and what failed is left alone for a minute.
func TestNoHealStorm(t *testing.T) {
	w := newWounded(t, vfs.NewMem())
	bad := &counted{Engine: w.copyOf(t, "", flipped(w.good, 200)).Engine}
	w.copies = []engine.Copy{{Name: "bad", Engine: bad}}
	w.damage(t, flipped(w.good, 200))
	s := w.open(t)
	readers := func() {
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if err := sameBytes(s, w.objs[0]); !errors.Is(err, frame.ErrCorrupt) {
					t.Errorf("read: %v", err)
				}
			})
		}
		group.Wait()
	}
	readers()
	w.wait(func() bool { return len(w.failures()) > 0 })
	readers()
	if n := bad.opens.Load(); n != 3 {
		t.Errorf("the copy was opened %d times in a minute", n)
	}
	w.now.Add(int64(heal.RetryAfter))
	readers()
	if err := s.Heal(ctx, w.name, errors.New("damaged")); err == nil { // waits for the one that runs
		t.Error("healed by a bad copy")
	}
	if n := bad.opens.Load(); n != 6 {
		t.Errorf("the copy was opened %d times in two minutes", n)
	}
	w.now.Add(int64(heal.RetryAfter))
	w.copies = append(w.copies, w.copyOf(t, "good", w.good))
	if err := w.read(s); err != nil {
		t.Error(err)
	}
	w.wait(func() bool { return bytes.Equal(w.file(t), w.good) })
}

// TestHealIsShared: who asks for a heal that runs waits for it.
func TestHealIsShared(t *testing.T) {
	w := newWounded(t, vfs.NewMem())
	slow := &counted{Engine: w.copyOf(t, "", w.good).Engine, gate: make(chan struct{}, 1)}
	w.copies = []engine.Copy{{Name: "slow", Engine: slow}}
	w.damage(t, flipped(w.good, 200))
	s := w.open(t)
	outcomes := make(chan error, 10)
	for range cap(outcomes) {
		go func() { outcomes <- s.Heal(ctx, w.name, errors.New("damaged")) }()
	}
	slow.gate <- struct{}{}
	close(slow.gate)
	for range cap(outcomes) {
		if err := <-outcomes; err != nil && !errors.Is(err, ErrSound) {
			t.Error(err)
		}
	}
	if len(w.healed) != 1 || slow.opens.Load() != 1 {
		t.Errorf("healed %d times, the copy opened %d times", len(w.healed), slow.opens.Load())
	}
}

// TestReadsWhileNothingCanBeReplaced: on a full disk, and in a store that is open for reading, the bytes come from the copy.
func TestReadsWhileNothingCanBeReplaced(t *testing.T) {
	var full atomic.Bool
	w := newWounded(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	})))
	w.copies = []engine.Copy{w.copyOf(t, "nas", w.good)}
	w.damage(t, flipped(w.good, 200))
	full.Store(true)
	s := w.open(t)
	if err := w.read(s); err != nil {
		t.Error(err)
	}
	w.wait(func() bool { return len(w.failures()) > 0 })
	if got := w.failures(); !errors.Is(got[0], engine.ErrFull) || s.Failed() != nil {
		t.Errorf("unhealed %v, failed %v", got, s.Failed())
	}
	full.Store(false)
	w.now.Add(int64(heal.RetryAfter))
	if err := w.read(s); err != nil {
		t.Error(err)
	}
	w.wait(func() bool { return bytes.Equal(w.file(t), w.good) })
	w.damage(t, flipped(w.good, 200))
	opt := w.options(t, w.fs)
	opt.ReadOnly = true
	reader := open(t, opt)
	if err := w.read(reader); err != nil {
		t.Error(err)
	}
	if err := reader.Heal(ctx, w.name, errors.New("damaged")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a reader heals: %v", err)
	}
}

// healOracle is a wounded store, and whether its heal was acknowledged.
type healOracle struct {
	*wounded
	acked bool
}

// healScenario heals one pack.
func healScenario(t *testing.T, copyOf func(w *wounded) []byte) crashtest.Scenario[healOracle] {
	plain := vfs.NewMem()
	w := newWounded(t, plain)
	w.copies = []engine.Copy{w.copyOf(t, "nas", copyOf(w))}
	at := func(fs vfs.FS) (*Store, error) {
		d, err := dir.Open(fs, woundedRoot, dir.Options{})
		if err != nil {
			return nil, err
		}
		opt := w.options(t, vfs.NewMem())
		opt.Engine = d
		opt.Healed, opt.Unhealed = nil, nil
		return Open(ctx, opt)
	}
	return crashtest.Scenario[healOracle]{
		Setup: func(fs vfs.FS, o *healOracle) error {
			o.wounded = w
			if _, err := dir.Open(fs, woundedRoot, dir.Options{}); err != nil {
				return err
			}
			putFile(t, fs, w.path(), flipped(w.good, 200))
			d, err := fs.OpenDir(woundedRoot + "/packs")
			if err != nil {
				return err
			}
			return errors.Join(d.Sync(), d.Close())
		},
		Work: func(fs vfs.FS, o *healOracle) (err error) {
			s, err := at(fs)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			if err := s.Heal(ctx, w.name, errors.New("damaged")); err != nil {
				if read := w.read(s); read != nil { // whatever became of the heal
					return fmt.Errorf("%w, and then %w", err, read)
				}
				return err
			}
			o.acked = true
			return w.read(s)
		},
		Check: func(fs vfs.FS, o *healOracle) error {
			s, err := at(fs)
			if err != nil {
				return err
			}
			defer s.Close()
			f, err := fs.Open(w.path())
			if err != nil {
				return err
			}
			got, err := io.ReadAll(f)
			_ = f.Close()
			whole := bytes.Equal(got, w.good)
			if err != nil || !whole && (o.acked || !bytes.Equal(got, flipped(w.good, 200))) {
				return fmt.Errorf("acknowledged %t: the file has %d bytes, whole: %t, %v", o.acked, len(got), whole, err)
			}
			o.acked = whole
			return w.read(s)
		},
	}
}

// TestHealCrash cuts the power at every write of a heal, and fails each of its fsyncs: the file is the old one or the good one, and all that is read is right.
func TestHealCrash(t *testing.T) {
	crashtest.Run(t, healScenario(t, func(w *wounded) []byte { return w.good }))
}

// TestHealBugs: deliberate bugs are noticed.
func TestHealBugs(t *testing.T) {
	for name, f := range map[string]bug.Bug{"replaceUnverified": bug.ReplacePackUnverified, "serveUnverified": bug.ServeUnverified} {
		t.Run(name, func(t *testing.T) {
			w := newWounded(t, vfs.NewMem())
			bug.Plant(t, f)
			w.damage(t, flipped(w.good, 200))
			w.copies = []engine.Copy{w.copyOf(t, "liar", flipped(w.good, 201))}
			s := w.open(t)
			noticed := errors.Is(w.read(s), errWrong)
			_ = s.Heal(ctx, w.name, errors.New("damaged")) // waits for the one that runs
			if got := w.file(t); bytes.Equal(got, flipped(w.good, 201)) {
				noticed = true
			}
			if !noticed {
				t.Error("nobody noticed")
			}
		})
	}
}
