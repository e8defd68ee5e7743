package replicate

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/bug"
	"stele/internal/crashtest"
	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/keyring"
	"stele/tree"
)

// shipOracle is what a shipping run was told: what can be restored must be a prefix of what was acknowledged, and at least what was shipped.
type shipOracle struct {
	eng     *mem.Mem // the origin, where the fault is on the target; else the target
	m       *model
	roots   map[uint64]tree.Hash
	shipped uint64
}

func (o *shipOracle) note(p *primary) {
	if o.roots == nil {
		o.roots = map[uint64]tree.Hash{}
	}
	size, root := p.led.Head()
	o.roots[size] = root
}

// crashSteps puts and ships: tails, merges, sealed packs and segments come by.
const crashSteps = 14

func (o *shipOracle) run(p *primary, s *session) error {
	s.fanIn = 3
	for i := range crashSteps {
		for k := range 1 + i%3 {
			if err := o.m.put(p, fmt.Sprintf("%d-%d", i, k), random(4000, uint64(i*10+k))); err != nil {
				return err
			}
			o.note(p)
		}
		if i == crashSteps/2 {
			if err := p.body.Flush(ctx); err != nil {
				return err
			}
			if err := p.flushSeals(); err != nil {
				return err
			}
			o.note(p)
		}
		m := s.o.markNow()
		if err := s.ship(ctx, m); err != nil {
			return err
		}
		o.shipped = m.size
	}
	return nil
}

// checkPrefix reads a copy and compares it with what was acknowledged.
func (o *shipOracle) checkPrefix(got copied) error {
	if got.size < o.shipped {
		return fmt.Errorf("%d entries can be restored, %d were shipped", got.size, o.shipped)
	}
	if root, ok := o.roots[got.size]; ok && root != got.root {
		return fmt.Errorf("size %d has another root", got.size)
	}
	want := o.m.at(got.size)
	for k, v := range want {
		if got.items[k] != v {
			return fmt.Errorf("%s is missing or wrong at size %d", k, got.size)
		}
	}
	return nil
}

// targetCrash cuts the power of the target.
func targetCrash(keys *keyring.Keyring) crashtest.Scenario[shipOracle] {
	return crashtest.Scenario[shipOracle]{
		Work: func(fs vfs.FS, o *shipOracle) (err error) {
			*o = shipOracle{eng: mem.New(), m: &model{}}
			p, err := openPrimary(o.eng, keys)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, p.close()) }()
			target, err := openDir(fs, "target")
			if err != nil {
				return err
			}
			s, err := connect(ctx, p.origin(), target, 0, nil)
			if err != nil {
				return err
			}
			return o.run(p, s)
		},
		Check: func(fs vfs.FS, o *shipOracle) (err error) {
			target, err := openDir(fs, "target")
			if err != nil {
				return err
			}
			src, err := OpenSource(ctx, target)
			if errors.Is(err, ErrNone) && o.shipped == 0 {
				err = nil
			} else if err == nil {
				var got copied
				if got, err = readStore(src, keys); err == nil {
					err = o.checkPrefix(got)
				}
			}
			if err != nil {
				return err
			}
			// The store goes on shipping.
			p, err := openPrimary(o.eng, keys)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, p.close()) }()
			s, err := connect(ctx, p.origin(), target, 0, nil)
			if err != nil {
				return err
			}
			if err := s.shipNow(); err != nil {
				return err
			}
			if size, err := checkTarget(target, p, o.m); err != nil || size != p.led.Size() {
				return fmt.Errorf("after shipping went on the target holds %d entries of %d: %w", size, p.led.Size(), err)
			}
			return nil
		},
	}
}

func TestCrashTarget(t *testing.T) {
	s := targetCrash(testKeys(t))
	s.Stride, s.Dense, s.Clones = 3, 40, 2
	crashtest.Run(t, s)
}

// TestCrashBugs: the crash test notices what it is for.
func TestCrashBugs(t *testing.T) {
	for name, b := range map[string]bug.Bug{"segments before packs": bug.ShipSegmentsFirst, "a tail goes before its successor": bug.RemoveShippedFirst} {
		pull := bug.Plant(t, b)
		s := targetCrash(testKeys(t))
		s.Clones = 1
		if _, err := s.CutPower(); err == nil {
			t.Errorf("%s: not noticed", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
		pull()
	}
}

// originCrash cuts the power of the store that is shipped.
func originCrash(keys *keyring.Keyring) crashtest.Scenario[shipOracle] {
	return crashtest.Scenario[shipOracle]{
		Work: func(fs vfs.FS, o *shipOracle) (err error) {
			*o = shipOracle{eng: mem.New(), m: &model{}}
			d, err := dir.Open(fs, "store", dir.Options{})
			if err != nil {
				return err
			}
			p, err := openPrimary(d, keys)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, p.close()) }()
			s, err := connect(ctx, p.origin(), o.eng, 0, nil)
			if err != nil {
				return err
			}
			return o.run(p, s)
		},
		Copy: func(o *shipOracle) *shipOracle {
			c := *o
			c.eng = o.eng.PowerCut() // a copy: the old one takes no more writes, and nobody wants it to
			return &c
		},
		Check: func(fs vfs.FS, o *shipOracle) (err error) {
			if src, err := OpenSource(ctx, o.eng); err == nil {
				got, err := readStore(src, keys)
				if err == nil {
					err = o.checkPrefix(got)
				}
				if err != nil {
					return err
				}
			} else if !errors.Is(err, ErrNone) || o.shipped > 0 {
				return err
			}
			d, err := dir.Open(fs, "store", dir.Options{})
			if err != nil {
				return err
			}
			p, err := openPrimary(d, keys)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, p.close()) }()
			target := o.eng.PowerCut()
			s, err := connect(ctx, p.origin(), target, 0, nil)
			if err != nil {
				return fmt.Errorf("the store doesn't know its target after a power cut: %w", err)
			}
			if err := s.shipNow(); err != nil {
				return err
			}
			got, err := readStore(target2(target), keys)
			if err == nil && got.size != p.led.Size() {
				err = fmt.Errorf("the target holds %d entries of %d", got.size, p.led.Size())
			}
			return err
		},
	}
}

func target2(m *mem.Mem) *Source {
	s, err := OpenSource(ctx, m)
	if err != nil {
		panic(err)
	}
	return s
}

func TestCrashOrigin(t *testing.T) {
	s := originCrash(testKeys(t))
	s.Stride, s.Dense, s.Clones = 5, 30, 2
	crashtest.Run(t, s)
}
