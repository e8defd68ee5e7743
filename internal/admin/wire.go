package admin

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
)

// The forms in which values with fixed-size byte arrays travel: hex instead of lists of numbers.

type wireBody struct {
	Kind   entry.BodyKind
	MD5    string `json:",omitempty"`
	Ref    string `json:",omitempty"`
	SHA256 string `json:",omitempty"`
	Size   int64
}

type wireVersion struct {
	stele.Version
	Body *wireBody `json:",omitempty"` // in place of Version.Body
}

func versionToWire(v stele.Version) wireVersion {
	w := wireVersion{Version: v}
	if b := v.Body; b.Kind != "" {
		w.Body = &wireBody{Kind: b.Kind, MD5: hex.EncodeToString(b.MD5[:]), Ref: hex.EncodeToString(b.Ref[:]), SHA256: b.SHA256.String(), Size: b.Size}
	}
	return w
}

func (w wireVersion) version() stele.Version {
	v := w.Version
	if b := w.Body; b != nil {
		v.Body = entry.Body{Kind: b.Kind, Size: b.Size}
		hex.Decode(v.Body.MD5[:], []byte(b.MD5)) // a wrong digit leaves zeros: the bytes are authenticated by the store, not by this
		hex.Decode(v.Body.Ref[:], []byte(b.Ref))
		hex.Decode(v.Body.SHA256[:], []byte(b.SHA256))
	}
	return v
}

type wirePage struct {
	stele.Page
	Versions []wireVersion
}

func pageToWire(p stele.Page) wirePage {
	w := wirePage{Page: p, Versions: make([]wireVersion, len(p.Versions))}
	for i := range p.Versions {
		w.Versions[i] = versionToWire(p.Versions[i])
	}
	return w
}

func (w wirePage) page() stele.Page {
	p := w.Page
	p.Versions = make([]stele.Version, len(w.Versions))
	for i := range w.Versions {
		p.Versions[i] = w.Versions[i].version()
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

// lineEncoder writes lines whose private parts stay canonical: no character is escaped that package entry does not escape.
func lineEncoder(w io.Writer) *json.Encoder {
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

// Arguments of calls that have more than one.

type putArgs struct {
	Bucket, Key string
	Size        int64
	Headers     map[string]string `json:",omitempty"`
	Meta        map[string]string `json:",omitempty"`
	Tags        map[string]string `json:",omitempty"`
	Lock        *entry.Lock       `json:",omitempty"`
	If          stele.Conditions
}

type bodyArgs struct {
	Entry  uint64
	Off, N int64
}

type nameArgs struct {
	Bucket, Key string `json:",omitempty"`
	At          stele.View
}

type bucketArgs struct {
	Bucket     string
	ObjectLock bool             `json:",omitempty"`
	Versioning stele.Versioning `json:",omitempty"`
	Default    stele.Retention
}

type pinArgs struct {
	Name string
	At   stele.View
}

type keyArgs struct {
	ID, Role string   `json:",omitempty"`
	Scope    []string `json:",omitempty"`
	Rate     int      `json:",omitempty"`
}

type anewArgs struct {
	Spec stele.TargetSpec
	Kit  []byte
}

type removeArgs struct {
	Name string
	Kit  []byte `json:",omitempty"`
}

type parsedBucket struct {
	Name string
	At   stele.View
}

type verifyArgs struct{ Deep, Heal bool }

// verifyLine is progress, a problem or, last, the report.
type verifyLine struct {
	Done, Total int64         `json:",omitempty"`
	Problem     *fsck.Problem `json:",omitempty"`
	Report      *wireReport   `json:",omitempty"`
}

type wireReport struct {
	fsck.Report
	Root string // in place of Report.Root
}

type proof struct {
	Receipt []byte
	Version wireVersion
}

type hello struct {
	Protocol        int
	ID, VKey, Store string
}

const protocol = 1
