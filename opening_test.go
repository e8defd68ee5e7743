package stele_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/hydrate"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/storetest"
	"stele/tree"
)

// The matrix of the opening: every way into a store that takes writes, times every guard that may refuse it and everything that must be woken.

// entrance is one way in, as it stands before the opening: all of it is shipped to nas.
type entrance struct {
	folder, nas string
	kit         string // recovery identity
	still       bool   // nothing is brought to the folder
	open        func(opt stele.Options) (*stele.Store, error)
}

// ways make an entrance in a folder of the test's.
var ways = map[string]func(t *testing.T) *entrance{
	"folder": func(t *testing.T) *entrance { return newEntrance(t) },
	"promoted folder": func(t *testing.T) *entrance {
		x := newEntrance(t)
		if _, err := stele.Promote(ctx, x.folder, stele.PromoteOptions{}); err != nil {
			t.Fatal(err)
		}
		return x.write(t)
	},
	"promoted from a backup, not filled": func(t *testing.T) *entrance { return newEntrance(t).from(t, true) },
	"promoted from a backup, filled":     func(t *testing.T) *entrance { return newEntrance(t).from(t, false) },
	"restored and promoted": func(t *testing.T) *entrance {
		x := newEntrance(t)
		x.folder = filepath.Join(t.TempDir(), "restored")
		x.successor(t, x.folder)
		return x.write(t)
	},
}

func newEntrance(t *testing.T) *entrance {
	base := t.TempDir()
	x := &entrance{folder: filepath.Join(base, "data"), nas: filepath.Join(base, "nas")}
	x.open = func(opt stele.Options) (*stele.Store, error) { return stele.Open(ctx, x.folder, opt) }
	s, err := stele.Create(ctx, x.folder, stele.Options{OpenTarget: storetest.DirTargets, Kit: filepath.Join(base, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(base, "kit.txt"))
	if err != nil {
		t.Fatal(err)
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	x.kit = kit.RecoveryIdentity
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + x.nas}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "bucket", "first", make([]byte, 70<<10))
	if err := errors.Join(s.Rooms().Backups.FlushTargets(ctx), s.Close()); err != nil {
		t.Fatal(err)
	}
	return x
}

// from goes on with the entrance of another machine, that serves from the backup and was promoted. still: nothing is brought to its folder.
func (x *entrance) from(t *testing.T, still bool) *entrance {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "elsewhere")
	backup := hydrate.From{Target: openDir(t, x.nas), Name: "dir://" + x.nas}
	if _, err := stele.PromoteFrom(ctx, folder, backup, stele.PromoteOptions{Options: stele.Options{Identity: x.kit, OpenTarget: storetest.DirTargets}}); err != nil {
		t.Fatal(err)
	}
	x.folder, x.still = folder, still
	x.open = func(opt stele.Options) (*stele.Store, error) {
		opt.Clock = storetest.Waiting{Clock: ledger.SystemClock{}, Wait: func(context.Context, time.Duration) error {
			if still {
				return errors.New("this test fills nothing")
			}
			return nil
		}}
		return stele.OpenFrom(ctx, x.folder, backup, opt)
	}
	return x.write(t)
}

// write writes and ships a little, and closes the store again.
func (x *entrance) write(t *testing.T) *entrance {
	t.Helper()
	s, err := x.open(x.options())
	if err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "bucket", "second", make([]byte, 80<<10))
	if full := s.Rooms().Over.Hydrated(); full != nil && !x.still {
		<-full // a folder that is to be filled is, before it is closed
	}
	if err := errors.Join(s.Rooms().Backups.FlushTargets(ctx), s.Close()); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *entrance) options() stele.Options { return stele.Options{OpenTarget: storetest.DirTargets} }

func openDir(t testing.TB, path string) engine.Engine {
	t.Helper()
	o, err := storetest.DirTargets(ctx, stele.TargetSpec{URL: "dir://" + path})
	if err != nil {
		t.Fatal(err)
	}
	return o.Engine
}

