package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"stele/internal/durable"
	"stele/internal/keyring"
	"stele/internal/rpc/client"
	"stele/internal/shares"
)

type kitCombineCmd struct {
	Files []string `arg:"" name:"share" help:"Shares of one set, as many as it needs."`
	Out   string   `short:"o" placeholder:"KITFILE" default:"stele-recovery-kit.txt" help:"Where the kit goes (${default})."`
}

func (c *kitCombineCmd) Run(ctx context.Context, a *app) error {
	if err := a.outside(c.Out, "recovery kit"); err != nil {
		return err
	}
	given := make([]shares.Named, 0, len(c.Files))
	for _, name := range c.Files {
		share, err := a.readShare(name)
		if err != nil {
			return kitError("read the share", name, err)
		}
		given = append(given, shares.Named{Name: shown(name), Share: share})
	}
	kit, err := shares.Combine(given)
	if err != nil {
		return kitError("make", c.Out, err)
	}
	if err := durable.WriteFile(a.system(), c.Out, kit.Text(), 0o600); errors.Is(err, durable.ErrExist) {
		return fmt.Errorf("%s exists, perhaps the kit of another store, and is left alone. Name another file: -o KITFILE", c.Out)
	} else if err != nil {
		if there, rerr := a.readKit(c.Out); rerr == nil && bytes.Equal(there, kit.Text()) { // it has its name, and may lose it: the next try finds nothing in its way
			_ = a.system().Remove(c.Out)
		}
		return fmt.Errorf("couldn't write the recovery kit %s: %w", c.Out, err)
	}
	store := hex.EncodeToString(kit.StoreID[:])
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "store": store, "set": given[0].SetID(), "kit": c.Out, "created": moment(kit.Created)})
	}
	a.say("made the recovery kit of store %s: %s", store, c.Out)
	a.say("  Its key is the one that the shares name. Alone it opens the store and every backup: --recovery-key %s", shellWord(c.Out))
	a.say("  Destroy it when the work is done: the shares make it again.")
	return nil
}

func (a *app) readShare(name string) (keyring.Share, error) {
	text, err := a.readKit(name)
	if err != nil {
		return keyring.Share{}, err
	}
	if _, err := keyring.ParseKit(text); err == nil {
		return keyring.Share{}, fmt.Errorf("%w: this is a whole kit. It opens the store by itself, by --recovery-key", keyring.ErrShare)
	}
	return keyring.ParseShare(text)
}

type kitCheckCmd struct {
	File string `arg:"" help:"A share or a kit, read from where it is kept; - is standard input."`
}

func (c *kitCheckCmd) Run(ctx context.Context, a *app) error {
	text, err := a.readKit(c.File)
	if err != nil {
		return err
	}
	if !keyring.IsShare(text) {
		return c.kit(a, text)
	}
	share, err := keyring.ParseShare(text)
	if err != nil {
		return kitError("check", c.File, err)
	}
	a.say("share     %d of %d, any %d open; set %s", share.Index, share.Shares, share.Any, share.SetID())
	a.say("store     %s; the kit is of %s", hex.EncodeToString(share.StoreID[:]), moment(share.Created))
	a.say("whole     every letter is as it was made; format version 0")
	absent, err := a.besideStore(ctx, &share, func(s client.Store) error {
		return s.Keys().ConfirmShare(ctx, local, shareOf(&share), share.Index, share.Proof())
	})
	if err != nil {
		return fmt.Errorf("the share is whole, but the ledger couldn't note that it was proven: %w", err)
	}
	if a.cli.JSON {
		doc := shareDoc(&share)
		doc["noted"], doc["why"] = absent == "", absent
		return a.document(doc)
	}
	if absent == "" {
		a.say("noted     in the ledger, that share %d was proven; the share itself went nowhere", share.Index)
	} else {
		a.say("noted     nowhere: %s. Check it beside its store too (--data or --server), and `stele status` says when it was proven", absent)
	}
	return nil
}

func (c *kitCheckCmd) kit(a *app, text []byte) error {
	kit, err := keyring.ParseKit(text)
	if err != nil {
		return kitError("check", c.File, err)
	}
	store := hex.EncodeToString(kit.StoreID[:])
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "store": store, "created": moment(kit.Created), "noted": false})
	}
	a.say("kit       of store %s, made %s; it opens alone", store, moment(kit.Created))
	a.say("whole     its key is as it was made")
	a.say("noted     nowhere. Beside its store: stele kit confirm FILE")
	return nil
}
