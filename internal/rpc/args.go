package rpc

import (
	"time"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
)

// None is the argument of a call that takes none. It travels as null, and whatever comes in its place is ignored.
type None struct{}

// MarshalJSON implements json.Marshaler.
func (None) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (*None) UnmarshalJSON([]byte) error { return nil }

// Done is the result of a call that returns nothing but whether it succeeded.
type Done struct{}

// Greeting is what a server says of itself.
type Greeting struct {
	Protocol int
	ID       string // of the store
	VKey     string // the store's verifier key
	Store    string // the data folder, as the server names it
}

// PutArgs are a stele.PutRequest without its body.
type PutArgs struct {
	Bucket, Key string
	Size        int64             // bytes
	Headers     map[string]string `json:",omitempty"`
	Meta        map[string]string `json:",omitempty"`
	Tags        map[string]string `json:",omitempty"`
	Lock        *entry.Lock       `json:",omitempty"`
	If          stele.Conditions
}

// BodyArgs are a piece of the object that an entry wrote, in bytes.
type BodyArgs struct {
	Entry  uint64
	Off, N int64
}

// NameArgs name a bucket, a key or neither, in a view.
type NameArgs struct {
	Bucket, Key string `json:",omitempty"`
	At          stele.View
}

// ChangePage is a page of the history of a key.
type ChangePage struct {
	Changes []stele.Change
	More    bool `json:",omitempty"`
}

// BucketArgs are a bucket and what to set of it.
type BucketArgs struct {
	Bucket     string
	ObjectLock bool             `json:",omitempty"`
	Versioning stele.Versioning `json:",omitempty"`
	Default    stele.Retention
}

// ParsedBucket is what the name of a bucket means.
type ParsedBucket struct {
	Name string
	At   stele.View
}

// PinArgs are a view and the name to give it.
type PinArgs struct {
	Name string
	At   stele.View
}

// KeyArgs are a new key's rights (CreateKey), or a key's ID (RevokeKey).
type KeyArgs struct {
	ID, Role string   `json:",omitempty"`
	Scope    []string `json:",omitempty"`
	Rate     int      `json:",omitempty"` // requests a second
}

// SharesArgs are a recovery kit that was split, and by what each of its shares is known again.
type SharesArgs struct {
	Of        stele.ShareOf
	Verifiers []string
}

// ShareArgs are a share that was read back, and the proof of it.
type ShareArgs struct {
	Of    stele.ShareOf
	Index int
	Proof string
}

// AnewArgs are a target that begins anew, and the text of the recovery kit.
type AnewArgs struct {
	Spec stele.TargetSpec
	Kit  []byte
}

// RemoveArgs are a target and, to remove it at once, the text of the recovery kit.
type RemoveArgs struct {
	Name string
	Kit  []byte `json:",omitempty"`
}

// VerifyArgs are what of stele.VerifyOptions travels.
type VerifyArgs struct{ Deep, Heal bool }

// VerifyLine is progress, a problem or, last, the report.
type VerifyLine struct {
	Done, Total int64         `json:",omitempty"` // bytes
	Problem     *fsck.Problem `json:",omitempty"`
	Report      *Report       `json:",omitempty"`
}

// PartArgs are what of stele.PartRestore travels. Whether it is a dry run, the call's name says.
type PartArgs struct {
	Bucket, Key, To, Reason string `json:",omitempty"`
	At                      stele.View
	HideNewer               bool `json:",omitempty"`
}

// PartLine is a change, progress or, last, the report.
type PartLine struct {
	Change *stele.PartChange `json:",omitempty"`
	Done   *stele.Tally      `json:",omitempty"`
	Report *stele.PartReport `json:",omitempty"`
}

// Proven is a receipt, and the version that it proves.
type Proven struct {
	Receipt []byte
	Version Version
}

// LearnArgs are the entry by which a later epoch began.
type LearnArgs struct {
	Entry uint64            `json:"entry"`
	Data  map[string]string `json:"data"`
}

// FollowState is where a running standby stands.
type FollowState struct {
	From         string    `json:"from"`
	Keyless      bool      `json:"keyless"`
	Epoch        uint32    `json:"epoch"`
	Accepted     uint64    `json:"accepted"` // entries accepted
	Primary      uint64    `json:"primary"`  // entries that the primary had when it was last heard
	LastAccepted time.Time `json:"last_accepted"`
	LastContact  time.Time `json:"last_contact"`
	Frozen       bool      `json:"frozen"`
	Err          string    `json:"error,omitempty"`
	Witness      string    `json:"witness,omitempty"` // the verifier key with which it cosigns
}
