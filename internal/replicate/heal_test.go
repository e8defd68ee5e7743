package replicate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/ledger"
)

// flipOpen flips a byte of the file that grows and whose private name has that prefix.
func flipOpen(t testing.TB, fs vfs.FS, prefix string, at int64) {
	t.Helper()
	names, err := fs.List("store/open")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n, prefix) {
			continue
		}
		f, err := fs.OpenReadWrite("store/open/"+n, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		_, err = f.ReadAt(b[:], at)
		b[0] ^= 0x10
		if err == nil {
			_, err = f.WriteAt(b[:], at)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("nothing that begins with %s grows: %v", prefix, names)
}

// beside is a store and a target that it ships to and heals from.
func beside(t testing.TB, fs vfs.FS, segmentBytes int64) (p *primary, target *dirTarget, s *session) {
	t.Helper()
	there := vfs.NewMem()
	target = &dirTarget{mustDir(t, there, "target"), there}
	keys := testKeys(t)
	p, err := openPrimaryBeside(mustDir(t, fs, "store"), keys, segmentBytes, 64<<10, target.copies)
	if err != nil {
		t.Fatal(err)
	}
	o := p.origin()
	o.Heal = p.heal
	if s, err = connect(ctx, o, target, 0, nil); err != nil {
		t.Fatal(err)
	}
	return p, target, s
}

type dirTarget struct {
	engine.Appender
	fs vfs.FS
}

func (d *dirTarget) copies() []engine.Copy {
	src, err := OpenSource(ctx, d)
	if err != nil {
		return nil
	}
	return []engine.Copy{{Name: "target", Engine: src}}
}

// readBack reads every object of a store.
func (m *model) readBack(p *primary) error {
	for i, l := range m.log {
		if l.key == "" {
			continue
		}
		e, _, _, err := p.led.Entry(ctx, uint64(i))
		if err != nil {
			return err
		}
		var b strings.Builder
		r, err := p.body.Read(ctx, *e.Private.Body, 0, e.Private.Body.Size)
		if err != nil {
			return fmt.Errorf("%s: %w", l.key, err)
		}
		_, err = r.WriteTo(&b)
		if err = errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("%s: %w", l.key, err)
		}
		if b.String() != l.data {
			return fmt.Errorf("%s reads as what was never put", l.key)
		}
	}
	return nil
}

// TestDamageWhileItGrows: bytes of a pack and of a segment rot after they were shipped as tails and before either is sealed. All is read, shipping goes on, tails are merged, and both are whole on
// either side in the end.
func TestDamageWhileItGrows(t *testing.T) {
	for _, what := range []string{"packs_", "segments_"} {
		t.Run(what, func(t *testing.T) {
			fs := vfs.NewMem()
			p, target, s := beside(t, fs, 1<<20)
			s.fanIn = 4
			m := &model{}
			putOne := func(i int) {
				t.Helper()
				if err := m.put(p, fmt.Sprintf("key %d", i), random(700, uint64(i))); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 3 {
				putOne(i)
				if err := s.shipNow(); err != nil {
					t.Fatal(err)
				}
			}
			flipOpen(t, fs, what, 300)
			for i := range 3 { // the fourth tail has all merged, out of the damaged file
				putOne(10 + i)
				if err := s.shipNow(); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.readBack(p); err != nil {
				t.Error(err)
			}
			if err := errors.Join(p.body.Flush(ctx), p.flushSeals(), s.shipNow(), p.flushSeals(), s.shipNow()); err != nil {
				t.Fatal(err)
			}
			if len(s.lacking) > 0 {
				t.Errorf("lacking: %v", s.lacking)
			}
			src, err := OpenSource(ctx, target)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := checkCopy(src, p, m); err != nil {
				t.Errorf("the target: %v", err)
			}
			if err := m.readBack(p); err != nil {
				t.Error(err)
			}
			p.mustClose(t)
			if got, err := readStore(p.eng, p.keys); err != nil || len(got.items) != 6 {
				t.Errorf("the store, closed: %d objects, %v", len(got.items), err)
			}
		})
	}
}

// TestOldTailsOfLostChunksStay: damage met a chunk before it was in a sealed pack, a crash came, and the copy could not be asked. The tail pack that has it stays on the target; the
// deliberate bug that lets it go is noticed.
func TestOldTailsOfLostChunksStay(t *testing.T) {
	for _, wrong := range bug.Ways() {
		fs := vfs.NewCrashableMem()
		p, target, s := beside(t, fs, 1<<20)
		m := &model{}
		for i := range 3 {
			if err := m.put(p, fmt.Sprintf("key %d", i), random(700, uint64(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.shipNow(); err != nil {
			t.Fatal(err)
		}
		moment := fs.CrashClone(vfs.CrashCloneCfg{})
		flipOpen(t, moment, "packs_", 300)
		q, err := openPrimarySized(mustDir(t, moment, "store"), p.keys, 1<<20, 64<<10) // no copy is at hand
		if err != nil {
			t.Fatal(err)
		}
		next := mustConnect(t, q, target)
		if wrong {
			bug.Plant(t, bug.DropOldTails)
		}
		if err := errors.Join(next.shipNow(), next.shipNow()); err != nil {
			t.Fatal(err)
		}
		src, err := OpenSource(ctx, target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := checkCopy(src, q, m); (err != nil) != wrong {
			t.Errorf("the bug is there: %t; the target: %v", wrong, err)
		}
		q.mustClose(t)
		p.mustClose(t)
	}
}

// TestCutHereIsNotAltered: a file that lost its end here, after it was shipped, is damage of ours: a new session heals it and ships on. One that has another length on the target than its entry
// says is still the target's fault.
func TestCutHereIsNotAltered(t *testing.T) {
	fs := vfs.NewMem()
	p, target, s := beside(t, fs, 2<<10)
	m := &model{}
	for i := range 30 {
		if err := m.put(p, fmt.Sprintf("key %d", i), random(4000, uint64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(p.body.Flush(ctx), p.flushSeals(), s.shipNow()); err != nil {
		t.Fatal(err)
	}
	cut := func(folder vfs.FS, root, name string) {
		t.Helper()
		f, err := folder.Create(root+"/"+name, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = f.Write([]byte("half"))
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{engine.Packs, engine.Segments} {
		name := names(t, p.eng, folder)[0]
		cut(fs, "store", name)
		o := p.origin()
		o.Heal = p.heal
		again, err := connect(ctx, o, target, 0, nil)
		if err != nil {
			t.Fatalf("%s was cut: %v", name, err)
		}
		if err := again.shipNow(); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.readBack(p); err != nil {
		t.Error(err)
	}
	segment := names(t, p.eng, engine.Segments)[0]
	cut(fs, "store", segment) // a second time: it must wait for its heal, and is still ours
	if err := p.heal(ctx, segment, errors.New("cut again")); !errors.As(err, new(*ledger.AgainError)) {
		t.Fatalf("a second heal in a row: %v", err)
	}
	late := p.origin()
	late.Heal = p.heal
	if _, err := connect(ctx, late, target, 0, nil); errors.Is(err, ErrAltered) {
		t.Errorf("a segment was cut here twice: %v", err)
	}
	cut(target.fs, "target", names(t, target, engine.Packs)[0])
	o := p.origin()
	o.Heal = p.heal
	if _, err := connect(ctx, o, target, 0, nil); !errors.Is(err, ErrAltered) {
		t.Errorf("a pack was cut on the target: %v", err)
	}
	p.mustClose(t)
}