// successor makes, in folder, another primary of what nas holds: a later epoch. It returns the entry by which that began.
func (x *entrance) successor(t *testing.T, folder string) (at uint64, data map[string]string) {
	t.Helper()
	if _, err := stele.RestoreFolder(ctx, folder, stele.RestoreOptions{Options: stele.Options{Identity: x.kit}, Target: openDir(t, x.nas), Name: x.nas}); err != nil {
		t.Fatal(err)
	}
	if _, err := stele.Promote(ctx, folder, stele.PromoteOptions{Options: stele.Options{Identity: x.kit}}); err != nil {
		t.Fatal(err)
	}
	s, err := stele.Open(ctx, folder, stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at, data, err = s.Rooms().Epochs.Handover(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return at, data
}

// files lists a folder's files with their lengths, but for what every opening may write anew.
func files(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/index") {
			return err
		}
		info, err := d.Info()
		names = append(names, fmt.Sprintf("%s %d", strings.TrimPrefix(path, folder), info.Size()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// refused verifies and opens, and checks that both refuse, that nothing was shipped or sealed, and that it stays so.
func (x *entrance) refused(t *testing.T, opt stele.Options, want error) {
	t.Helper()
	for range 2 {
		was, shipped := files(t, filepath.Join(x.folder, "segments")), files(t, x.nas)
		if verifies(t, x.folder, opt) { // before the opening, which may mark the folder: refusal.go asks by itself
			t.Errorf("verify says that all is well with a folder that will open with %v", want)
		}
		s, err := x.open(opt)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, want) {
			t.Fatalf("it opened with %v, not %v", err, want)
		}
		if now := files(t, filepath.Join(x.folder, "segments")); !slices.Equal(was, now) {
			t.Errorf("a folder that was refused has other segments: %v, were %v", now, was)
		}
		if verifies(t, x.folder, opt) {
			t.Errorf("verify says that all is well with a folder that opens with %v", want)
		}
		if now := files(t, x.nas); !slices.Equal(shipped, now) {
			t.Errorf("a folder that was refused has shipped: %v, were %v", now, shipped)
		}
	}
}

// TestEveryWayIsGuarded: whichever way a store is opened, each guard that speaks against it is heard before anything is written.
func TestEveryWayIsGuarded(t *testing.T) {
	guards := map[string]func(t *testing.T, x *entrance){
		"the folder is marked as superseded": func(t *testing.T, x *entrance) {
			if err := os.WriteFile(filepath.Join(x.folder, core.FileSuperseded), []byte("epoch 9\nknown from \"a test\"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			x.refused(t, x.options(), stele.ErrSuperseded)
		},
		"a follower has taken over": func(t *testing.T, x *entrance) {
			at, data := x.successor(t, filepath.Join(t.TempDir(), "other"))
			if err := os.WriteFile(filepath.Join(x.folder, core.FileFollowers), []byte(`{"v":1,"urls":["http://follower"]}`), 0o644); err != nil {
				t.Fatal(err)
			}
			opt := x.options()
			opt.AskHandover = func(context.Context, string) (uint64, map[string]string, error) { return at, data, nil }
			x.refused(t, opt, stele.ErrSuperseded)
		},
		"its target holds a later epoch": func(t *testing.T, x *entrance) {
			other := filepath.Join(t.TempDir(), "other")
			x.successor(t, other)
			s, err := stele.Open(ctx, other, x.options())
			if err != nil {
				t.Fatal(err)
			}
			storetest.Put(t, s, "bucket", "theirs", []byte("theirs"))
			if err := errors.Join(s.Rooms().Backups.FlushTargets(ctx), s.Close()); err != nil {
				t.Fatal(err)
			}
			x.refused(t, x.options(), stele.ErrSuperseded)
		},
		"its target holds more than the folder": func(t *testing.T, x *entrance) { x.behind(t, false) },
		"and the index is gone":                 func(t *testing.T, x *entrance) { x.behind(t, true) },
	}
	for name, prepare := range ways {
		for guard, check := range guards {
			t.Run(name+"/"+guard, func(t *testing.T) { check(t, prepare(t)) })
		}
	}
}

// behind rolls the folder back to before its last write, and checks that the opening gets that back from the target.
func (x *entrance) behind(t *testing.T, withoutIndex bool) {
	t.Helper()
	old := filepath.Join(t.TempDir(), "old")
	storetest.CopyTree(t, x.folder, old)
	s, err := x.open(x.options())
	if err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "bucket", "last", []byte("acknowledged and shipped"))
	size := s.Ledger().Size()
	if err := errors.Join(s.Rooms().Backups.FlushTargets(ctx), s.Close()); err != nil {
		t.Fatal(err)
	}
	x.folder = old
	if withoutIndex {
		if err := os.RemoveAll(filepath.Join(old, core.DirIndex)); err != nil {
			t.Fatal(err)
		}
	}
	s, err = x.open(x.options())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Ledger().Size() < size {
		t.Fatalf("it goes on with %d entries, its target holds %d", s.Ledger().Size(), size)
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "bucket", Key: "last"}); string(got) != "acknowledged and shipped" {
		t.Errorf("what only the target had reads %q", got)
	}
}

// TestEveryWayWakes: whichever way a store is opened, an entry wakes shippers, followers, witnesses and housekeeping.
func TestEveryWayWakes(t *testing.T) {
	for name, prepare := range ways {
		t.Run(name, func(t *testing.T) {
			x := prepare(t)
			asked := make(chan struct{}, 1)
			opt := x.options()
			opt.Witnesses = []care.Witness{{Name: "w", Ask: func(context.Context, []byte, func(context.Context, uint64, uint64) ([]tree.Hash, error)) ([]byte, error) {
				signal(asked)
				return nil, errors.New("this witness only listens")
			}}}
			s, err := x.open(opt)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			<-asked
			told := make(chan error, 1)
			size := s.Ledger().Size()
			go func() {
				_, err := s.Rooms().Replica.State(ctx, size+1, 0, true)
				told <- err
			}()
			storetest.Put(t, s, "bucket", "third", make([]byte, 90<<10))
			storetest.Put(t, s, "bucket", "fourth", make([]byte, 90<<10))
			if err := <-told; err != nil {
				t.Error("a follower that waits:", err)
			}
			if err := s.Rooms().Backups.FlushTargets(ctx); err != nil {
				t.Fatal(err)
			}
			st, err := s.Rooms().Backups.Targets(ctx)
			if err != nil || len(st) != 1 || !st[0].Connected || st[0].Behind != 0 {
				t.Errorf("the target: %+v, %v", st, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			x.sealed(t)
		})
	}
}

// sealed checks that each pack of the folder has its seal entry: housekeeping wrote it.
func (x *entrance) sealed(t *testing.T) {
	t.Helper()
	s, err := x.open(x.options())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seals := map[string]bool{}
	if err := s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.PackSeal}}, func(e *entry.Entry) error { seals[e.Private.Pack.Name] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, f := range files(t, filepath.Join(x.folder, "packs")) {
		name, _, _ := strings.Cut("packs"+f, " ")
		if strings.HasSuffix(name, ".pack") && !seals[name] {
			t.Errorf("%s has no seal entry", name)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
