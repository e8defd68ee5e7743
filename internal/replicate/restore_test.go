package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/bug"
	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/keyring"
)

func restoreInto(into engine.Appender, target engine.Engine, keys *keyring.Keyring) (RestoreReport, error) {
	src, err := OpenSource(ctx, target)
	if err != nil {
		return RestoreReport{}, err
	}
	return Restore(ctx, src, into, RestoreOptions{Keys: keys, Format: testFormat})
}

// TestRestorePoints: 50 restores of what was shipped at random instants, each compared with the model by root and whole content; some go on as stores.
func TestRestorePoints(t *testing.T) {
	disk, target, m := vfs.NewMem(), mem.New(), &model{}
	p := mustPrimary(t, mustDir(t, disk, "store"), testKeys(t))
	s := mustConnect(t, p, target)
	s.fanIn = 4
	r := rand.New(rand.NewPCG(7, 7))
	for i := range 50 {
		for k := range 1 + r.IntN(5) {
			if err := m.put(p, fmt.Sprintf("k%03d-%d", i, k), random(r.IntN(9000), uint64(i*10+k))); err != nil {
				t.Fatal(err)
			}
			if r.IntN(3) == 0 {
				if err := s.shipNow(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if r.IntN(10) == 0 {
			p.mustClose(t)
			p = mustPrimary(t, mustDir(t, disk, "store"), p.keys)
			s = mustConnect(t, p, target)
		}
		mark := s.o.markNow()
		if err := s.ship(ctx, mark); err != nil {
			t.Fatal(err)
		}
		into := mem.New()
		rep, err := restoreInto(into, target, p.keys)
		if err != nil {
			t.Fatalf("restore %d: %v", i, err)
		}
		size, err := checkCopy(into, p, m)
		if err != nil || size != mark.size || rep.Size != size || len(rep.Lacking) > 0 {
			t.Fatalf("restore %d: %d entries, want %d: %v, %+v", i, size, mark.size, err, rep)
		}
		if got := text(t, into, formatFile); got != testFormat {
			t.Fatalf("the format file says %q", got)
		}
		if i%10 > 0 {
			continue
		}
		q := mustPrimary(t, into, p.keys) // the restored store takes over
		q.mustPut(t, "later", []byte("more"))
		q.mustClose(t)
		if got, err := readStore(into, p.keys); err != nil || got.items["later"] != "more" {
			t.Fatalf("the restored store: %v", err)
		}
	}
	p.mustClose(t)
}

// shipped makes a store with sealed files and tails, and ships it.
func shipped(t testing.TB) (*primary, *session, *mem.Mem, *model) {
	t.Helper()
	target, m := mem.New(), &model{}
	p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
	t.Cleanup(func() { p.mustClose(t) })
	s := mustConnect(t, p, target)
	for i := range 60 {
		if err := m.put(p, fmt.Sprintf("k%03d", i), random(3000, uint64(i))); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			if err := s.shipNow(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := 0; i == 0 || !hasTails(t, target); i++ {
		if err := m.put(p, fmt.Sprintf("last%03d", i), random(100, uint64(500+i))); err != nil {
			t.Fatal(err)
		}
		if err := s.shipNow(); err != nil {
			t.Fatal(err)
		}
	}
	return p, s, target, m
}

// hasTails says whether both kinds of tails are there.
func hasTails(t testing.TB, e engine.Engine) bool {
	all := strings.Join(names(t, e, engine.Tails), " ") + " "
	return strings.Contains(all, ".pack ") && strings.Contains(all, ".seg ")
}

// noFormat is an engine that can't make the format file: a restore that was killed just before its end.
type noFormat struct{ engine.Appender }

var errKilled = errors.New("killed")

func (e noFormat) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	if name == formatFile {
		return errKilled
	}
	return e.Appender.Create(ctx, name, size, r)
}

// TestRestoreResumes: what is there and proven is not copied again, also where the target has gone on meanwhile.
func TestRestoreResumes(t *testing.T) {
	p, s, target, m := shipped(t)
	into := mem.New()
	into.Limit(100 << 10)
	first, err := restoreInto(into, target, p.keys)
	if !errors.Is(err, engine.ErrFull) || !strings.Contains(err.Error(), "goes on where it stopped") {
		t.Fatalf("a full disk: %v", err)
	}
	into.Limit(-1)
	second, err := restoreInto(noFormat{into}, target, p.keys)
	if !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	if first.CopiedBytes == 0 || second.CopiedBytes >= second.Bytes {
		t.Errorf("first %d bytes copied, then %d of %d", first.CopiedBytes, second.CopiedBytes, second.Bytes)
	}
	for i := range 60 {
		if err := m.put(p, fmt.Sprintf("later%03d", i), random(3000, uint64(1000+i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.shipNow(); err != nil {
		t.Fatal(err)
	}
	third, err := restoreInto(into, target, p.keys)
	if err != nil {
		t.Fatal(err)
	}
	if size, err := checkCopy(into, p, m); err != nil || size != s.at {
		t.Errorf("%d entries, want %d: %v", size, s.at, err)
	}
	if third.CopiedBytes >= third.Bytes {
		t.Errorf("%d of %d bytes were copied again", third.CopiedBytes, third.Bytes)
	}
	if _, err := restoreInto(into, target, p.keys); !errors.Is(err, ErrOccupied) {
		t.Errorf("restore into a store = %v", err)
	}
}

func TestRestoreRefusals(t *testing.T) {
	p, _, target, _ := shipped(t)
	taken := mem.New()
	create(t, taken, "packs/something", "else")
	if _, err := restoreInto(taken, target, p.keys); !errors.Is(err, ErrOccupied) || len(snapshot(t, taken)) != 1 {
		t.Errorf("restore into a folder that holds something else = %v", err)
	}
	other := mem.New()
	create(t, other, ownerFile([16]byte{5}), "copy")
	if _, err := restoreInto(other, target, p.keys); !errors.Is(err, ErrOccupied) {
		t.Errorf("restore into another store's interrupted restore = %v", err)
	}

	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	first := func(prefix string, match func(string) bool, change func([]byte) []byte) *mem.Mem {
		done := false
		return clone(t, target, func(name string, b []byte) []byte {
			if strings.HasPrefix(name, prefix) && !done && match(name) {
				done = true
				return change(b)
			}
			return b
		})
	}
	any := func(string) bool { return true }
	for _, c := range []struct {
		name   string
		target *mem.Mem
		want   error
	}{
		{"an altered pack", first(engine.Packs, any, flip), ErrLacking},
		{"a truncated pack", first(engine.Packs, any, func(b []byte) []byte { return b[:100] }), ErrLacking},
		{"a missing pack", first(engine.Packs, any, func([]byte) []byte { return nil }), ErrLacking},
		{"an altered tail pack", first(engine.Tails, func(n string) bool { return strings.HasSuffix(n, ".pack") }, flip), ErrLacking},
		{"an altered segment", first(engine.Segments, any, flip), frame.ErrCorrupt},
		{"a missing segment", first(engine.Segments, any, func([]byte) []byte { return nil }), frame.ErrCorrupt},
		{"an altered tail", first(engine.Tails, func(n string) bool { return strings.HasSuffix(n, ".seg") }, flip), frame.ErrCorrupt},
	} {
		into := mem.New()
		rep, err := restoreInto(into, c.target, p.keys)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if errors.Is(c.want, ErrLacking) && len(rep.Lacking) != 1 {
			t.Errorf("%s: lacking %v", c.name, rep.Lacking)
		}
		if _, ok := snapshot(t, into)[formatFile]; ok {
			t.Errorf("%s: the result calls itself a store", c.name)
		}
	}

	// What is missing can be accepted.
	src, err := OpenSource(ctx, first(engine.Packs, any, func([]byte) []byte { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	into := mem.New()
	if rep, err := Restore(ctx, src, into, RestoreOptions{Keys: p.keys, Format: testFormat, AcceptLacking: true}); err != nil || len(rep.Lacking) != 1 {
		t.Errorf("accepting what is missing: %v, %v", rep.Lacking, err)
	}
	// The bug that the digest is for.
	bug.Plant(t, bug.RestoreUnverified)
	src, err = OpenSource(ctx, first(engine.Packs, any, flip))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(ctx, src, mem.New(), RestoreOptions{Keys: p.keys, Format: testFormat}); err != nil {
		t.Errorf("without a look at digests an altered pack must go unseen, else this test proves nothing: %v", err)
	}
}

// restoreCrash cuts the power of the machine that is restored to.
func restoreCrash(target *mem.Mem, keys *keyring.Keyring, want copied) crashtest.Scenario[struct{}] {
	restore := func(fs vfs.FS) error {
		into, err := openDir(fs, "store")
		if err != nil {
			return err
		}
		src, err := OpenSource(ctx, target)
		if err != nil {
			return err
		}
		_, err = Restore(ctx, src, into, RestoreOptions{Keys: keys, Format: testFormat})
		return err
	}
	return crashtest.Scenario[struct{}]{
		Work: func(fs vfs.FS, _ *struct{}) error { return restore(fs) },
		Check: func(fs vfs.FS, _ *struct{}) error {
			into, err := openDir(fs, "store")
			if err != nil {
				return err
			}
			if f, err := into.Open(ctx, formatFile); err == nil {
				f.Close()
			} else if err := restore(fs); err != nil {
				return fmt.Errorf("couldn't go on: %w", err)
			}
			got, err := readStore(into, keys)
			if err == nil && (got.size != want.size || got.root != want.root || len(got.items) != len(want.items)) {
				err = fmt.Errorf("%d entries and %d objects were restored, want %d and %d", got.size, len(got.items), want.size, len(want.items))
			}
			return err
		},
	}
}

func TestCrashRestore(t *testing.T) {
	p, _, target, _ := shipped(t)
	src, err := OpenSource(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readStore(src, p.keys)
	if err != nil {
		t.Fatal(err)
	}
	s := restoreCrash(target, p.keys, want)
	s.Stride, s.Dense, s.Clones = 2, 40, 2
	crashtest.Run(t, s)
	bug.Plant(t, bug.RestoreFormatFirst)
	s = restoreCrash(target, p.keys, want)
	s.Clones = 1
	if _, err := s.CutPower(); err == nil {
		t.Error("the format file first: not noticed")
	} else {
		t.Log("the format file first: ", err)
	}
}
