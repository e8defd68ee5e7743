package rpc

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
	"stele/tree"
)

// Values with fixed-size byte arrays travel in forms of their own: hex instead of lists of numbers. VersionOf, PageOf, ReportOf, StateOf and LineOf make them, Decode undoes that.

// Body is an entry.Body as it travels.
type Body struct {
	Kind   entry.BodyKind
	MD5    string `json:",omitempty"`
	Ref    string `json:",omitempty"`
	SHA256 string `json:",omitempty"`
	Size   int64
}

// Version is a stele.Version as it travels.
type Version struct {
	stele.Version
	Body *Body `json:",omitempty"` // in place of Version.Body
}

// VersionOf makes the form of a version.
func VersionOf(v stele.Version) Version {
	w := Version{Version: v}
	if b := v.Body; b.Kind != "" {
		w.Body = &Body{Kind: b.Kind, MD5: hex.EncodeToString(b.MD5[:]), Ref: hex.EncodeToString(b.Ref[:]), SHA256: b.SHA256.String(), Size: b.Size}
	}
	return w
}

// Decode undoes VersionOf.
func (w Version) Decode() stele.Version {
	v := w.Version
	if b := w.Body; b != nil {
		v.Body = entry.Body{Kind: b.Kind, Size: b.Size}
		hex.Decode(v.Body.MD5[:], []byte(b.MD5)) // a wrong digit leaves zeros: the bytes are authenticated by the store, not by this
		hex.Decode(v.Body.Ref[:], []byte(b.Ref))
		hex.Decode(v.Body.SHA256[:], []byte(b.SHA256))
	}
	return v
}

// Page is a stele.Page as it travels.
type Page struct {
	stele.Page
	Versions []Version
}

// PageOf makes the form of a page.
func PageOf(p stele.Page) Page {
	w := Page{Page: p, Versions: make([]Version, len(p.Versions))}
	for i := range p.Versions {
		w.Versions[i] = VersionOf(p.Versions[i])
	}
	return w
}

// Decode undoes PageOf.
func (w Page) Decode() stele.Page {
	p := w.Page
	p.Versions = make([]stele.Version, len(w.Versions))
	for i := range w.Versions {
		p.Versions[i] = w.Versions[i].Decode()
	}
	return p
}

// EntryLine is an entry as a line of JSON: what `log --json` prints and what the wire carries.
type EntryLine struct {
	V       int             `json:"v"`
	Entry   uint64          `json:"entry"`
	Time    string          `json:"time"`
	Type    entry.Type      `json:"type"`
	Salt    string          `json:"salt,omitempty"`
	Private json.RawMessage `json:"private,omitempty"` // canonical, as package entry writes it, without the secret of an access key
}

// NewLineEncoder returns an encoder of lines whose private parts stay canonical: no character is escaped that package entry does not escape.
func NewLineEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// LineOf makes the line of an entry.
func LineOf(e *entry.Entry) EntryLine {
	return EntryLine{V: 1, Entry: e.Index, Time: string(entry.AppendTime(nil, e.Time)), Type: e.Type, Salt: hex.EncodeToString(e.Salt[:]), Private: entry.AppendPrivate(nil, &e.Private)}
}

// Decode undoes LineOf.
func (l EntryLine) Decode() (*entry.Entry, error) {
	e := &entry.Entry{Index: l.Entry, Type: l.Type}
	var err error
	if e.Time, err = time.Parse(time.RFC3339Nano, l.Time); err != nil {
		return nil, fmt.Errorf("%w: entry %d: %v", ErrProtocol, l.Entry, err)
	}
	if _, err := hex.Decode(e.Salt[:], []byte(l.Salt)); err != nil {
		return nil, fmt.Errorf("%w: entry %d: %v", ErrProtocol, l.Entry, err)
	}
	if len(l.Private) > 0 {
		if e.Private, err = entry.ParsePrivate(l.Private); err != nil {
			return nil, fmt.Errorf("%w: entry %d: %v", ErrProtocol, l.Entry, err)
		}
	}
	return e, nil
}

// Report is an fsck.Report as it travels.
type Report struct {
	fsck.Report
	Root string // in place of Report.Root
}

// ReportOf makes the form of a report.
func ReportOf(r fsck.Report) *Report { return &Report{r, r.Root.String()} }

// Decode undoes ReportOf.
func (w Report) Decode() fsck.Report {
	r := w.Report
	hex.Decode(r.Root[:], []byte(w.Root)) // a wrong digit leaves zeros, as in Version
	return r
}

// State is a stele.ReplicaState as it travels.
type State struct {
	stele.ReplicaState
	Proof []string `json:"proof"` // in place of ReplicaState.Proof
}

// StateOf makes the form of a replica's state.
func StateOf(st stele.ReplicaState) State {
	w := State{st, make([]string, len(st.Proof))}
	for i, h := range st.Proof {
		w.Proof[i] = hex.EncodeToString(h[:])
	}
	return w
}

// Decode undoes StateOf.
func (w State) Decode() (stele.ReplicaState, error) {
	st := w.ReplicaState
	st.Proof = make([]tree.Hash, len(w.Proof))
	for i, text := range w.Proof {
		if b, err := hex.DecodeString(text); err != nil || copy(st.Proof[i][:], b) != len(b) || len(b) != len(tree.Hash{}) {
			return st, fmt.Errorf("%w: a proof of other than hashes", ErrProtocol)
		}
	}
	return st, nil
}
