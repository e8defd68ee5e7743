package index

import (
	"encoding/json"
	"fmt"
	"time"

	"stele/entry"
)

// Rows that are few and change seldom are JSON.

// Setting is a bucket's or the store's setting: its text, or the document that holds it.
type Setting struct {
	Value  string      `json:"value,omitempty"`
	Doc    *entry.Body `json:"doc,omitempty"`
	Sealed string      `json:"sealed,omitempty"` // a target's secret key, as its entry has it
}

// Bucket is the state of one incarnation.
type Bucket struct {
	Name       string             `json:"name"`
	Inc        uint64             `json:"inc"`
	Created    time.Time          `json:"created"`
	Owner      string             `json:"owner,omitempty"`
	Deleted    bool               `json:"deleted,omitempty"`
	Versioning string             `json:"versioning,omitempty"` // "", Enabled, Suspended
	ObjectLock bool               `json:"lock,omitempty"`
	Settings   map[string]Setting `json:"settings,omitempty"`
}

// Totals are the counters of an incarnation.
type Totals struct {
	Objects     int64 // current versions
	Bytes       int64 // their bytes
	Versions    int64 // versions ever put
	PutBytes    int64 // their bytes
	HiddenBytes int64 // bytes of versions that were hidden
}

func (t *Totals) add(d Totals) {
	t.Objects += d.Objects
	t.Bytes += d.Bytes
	t.Versions += d.Versions
	t.PutBytes += d.PutBytes
	t.HiddenBytes += d.HiddenBytes
}

// Upload is an open upload.
type Upload struct {
	Key      string            `json:"-"`
	ID       string            `json:"-"`
	Entry    uint64            `json:"e"`
	Started  time.Time         `json:"t"`
	By       string            `json:"by,omitempty"`
	Headers  map[string]string `json:"h,omitempty"`
	Meta     map[string]string `json:"m,omitempty"`
	Tags     map[string]string `json:"g,omitempty"`
	Lock     *entry.Lock       `json:"l,omitempty"`
	Checksum *entry.Checksum   `json:"c,omitempty"`
}

// Part is a part of an open upload.
type Part struct {
	Number   int
	Entry    uint64
	Time     time.Time
	ETag     string
	Body     entry.Body
	Checksum *entry.Checksum
}

// Access is an access key. Its Secret is set only where the entry is from before secrets were sealed.
type Access struct {
	entry.AccessKey
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"by,omitempty"`
	Revoked   bool      `json:"revoked,omitempty"`
	Sealed    string    `json:"sealed,omitempty"` // its secret, as its entry has it
}

// Pin is a pinned view.
type Pin struct {
	Name    string    `json:"name"`
	Size    uint64    `json:"size"`
	Created time.Time `json:"created"`
}

func appendJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("index: a row that cannot be encoded: " + err.Error())
	}
	return b
}

func parseJSON[T any](b []byte) (v T, err error) {
	if err = json.Unmarshal(b, &v); err != nil {
		err = fmt.Errorf("%w: %v", errRow, err)
	}
	return v, err
}
