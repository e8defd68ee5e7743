// Package bug holds the deliberate bugs by which tests prove that they can fail. Production code asks On where a step could be left out; a test plants the bug, and must see
// the harm.
//
// A release has none of them: without the build tag stelebugs On is false for the compiler, which drops the branch. TestEveryBugIsCaught of this package runs, with the tag, the
// tests that are named below; so `go test ./...` needs no tag. One package by hand: go test -tags stelebugs ./internal/body.
package bug

// Bug is one deliberate bug: what is wrong while it is planted.
type Bug string

// One row a bug: its name, what is wrong, and the tests that catch it.
const (
	// internal/body: packs and chunks.
	SkipPackSync          Bug = "deliberate bug: a pack is not fsynced"                                        // internal/body: TestEveryBugIsCaught
	DedupUnsynced         Bug = "deliberate bug: a chunk is a source before its pack is durable"               // internal/body: TestEveryBugIsCaught
	ReuseNonce            Bug = "deliberate bug: recovery of a pack goes on under the tail's file id"          // internal/body: TestEveryBugIsCaught
	SkipChunkAuth         Bug = "deliberate bug: a chunk that GCM refuses is served"                           // internal/body: TestEveryBugIsCaught
	ReplacePackUnverified Bug = "deliberate bug: a copy replaces a pack whatever its SHA-256"                  // internal/body: TestHealBugs, TestPieceBugs
	ServeUnverified       Bug = "deliberate bug: a copy's bytes are served without GCM and the chunk's name"   // internal/body: TestHealBugs, TestPieceBugs
	SnapshotSkipAuth      Bug = "deliberate bug: a chunk of an index snapshot that GCM refuses is passed on"   // internal/snapshot: TestBugs
	SnapshotAnyPlace      Bug = "deliberate bug: a chunk of an index snapshot is taken whatever its number"    // internal/snapshot: TestBugs
	FillUnproven          Bug = "deliberate bug: a pack that fills a folder counts as here whatever its bytes" // internal/hydrate: TestFromProvesPacks

	// internal/ledger: entries and segments.
	SkipSegmentSync     Bug = "deliberate bug: an entry is acknowledged without an fsync"                        // internal/ledger: TestCrashNotices
	AckBeforeSync       Bug = "deliberate bug: an entry is acknowledged before its fsync"                        // internal/ledger: TestCrashNotices
	RefuseBeforeDurable Bug = "deliberate bug: a refusal overtakes the entries that it rests on"                 // internal/ledger: TestCrashNotices
	RetryFsync          Bug = "deliberate bug: an fsync that failed is tried again"                              // internal/ledger: TestCrashNotices
	ReuseFileID         Bug = "deliberate bug: recovery of a segment writes under the tail's file key"           // internal/ledger: TestCrashNotices
	RemoveTailFirst     Bug = "deliberate bug: recovery removes the tails before their copy is published"        // internal/ledger: TestCrashNotices
	UnsignedPieces      Bug = "deliberate bug: a segment is made again of batches that nobody signed"            // internal/ledger: TestHealSegmentFromTheRightPieces
	ReplaceUnproven     Bug = "deliberate bug: a copy replaces a segment whatever it has become since its proof" // internal/ledger: TestHealNoticesATurncoat
	SkipSeen            Bug = "deliberate bug: opening does not ask who has seen more"                           // internal/ledger: TestBehind
	SkipParent          Bug = "deliberate bug: the handover of an epoch is not checked"                          // internal/ledger: TestHandover
	OtherParent         Bug = "deliberate bug: a new epoch names another parent"                                 // internal/ledger: TestCrashInBeginNotices, TestHandover
	CutTooFar           Bug = "deliberate bug: a new epoch drops one entry more than it was told"                // internal/ledger: TestCrashInBeginNotices, TestCutTooFar

	// internal/replicate: backups.
	ShipSegmentsFirst  Bug = "deliberate bug: segments are shipped before the packs that they need"        // internal/replicate: TestCrashBugs
	ShipUnverified     Bug = "deliberate bug: a pack is shipped without a look at its SHA-256"             // internal/replicate: TestDamagedOrigin
	RemoveShippedFirst Bug = "deliberate bug: a tail on a target is removed before its successor is there" // internal/replicate: TestCrashBugs
	DropOldTails       Bug = "deliberate bug: a tail goes although it holds the last copy of a chunk"      // internal/replicate: TestOldTailsOfLostChunksStay
	RestoreFormatFirst Bug = "deliberate bug: a restore begins with the file that says: this is a store"   // internal/replicate: TestCrashRestore
	RestoreUnverified  Bug = "deliberate bug: a pack is restored without a look at its SHA-256"            // internal/replicate: TestRestoreRefusals

	// internal/standby: what a standby accepts.
	AcceptUnkept        Bug = "deliberate bug: a checkpoint counts as accepted before it is durable"           // internal/standby: TestCrashBugs
	SkipFollowedSync    Bug = "deliberate bug: a standby's packs are not fsynced"                              // internal/standby: TestCrashBugs
	SkipChunksHere      Bug = "deliberate bug: an entry is accepted without its chunks"                        // internal/standby: TestMissingChunk
	ShortenLocks        Bug = "deliberate bug: an entry that shortens a lock is accepted"                      // internal/standby: TestLocksOnlyLengthen
	SkipConsistency     Bug = "deliberate bug: a checkpoint need not go on from the accepted one"              // internal/standby: TestRewrittenUnseen
	CosignUnkept        Bug = "deliberate bug: a witness cosigns a checkpoint before it is durable"            // internal/witness: TestCrashBugs
	CosignInconsistency Bug = "deliberate bug: a witness cosigns a checkpoint that breaks with the one before" // internal/witness: TestCrashBugs
)

// T is what Plant needs of a *testing.T; the methods are its.
type T interface {
	Helper()
	Skip(args ...any)
	Log(args ...any)
	Cleanup(f func())
}
