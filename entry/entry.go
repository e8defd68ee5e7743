// Package entry defines one ledger entry: its types, its canonical encoding, its leaf, and the commitment that ties
// the private part to the leaf. It does no I/O and trusts nobody: Parse functions take hostile bytes, and what they accept encodes to the same bytes again.
//
// An entry has a public part, the leaf, and a private part. The leaf is what the Merkle tree holds:
//
//	{"c":"<64 hex>","i":12,"t":"2026-11-22T16:03:12.123456Z","type":"object.put"}
//
// c is SHA-256(salt ‖ private part). The private part holds everything that can identify: bucket, key, actor,
// address, digests, metadata. Both are JSON in one fixed profile (RFC 8785 output for our value space): ASCII keys in
// ascending order, no white space, strings, booleans, integers below 2^53, UTC times with six decimals, lowercase hex;
// a field with its zero value is left out. Nobody re-canonicalizes in order to verify: hashes are over the stored bytes.
package entry

import "time"

// Type says what an entry records. Types are part of the format: frozen.
type Type string

const (
	StoreInit  Type = "store.init"  // the first entry: store id, origin, signer (Data)
	EpochBegin Type = "epoch.begin" // a new reign: parent checkpoint, reason (Data)

	ObjectPut       Type = "object.put"       // a new version of a key; Upload set: it completes that upload; Target set: it puts back the version of that entry
	ObjectHide      Type = "object.hide"      // Marker: adds a delete marker; else hides version Target (0: the current one of an unversioned bucket)
	ObjectRetention Type = "object.retention" // Lock.Mode, Lock.Until of version Target are now these
	ObjectHold      Type = "object.hold"      // Lock.Hold of version Target is now this
	ObjectTags      Type = "object.tags"      // Tags of version Target are now these

	BucketCreate Type = "bucket.create" // begins an incarnation, numbered by this entry's index; Target set: to put back what was at that size
	BucketDelete Type = "bucket.delete" // ends incarnation Inc
	BucketConfig Type = "bucket.config" // setting Name of the bucket is now Value or Doc; neither: removed

	KeyCreate Type = "key.create" // an access key
	KeyRevoke Type = "key.revoke" // access key Access.ID ends

	UploadCreate Type = "upload.create" // carries what the object will have: headers, meta, tags, lock
	UploadPart   Type = "upload.part"   // part number Part of upload Upload is now this body
	UploadAbort  Type = "upload.abort"  // upload Upload ends without an object

	PackSeal  Type = "pack.seal"  // a sealed pack: name, size, SHA-256 of its ciphertext
	ViewPin   Type = "view.pin"   // the view of size Target is called Name
	ViewUnpin Type = "view.unpin" // and no longer is
	ConfigSet Type = "config.set" // store-wide setting Name is now Value
	VerifyRun Type = "verify.run" // a verification of the store and its outcome (Data)
	TimeDrift Type = "time.drift" // the wall clock and the ledger clock part or meet again (Data)

	BackupTarget Type = "backup.target" // target Name is now Value (its URL and settings); Value empty: removed
	BackupIndex  Type = "backup.index"  // a snapshot of the index at size Target; Doc lists its files
	BackupHeld   Type = "backup.held"   // target Name has held Target entries: an empty place of that name is not begun anew without a person's word
	BackupLost   Type = "backup.lost"   // target Name lacks files that were shipped to it, and holds Target entries (Data: files, first); Reason: it was given up
	DrillRun     Type = "drill.run"     // a drill of target Name and its certificate (Doc)
	VerifyScrub  Type = "verify.scrub"  // a round, or a part, of the rolling scrub (Data)
	Heal         Type = "heal"          // a damaged file or chunk was replaced by a proven copy (Name: file; Data: from where, what was wrong)
	// VerifyDamage: file Name is damaged and could not be healed (Value "damaged", Reason: what is wrong, Data: who met it), or was proven to be as it was written (Value empty). A heal entry says the latter too.
	VerifyDamage Type = "verify.damage"
	StandbyAdmit Type = "standby.admit" // standby Name with age recipient Value is admitted; Value empty: removed

	DeniedLock Type = "denied.lock" // an authenticated request that retention refused
	DeniedSum  Type = "denied.sum"  // one minute's other refusals, counted by kind (Data)
)

// Types are all of these (TestTypesAreAll), in the order in which they came into the format.
var Types = []Type{
	StoreInit, EpochBegin,
	ObjectPut, ObjectHide, ObjectRetention, ObjectHold, ObjectTags,
	BucketCreate, BucketDelete, BucketConfig,
	KeyCreate, KeyRevoke,
	UploadCreate, UploadPart, UploadAbort,
	PackSeal, ViewPin, ViewUnpin, ConfigSet, VerifyRun, TimeDrift,
	DeniedLock, DeniedSum,
	BackupTarget, BackupIndex, DrillRun, VerifyScrub, Heal, StandbyAdmit, VerifyDamage,
	BackupHeld, BackupLost,
}

// Hash is a SHA-256 value.
type Hash [32]byte

