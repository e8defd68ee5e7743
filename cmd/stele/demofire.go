package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/keyring"
	"stele/internal/node"
	"stele/verify"
)

type demoFireCmd struct{}

func (c *demoFireCmd) Run(ctx context.Context, a *app, all *demoCmd) error {
	return all.tell(a, "fire", func(d *story) error { return fire(ctx, d) })
}

const demoTarget = "vault"

// backedUp is a store on a server with its door, shipping to a target.
type backedUp struct {
	store *node.Node
	stop  func() error // the door
	owner entry.AccessKey
	addr  string
}

// backedUp makes a store in a folder of the story, with a target beside it, fills it over S3 and waits until the target holds all of it.
func (d *story) backedUp(ctx context.Context, folder string) (b backedUp, err error) {
	b.store, err = node.Create(ctx, d.path(folder), stele.Options{Kit: d.path("stele-recovery-kit.txt"), OpenTarget: targetsOf(d.path(folder))})
	if err != nil {
		return b, err
	}
	if _, err := b.store.AddTarget(ctx, stele.Local(), stele.TargetSpec{Name: demoTarget, URL: "dir://" + d.path("target")}); err != nil {
		return b, err
	}
	if b.owner, err = b.store.Keys().Create(ctx, stele.Local(), stele.RoleAdmin, nil, 0); err != nil {
		return b, err
	}
	if b.addr, b.stop, err = d.serve(b.store); err != nil {
		return b, err
	}
	c, err := d.client(b.addr, b.owner)
	if err != nil {
		return b, err
	}
	if err := c.MakeBucket(ctx, demoBucket, makeBucket); err != nil {
		return b, err
	}
	if err := d.fill(ctx, c, demoBucket); err != nil {
		return b, err
	}
	d.step("%d records are written over S3, while the store ships to the target %s", demoFiles, demoTarget)
	start := time.Now()
	if err := b.store.FlushTargets(ctx); err != nil {
		return b, err
	}
	d.step("the target holds all of them, %s after the last", time.Since(start).Round(time.Millisecond))
	return b, nil
}

// fire is the story of a server that is lost as a whole.
func fire(ctx context.Context, d *story) error {
	b, err := d.backedUp(ctx, "server")
	if err != nil {
		return err
	}
	if err := drillBefore(ctx, d, b.store); err != nil {
		return err
	}
	if err := b.store.FlushTargets(ctx); err != nil { // the certificate too
		return err
	}
	size := b.store.Ledger().Size()
	if err := os.RemoveAll(d.path("server")); err != nil {
		return err
	}
	burnt := time.Now()
	d.step("rm -rf: the server's folder is gone, under the running server")
	_ = errors.Join(b.stop(), b.store.Close()) // there is nothing left that could be closed in order
	s, from, err := serveBackup(ctx, d, b, burnt)
	if err != nil {
		return err
	}
	return promoteBackup(ctx, d, s, from, size)
}

func drillBefore(ctx context.Context, d *story, s *node.Node) error {
	key, err := recoveryKey(d.path("stele-recovery-kit.txt"))
	if err != nil {
		return err
	}
	drilled, err := s.DrillTarget(ctx, stele.Local(), stele.DrillRequest{Target: demoTarget, Recovery: key, Full: true})
	if err != nil {
		return err
	}
	c := drilled.Certificate
	if !c.OK {
		return fmt.Errorf("the drill failed: %v", c.Problems)
	}
	if _, err := verify.OpenCertificate(drilled.Signed, s.Ledger().VKey()); err != nil {
		return err
	}
	if err := os.WriteFile(d.path("certificate.txt"), drilled.Signed, 0o644); err != nil {
		return err
	}
	d.step("a drill opens the copy with the recovery key and reads all of it; first object after %s; the certificate is signed", seconds(c.RTOSeconds))
	d.proved("before the fire a drill had read %s from the copy, opened with the recovery kit, and signed a certificate", count(c.Versions, "object version"))
	return nil
}

func recoveryKey(kit string) (string, error) {
	text, err := os.ReadFile(kit)
	if err != nil {
		return "", fmt.Errorf("couldn't read the recovery kit: %w", err)
	}
	k, err := keyring.ParseKit(text)
	if err != nil {
		return "", err
	}
	return k.RecoveryIdentity, nil
}

// serveBackup serves S3 from the target in an empty folder, and reads everything there.
func serveBackup(ctx context.Context, d *story, b backedUp, burnt time.Time) (*node.Node, stele.From, error) {
	key, err := recoveryKey(d.path("stele-recovery-kit.txt"))
	if err != nil {
		return nil, stele.From{}, err
	}
	opened, err := targetsOf(d.path("new"))(ctx, stele.TargetSpec{Name: demoTarget, URL: "dir://" + d.path("target")})
	if err != nil {
		return nil, stele.From{}, err
	}
	from := stele.From{Target: opened.Engine, Name: "dir://" + d.path("target")}
	s, err := node.OpenFrom(ctx, d.path("new"), from, stele.Options{Identity: key})
	if err != nil {
		return nil, from, err
	}
	address, stop, err := d.serve(s)
	if err != nil {
		return s, from, errors.Join(err, s.Close())
	}
	err = func() error {
		c, err := d.client(address, b.owner)
		if err != nil {
			return err
		}
		for n := range demoFiles {
			if err := same(ctx, c, demoBucket, d.key(n), d.content(n)); err != nil {
				return err
			}
			if n == 0 {
				first := time.Since(burnt).Round(time.Millisecond)
				d.step("another machine, with an empty folder and the recovery kit, serves the first object from the target, %s after the fire", first)
				d.proved("the first object was served %s after the server was lost, by the access key that clients had", first)
			}
		}
		d.step("all %d records are read over S3, each as it was written", demoFiles)
		return nil
	}()
	if err = errors.Join(err, stop()); err != nil {
		return s, from, errors.Join(err, s.Close())
	}
	return s, from, nil
}

// promoteBackup makes what is served from the backup the primary, and writes to it.
func promoteBackup(ctx context.Context, d *story, s *node.Node, from stele.From, before uint64) error {
	select {
	case <-s.Hydrated():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), s.Close())
	}
	if err := s.Close(); err != nil {
		return err
	}
	key, err := recoveryKey(d.path("stele-recovery-kit.txt"))
	if err != nil {
		return err
	}
	start := time.Now()
	p, err := stele.Promote(ctx, d.path("new"), stele.PromoteOptions{Options: stele.Options{Identity: key}, Reason: "the server burnt down", By: stele.Local()})
	if err != nil {
		return err
	}
	now, err := node.Open(ctx, d.path("new"), stele.Options{})
	if err != nil {
		return err
	}
	d.atEnd(now.Close)
	if _, err := now.CreateBucket(ctx, stele.Local(), "after-the-fire", false); err != nil {
		return err
	}
	d.step("promoted to epoch %d, and the first write is accepted, after %s", p.To, time.Since(start).Round(time.Millisecond))
	r, err := now.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if err != nil {
		return err
	}
	if !r.OK() || p.Cut < before {
		return fmt.Errorf("the new primary holds %d entries of %d, problems: %+v", p.Cut, before, r.Problems)
	}
	d.proved("nothing was lost: all %d entries and %d bodies are there, and every byte verifies", before, r.Bodies)
	d.proved("the new primary writes in epoch %d, under a key of its own: whoever meets the old one knows that it is over", p.To)
	return nil
}
