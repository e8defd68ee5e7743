package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"stele"
	"stele/internal/fsck"
	"stele/internal/node"
	"stele/internal/rpc/client"
	"stele/tree"
	"stele/verify"
)

type verifyCmd struct {
	File    string `arg:"" optional:"" help:"Verify this file against a receipt, offline; - is standard input. Without it, the store is verified."`
	Receipt string `placeholder:"FILE" help:"The receipt, as stele prove wrote it."`
	VKey    string `name:"vkey" placeholder:"KEY" help:"The ledger's verifier key, or a file that holds it."`
	Witness string `placeholder:"KEY" help:"A witness' verifier key, or a file that holds it: the receipt must bear its cosignature."`
	Deep    bool   `help:"Read, authenticate and hash every byte of the store."`

	Heal bool     `help:"Replace what is damaged or gone by proven copies; exit 0 if nothing is left."`
	From []string `placeholder:"DIR" sep:"none" help:"With --heal: a copy of the store's folder to heal from. May be given several times, the first to be asked first."`
}

func (c *verifyCmd) Run(ctx context.Context, a *app) error {
	if c.File == "" {
		if c.Receipt != "" || c.VKey != "" || c.Witness != "" {
			return usage{errors.New("--receipt, --vkey and --witness go with a file: stele verify FILE --receipt RECEIPT --vkey KEY")}
		}
		return c.store(ctx, a)
	}
	if c.Receipt == "" || c.VKey == "" || c.Deep || c.Heal || len(c.From) > 0 {
		return usage{errors.New("a file is verified with --receipt and --vkey, and --witness if it should be cosigned, and nothing else")}
	}
	return c.file(a)
}

