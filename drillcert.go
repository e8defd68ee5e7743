package stele

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Certificate says what a drill did and found. It is signed with the key that signs checkpoints, and its document is named by a drill.run entry, so that a receipt of that entry proves when it was made.
type Certificate struct {
	V       int       `json:"v"` // 1
	Store   string    `json:"store"`
	Target  string    `json:"target"`
	Place   string    `json:"place"` // where the target lies, without secrets
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // how long the drill took
	Full    bool      `json:"full"`    // every byte of the copy was read and hashed; else a sample

	Size   uint64    `json:"size"`            // the past moment: a ledger size, chosen at random
	Moment time.Time `json:"moment,omitzero"` // time of its last entry
	Root   string    `json:"root"`            // root of the copy's tree at that size, the same as in the store

	Head       uint64    `json:"head"` // entries that the copy holds
	HeadTime   time.Time `json:"head_time,omitzero"`
	Checkpoint string    `json:"checkpoint"` // the copy's own signed tree head

	Versions int64 `json:"versions"` // object versions read and hashed to their entry's digest, each counted once
	Bytes    int64 `json:"bytes"`    // of them
	Listed   int64 `json:"listed"`   // keys that the copy listed as of the moment

	RPOSeconds float64  `json:"rpo_seconds"` // age of the oldest change that the copy does not hold; 0: it holds all
	RTOSeconds float64  `json:"rto_seconds"` // from the beginning of the drill to the first object read right
	OpenedBy   string   `json:"opened_by"`   // which key opened the copy: identity (the server's) or recovery
	Problems   []string `json:"problems"`
	OK         bool     `json:"ok"`
}

// certificateTitle is the first line of what is signed: nobody takes a certificate for a checkpoint. Frozen.
const certificateTitle = "stele drill certificate v1\n"

// sign makes the signed note (c2sp.org/signed-note) of a certificate: the title and one line of JSON.
func (c *Certificate) sign(signer note.Signer) ([]byte, error) {
	line, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("couldn't encode the certificate: %w", err)
	}
	return note.Sign(&note.Note{Text: certificateTitle + string(line) + "\n"}, signer)
}

// OpenCertificate checks a certificate's signature against a store's verifier key and returns what it says. ErrCorrupt if it is not what was signed.
func OpenCertificate(signed []byte, vkey string) (*Certificate, error) {
	v, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return nil, fmt.Errorf("%w: the verifier key: %v", ErrWrongKey, err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		var unknown *note.UnverifiedNoteError
		if errors.As(err, &unknown) {
			return nil, fmt.Errorf("%w: the certificate is signed by another key", ErrWrongKey)
		}
		return nil, fmt.Errorf("%w: the certificate: %v", ErrCorrupt, err)
	}
	text, ok := strings.CutPrefix(n.Text, certificateTitle)
	if !ok {
		return nil, fmt.Errorf("%w: this is signed by the store and no drill certificate", ErrCorrupt)
	}
	c := &Certificate{}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%w: the certificate: %v", ErrCorrupt, err)
	}
	if c.V != 1 {
		return nil, fmt.Errorf("%w: certificate version %d", ErrVersion, c.V)
	}
	return c, nil
}

// Page writes the certificate as a page to print, with the signed note below it.
func (c *Certificate) Page(w io.Writer, signed []byte) error {
	var b bytes.Buffer
	if err := page.Execute(&b, struct {
		*Certificate
		Note string
	}{c, string(signed)}); err != nil {
		return fmt.Errorf("couldn't write the certificate's page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

var page = template.Must(template.New("certificate").Funcs(template.FuncMap{
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
