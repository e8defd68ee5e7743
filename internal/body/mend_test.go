package body

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/pack"
)

// inPieces is a copy that has a pack as others, as a target has its tails.
type inPieces struct {
	engine.Engine
	of    string
	names []string
}

func (p *inPieces) Pieces(of string) []string {
	if of != p.of {
		return nil
	}
	return p.names
}

// storedChunk is a chunk as a tail pack gets it.
type storedChunk struct {
	id    entry.ID
	flags uint8
	data  []byte
}

// chunksOf opens every chunk of a pack.
func chunksOf(t testing.TB, b []byte) (all []storedChunk) {
	t.Helper()
	h, err := frame.ParseHeader(b, frame.MagicPack)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := testKeys{}.Sealer(h.KeyID, h.FileID)
	if err != nil {
		t.Fatal(err)
	}
	_, _, why := pack.Scan(bytes.NewReader(b), int64(len(b)), func(c pack.Scanned) error {
		data, flags, err := pack.OpenChunk(sealer, bytes.Clone(c.Frame), &c.ID)
		all = append(all, storedChunk{c.ID, flags, data})
		return err
	})
	if why != nil {
		t.Fatal(why)
	}
	return all
}

// pieceOf seals chunks as a pack of its own.
func pieceOf(t testing.TB, chunks []storedChunk) (name string, b []byte) {
	t.Helper()
	id := frame.NewFileID()
	sealer, err := testKeys{}.Sealer(1, id)
	if err != nil {
		t.Fatal(err)
	}
	var m engine.Memory
	w := pack.NewWriter(&m, frame.Header{KeyID: 1, FileID: id, Epoch: 1, StoreID: options(nil, nil).StoreID}, sealer)
	for _, c := range chunks {
		if _, err := w.Append(&c.id, c.flags, c.data, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	return pack.Name(pack.Short(id)), m.Bytes()
}

// pieces is a copy that has the pack as several: of one chunk, and of the rest. edit may change their bytes.
func pieces(t testing.TB, name, of string, chunks []storedChunk, edit func([]byte) []byte) engine.Copy {
	t.Helper()
	fs := vfs.NewMem()
	d, err := dir.Open(fs, "copy", dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &inPieces{Engine: d, of: of}
	for _, some := range [][]storedChunk{chunks[:1], chunks[1:]} {
		if len(some) == 0 {
			continue
		}
		n, b := pieceOf(t, some)
		if edit != nil {
			b = edit(b)
		}
		putFile(t, fs, "copy/"+n, b)
		p.names = append(p.names, n)
	}
	return engine.Copy{Name: name, Engine: p}
}

func (w *wounded) pieces(t testing.TB, name string, edit func([]byte) []byte) engine.Copy {
	return pieces(t, name, w.name, chunksOf(t, w.good), edit)
}

// TestPiecesHealEveryByte flips each byte of a pack of which the copy has pieces only: all is read, and the pack is made again as it was, byte for byte.
func TestPiecesHealEveryByte(t *testing.T) {
	w := newWounded(t, vfs.NewMem())
	w.copies = []engine.Copy{w.pieces(t, "target", nil)}
	stride := 1
	if testing.Short() {
		stride = 5
	}
	for i := 0; i < len(w.good); i += stride {
		w.damage(t, flipped(w.good, i))
		w.healed = nil
		w.now.Add(int64(heal.RetryAfter))
		s := w.open(t)
		if err := w.read(s); err != nil {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		err := s.Heal(heal.AtOnce(ctx), w.name, errors.New("flipped"))
		lost := i >= 32 && i < 48 // the half of the file id that stands nowhere else: the bytes are had, the pack is not
		if lost && err == nil || !lost && err != nil && !errors.Is(err, ErrSound) {
			t.Fatalf("byte %d flipped: heal says %v", i, err)
		}
		if got := w.file(t); bytes.Equal(got, w.good) == lost {
			t.Fatalf("byte %d flipped: whole again: %t", i, !lost)
		}
		if err := errors.Join(w.read(s), s.Close()); err != nil {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if !lost && (len(w.healed) != 1 || w.healed[0].Wrong != 1 || w.healed[0].First != int64(i)) {
			t.Fatalf("byte %d flipped: %+v", i, w.healed)
		}
	}
}

// TestPiecesHealWhatIsLeft cuts the pack, zeroes blocks of it and removes it: what was written in this process is made again of pieces alone, of what an earlier one wrote the header is needed.
func TestPiecesHealWhatIsLeft(t *testing.T) {
	for what, damage := range map[string]func([]byte) []byte{
		"cut":    func(b []byte) []byte { return b[:len(b)/2] },
		"header": func(b []byte) []byte { return b[:frame.HeaderSize] },
		"zeros":  func(b []byte) []byte { clear(b[frame.HeaderSize:]); return b },
		"end":    func(b []byte) []byte { clear(b[len(b)-300:]); return b },
		"gone":   func([]byte) []byte { return nil },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWounded(t, vfs.NewMem())
			w.copies = []engine.Copy{w.pieces(t, "target", nil)}
			w.damage(t, damage(bytes.Clone(w.good)))
			s := w.open(t)
			if err := w.read(s); err != nil {
				t.Error(err)
			}
			err := s.Heal(heal.AtOnce(ctx), w.name, errors.New(what))
			if gone := what == "gone"; gone && (err == nil || !strings.Contains(err.Error(), "nobody has its header")) || !gone && err != nil && !errors.Is(err, ErrSound) {
				t.Errorf("heal says %v", err)
			}
			if err := w.read(s); err != nil {
				t.Error(err)
			}

			fresh := newWounded(t, vfs.NewMem())
			s = fresh.open(t)
			o := object{seed: 77, size: 5000}
			o.body = put(t, s, o.data(), int64(o.size)).Body
			if err := s.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			for name := range fresh.seals { // the one that this process wrote
				if name != fresh.name {
					fresh.name = name
					break
				}
			}
			fresh.objs = append(fresh.objs, o)
			fresh.good = fresh.file(t)
			fresh.copies = []engine.Copy{fresh.pieces(t, "target", nil)}
			fresh.damage(t, damage(bytes.Clone(fresh.good)))
			s.files.clear()
			if err := fresh.read(s); err != nil {
				t.Error(err)
			}
			if err := s.Heal(heal.AtOnce(ctx), fresh.name, errors.New(what)); err != nil && !errors.Is(err, ErrSound) {
				t.Error(err)
			}
			if !bytes.Equal(fresh.file(t), fresh.good) {
				t.Error("what this process wrote is not whole again")
			}
		})
	}
}

// TestHealFromSeveralDamagedCopies: two copies that are damaged in different spots, or one and pieces, make the pack together. What all of them lost stays lost, and is said.
func TestHealFromSeveralDamagedCopies(t *testing.T) {
	w := newWounded(t, vfs.NewMem())
	chunks, err := pack.ReadIndex(bytes.NewReader(w.good), int64(len(w.good)))
	if err != nil {
		t.Fatal(err)
	}
	in := func(i int) int { return int(chunks[i].Offset) + pack.Overhead + 3 }
	zeros := func(b []byte) []byte { return make([]byte, len(b)) }
	for what, copies := range map[string][]engine.Copy{
		"two copies":             {w.copyOf(t, "a", flipped(w.good, in(0))), w.copyOf(t, "b", flipped(w.good, in(1)))},
		"a copy and pieces":      {w.copyOf(t, "a", flipped(w.good, in(0))), w.pieces(t, "b", nil)},
		"two copies and pieces":  {w.copyOf(t, "a", flipped(w.good, in(0))), w.copyOf(t, "c", flipped(w.good, in(0)+1)), w.pieces(t, "b", nil)},
		"bad pieces before good": {w.pieces(t, "a", zeros), w.copyOf(t, "c", flipped(w.good, in(0))), w.pieces(t, "b", nil)},
	} {
		w.copies = copies
		w.now.Add(int64(heal.RetryAfter))
		w.damage(t, make([]byte, len(w.good)))
		s := w.open(t)
		if err := w.read(s); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := s.Heal(heal.AtOnce(ctx), w.name, errors.New("zeros")); err != nil && !errors.Is(err, ErrSound) {
			t.Errorf("%s: %v", what, err)
		}
		if !bytes.Equal(w.file(t), w.good) {
			t.Errorf("%s: the file is not whole again", what)
		}
		if h := w.healed[len(w.healed)-1]; !strings.Contains(h.From, "b") {
			t.Errorf("%s: healed from %s", what, h.From)
		}
		s.Close()
	}
	w.copies = []engine.Copy{w.copyOf(t, "a", flipped(w.good, in(0))), w.pieces(t, "b", func(b []byte) []byte { return flipped(b, in(0)) })}
	w.now.Add(int64(heal.RetryAfter))
	w.damage(t, flipped(w.good, in(0)+1))
	s := w.open(t)
	if err := sameBytes(s, w.objs[0]); !errors.Is(err, frame.ErrCorrupt) || !strings.Contains(err.Error(), "on a ") || !strings.Contains(err.Error(), "on b ") {
		t.Errorf("with no good copy a read says %v", err)
	}
	if err := s.Heal(ctx, w.name, errors.New("flipped")); err == nil || !bytes.Equal(w.file(t), flipped(w.good, in(0)+1)) {
		t.Errorf("with no good copy: heal says %v", err)
	}
}

// growingPath is the file of the one pack that grows.
func growingPath(t testing.TB, fs vfs.FS) string {
	t.Helper()
	names, err := fs.List(woundedRoot + "/open")
	if err != nil || len(names) != 1 {
		t.Fatalf("%v grow: %v", names, err)
	}
	return woundedRoot + "/open/" + names[0]
}

// grown is a store with a pack that grows, and its pieces as a shipper makes them.
func grown(t testing.TB) (w *wounded, s *Store, growing [16]byte) {
	t.Helper()
	w = newWounded(t, vfs.NewMem())
	s = w.open(t)
	w.objs = nil
	for i, n := range []int{4000, 3000, 2000} {
		o := object{seed: uint64(102 + 2*i), size: n}
		o.body = put(t, s, o.data(), int64(n)).Body
		w.objs = append(w.objs, o)
	}
	_, _, g := s.Packs(0)
	if len(g) != 1 {
		t.Fatalf("%d packs grow", len(g))
	}
	var chunks []storedChunk
	if err := s.GrowingChunks(ctx, g[0].Name, 0, g[0].Chunks, func(id *entry.ID, flags uint8, data []byte) error {
		chunks = append(chunks, storedChunk{*id, flags, bytes.Clone(data)})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.name = pack.Name(g[0].Name)
	w.copies = []engine.Copy{pieces(t, "target", w.name, chunks, nil)}
	return w, s, g[0].Name
}

func flipIn(t testing.TB, fs vfs.FS, path string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := flip(f, at); err != nil {
		t.Fatal(err)
	}
}

// TestAGrowingPackHeals: a damaged chunk of a pack that grows is read from a piece, by readers and by a shipper; the pack takes no more chunks, is sealed, and is made again as it should be.
func TestAGrowingPackHeals(t *testing.T) {
	for what, meet := range map[string]func(w *wounded, s *Store, growing [16]byte) error{
		"reader": func(w *wounded, s *Store, _ [16]byte) error { return w.read(s) },
		"shipper": func(w *wounded, s *Store, growing [16]byte) error {
			n := 0
			err := s.GrowingChunks(ctx, growing, 0, 3, func(*entry.ID, uint8, []byte) error { n++; return nil })
			if err == nil && n != 3 {
				err = errors.New("chunks are missing")
			}
			return err
		},
		"close": func(w *wounded, s *Store, growing [16]byte) error {
			s.mu.Lock()
			s.packs[growing].open.lane = nil // nobody else seals it
			s.mu.Unlock()
			return errors.Join(w.read(s), s.Close())
		},
	} {
		t.Run(what, func(t *testing.T) {
			w, s, growing := grown(t)
			flipIn(t, w.fs, growingPath(t, w.fs), 300)
			if err := meet(w, s, growing); err != nil {
				t.Fatal(err)
			}
			whole := func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return slices.ContainsFunc(w.healed, func(h heal.Healed) bool { return h.Name == w.name && h.Wrong == 1 && h.First == 300 })
			}
			w.wait(whole)
			seal := w.seals[w.name]
			if p, err := s.PackInfo(ctx, w.name); err != nil || p.SHA256 != seal.SHA256 {
				t.Errorf("the pack has SHA-256 %s, sealed as %s: %v", p.SHA256, seal.SHA256, err)
			}
			if what == "close" {
				return
			}
			o := object{seed: 200, size: 1000}
			w2 := put(t, s, o.data(), int64(o.size))
			if err := errors.Join(w.read(s), w2.Sync(ctx)); err != nil {
				t.Error(err)
			}
			if n := len(w.failures()); n != 0 {
				t.Errorf("unhealed: %v", w.failures())
			}
		})
	}
}

// TestADamagedTailIsFilled: a crash came before a damaged pack was sealed. What its tail does not yield comes from pieces; a zeroed block hides nothing that lies behind it.
func TestADamagedTailIsFilled(t *testing.T) {
	for what, damage := range map[string]func([]byte){
		"flip":   func(b []byte) { b[300] ^= 1 },
		"header": func(b []byte) { b[40] ^= 1 },
		"zeros":  func(b []byte) { clear(b[frame.HeaderSize : frame.HeaderSize+1500]) },
		"rest":   func(b []byte) { clear(b[frame.HeaderSize+1500:]) },
	} {
		t.Run(what, func(t *testing.T) {
			o, fs, path := tailOn(t, vfs.NewCrashableMem())
			var tail []byte
			rewrite(t, fs, path, func(b []byte) { tail = bytes.Clone(b) })
			name, _ := pack.ParseName(tailName(path))
			copyOf := pieces(t, "target", pack.Name(name), tailChunks(t, tail), nil)
			rewrite(t, fs, path, damage)
			e, err := dir.Open(fs, "store", dir.Options{})
			if err != nil {
				t.Fatal(err)
			}
			opt := options(alignedEngine{e, 512}, newPlaces())
			opt.Copies = func() []engine.Copy { return []engine.Copy{copyOf} }
			s := open(t, opt)
			for _, x := range o.acked {
				if err := sameBytes(s, x); err != nil {
					t.Error(err)
				}
			}
			if kept := s.Stats().UnrecoveredTails; (kept == 1) != (what == "header") {
				t.Errorf("%d tails are kept", kept)
			}
		})
	}
}

func tailName(path string) string {
	base := path[strings.LastIndexByte(path, '/')+1:]
	return strings.Replace(base[:strings.LastIndexByte(base, '.')], "_", "/", 1)
}

// tailChunks opens the chunks of a file that was never sealed.
func tailChunks(t testing.TB, b []byte) (all []storedChunk) {
	t.Helper()
	h, err := frame.ParseHeader(b, frame.MagicPack)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := testKeys{}.Sealer(h.KeyID, h.FileID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pack.Salvage(bytes.NewReader(b), int64(len(b)), func(c pack.Scanned) error {
		data, flags, err := pack.OpenChunk(sealer, bytes.Clone(c.Frame), &c.ID)
		all = append(all, storedChunk{c.ID, flags, data})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPieceBugs: deliberate bugs are noticed: pieces that lie are served, or make a pack.
func TestPieceBugs(t *testing.T) {
	lie := func(b []byte) []byte { return flipped(b, len(b)/3) }
	for name, f := range map[string][]bug.Bug{"serveUnverified": {bug.ServeUnverified}, "replaceUnverified": {bug.ReplacePackUnverified, bug.ServeUnverified}} {
		w := newWounded(t, vfs.NewMem())
		pull := bug.Plant(t, f...)
		w.damage(t, func() []byte { b := bytes.Clone(w.good); clear(b[frame.HeaderSize : len(b)-200]); return b }())
		w.copies = []engine.Copy{w.pieces(t, "liar", lie)}
		s := w.open(t)
		noticed := errors.Is(w.read(s), errWrong)
		_ = s.Heal(context.Background(), w.name, errors.New("damaged"))
		if err := w.read(s); errors.Is(err, errWrong) {
			noticed = true
		}
		if !noticed {
			t.Errorf("%s: nobody noticed", name)
		}
		pull()
		w = newWounded(t, vfs.NewMem())
		w.damage(t, make([]byte, len(w.good)))
		w.copies = []engine.Copy{w.pieces(t, "liar", lie)}
		if err := w.read(w.open(t)); err == nil || errors.Is(err, errWrong) {
			t.Errorf("without the bug a read says %v", err)
		}
	}
}
