package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"stele"
	"stele/internal/node"
	"stele/verify"
)

type drillCmd struct {
	Run   drillRunCmd   `cmd:"" default:"withargs" help:"Serve from a target in a scratch folder, at a past moment chosen at random; read, compare, measure, sign."`
	Check drillCheckCmd `cmd:"" help:"Check a certificate with the store's verifier key, offline."`
}

type drillRunCmd struct {
	Target string `arg:"" optional:"" help:"The target's name; not needed where there is one only."`
	Full   bool   `help:"Read every byte of the copy and hash it again, not a sample."`
	Sample int    `placeholder:"N" default:"100" help:"Object versions to read."`
	Out    string `short:"o" placeholder:"FILE" help:"Write the signed certificate there."`
	Page   string `placeholder:"FILE" help:"Write a page to print (HTML) there."`
}

func (c *drillRunCmd) Run(ctx context.Context, a *app) error {
	if c.Sample < 1 {
		return usage{errors.New("--sample takes a number from 1 on")}
	}
	recovery, err := a.options() // its Identity is the kit's, if one was given: what counts on the day when the server is gone
	if err != nil {
		return err
	}
	q := stele.DrillRequest{Target: c.Target, Full: c.Full, Sample: c.Sample, Recovery: recovery.Identity}
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	d, err := s.DrillTarget(ctx, local, q)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := c.write(&d); err != nil {
		return err
	}
	if err := a.certificate(&d.Certificate); err != nil || d.Certificate.OK {
		return err
	}
	if d.Certificate.Head == 0 {
		return withHint(d.Certificate.Err(), "the problems above say why it can't be opened; look whether it is the right place, and its disk is mounted; `stele target sync` ships again what it lacks")
	}
	return withHint(d.Certificate.Err(), "keep that copy as it is, it may be evidence, and add another target: stele target add NAME URL")
}

func (c *drillRunCmd) write(d *stele.Drilled) error {
	if c.Out != "" {
		if err := os.WriteFile(c.Out, d.Signed, 0o644); err != nil {
			return fmt.Errorf("couldn't write the certificate, which is in the ledger all the same: %w", err)
		}
	}
	if c.Page == "" {
		return nil
	}
	f, err := os.Create(c.Page)
	if err == nil {
		err = errors.Join(drillPage(f, &d.Certificate, d.Signed), f.Close())
	}
	if err != nil {
		return fmt.Errorf("couldn't write the page: %w", err)
	}
	return nil
}

// certificate prints what a certificate says.
func (a *app) certificate(c *verify.Certificate) error {
	if a.cli.JSON {
		return a.document(c)
	}
	for i, f := range c.Facts() {
		if i == 0 {
			f[1] = a.bold(f[1])
		}
		fmt.Fprintf(a.stdout, "%-11s %s\n", f[0], f[1])
	}
	return nil
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}

type drillCheckCmd struct {
	File string `arg:"" help:"The signed certificate; - for standard input."`
	VKey string `name:"vkey" required:"" placeholder:"KEY" help:"The store's verifier key, or a file that holds it."`
}

func (c *drillCheckCmd) Run(a *app) error {
	vkey, err := keyOf(c.VKey)
	if err != nil {
		return err
	}
	in, err := a.input(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	const most = 1 << 20
	signed, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return fmt.Errorf("couldn't read the certificate: %w", err)
	}
	cert, err := verify.OpenCertificate(signed, vkey)
	if err != nil {
		return err
	}
	if err := a.certificate(cert); err != nil {
		return err
	}
	return cert.Err()
}

// drillsLook is how often a server looks for targets that are to be drilled: a failed drill is tried again within the hour.
const drillsLook = 10 * time.Minute

// drills drills the targets that are due, until ctx ends.
func (s *server) drills(ctx context.Context, store *node.Node) {
	if s.cfg.DrillEvery < 0 {
		return
	}
	tick := time.NewTicker(min(drillsLook, max(time.Second, s.cfg.DrillEvery/2)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		done, err := store.DrillDue(ctx, s.cfg.DrillEvery)
		for _, c := range done {
			if c.OK {
				s.log.Info("a target passed its drill", "target", c.Target, "rto", seconds(c.RTOSeconds))
			} else {
				s.log.Error("a target did not pass its drill; it is tried again within the hour", "target", c.Target, "problems", len(c.Problems), "first", c.Problems[0])
			}
		}
		if ctx.Err() == nil {
			store.Outcome(stele.WorkDrills, err)
		}
	}
}
