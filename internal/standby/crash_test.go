package standby

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/bug"
	"stele/internal/crashtest"
	"stele/internal/durable"
	"stele/tree"
)

// oracle is what a witness has cosigned: the checkpoints that were accepted.
type oracle struct {
	notes map[uint64]string
}

// followScenario follows a primary on a file system whose power goes. After that, without the primary: what was accepted is there, and every object that the ledger
// names can be read.
func followScenario(r *rig, identity []byte) crashtest.Scenario[oracle] {
	store := func(fs vfs.FS) stele.Options {
		opt := r.sopt.Store
		opt.FS = fs
		return opt
	}
	return crashtest.Scenario[oracle]{
		Stride: 5,
		Setup: func(fs vfs.FS, o *oracle) error {
			o.notes = map[uint64]string{}
			return errors.Join(durable.MkdirAll(fs, "standby"), durable.WriteFile(fs, "standby/identity", identity, 0o600))
		},
		Work: func(fs vfs.FS, o *oracle) (err error) {
			opt := r.sopt
			opt.Store = store(fs)
			r.slept = 0
			s := New(opt)
			err = s.Open(context.Background())
			if s.store != nil {
				defer func() { err = errors.Join(err, s.Close()) }()
			}
			for err == nil && s.store.Follow.Here() < r.primary().Ledger().Size() {
				err = s.round(context.Background(), false)
				c, note := s.store.Follow.Accepted()
				o.notes[c.Size] = string(note)
			}
			return err
		},
		Check: func(fs vfs.FS, o *oracle) error { return checkStandby(store(fs), r, o) },
		Copy:  func(o *oracle) *oracle { return &oracle{maps.Clone(o.notes)} },
	}
}

func checkStandby(opt stele.Options, r *rig, o *oracle) error {
	newest := slices.Max(append(slices.Collect(maps.Keys(o.notes)), 0))
	_, pinned, err := stele.PinOf("standby", opt)
	if err == nil && !pinned && newest == 0 {
		return nil
	}
	b, err := stele.OpenStandby(context.Background(), "standby", opt)
	if err != nil {
		if newest == 0 && errors.Is(err, stele.ErrWrongKey) || newest == 0 && !pinned {
			return nil
		}
		if newest == 0 {
			return nil // the keyring had not come: the next start fetches it
		}
		return err
	}
	defer b.Close()
	c, _ := b.Follow.Accepted()
	if c.Size < newest || b.Follow.Here() < c.Size {
		return fmt.Errorf("%d entries were cosigned; kept are the checkpoint of %d and %d entries", newest, c.Size, b.Follow.Here())
	}
	for size, note := range o.notes {
		if size == 0 {
			continue
		}
		want, err := tree.OpenCheckpoint([]byte(note), b.Follow.Pin.VKey)
		if err != nil {
			return err
		}
		if root, err := b.Follow.Root(context.Background(), size); err != nil || root != want.Root {
			return fmt.Errorf("at size %d the root is %s (%v), cosigned was %s", size, root, err, want.Root)
		}
	}
	return readAll(b.Store)
}

// readAll reads every object that a store lists.
func readAll(s *stele.Store) error {
	ctx := context.Background()
	p, err := s.List(ctx, stele.ListRequest{Bucket: "bkt", Max: 1000})
	if errors.Is(err, stele.ErrNoBucket) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, v := range p.Versions {
		v.Bucket = "bkt"
		if err := s.Describe(ctx, &v); err != nil {
			return err
		}
		body, err := s.OpenBody(ctx, v, 0, -1)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
			err = errors.Join(err, body.Close())
		}
		if err != nil {
			return fmt.Errorf("%s, which an accepted entry names: %w", v.Key, err)
		}
	}
	return nil
}

// growingRig is a primary with sealed files, growing files and an admitted standby, whose identity is returned.
func growingRig(t *testing.T) (*rig, []byte) {
	r := newRig(t)
	r.admit()
	for i := range 60 {
		r.put(fmt.Sprintf("k%d", i), 3000, uint64(i))
	}
	r.put("large", 400<<10, 1)
	r.restart()
	for i := range 12 {
		r.put(fmt.Sprintf("g%d", i), 3000, uint64(i))
	}
	f, err := r.sfs.Open("standby/identity")
	must(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(t, err)
	return r, b
}

// TestCrash: the power goes at every fifth write, or every fifth fsync fails, while a standby follows: whatever was accepted, and so may have been cosigned, is there after it, in
// full.
func TestCrash(t *testing.T) {
	r, identity := growingRig(t)
	crashtest.Run(t, followScenario(r, identity))
}

// TestCrashBugs: each deliberate bug is noticed by TestCrash.
func TestCrashBugs(t *testing.T) {
	r, identity := growingRig(t)
	for name, b := range map[string]bug.Bug{"a checkpoint is cosigned before it is durable": bug.AcceptUnkept, "packs are not fsynced": bug.SkipFollowedSync} {
		t.Run(name, func(t *testing.T) {
			bug.Plant(t, b)
			var failure *crashtest.Failure
			s := followScenario(r, identity)
			s.Stride = 1
			if _, err := s.CutPower(); !errors.As(err, &failure) {
				t.Fatalf("not noticed: %v", err)
			}
			t.Log(failure)
		})
	}
}
