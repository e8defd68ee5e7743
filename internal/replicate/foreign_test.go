package replicate

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/segment"
)

// TestForeignEpochOnTarget: a file that bears the name of a later epoch's segment and proves nothing ends neither shipping nor reading the target. It is looked at once and not every few seconds, and is named.
func TestForeignEpochOnTarget(t *testing.T) {
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	defer p.mustClose(t)
	p.mustPut(t, "a", random(2000, 1))
	target := mem.New()
	if err := mustConnect(t, p, target).shipNow(); err != nil {
		t.Fatal(err)
	}
	alien := []string{segment.Name(99, 0), tailSegment(99, 1, 5), tailSegment(2, 1, 5)}
	for i, name := range alien {
		create(t, target, name, string(make([]byte, 500*i)))
	}
	create(t, target, engine.Keyrings+"000077", "junk")
	s := mustConnect(t, p, target)
	slices.Sort(alien)
	if got := s.alienNames(); !slices.Equal(got, alien) {
		t.Errorf("foreign: %v, want %v", got, alien)
	}
	p.mustPut(t, "b", random(2000, 2))
	if err := s.shipNow(); err != nil {
		t.Fatal(err)
	}
	clock := newHandClock()
	if came, err := s.supersededMeanwhile(ctx, clock.Now()); came || err != nil {
		t.Errorf("others came: %v, %v", came, err)
	}
	create(t, target, segment.Name(7, 3), "another one")
	clock.advance(fenceEvery)
	if came, err := s.supersededMeanwhile(ctx, clock.Now()); !came || err != nil {
		t.Errorf("a file that was not looked at yet: others came %v, %v", came, err)
	}
	s, err := s.again(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(fenceEvery)
	if came, err := s.supersededMeanwhile(ctx, clock.Now()); came || err != nil || len(s.alien) != 4 {
		t.Errorf("after another listing others came: %v, %v; foreign %v", came, err, s.alienNames())
	}
	for name, keys := range map[string]*keyring.Keyring{"with keys": p.keys, "without": nil} {
		src := &Source{target: target, keys: keys}
		if err := src.Refresh(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if epoch, size := src.Head(); epoch != 1 || size != p.led.Size() || len(src.Foreign()) != 4 {
			t.Errorf("%s: epoch %d, size %d, foreign %v", name, epoch, size, src.Foreign())
		}
	}
	if seen, err := Head(ctx, target, p.keys); err != nil || seen.Size != p.led.Size() || seen.Epoch != 1 {
		t.Errorf("head: %+v, %v", seen, err)
	}
}

// TestRealEpochOnTarget: a later epoch that began elsewhere is noticed also where the one file that is left of it, sealed or a tail, is damaged at one end, and is no stranger's to who has its keyring
// where the file is damaged at both.
func TestRealEpochOnTarget(t *testing.T) {
	disk := vfs.NewMem()
	p := mustPrimary(t, mustDir(t, disk, "store"), testKeys(t))
	p.mustPut(t, "a", random(2000, 1))
	target := mem.New()
	if err := mustConnect(t, p, target).shipNow(); err != nil {
		t.Fatal(err)
	}
	p.mustClose(t)
	taker := vfs.NewMem()
	if ok, err := vfs.Clone(disk, taker, "store", "store"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	next := mustTakeOver(t, mustDir(t, taker, "store"), p.keys)
	q := mustPrimary(t, mustDir(t, taker, "store"), next)
	q.mustPut(t, "b", random(2000, 3))
	if err := mustConnect(t, q, target).shipNow(); err != nil {
		t.Fatal(err)
	}
	q.mustClose(t)
	p = mustPrimary(t, mustDir(t, disk, "store"), p.keys)
	defer p.mustClose(t)
	sealed, tails := 0, 0
	for name := range snapshot(t, target) {
		if epoch, _, ok := segment.ParseName(name); ok && epoch == 2 {
			sealed++
			t.Run("sealed", func(t *testing.T) { realEpoch(t, p, next, target, name) })
		} else if epoch, _, _, ok := parseTailSegment(name); ok && epoch == 2 {
			tails++
			t.Run("tail", func(t *testing.T) { realEpoch(t, p, next, target, name) })
		}
	}
	if sealed == 0 || tails == 0 {
		t.Errorf("epoch 2 has %d sealed segments and %d tails on the target, want some of both", sealed, tails)
	}
}

// realEpoch is TestRealEpochOnTarget of a target on which only the file kept is left of epoch 2.
func realEpoch(t *testing.T, p *primary, next *keyring.Keyring, target *mem.Mem, kept string) {
	whole := onlyFile(t, target, kept)
	if _, err := connect(ctx, p.origin(), whole, 0, nil); !errors.Is(err, ErrSuperseded) {
		t.Errorf("whole: %v", err)
	}
	for name, at := range map[string]int{"a damaged header": 20, "a damaged end": -10} {
		d := onlyFile(t, target, kept, at)
		before := snapshot(t, d)
		if s, err := connect(ctx, p.origin(), d, 0, nil); !Refused(err) || s != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := readEpoch2(d, next); !errors.Is(err, frame.ErrCorrupt) {
			t.Errorf("%s: read: %v", name, err)
		}
		if !maps.Equal(before, snapshot(t, d)) {
			t.Errorf("%s: the target was touched", name)
		}
	}
	src, err := OpenSource(ctx, onlyFile(t, target, kept, 20, -10))
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Miss(next); !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("what the keyring of epoch 2 knows of is called a stranger's: %v", err)
	}
	if err := src.Miss(p.keys); err != nil {
		t.Errorf("without the keyring of epoch 2: %v", err)
	}
}

// onlyFile copies a target with one file of epoch 2 and no other, of which the bytes at some places are changed; a place below 0 counts from the end.
func onlyFile(t *testing.T, target *mem.Mem, kept string, places ...int) *mem.Mem {
	return clone(t, target, func(name string, b []byte) []byte {
		epoch, _, ok := segment.ParseName(name)
		if !ok {
			epoch, _, _, ok = parseTailSegment(name)
		}
		if !ok || epoch != 2 {
			return b
		}
		if name != kept {
			return nil
		}
		b = bytes.Clone(b)
		for _, at := range places {
			b[(at+len(b))%len(b)] ^= 1
		}
		return b
	})
}

// readEpoch2 reads a target as whoever restores it. What a tail holds a source takes from its name, and the ledger over the source reads it: either has to object, and neither may show epoch 1.
func readEpoch2(target engine.Engine, keys *keyring.Keyring) error {
	src, err := OpenSource(ctx, target)
	if err != nil {
		return err
	}
	if epoch, _ := src.Head(); epoch != 2 {
		return fmt.Errorf("read as epoch %d", epoch)
	}
	l, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: src, Keys: keys})
	if err != nil {
		return err
	}
	return l.Close()
}

// mustTakeOver begins the next epoch in a closed store's folder.
func mustTakeOver(t testing.TB, e engine.Appender, keys *keyring.Keyring) *keyring.Keyring {
	t.Helper()
	l, err := ledger.OpenHalted(ctx, ledger.Options{Engine: e, Keys: keys, Clock: newClock()})
	if err != nil {
		t.Fatal(err)
	}
	next, err := keys.Next(l.Size())
	if err == nil {
		err = l.Begin(ctx, next, l.Size(), entry.Private{Actor: "local", Reason: "test"})
	}
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return next
}
