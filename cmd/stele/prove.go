package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"stele/entry"
	"stele/internal/rpc/client"
	"stele/tree"
	"stele/verify"
)

type proveCmd struct {
	Object    string `arg:"" optional:"" name:"bucket/key" help:"The object."`
	Out       string `short:"o" placeholder:"FILE" help:"Write the receipt to a file instead of standard output."`
	At        string `placeholder:"WHEN" help:"${at}"`
	VersionID string `placeholder:"ID" help:"A version."`

	Epochs string `placeholder:"DIR" help:"Instead of an object's: write the receipts of the entries that began the epochs after the first, for who has pinned an older key: stele-verify succession."`

	Witness     string `placeholder:"URL" help:"Have the receipt's checkpoint cosigned by the witness there: the admin address of a standby, or any C2SP tlog-witness."`
	WitnessVKey string `name:"witness-vkey" placeholder:"KEY" help:"The witness' verifier key, or a file that holds it; goes with --witness."`
}

func (c *proveCmd) Run(ctx context.Context, a *app) error {
	if (c.Object == "") != (c.Epochs != "") || c.Epochs != "" && *c != (proveCmd{Epochs: c.Epochs}) {
		return usage{errors.New("name an object, or give --epochs DIR and nothing else")}
	}
	if c.Epochs != "" {
		return c.epochs(ctx, a)
	}
	if (c.Witness == "") != (c.WitnessVKey == "") {
		return usage{errors.New("--witness and --witness-vkey go together")}
	}
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p, err := place(ctx, s, c.Object, c.At, c.VersionID)
	if err != nil {
		return err
	}
	if _, err := s.Head(ctx, p); err != nil {
		return err
	}
	receipt, v, err := s.Ledger().Prove(ctx, p)
	if err != nil {
		return fmt.Errorf("couldn't prove %s: %w", shown(c.Object), err)
	}
	if receipt, err = c.cosigned(ctx, a, s, receipt); err != nil {
		return err
	}
	if c.Out != "" {
		if err := writeNew(c.Out, receipt); err != nil {
			return err
		}
	}
	sum := v.Body.SHA256.String()
	if a.cli.JSON {
		d := docOf(&v)
		d.SHA256 = sum
		return a.document(struct {
			objectDoc
			VKey    string `json:"vkey"`
			Receipt string `json:"receipt"`
		}{d, s.Ledger().VKey(), string(receipt)})
	}
	if c.Out == "" {
		if _, err := a.stdout.Write(receipt); err != nil {
			return err
		}
	}
	c.explain(a, s, p.Key, sum, v.Body.Kind)
	return nil
}

// cosigned is the receipt with the witness' cosignature at its end, or as it is if none was asked for.
func (c *proveCmd) cosigned(ctx context.Context, a *app, s client.Store, receipt []byte) ([]byte, error) {
	if c.Witness == "" {
		return receipt, nil
	}
	key, err := witnessOf(c.WitnessVKey)
	if err != nil {
		return nil, err
	}
	r, err := tree.ParseReceipt(receipt)
	if err != nil {
		return nil, err
	}
	tr, err := a.transport()
	if err != nil {
		return nil, err
	}
	line, err := client.AskWitness(ctx, tr, c.Witness, key, r.Checkpoint, s.Ledger().Consistency)
	if err != nil {
		return nil, err
	}
	r.Checkpoint = append(r.Checkpoint, line...)
	return r.Append(nil), nil
}

// witnessOf reads a witness' verifier key, which is given as keyOf takes it.
func witnessOf(arg string) (*tree.Cosignature, error) {
	vkey, err := keyText(arg)
	if err != nil {
		return nil, err
	}
	key, err := tree.NewCosignature(vkey)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the witness' key, it should look like NAME+HASH+KEY: %w", err)
	}
	return key, nil
}

func (c *proveCmd) explain(a *app, s client.Store, key, sum string, kind entry.BodyKind) {
	receipt := c.Out
	if receipt == "" {
		receipt = "RECEIPT"
	}
	if kind == entry.BodyParts {
		a.note("sha256  %s (of the list of parts; the receipt holds it, and so each part's own)", sum)
	} else {
		a.note("sha256  %s, as sha256sum prints it", sum)
	}
	witness := ""
	if c.Witness != "" {
		witness = " --witness " + c.WitnessVKey
	}
	a.note("check   stele verify %s --receipt %s --vkey %s%s", shown(path.Base(key)), receipt, s.Ledger().VKey(), witness)
}

// epochs writes a receipt for each epoch after the first, and checks them as a stranger will.
func (c *proveCmd) epochs(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	u, err := s.Ledger().Succession(ctx)
	if err != nil {
		return fmt.Errorf("couldn't prove the epochs: %w", err)
	}
	steps, err := verify.Successors(u.First(), u.Receipts...)
	if err != nil {
		return fmt.Errorf("couldn't prove the epochs: %w", err)
	}
	if err := os.MkdirAll(c.Epochs, 0o755); err != nil {
		return fmt.Errorf("couldn't write the receipts: %w", err)
	}
	for i, step := range steps {
		name := filepath.Join(c.Epochs, fmt.Sprintf("epoch-%06d.receipt", step.Epoch)) // in the order of their names
		if err := writeNew(name, u.Receipts[i]); err != nil {
			return err
		}
		if err := a.epoch(name, step); err != nil {
			return err
		}
	}
	if len(steps) == 0 {
		a.note("the store is in its first epoch: its key has no successor")
	}
	return nil
}

func (a *app) epoch(name string, step verify.Successor) error {
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "receipt": name, "epoch": step.Epoch, "cut": step.Cut, "vkey": step.VKey})
	}
	a.say("%s: epoch %d began with %s", shown(name), step.Epoch, entries(step.Cut))
	return nil
}

// writeNew writes a file that must not be there yet.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists: name another file", name)
	}
	if err != nil {
		return fmt.Errorf("couldn't write %s: %w", name, err)
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(name)
		return fmt.Errorf("couldn't write %s: %w", name, err)
	}
	return nil
}
