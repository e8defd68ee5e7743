package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"stele"
	"stele/internal/keyring"
)

type kitCmd struct {
	Show    kitShowCmd    `cmd:"" default:"1" help:"Say where the kit was written and whether it was confirmed."`
	Confirm kitConfirmCmd `cmd:"" help:"Read a kit back and note in the ledger that someone holds it."`
	Split   kitSplitCmd   `cmd:"" help:"Split a kit into shares, of which enough make it again."`
	Combine kitCombineCmd `cmd:"" help:"Make the kit again of enough shares."`
	Check   kitCheckCmd   `cmd:"" help:"Prove a share, or a kit, by itself; the store that is at hand notes that a share was read back."`
}

type kitShowCmd struct{}

func (kitShowCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	at, err := s.Keys().KitConfirmed()
	if err != nil {
		return err
	}
	sets, err := s.Keys().ShareSets()
	if err != nil {
		return err
	}
	path, there := a.kitBeside(s.ID())
	if a.cli.JSON {
		doc := map[string]any{"v": 1, "store": s.ID(), "path": path, "there": there, "confirmed": nil, "shares": shareSetDocs(sets)}
		if !at.IsZero() {
			doc["confirmed"] = moment(at)
		}
		return a.document(doc)
	}
	a.say("store      %s", s.ID())
	switch {
	case a.cli.Server != "": // the folder beside which it would lie is on another machine
	case there:
		a.say("kit        %s, where it was made", path)
	default:
		a.say("kit        not beside the store: it was moved, which is right, or lost")
	}
	if at.IsZero() {
		a.say("confirmed  never. Read it back from where it is kept: stele kit confirm FILE")
	} else {
		a.say("confirmed  %s", moment(at))
	}
	for i := range sets {
		a.say("shares     %s", sharesState(&sets[i]))
	}
	return nil
}

// kitBeside looks for the kit of a store where it is made unless another place is named: beside the data folder.
func (a *app) kitBeside(id string) (path string, there bool) { return a.kitBesideOf(a.data(), id) }

func (a *app) kitBesideOf(data, id string) (path string, there bool) {
	path = stele.Options{}.KitPath(data)
	names, err := filepath.Glob(strings.TrimSuffix(path, ".txt") + "*.txt") // further stores' kits have numbers
	if err != nil {
		return path, false
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if kit, err := keyring.ParseKit(text); err == nil && hex.EncodeToString(kit.StoreID[:]) == id {
			return name, true
		}
	}
	return path, false
}

type kitConfirmCmd struct {
	File string `arg:"" help:"The kit, read from where it is kept; - is standard input."`
}

func (c *kitConfirmCmd) Run(ctx context.Context, a *app) error {
	text, err := a.readKit(c.File)
	if err != nil {
		return err
	}
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Keys().ConfirmKit(ctx, local, text); err != nil {
		return fmt.Errorf("couldn't confirm the kit %s: %w", c.File, err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "confirmed": true, "store": s.ID()})
	}
	a.say("the kit opens store %s; the ledger notes that someone holds it", s.ID())
	return nil
}

// maxKit is far above the length of a kit or a share, in bytes.
const maxKit = 64 << 10

func (a *app) readKit(name string) ([]byte, error) {
	in, err := a.input(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxKit))
	return text, sourceError(err)
}
