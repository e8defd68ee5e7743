package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/fsck"
	"stele/internal/ledger"
)

// change is one write of a shipper: a file that it made, or, without content, removed.
type change struct {
	name    string
	content []byte
	ends    bool   // its round of shipping is over: nothing is left to be removed
	shipped uint64 // entries that can be restored from before it on
}

// recorder is a target that keeps what a shipper does to it.
type recorder struct {
	engine.Engine
	done    []change
	shipped uint64
}

func (r *recorder) Create(ctx context.Context, name string, size int64, from io.Reader) error {
	b, err := io.ReadAll(from)
	if err == nil {
		err = r.Engine.Create(ctx, name, size, bytes.NewReader(b))
	}
	if err == nil {
		r.done = append(r.done, change{name: name, content: b, shipped: r.shipped})
	}
	return err
}

func (r *recorder) Remove(ctx context.Context, name string) error {
	err := r.Engine.Remove(ctx, name)
	if err == nil {
		r.done = append(r.done, change{name: name, shipped: r.shipped})
	}
	return err
}

// overtaken is a target on which a shipper goes on while somebody reads: each look of the reader, from its number at on, finds some more of the shipper's writes done, up to the end of a round. What was
// opened is read by its name, as on a server: once it is removed, it is gone.
type overtaken struct {
	engine.Engine
	at, many int

	mu    sync.Mutex
	next  []change
	looks int
}

func (o *overtaken) look() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := 0; o.looks >= o.at && n < o.many && len(o.next) > 0; n++ {
		c := o.next[0]
		o.next = o.next[1:]
		if c.ends {
			o.next = nil
		}
		o.apply(c)
	}
	o.looks++
}

func (o *overtaken) apply(c change) {
	err := o.Engine.Remove(ctx, c.name)
	if c.content != nil {
		err = o.Engine.Create(ctx, c.name, int64(len(c.content)), bytes.NewReader(c.content))
	}
	if err != nil {
		panic(err)
	}
}

func (o *overtaken) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	o.look()
	return o.Engine.List(ctx, prefix, fn)
}

func (o *overtaken) Open(ctx context.Context, name string) (engine.File, error) {
	o.look()
	f, err := o.Engine.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &overtakenFile{f, o, name}, nil
}

type overtakenFile struct {
	engine.File
	o    *overtaken
	name string
}

func (f *overtakenFile) ReadAt(p []byte, off int64) (int, error) {
	f.o.look()
	now, err := f.o.Engine.Open(ctx, f.name)
	if err != nil {
		return 0, err
	}
	defer now.Close()
	return now.ReadAt(p, off)
}

// voyage is what a shipper did to a target, from its first write to its last.
type voyage struct {
	p    *primary
	m    *model
	done []change
}

