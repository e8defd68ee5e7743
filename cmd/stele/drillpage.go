package main

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"time"

	"stele/verify"
)

// drillPage writes a certificate as a page to print, with the signed note below it.
func drillPage(w io.Writer, c *verify.Certificate, signed []byte) error {
	var b bytes.Buffer
	if err := certificatePage.Execute(&b, struct {
		*verify.Certificate
		Note string
	}{c, string(signed)}); err != nil {
		return fmt.Errorf("couldn't write the certificate's page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

var certificatePage = template.Must(template.New("certificate").Funcs(template.FuncMap{
	"utc": func(t time.Time) string {
		if t.IsZero() {
			return "none: the drill did not get so far"
		}
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	},
	"sec": func(s float64) string { return fmt.Sprintf("%.2f s", s) },
}).Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Restore drill of {{.Target}}, {{utc .Started}}</title>
<style>
body{font:15px/1.5 Georgia,serif;max-width:46em;margin:3em auto;padding:0 1em;color:#111}
h1{font-size:1.5em;margin-bottom:0}table{border-collapse:collapse;width:100%;margin:1.5em 0}
th{text-align:left;font-weight:normal;color:#555;width:17em;vertical-align:top}th,td{border-bottom:1px solid #ddd;padding:.35em .6em .35em 0}
.ok{color:#060}.bad{color:#a00}pre{font-size:11px;white-space:pre-wrap;word-break:break-all;background:#f6f6f4;padding:1em}
@media print{body{margin:0}}
</style>
<h1>Restore drill</h1>
<p>{{if .OK}}<strong class="ok">Passed.</strong> The copy on <strong>{{.Target}}</strong> was opened, read and compared with the ledger.{{else}}<strong class="bad">Failed.</strong> The copy on <strong>{{.Target}}</strong> is not what it should be.{{end}}</p>
<table>
<tr><th>store</th><td>{{.Store}}</td></tr>
<tr><th>target</th><td>{{.Target}}, {{.Place}}</td></tr>
<tr><th>done</th><td>{{utc .Started}}, in {{sec .Seconds}}</td></tr>
<tr><th>past moment, chosen at random</th><td>{{utc .Moment}}, ledger size {{.Size}}</td></tr>
<tr><th>read and hashed</th><td>{{.Versions}} object versions, {{.Bytes}} bytes{{if .Full}}; and every byte of the copy{{else}}, a sample{{end}}</td></tr>
<tr><th>keys listed as of then</th><td>{{.Listed}}</td></tr>
<tr><th>the copy holds</th><td>{{.Head}} entries{{if .Head}}, the newest of {{utc .HeadTime}}{{end}}</td></tr>
<tr><th>what would be lost (RPO)</th><td>{{sec .RPOSeconds}}</td></tr>
<tr><th>until the first object was read (RTO)</th><td>{{sec .RTOSeconds}}</td></tr>
<tr><th>opened by</th><td>{{if eq .OpenedBy "recovery"}}the recovery key{{else}}the server's identity{{end}}</td></tr>
<tr><th>root of the ledger then</th><td>{{.Root}}</td></tr>
</table>
{{range .Problems}}<p class="bad">{{.}}</p>{{end}}
<p>Signed by the store. To check it: <code>stele drill check FILE --vkey KEY</code>, with the store's verifier key from elsewhere than this page.</p>
<pre>{{.Note}}</pre>
</html>
`))
