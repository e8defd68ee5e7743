package stele

import (
	"io"
	"time"

	"stele/entry"
	"stele/internal/core"
)

// Actor is who asks for a change; it goes into the entry's private part.
type Actor struct {
	Key         string // access key id, proven; "root", "local:USER" (the command line), "stele" (the store itself)
	Claimed     string // access key id that a request named and did not prove. It acts for nobody: only the sum of refusals names it, as claimed
	Address     string // client IP, without port; of the command line "uid N"
	Request     string // request id
	NoOverwrite bool   // role append: a put onto a live key, or one that would hide a version, or a change of another key's upload, is refused at the commit
	Bypass      bool   // may and does bypass GOVERNANCE retention
	EndHold     bool   // may end a legal hold

	local bool // the command line on this machine: only Local and LocalUser say so, since Key is a name that an access key might have too
}

// Version is one version of an object, or a delete marker, as S3 shows it.
type Version struct {
	Bucket, Key string
	ID          string    // version id: "null", or epoch and entry in hex
	Entry       uint64    // the entry that wrote it
	Inc         uint64    // the bucket's incarnation
	Time        time.Time // entry time
	Marker      bool
	Latest      bool // as of the call
	Null        bool
	Size        int64
	ETag        string            // without quotes
	Headers     map[string]string // content-type, cache-control, …; lower-case names; in a listing x-amz-storage-class only
	Meta        map[string]string // user metadata; lower-case names without x-amz-meta-
	Tags        map[string]string
	Lock        entry.Lock
	HoldOff     bool // a legal hold was set to OFF, and not only never set; filled by Head
	Checksum    *entry.Checksum
	Body        entry.Body // the digests are filled by Put, Copy, Multipart.Complete, Describe and Prove; a listing fills nothing of it
	Parts       int        // parts of a multipart object, else 0
}

// Conditions are decided by the sequencer, in commit order. Values as in the HTTP headers: a list of ETags or "*"; empty: none.
type Conditions struct {
	Match     string // If-Match
	NoneMatch string // If-None-Match
	// delete only (x-amz-if-match-last-modified-time, x-amz-if-match-size); nil: none
	ModifiedTime *time.Time
	Size         *int64
	// delete only: the version must be the one that this entry wrote. An ETag does not tell a version from a newer one with the same bytes, and the
	// id "null" stands for one version after the other. 0: none
	Entry uint64
	// delete only: another version must be newer, so that what came back into view is not hidden in place of what lay behind
	Noncurrent bool
}

// PutRequest writes one object.
type PutRequest struct {
	By      Actor
	Bucket  string
	Key     string
	Body    io.Reader
	Size    int64 // declared length; -1: not known
	Headers map[string]string
	Meta    map[string]string
	Tags    map[string]string
	Lock    *entry.Lock // explicit lock; nil: the bucket's default retention applies
	If      Conditions
	Tee     []io.Writer // further digests to feed while the body streams
	// Finish is called after the last byte and before the commit, with what arrived (Size, SHA256, MD5). It refuses by an error
	// (wrong Content-MD5, wrong checksum) and returns the S3 checksum to keep with the object, or nil. May be nil.
	Finish func(arrived entry.Body) (*entry.Checksum, error)
}

// View is the store as of a ledger size; the zero View is now.
type View struct{ Size uint64 }

// Now reports whether the view is the present.
func (v View) Now() bool { return v.Size == 0 }

// Place names an object, or a version of it, in a view.
type Place struct {
	Bucket, Key string
	VersionID   string // empty: the current version
	At          View

	// As has a change of tags or of a lock carried out only while the place names this version, with these tags: who may change it was judged by them. ErrBusy: it names
	// another one by now. nil: whatever it names.
	As *Version `json:"-"`
}

// ListRequest asks for a page of a listing.
type ListRequest struct {
	Bucket    string
	Prefix    string
	Delimiter string
	After     string // list strictly after this key or common prefix (V1 marker, V2 start-after and token)
	AfterID   string // ListVersions: with After, list strictly after this version of that key
	Max       int    // at most this many keys and prefixes together; 0 lists none
	At        View
}

// Page is a page of a listing: Versions and Prefixes each in ascending order (versions of a key newest first).
type Page struct {
	Versions  []Version
	Prefixes  []string
	Truncated bool
	Next      string // the After of the next page
	NextID    string // ListVersions: the AfterID of the next page; it need not be the id of a version
}

// Versioning is a bucket's state.
type Versioning string

const (
	Unversioned Versioning = ""          // never enabled: a write replaces the object in the present view
	Enabled     Versioning = "Enabled"   // each write makes a version of its own
	Suspended   Versioning = "Suspended" // it was enabled: a write replaces the version null, the others stay
)

// Retention is a default retention rule of a bucket: Mode and exactly one of Days (1 to 36,500) and Years (1 to 100); the zero value is none.
type Retention struct {
	Mode  string `json:"mode,omitempty"`
	Days  int    `json:"days,omitempty"`
	Years int    `json:"years,omitempty"`
}

// Bucket is one incarnation of a bucket name.
type Bucket struct {
	Name       string
	Inc        uint64
	Created    time.Time
	Owner      string // access key id that made it
	Deleted    bool
	Versioning Versioning
	ObjectLock bool
	Default    Retention
	Settings   map[Setting]string // documents as they were set: XML or JSON text
	Objects    int64              // current objects, of now in every view
	Bytes      int64              // their bytes
}

// Setting names a document kept with a bucket.
type Setting string

const (
	SettingPolicy    Setting = "policy"              // bucket policy, JSON
	SettingCORS      Setting = "cors"                // XML, as the following
	SettingLifecycle Setting = "lifecycle"           // rules that hide: internal/lifecycle
	SettingTagging   Setting = "tagging"             // the tags of the bucket
	SettingOwnership Setting = "ownership"           // object ownership
	SettingPublic    Setting = "public-access-block" // what no policy may open to the public
	SettingEncrypt   Setting = "encryption"          // default encryption: kept for clients that ask; the store encrypts all there is
	SettingACL       Setting = "acl"                 // access control list
)

var settings = []Setting{SettingPolicy, SettingCORS, SettingLifecycle, SettingTagging, SettingOwnership, SettingPublic, SettingEncrypt, SettingACL}

// Upload is an open multipart upload.
type Upload struct {
	Bucket, Key, ID string
	Entry           uint64
	Started         time.Time
	By              string
	Headers         map[string]string
	Meta            map[string]string
	Tags            map[string]string
	Lock            *entry.Lock
	Checksum        *entry.Checksum // Algorithm and Kind asked for at the start; nil: none
}

// Part is an uploaded part.
type Part struct {
	Number   int
	ETag     string
	Size     int64
	Time     time.Time
	Checksum *entry.Checksum
	Body     entry.Body
}

// Change is one event in the history of a key, newest first.
type Change struct {
	Entry   uint64
	Time    time.Time
	Type    entry.Type
	Actor   string
	Address string
	Request string
	Version string // the version it made or concerns
	Marker  bool
	Hidden  bool // the version it made is hidden now
	Size    int64
	SHA256  string
	ETag    string
	Detail  string // what changed, in words, for retention, hold, tags
	Reason  string // as it was given; empty: none was
}

// Committed says where a change stands in the ledger.
type Committed = core.Committed
