package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/node"
)

type demoTamperCmd struct{}

func (c *demoTamperCmd) Run(ctx context.Context, a *app, all *demoCmd) error {
	return all.tell(a, "tamper", func(d *story) error { return tamper(ctx, d) })
}

// tamper is the story of root, who edits a data byte, and then writes history anew with the real keys.
func tamper(ctx context.Context, d *story) error {
	b, err := d.backedUp(ctx, "server")
	if err != nil {
		return err
	}
	if err := errors.Join(b.stop(), b.store.Close()); err != nil {
		return err
	}
	// What the end of the server sealed is shipped by the next one.
	s, err := d.reopen(ctx, "server")
	if err != nil {
		return err
	}
	if err := errors.Join(s.FlushTargets(ctx), s.Close()); err != nil {
		return err
	}
	if err := editData(ctx, d); err != nil {
		return err
	}
	return rewrite(ctx, d)
}

func (d *story) reopen(ctx context.Context, folder string) (*node.Node, error) {
	return node.Open(ctx, d.path(folder), stele.Options{OpenTarget: targetsOf(d.path(folder))})
}

// editData flips one bit in the middle of the largest pack, and lets the store find and heal it.
func editData(ctx context.Context, d *story) error {
	pack, err := largest(d.path("server/packs"))
	if err != nil {
		return err
	}
	if err := flip(pack); err != nil {
		return err
	}
	d.step("root flips one bit in the middle of %s", filepath.Base(pack))
	s, err := d.reopen(ctx, "server")
	if err != nil {
		return err
	}
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true, Heal: true})
	if err != nil {
		return errors.Join(err, s.Close())
	}
	if !r.OK() || len(r.Healed) != 1 {
		return errors.Join(fmt.Errorf("healed %+v, left %+v: should be one file, and nothing", r.Healed, r.Problems), s.Close())
	}
	d.step("every byte is read again: the pack is found damaged, and replaced by the target's copy, which proves itself")
	heals := 0
	err = s.Ledger().Log(ctx, stele.LogQuery{Types: []entry.Type{entry.Heal}}, func(e *entry.Entry) error { heals++; return nil })
	if err == nil && heals != 1 {
		err = fmt.Errorf("the ledger has %d heals, should be 1", heals)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	d.proved("an edited byte was found, the file healed from the target, and the heal is an entry")
	return nil
}

// rewrite writes history anew: root has the folder as it was, the keys, and all the time in the world.
func rewrite(ctx context.Context, d *story) error {
	if err := copyFolder(d.path("server"), d.path("forgery")); err != nil {
		return err
	}
	s, err := d.reopen(ctx, "server")
	if err != nil {
		return err
	}
	c, err := s.CreateBucket(ctx, stele.Local(), "the-truth", false)
	if err == nil {
		err = s.FlushTargets(ctx)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	d.step("entry %d is written: bucket the-truth is made, and the target sees it", c.Entry)
	// The forger's folder continues from the same point, with the same keys, and never had that entry.
	f, err := node.Open(ctx, d.path("forgery"), stele.Options{})
	if err != nil {
		return err
	}
	for i := 0; err == nil && f.Ledger().Size() <= c.Entry+2; i++ {
		_, err = f.CreateBucket(ctx, stele.Local(), fmt.Sprintf("a-lie-%d", i), false)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	d.step("root writes another history from there, signs it with the real key, and puts it in place of the store")
	if err := errors.Join(os.RemoveAll(d.path("server")), os.Rename(d.path("forgery"), d.path("server"))); err != nil {
		return err
	}
	return convict(ctx, d)
}

// convict lets the forged store meet the target, which has seen the other history.
func convict(ctx context.Context, d *story) error {
	s, err := d.reopen(ctx, "server")
	if err == nil {
		err = s.FlushTargets(ctx)
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	}
	if err == nil {
		return errors.New("the forged history was taken for the store's")
	}
	d.step("the forgery verifies in itself, and is refused: %v", err)
	opened, err := targetsOf(d.path("new"))(ctx, stele.TargetSpec{Name: demoTarget, URL: "dir://" + d.path("target")})
	if err != nil {
		return err
	}
	key, err := recoveryKey(d.path("stele-recovery-kit.txt"))
	if err != nil {
		return err
	}
	start := time.Now()
	copied, err := node.OpenFrom(ctx, d.path("new"), stele.From{Target: opened.Engine, Name: demoTarget, NoFill: true}, stele.Options{Identity: key})
	if err != nil {
		return err
	}
	_, err = copied.Bucket(ctx, "the-truth", stele.View{})
	if err = errors.Join(err, copied.Close()); err != nil {
		return err
	}
	d.step("the target, untouched, still shows bucket the-truth, after %s", time.Since(start).Round(time.Millisecond))
	d.proved("a history written anew with the real signing key was convicted by the target, which had seen the true one, and nothing on the target was overwritten")
	return nil
}

func largest(folder string) (path string, err error) {
	most := int64(-1)
	err = filepath.WalkDir(folder, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > most {
			path, most = p, info.Size()
		}
		return err
	})
	if err == nil && path == "" {
		err = fmt.Errorf("no file in %s", folder)
	}
	return path, err
}

func flip(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	var b [1]byte
	at := info.Size() / 2
	if _, err = f.ReadAt(b[:], at); err == nil || err == io.EOF {
		b[0] ^= 1
		_, err = f.WriteAt(b[:], at)
	}
	return errors.Join(err, f.Close())
}

func copyFolder(from, to string) error {
	return os.CopyFS(to, os.DirFS(from))
}
