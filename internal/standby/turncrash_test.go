package standby

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/crashtest"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/node"
	"stele/internal/segment"
	"stele/tree"
)

// durably copies a folder from one file system in memory to another, where it survives.
func durably(from, to vfs.FS, folder string) error {
	if err := durable.MkdirAll(to, folder); err != nil {
		return err
	}
	names, err := from.List(folder)
	if err != nil {
		return err
	}
	for _, n := range names {
		path := from.PathJoin(folder, n)
		info, err := from.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			if err := durably(from, to, path); err != nil {
				return err
			}
			continue
		}
		f, err := from.Open(path)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err == nil {
			err = durable.Replace(to, path, b, 0o600) // leaves no second name
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// before is what a standby had accepted when the fault could first come.
type before struct {
	head tree.Checkpoint // of epoch 1
	cut  uint64
}

// turnScenario turns a standby that is ahead of the cut over to the new epoch.
func turnScenario(b *rig, had before) crashtest.Scenario[before] {
	store := func(fs vfs.FS) stele.Options {
		opt := b.sopt.Store
		opt.FS = fs
		return opt
	}
	follow := func(fs vfs.FS) (err error) {
		opt := b.sopt
		opt.Store, b.slept = store(fs), 0
		s := New(opt)
		err = s.Open(context.Background())
		for i := 0; err == nil && (i == 0 || s.store.Follow.Here() < b.primary().Ledger().Size()); i++ {
			err = s.round(context.Background(), false)
		}
		if s.store != nil {
			err = errors.Join(err, s.Close())
		}
		return err
	}
	return crashtest.Scenario[before]{
		Stride: 3,
		Setup: func(fs vfs.FS, o *before) error {
			*o = had
			return durably(b.sfs, fs, b.sopt.Folder)
		},
		Work:  func(fs vfs.FS, o *before) error { return follow(fs) },
		Check: func(fs vfs.FS, o *before) error { return checkTurn(store(fs), b, o) },
		Copy:  func(o *before) *before { c := *o; return &c },
	}
}

// checkTurn opens what is left: a standby of the old epoch with all that was accepted, or one of the new epoch with all up to the cut, and the rest as evidence.
func checkTurn(opt stele.Options, b *rig, o *before) error {
	ctx := context.Background()
	s, err := stele.OpenStandby(ctx, b.sopt.Folder, opt)
	if err != nil {
		return err
	}
	epoch, here := s.Follow.Pin.Epoch(), s.Follow.Here()
	c, _ := s.Follow.Accepted()
	root, rerr := s.Follow.Root(ctx, o.cut)
	size, head := b.primary().Ledger().TreeHead()
	want, werr := b.primary().Ledger().Consistency(ctx, o.cut, size)
	err = errors.Join(rerr, werr, readAll(s.Store), s.Close())
	if err != nil {
		return err
	}
	if err := tree.CheckConsistency(want, o.cut, root, size, head); err != nil {
		return fmt.Errorf("the first %d entries are not those of the new epoch: %w", o.cut, err)
	}
	if epoch == 1 && (c != o.head || here < o.head.Size) {
		return fmt.Errorf("a standby of epoch 1 has accepted %d entries and holds %d, it had %d", c.Size, here, o.head.Size)
	}
	if epoch == 2 && (c.Size < o.cut || here < o.cut) {
		return fmt.Errorf("a standby of epoch 2 has accepted %d entries and holds %d, the cut was %d", c.Size, here, o.cut)
	}
	return holdsEvidence(opt.FS, b.sopt.Folder, o.head)
}

// holdsEvidence wants the segments of epoch 1, sealed or growing, to reach up to head, and to have its root there.
func holdsEvidence(fs vfs.FS, folder string, head tree.Checkpoint) error {
	ctx := context.Background()
	d, err := dir.Open(fs, folder, dir.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	found := false
	look := func(name string, f engine.File) error {
		_, first, _ := segment.ParseName(name)
		for s := segment.NewScanner(f, f.Size(), first, nil); ; {
			batch, err := s.Next()
			if err == io.EOF {
				return f.Close()
			}
			if err != nil {
				return errors.Join(err, f.Close())
			}
			found = found || batch.Commit.Size == head.Size && tree.Hash(batch.Commit.Root) == head.Root
		}
	}
	err = d.List(ctx, engine.Segments, func(i engine.Info) error {
		if epoch, _, _ := segment.ParseName(i.Name); epoch != 1 {
			return nil
		}
		f, err := d.Open(ctx, i.Name)
		if err != nil {
			return err
		}
		return look(i.Name, f)
	})
	tails, terr := d.Tails(ctx)
	for _, t := range tails {
		if epoch, _, ok := segment.ParseName(t.Name); ok && epoch == 1 && err == nil {
			f, oerr := t.Open()
			if oerr != nil {
				return oerr
			}
			err = look(t.Name, f)
		}
	}
	if err = errors.Join(err, terr); err == nil && !found {
		err = fmt.Errorf("the head of %d entries that was accepted in epoch 1 is nowhere", head.Size)
	}
	return err
}

// aheadRig is a standby that has accepted more than the new epoch goes on with, closed.
func aheadRig(t *testing.T) (*rig, before) {
	r := newRig(t)
	r.admit()
	b := r.another("second", false)
	for i := range 10 {
		r.put(fmt.Sprintf("k%d", i), 3000, uint64(i))
	}
	s, sb := r.open(), b.open()
	catchUp(t, r, s)
	model := r.copyModel()
	for i := range 5 {
		r.put(fmt.Sprintf("ahead%d", i), 3000, uint64(i))
	}
	catchUp(t, b, sb)
	head, _ := sb.store.Follow.Accepted()
	must(t, s.Close())
	must(t, sb.Close())
	p := r.promote(0, b)
	r.model, b.model = model, model
	r.put("new", 3000, 1)
	return b, before{head, p.Cut}
}

// TestTurnCrash: the power goes at every third write, or every third fsync fails, while a standby turns over to a new epoch: it is a standby of the one or the other, and nothing that was
// accepted is gone.
func TestTurnCrash(t *testing.T) {
	b, had := aheadRig(t)
	crashtest.Run(t, turnScenario(b, had))
}

// TestPromoteCrash: the power goes at every third write while a standby is promoted: promoting again brings it to its end, with all that was accepted.
func TestPromoteCrash(t *testing.T) {
	r := newRig(t)
	r.admit()
	for i := range 10 {
		r.put(fmt.Sprintf("k%d", i), 3000, uint64(i))
	}
	s := r.open()
	catchUp(t, r, s)
	head, _ := s.store.Follow.Accepted()
	must(t, s.Close())
	store := func(fs vfs.FS) stele.PromoteOptions {
		opt := r.sopt.Store
		opt.FS = fs
		return stele.PromoteOptions{Options: opt, Reason: "a test"}
	}
	crashtest.Run(t, crashtest.Scenario[before]{
		Stride: 3,
		Setup: func(fs vfs.FS, o *before) error {
			o.head = head
			return durably(r.sfs, fs, "standby")
		},
		Work: func(fs vfs.FS, o *before) error {
			_, err := stele.Promote(context.Background(), "standby", store(fs))
			return err
		},
		Check: func(fs vfs.FS, o *before) error {
			ctx, opt := context.Background(), store(fs)
			if _, standby, err := stele.PinOf("standby", opt.Options); err != nil {
				return err
			} else if standby {
				if _, err := stele.Promote(ctx, "standby", opt); err != nil {
					return err
				}
			}
			s, err := node.Open(ctx, "standby", opt.Options)
			if err != nil {
				return err
			}
			size, root := s.Ledger().TreeHead()
			proof, err := s.Ledger().Consistency(ctx, o.head.Size, size)
			if err == nil {
				err = tree.CheckConsistency(proof, o.head.Size, o.head.Root, size, root)
			}
			if epoch := s.Ledger().Epoch(); err == nil && epoch != 2 {
				err = fmt.Errorf("it is in epoch %d", epoch)
			}
			return errors.Join(err, readAll(s.Store), s.Close())
		},
		Copy: func(o *before) *before { c := *o; return &c },
	})
}
