package main

import (
	"bytes"
	"strings"
	"testing"

	"stele/verify"
)

// TestDrillPage: the page says what the certificate says, with the signed note below it, and nothing in it is taken for HTML.
func TestDrillPage(t *testing.T) {
	for ok, says := range map[bool]string{true: "Passed.", false: "Failed."} {
		var page bytes.Buffer
		c := &verify.Certificate{V: 1, Target: "<nas>", Root: "the root", OpenedBy: verify.OpenedByRecovery, OK: ok}
		if err := drillPage(&page, c, []byte("the note")); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{says, "&lt;nas&gt;", c.Root, "the recovery key", "<pre>the note</pre>"} {
			if !strings.Contains(page.String(), want) {
				t.Errorf("%q is not in %s", want, page.String())
			}
		}
	}
}