func (c *verifyCmd) store(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer s.Close()
	p := a.progress("verified", "")
	r, err := s.Verify(ctx, stele.VerifyOptions{By: local, Deep: c.Deep, Heal: c.Heal,
		Progress: func(done, total int64) { p.bytes.Store(done); p.ofBytes.Store(total) }})
	p.end()
	unfinished := err
	if err != nil && len(r.Problems) == 0 {
		return fmt.Errorf("couldn't verify the store: %w", err)
	}
	for _, problem := range r.Problems {
		if a.cli.JSON {
			if err := a.document(map[string]any{"v": 1, "problem": problem.What, "where": problem.Where}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "%s: %s\n", shown(problem.Where), shown(problem.What))
	}
	if err := c.healed(a, r.Healed); err != nil {
		return err
	}
	if err := a.evidence(r.Evidence); err != nil {
		return err
	}
	if a.cli.JSON {
		if err := a.document(map[string]any{"v": 1, "ok": r.OK(), "deep": c.Deep, "size": r.Size, "root": r.Root.String(), "segments": r.Segments, "packs": r.Packs,
			"bodies": r.Bodies, "bytes": r.Bytes, "problems": len(r.Problems), "healed": len(r.Healed), "seconds": r.Took.Seconds()}); err != nil {
			return err
		}
	}
	if !r.OK() {
		err := fmt.Errorf("%w: %s", verify.ErrFailed, count(len(r.Problems), "problem"))
		if unfinished != nil {
			err = fmt.Errorf("%w; and it did not come to its end: %w", err, unfinished)
		}
		if !slices.ContainsFunc(r.Problems, func(p fsck.Problem) bool { return p.Where != stele.TheFolder }) {
			return err // no file is damaged, and what to do stands with the problem
		}
		return withHint(err, "keep the data folder as it is, and bring what is damaged back from a copy: stele verify --deep --heal --from COPY")
	}
	a.say("verified %s, %s: every leaf, root and signature", entries(r.Size), count(r.Segments, "sealed segment"))
	if c.Deep {
		a.say("verified %s in %s: every byte", count(r.Bodies, "object"), count(r.Packs, "pack"))
	} else {
		a.say("%s there; --deep reads every byte", packsThere(r.Packs))
	}
	a.say("size %d, root %s, %s in %s", r.Size, r.Root, size(r.Bytes), r.Took.Round(time.Millisecond))
	return nil
}

// open opens the store as the flags need it.
func (c *verifyCmd) open(ctx context.Context, a *app) (client.Store, error) {
	switch {
	case !c.Heal && len(c.From) > 0:
		return nil, usage{errors.New("--from goes with --heal")}
	case !c.Heal:
		return a.openRead(ctx)
	case len(c.From) == 0:
		return a.openWrite(ctx)
	}
	opt, err := a.options()
	if err != nil {
		return nil, err
	}
	var copies []stele.Copy
	for _, folder := range c.From {
		from, err := stele.FolderCopy(folder, folder)
		if err != nil {
			return nil, sourceError(err)
		}
		copies = append(copies, from)
	}
	opt.Copies = func() []stele.Copy { return copies }
	// The folder itself: a server that holds it heals from its own copies.
	s, err := node.Open(ctx, a.data(), opt)
	if err != nil {
		return nil, err
	}
	return client.Local{Node: s}, nil
}

// healed tells of the files that were damaged and are whole now.
func (c *verifyCmd) healed(a *app, files []fsck.Problem) error {
	for _, f := range files {
		if !a.cli.JSON {
			fmt.Fprintf(a.stdout, "%s: healed (%s)\n", shown(f.Where), shown(f.What))
		} else if err := a.document(map[string]any{"v": 1, "healed": f.What, "where": f.Where}); err != nil {
			return err
		}
	}
	return nil
}

func packsThere(n int) string {
	if n == 1 {
		return "1 pack is"
	}
	return thousands(uint64(n)) + " packs are"
}

func entries(n uint64) string {
	if n == 1 {
		return "1 entry"
	}
	return thousands(n) + " entries"
}

func (c *verifyCmd) file(a *app) error {
	receipt, err := os.ReadFile(c.Receipt)
	if err != nil {
		return sourceError(err)
	}
	vkey, err := keyOf(c.VKey)
	if err != nil {
		return err
	}
	cosigned, err := c.cosigned(receipt)
	if err != nil {
		return err
	}
	in, err := a.input(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	p := a.progress("hashed", "")
	r, err := verify.Receipt(receipt, vkey, &countedReader{r: in, p: p})
	p.end()
	if errors.Is(err, verify.ErrFailed) {
		return withHint(err, "a receipt is of the bytes of one version: this is another file or version, or one of the two was changed. `stele history BUCKET/KEY` lists the versions")
	}
	if err != nil {
		return err
	}
	if a.cli.JSON {
		doc := r.Document()
		if c.Witness != "" {
			doc["cosigned"] = moment(cosigned)
		}
		return a.document(doc)
	}
	lines := r.Lines(c.File)
	if c.Witness != "" {
		lines = slices.Insert(lines, 2, "cosigned by the witness at "+moment(cosigned))
	}
	for _, l := range lines {
		a.say("%s", l)
	}
	return nil
}

// cosigned checks that the receipt's checkpoint bears the witness' cosignature, if one is asked for, and says of when it is.
func (c *verifyCmd) cosigned(receipt []byte) (at time.Time, err error) {
	if c.Witness == "" {
		return at, nil
	}
	key, err := witnessOf(c.Witness)
	if err != nil {
		return at, err
	}
	r, err := tree.ParseReceipt(receipt)
	if err == nil {
		_, at, err = key.Check(r.Checkpoint)
	}
	if err != nil {
		return at, fmt.Errorf("%w: %w", verify.ErrFailed, err)
	}
	return at, nil
}

// keyOf is the verifier key itself, or the content of the file that --vkey names.
func keyOf(arg string) (string, error) {
	key, err := keyText(arg)
	if err != nil {
		return "", err
	}
	if _, err := tree.NewVerifier(key); err != nil {
		return "", usage{fmt.Errorf("%s is no verifier key: that should look like ORIGIN+HASH+KEY, as `stele version --vkey` prints it", shown(key))}
	}
	return key, nil
}

// keyText is a key as keyOf takes it, of whatever kind: a store's or a witness'.
func keyText(arg string) (string, error) {
	f, err := os.Open(arg)
	if err != nil && !strings.Contains(arg, "+") {
		return "", usage{fmt.Errorf("%s is neither a file that is there nor a verifier key: that should look like ORIGIN+HASH+KEY, as `stele version --vkey` prints it", shown(arg))}
	} else if err != nil {
		return arg, nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	return trim(b), sourceError(err)
}

// countedReader tells a progress line what was read.
type countedReader struct {
	r io.Reader
	p *progress
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.bytes.Add(int64(n))
	return n, err
}
