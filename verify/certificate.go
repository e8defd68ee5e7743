package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Certificate says what a restore drill did and found: a store's copy on a target was served from, at a past moment chosen
// at random, and what was read was compared with the ledger. It is signed with the key that signs checkpoints, and a
// drill.run entry names its document, so that a receipt of that entry proves when it was made. Its JSON is frozen: fields
// may be added only with another V.
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
	OpenedBy   string   `json:"opened_by"`   // which key opened the copy: OpenedByIdentity or OpenedByRecovery
	Problems   []string `json:"problems"`
	OK         bool     `json:"ok"`
}

// Which key opened the copy of a drill. Frozen.
const (
	OpenedByIdentity = "identity" // the server's own
	OpenedByRecovery = "recovery" // the one in the recovery kit: what counts on the day when the server is gone
)

// certificateTitle is the first line of what is signed: nobody takes a certificate for a checkpoint. Frozen.
const certificateTitle = "stele drill certificate v1\n"

// Sign makes the signed note (c2sp.org/signed-note) of a certificate: the title and one line of JSON.
func (c *Certificate) Sign(signer note.Signer) ([]byte, error) {
	line, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("couldn't encode the certificate: %w", err)
	}
	return note.Sign(&note.Note{Text: certificateTitle + string(line) + "\n"}, signer)
}

// OpenCertificate checks, offline, that a certificate is what the store whose verifier key is vkey has signed, and returns
// what it says; OK in it says whether the drill passed. ErrFailed: another key signed it, it was changed, or it is no
// certificate. ErrVersion: it is of a version that this code does not know.
func OpenCertificate(signed []byte, vkey string) (*Certificate, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, badKey(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		var unknown *note.UnverifiedNoteError
		if errors.As(err, &unknown) {
			return nil, fmt.Errorf("%w: the certificate is signed by another key", ErrFailed)
		}
		return nil, fmt.Errorf("%w: the certificate: %w", ErrFailed, err)
	}
	text, ok := strings.CutPrefix(n.Text, certificateTitle)
	if !ok {
		return nil, fmt.Errorf("%w: this is signed by the store and no drill certificate", ErrFailed)
	}
	// The version first: the fields of another one are not known here.
	var version struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal([]byte(text), &version); err != nil {
		return nil, fmt.Errorf("%w: the certificate: %w", ErrFailed, err)
	}
	if version.V != 1 {
		return nil, fmt.Errorf("%w: certificate version %d", ErrVersion, version.V)
	}
	c := &Certificate{}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%w: the certificate: %w", ErrFailed, err)
	}
	return c, nil
}