// sail ships a store for some rounds: tails, merges, packs and segments that supersede them, and a start of the store between, by which a segment ends that begins earlier than its tail.
func sail(t testing.TB) *voyage {
	t.Helper()
	disk, v := vfs.NewMem(), &voyage{m: &model{}}
	rec := &recorder{Engine: mem.New()}
	v.p = mustPrimary(t, mustDir(t, disk, "store"), testKeys(t))
	s := mustConnect(t, v.p, rec)
	for i := range 12 {
		s.fanIn = 3
		if i == 5 {
			v.p.mustClose(t)
			v.p = mustPrimary(t, mustDir(t, disk, "store"), v.p.keys)
			s = mustConnect(t, v.p, rec)
		}
		if i == 9 {
			if err := errors.Join(v.p.body.Flush(ctx), v.p.flushSeals()); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.m.put(v.p, fmt.Sprintf("k%03d", i), random(300+100*i, uint64(i))); err != nil {
			t.Fatal(err)
		}
		mark := s.o.markNow()
		if err := s.ship(ctx, mark); err != nil {
			t.Fatal(err)
		}
		rec.shipped = mark.size
		rec.done[len(rec.done)-1].ends = true
	}
	t.Cleanup(func() { v.p.mustClose(t) })
	v.done = rec.done
	return v
}

// each has a reader read from the beginning of each round, overtaken at each of its looks: by the whole round at once, and by one write or two at each look from there on. read gets what it must find at
// least. Of the looks every stride-th is tried.
func (v *voyage) each(t *testing.T, stride int, read func(target engine.Engine, least uint64) error) {
	runs := 0
	for from := range v.done {
		if from > 0 && !v.done[from-1].ends {
			continue
		}
		for _, many := range []int{1, 2, 1 << 20} {
			for at := 0; ; at += stride {
				o := &overtaken{Engine: mem.New(), at: at, many: many}
				for _, c := range v.done[:from] {
					o.apply(c)
				}
				o.next = v.done[from:]
				runs++
				if err := read(o, v.done[from].shipped); err != nil {
					t.Fatalf("from write %d (%s) on, overtaken at look %d by %d writes at a time: %v", from, v.done[from].name, at, many, err)
				}
				if o.looks <= at {
					break
				}
			}
		}
	}
	t.Logf("%d reads beside %d writes", runs, len(v.done))
}

// whileGone does what a reader does over and over while what it had listed is gone.
func whileGone(fn func() error) (err error) {
	for range 5 {
		if err = fn(); !errors.Is(err, engine.ErrNotExist) {
			return err
		}
	}
	return err
}

// same compares entries and objects that were read with what was put.
func (v *voyage) same(led *ledger.Ledger, items map[string]string, least uint64) error {
	size, got := led.Head()
	root, err := v.p.led.Root(ctx, size)
	if err != nil {
		return err
	}
	if want := v.m.at(size); size < least || root != got || items != nil && !maps.Equal(items, want) {
		return fmt.Errorf("%d entries under %s and %d objects, want %d at least, %s, %d", size, got, len(items), least, root, len(want))
	}
	return nil
}

// TestOvertaken: nobody who reads a target takes what a shipper does there meanwhile for damage: not who opens it, reads on in an opened ledger, restores or asks for its head.
func TestOvertaken(t *testing.T) {
	v := sail(t)
	none := func(err error, least uint64) error {
		if errors.Is(err, ErrNone) && least == 0 {
			return nil
		}
		return err
	}
	t.Run("open, and read on", func(t *testing.T) {
		v.each(t, 1, func(target engine.Engine, least uint64) error {
			var led *ledger.Ledger
			err := whileGone(func() error {
				src, err := OpenSource(ctx, target)
				if err != nil {
					return err
				}
				if led, err = ledger.OpenReadOnly(ctx, ledger.Options{Engine: src, Keys: v.p.keys}); err != nil {
					return err
				}
				b, err := body.Open(ctx, body.Options{Engine: src, Keys: bodyKeys{v.p.keys}, Places: newPlaces(), StoreID: v.p.keys.StoreID, Epoch: v.p.keys.Epoch, ReadOnly: true})
				if err == nil {
					err = b.Close()
				}
				if err != nil {
					return errors.Join(err, led.Close())
				}
				return nil
			})
			if err != nil {
				return none(err, least)
			}
			defer led.Close()
			if err := led.Entries(ctx, 0, led.Size(), func(*entry.Entry) error { return nil }); err != nil {
				return err
			}
			return v.same(led, nil, least)
		})
	})
	t.Run("verify", func(t *testing.T) {
		v.each(t, 1, func(target engine.Engine, least uint64) error {
			o := target.(*overtaken)
			at := o.at
			o.at = 1 << 30 // the shipper waits until the ledger is open
			src, err := OpenSource(ctx, target)
			if err != nil {
				return none(err, least)
			}
			led, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: src, Keys: v.p.keys})
			if err != nil {
				return err
			}
			defer led.Close()
			o.at, o.looks = at, 0
			r, err := fsck.Check(ctx, fsck.Options{Engine: src, Keys: v.p.keys, Ledger: led, Size: led.Size()})
			for _, p := range r.Problems {
				if err == nil && p.Where != "" && !isPack(p.Where) {
					err = fmt.Errorf("%s: %s", p.Where, p.What)
				}
			}
			return err
		})
	})
	t.Run("restore", func(t *testing.T) {
		v.each(t, 3, func(target engine.Engine, least uint64) error {
			into := mem.New()
			if _, err := restoreInto(into, target, v.p.keys); err != nil {
				return none(err, least)
			}
			got, err := readStore(into, v.p.keys)
			if err != nil {
				return err
			}
			led, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: into, Keys: v.p.keys})
			if err != nil {
				return err
			}
			defer led.Close()
			return v.same(led, got.items, least)
		})
	})
	t.Run("head", func(t *testing.T) {
		v.each(t, 1, func(target engine.Engine, least uint64) error {
			seen, err := Head(ctx, target, v.p.keys)
			if err == nil && seen.Size < least {
				err = fmt.Errorf("%d entries, want %d", seen.Size, least)
			}
			return none(err, least)
		})
	})
}

func isPack(name string) bool {
	folder, _ := engine.SplitName(name)
	return folder == engine.Packs
}