// ID is the keyed digest that names a chunk in the packs (not a place).
type ID [32]byte

// Entry is one change.
type Entry struct {
	Index   uint64    // position in the ledger, from 0
	Time    time.Time // UTC, whole microseconds, never before the previous entry's
	Type    Type
	Salt    [16]byte // random; hides the private part behind the leaf
	Private Private
}

// Private is the part of an entry that can identify. One struct serves all types; unused fields are zero and not encoded.
// Field order here is the order of the JSON keys, which is ascending.
type Private struct {
	Access   *AccessKey        // "access": key.*
	Actor    string            // "actor": access key id; "local:USER" for the command line, "stele" for the store itself
	Address  string            // "addr": the client's IP address, without port
	Body     *Body             // "body": the bytes
	Bucket   string            // "bucket"
	Bypass   bool              // "bypass": GOVERNANCE bypass was used
	Checksum *Checksum         // "checksum": the S3 checksum stored with the object
	Clock    *Clock            // "clock": where the ledger's clock stands; on some entries only, see Clock
	Data     map[string]string // "data": facts of types that need few of them
	Doc      *Body             // "doc": a document that the ledger itself needs, never erased
	ETag     string            // "etag": only where it is not the hex of Body.MD5
	Headers  map[string]string // "headers": content-type, cache-control, …, lower-case names
	Inc      uint64            // "inc": the bucket's incarnation
	Key      string            // "key": object key, UTF-8, 1 to 1,024 bytes
	Lock     *Lock             // "lock"
	Marker   bool              // "marker": object.hide adds a delete marker
	Meta     map[string]string // "meta": x-amz-meta-*, names lower-case without that prefix
	Name     string            // "name": what is set, or named (config, view)
	Null     bool              // "null": the version's id is "null"
	Pack     *Pack             // "pack": pack.seal
	Part     int               // "part": part number, 1 to 10,000
	Reason   string            // "reason"
	Request  string            // "request": request id, also in the S3 reply
	Secret   string            // "secret": key.create, backup.target: what opens another door, sealed for the store alone (keyring.SealSecret), in base64
	Tags     map[string]string // "tags"
	Target   uint64            // "target": entry index of the version (or view size) that this is about
	Upload   string            // "upload": upload id
	Value    string            // "value"
	Wall     time.Time         // "wall": the wall clock, where the ledger's clock has parted from it
}

// Body names bytes by digest, never by place.
type Body struct {
	Kind   BodyKind // "kind"
	MD5    [16]byte // "md5"; zero where it was not taken (documents, multipart)
	Ref    ID       // "ref": the chunk, or the manifest chunk
	SHA256 Hash     // "sha256": of the whole body; for BodyParts, of the parts document
	Size   int64    // "size": bytes a reader gets
}

// BodyKind says how Ref leads to the bytes.
type BodyKind string

const (
	BodyEmpty    BodyKind = "empty"    // no bytes, no Ref
	BodyChunk    BodyKind = "chunk"    // Ref is the one chunk
	BodyManifest BodyKind = "manifest" // Ref is a manifest chunk: the list of chunks
	BodyParts    BodyKind = "parts"    // Ref is a parts document (chunk or manifest): the list of part bodies
)

// Checksum is an S3 object checksum.
type Checksum struct {
	Algorithm string // "alg": CRC32, CRC32C, CRC64NVME, SHA1, SHA256
	Kind      string // "kind": FULL_OBJECT or COMPOSITE
	Value     string // "value": base64, with "-N" for COMPOSITE
}

// Clock is where the ledger's clock stands at an entry, so that the next start goes on from there and believes no more of the wall clock than this one would. Times within one run of the machine
// are microseconds of its monotonic clock.
type Clock struct {
	Boot   string    // "boot": names the run of the machine; empty: not known
	Jumped time.Time // "jumped": the ledger's time behind its newest jump that nothing proved; zero: none
	Mono   uint64    // "mono": of the entry
	Run    time.Time // "run": what the ledger's clock says by the monotonic clock alone
	Spent  uint64    // "spent": microseconds of unproven jumps up to Jumped that still count
	Until  uint64    // "until": up to when this run of the machine may still bring a jump; 0: it may not
}

// Lock is the S3 Object Lock state of a version.
type Lock struct {
	Hold  bool      // "hold": legal hold
	Mode  string    // "mode": GOVERNANCE, COMPLIANCE or empty
	Until time.Time // "until"
}

// Pack is a sealed pack.
type Pack struct {
	Name   string // "name": the engine's name for it
	SHA256 Hash   // "sha256": of the whole file
	Size   int64  // "size": bytes
}

// AccessKey is an access key as the ledger knows it. Its secret is in Private.Secret.
type AccessKey struct {
	ID     string   // "id"
	Rate   int      // "rate": most entries per second that it may cause, in the long run; 0: not limited
	Role   string   // "role": admin, readwrite, append, readonly, auditor
	Scope  []string // "scope": BUCKET or BUCKET/PREFIX; empty: everything
	Secret string   // "secret": only in entries that were written before Private.Secret was; Validate refuses it
}
