package main

import (
	"errors"
	"fmt"

	"stele/verify"
)

var receiptVerb = verb{
	name: "receipt", args: "RECEIPT FILE --vkey KEY", least: 2, most: 2, run: receipt,
	help:    "Check that FILE holds exactly the bytes whose put RECEIPT proves, as `stele prove` wrote it.",
	example: "stele-verify receipt cat.receipt cat.jpg --vkey store.vkey",
}

func receipt(a *app, args []string) error {
	if args[0] == "-" && args[1] == "-" {
		return usage{errors.New("standard input can be the receipt or the file, not both")}
	}
	proof, err := a.read(args[0])
	if err != nil {
		return err
	}
	file, err := a.open(args[1])
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := verify.Receipt(proof, a.vkey, file)
	if errors.Is(err, verify.ErrFailed) {
		return hinted{err, "a receipt is of the bytes of one version: this is another file or version, or one of the two was changed"}
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.document(r.Document())
	}
	for _, l := range r.Lines(args[1]) {
		fmt.Fprintln(a.stdout, l)
	}
	return nil
}
