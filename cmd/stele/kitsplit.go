package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/durable"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/rpc/client"
	"stele/internal/shares"
)

type kitSplitCmd struct {
	File      string `arg:"" name:"kitfile" help:"The kit; - is standard input."`
	Shares    int    `required:"" placeholder:"N" help:"How many shares to make (2 to 255)."`
	Threshold int    `required:"" placeholder:"K" help:"How many of them make the kit again (2 to N)."`
	Out       string `short:"o" placeholder:"DIR" help:"New folder for the shares (stele-recovery-shares-SET here)."`
}

func (c *kitSplitCmd) Run(ctx context.Context, a *app) error {
	text, err := a.readKit(c.File)
	if err != nil {
		return err
	}
	if keyring.IsShare(text) {
		return kitError("split", c.File, fmt.Errorf("%w: it is a share. Make the kit of enough shares first: `stele kit combine`", keyring.ErrKit))
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		return kitError("split", c.File, err)
	}
	of, err := shares.Split(&kit, c.Shares, c.Threshold)
	if err != nil {
		return kitError("split", c.File, err)
	}
	if c.Out == "" {
		c.Out = "stele-recovery-shares-" + of[0].SetID()[:8]
	}
	if err := a.outside(c.Out, "shares"); err != nil {
		return err
	}
	files, err := shares.Write(a.system(), c.Out, of)
	if errors.Is(err, durable.ErrExist) {
		return fmt.Errorf("%s exists, and shares go into a new folder. Name one that is not there yet, in it or elsewhere: -o %s", c.Out, shellWord(filepath.Join(c.Out, "shares")))
	} else if err != nil {
		return fmt.Errorf("couldn't write the shares, and left none behind: %w", err)
	}
	unnoted := a.noteShares(ctx, of)
	if a.cli.JSON {
		doc := shareDoc(&of[0])
		delete(doc, "share")
		doc["folder"], doc["files"], doc["noted"], doc["why"] = c.Out, files, unnoted == "", unnoted
		return a.document(doc)
	}
	a.say("made %d shares of the kit of store %s, set %s; any %d of them make it again:", len(of), hex.EncodeToString(of[0].StoreID[:]), of[0].SetID(), c.Threshold)
	for _, name := range files {
		a.say("  %s", name)
	}
	if c.Threshold == c.Shares {
		a.say("  All of them are needed: with one that is lost, all are.")
	}
	a.say("  Bring each to another person or place, and read it back from there: stele kit check FILE")
	a.say("  Then remove this folder. The kit itself opens as before, alone: keep it safe, or destroy it once the shares are in place.")
	if unnoted != "" {
		a.say("  The ledger does not know of the set yet (%s). The first `stele kit check FILE` beside the store makes it known.", unnoted)
	}
	return nil
}

// noteShares notes the set in the ledger of its store, if that is at hand; else it returns why the ledger does not know of it. The shares are there, and good, either way.
func (a *app) noteShares(ctx context.Context, of []keyring.Share) (unnoted string) {
	var verifiers []string
	for i := range of {
		verifiers = append(verifiers, keyring.ShareVerifier(of[i].Proof()))
	}
	why, err := a.besideStore(ctx, &of[0], func(s client.Store) error {
		return s.Keys().NoteShares(ctx, local, shareOf(&of[0]), verifiers)
	})
	if err != nil {
		message, _ := a.words(err)
		return message
	}
	return why
}

// besideStore does something with the store of a share, and returns why it is not at hand, if it is not.
func (a *app) besideStore(ctx context.Context, share *keyring.Share, do func(client.Store) error) (absent string, err error) {
	s, err := a.openWrite(ctx)
	if errors.Is(err, stele.ErrNotStore) {
		return "no store is in " + a.data(), nil
	} else if err != nil {
		return "", err
	}
	defer s.Close()
	if id := hex.EncodeToString(share.StoreID[:]); s.ID() != id {
		return "the store at hand is " + s.ID(), nil
	}
	if err := do(s); err != nil {
		return "", err
	}
	return "", s.Close()
}

func shareOf(s *keyring.Share) stele.ShareOf {
	return stele.ShareOf{Store: hex.EncodeToString(s.StoreID[:]), Set: s.SetID(), Recipient: s.Recipient, VKey: s.VKey, Shares: s.Shares, Any: s.Any}
}

// shareDoc is what a share says of itself, for a program.
func shareDoc(s *keyring.Share) map[string]any {
	return map[string]any{"v": 1, "store": hex.EncodeToString(s.StoreID[:]), "set": s.SetID(), "share": s.Index, "shares": s.Shares, "any": s.Any, "created": moment(s.Created)}
}

// outside refuses a place in the data folder: whoever loses the folder would lose with it what is to save it.
func (a *app) outside(at, what string) error {
	abs, err1 := filepath.Abs(at)
	folder, err2 := filepath.Abs(a.data())
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if abs == folder || strings.HasPrefix(abs, folder+string(filepath.Separator)) {
		return fmt.Errorf("the %s must not lie in the data folder %s: whoever loses the folder would lose what saves it. Name another place with -o", what, a.data())
	}
	fsys := a.system()
	if parent := fsys.PathDir(abs); parent != abs {
		if info, err := fsys.Stat(parent); err != nil || !info.IsDir() {
			return fmt.Errorf("couldn't write %s: %s is no folder. Make it, or name another place with -o", at, fsys.PathDir(at))
		}
	}
	return nil
}

// system is the file system that the verb writes to.
func (a *app) system() vfs.FS {
	if a.fs != nil {
		return a.fs
	}
	return vfs.Default
}

// kitError says which file it was. What is wrong with a kit or a share, or does not go together, is wrong use.
func kitError(verb, file string, err error) error {
	err = fmt.Errorf("couldn't %s %s: %w", verb, shown(file), err)
	switch {
	case errors.Is(err, frame.ErrVersion):
		return ofKind{err, stele.ErrVersion}
	case errors.Is(err, keyring.ErrKit), errors.Is(err, keyring.ErrShare), errors.Is(err, shares.ErrCount), errors.Is(err, shares.ErrApart):
		return ofKind{err, stele.ErrBadName}
	}
	return err
}
