package main

import (
	"errors"
	"fmt"

	"stele/verify"
)

var successionVerb = verb{
	name: "succession", args: "RECEIPT… --vkey KEY", least: 1, most: -1, run: succession,
	help:    "Go from a pinned key to that of the newest epoch: RECEIPTs are those of the epoch.begin entries since, in order. Prints the key to pin from now on.",
	example: "stele-verify succession epoch-2.receipt epoch-3.receipt --vkey store.vkey > store.vkey.3",
}

func succession(a *app, args []string) error {
	receipts := make([][]byte, len(args))
	for i, name := range args {
		var err error
		if receipts[i], err = a.read(name); err != nil {
			return err
		}
	}
	steps, err := verify.Successors(a.vkey, receipts...)
	if errors.Is(err, verify.ErrFailed) {
		return hinted{err, "pin no new key: ask for the receipts of all epochs since the pinned one, in order, made in the newest epoch"}
	}
	if err != nil {
		return err
	}
	last := steps[len(steps)-1]
	if !a.json {
		fmt.Fprintln(a.stdout, last.VKey)
		return nil
	}
	epochs := make([]map[string]any, len(steps))
	for i, s := range steps {
		epochs[i] = map[string]any{"epoch": s.Epoch, "vkey": s.VKey, "cut": s.Cut, "root": s.Root.String()}
	}
	return a.document(map[string]any{"v": 1, "ok": true, "vkey": last.VKey, "epochs": epochs})
}
