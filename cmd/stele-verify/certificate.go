package main

import (
	"fmt"

	"stele/verify"
)

var certificateVerb = verb{
	name: "certificate", args: "FILE --vkey KEY", least: 1, most: 1, run: certificate,
	help:    "Check the certificate of a restore drill, as `stele drill -o FILE` wrote it, and print what it says.",
	example: "stele-verify certificate nas.certificate --vkey store.vkey",
}

func certificate(a *app, args []string) error {
	signed, err := a.read(args[0])
	if err != nil {
		return err
	}
	c, err := verify.OpenCertificate(signed, a.vkey)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.document(c); err != nil {
			return err
		}
		return c.Err()
	}
	for _, f := range c.Facts() {
		fmt.Fprintf(a.stdout, "%-11s %s\n", f[0], f[1])
	}
	return c.Err()
}
