package rpc

import (
	"time"

	"stele"
	"stele/entry"
	"stele/tree"
)

// Protocol is the number that both sides must have in common. The server says it in its answer to Hello.
const Protocol = 1

// Objects.
var (
	Hello       = call[None, Greeting]("Hello", Reads)
	Put         = upload[PutArgs, Version]("Put", Changes)
	Head        = call[stele.Place, Version]("Head", Reads)
	OpenBody    = download[BodyArgs]("OpenBody", Reads)
	Hide        = call[stele.HideRequest, stele.HideResult]("Hide", Changes)
	Prove       = call[stele.Place, Proven]("Prove", Reads)
	Consistency = call[[2]uint64, []tree.Hash]("Consistency", Reads)
)

// Listings.
var (
	List         = call[stele.ListRequest, Page]("List", Reads)
	ListVersions = call[stele.ListRequest, Page]("ListVersions", Reads)
	History      = call[stele.HistoryRequest, ChangePage]("History", Reads)
	WhyGone      = call[NameArgs, *stele.Gone]("WhyGone", Reads) // nil: it is not gone
)

// Buckets.
var (
	Buckets       = call[NameArgs, []stele.Bucket]("Buckets", Reads)
	Bucket        = call[NameArgs, stele.Bucket]("Bucket", Reads)
	CreateBucket  = call[BucketArgs, stele.Committed]("CreateBucket", Changes)
	DeleteBucket  = call[BucketArgs, stele.Committed]("DeleteBucket", Changes)
	SetVersioning = call[BucketArgs, stele.Committed]("SetVersioning", Changes)
	SetObjectLock = call[BucketArgs, stele.Committed]("SetObjectLock", Changes)
)

// Views of the past, and restores from them.
var (
	ViewAt      = call[string, stele.View]("ViewAt", Reads)
	ParseBucket = call[string, ParsedBucket]("ParseBucket", Reads)
	Pin         = call[PinArgs, stele.Pinned]("Pin", Changes)
	Views       = call[None, []stele.Pinned]("Views", Reads)
	RestorePart = lines[PartArgs, PartLine]("RestorePart", Changes)
	ComparePart = lines[PartArgs, PartLine]("ComparePart", Reads) // RestorePart's dry run
)

// The ledger and the state of the store.
var (
	Log        = lines[stele.LogQuery, EntryLine]("Log", Reads)
	Verify     = lines[VerifyArgs, VerifyLine]("Verify", Reads) // writes its outcome to the ledger, in the name of who asked; it weakens nothing, so that an auditor may
	Stats      = call[None, stele.Stats]("Stats", Reads)
	Scrubbed   = call[None, stele.ScrubStatus]("Scrubbed", Reads)
	HideBursts = call[None, []stele.HideBurst]("HideBursts", Reads)
	SeeHides   = call[None, stele.Committed]("SeeHides", Changes)
	Hydration  = call[None, *stele.Hydration]("Hydration", Reads) // nil: the server does not serve from a backup
)

// Access keys and the recovery kit.
var (
	CreateKey    = call[KeyArgs, entry.AccessKey]("CreateKey", Changes)
	RevokeKey    = call[KeyArgs, stele.Committed]("RevokeKey", Changes)
	Keys         = call[None, []stele.KeyInfo]("Keys", Reads)
	ConfirmKit   = call[[]byte, Done]("ConfirmKit", Changes)
	KitConfirmed = call[None, time.Time]("KitConfirmed", Reads)
	NoteShares   = call[SharesArgs, Done]("NoteShares", Changes)
	ConfirmShare = call[ShareArgs, Done]("ConfirmShare", Changes)
	ShareSets    = call[None, []stele.ShareSet]("ShareSets", Reads)
)

// Backups.
var (
	AddTarget     = call[stele.TargetSpec, stele.Committed]("AddTarget", Changes)
	AddTargetAnew = call[AnewArgs, stele.Committed]("AddTargetAnew", Changes)
	RemoveTarget  = call[RemoveArgs, time.Time]("RemoveTarget", Changes) // returns from when on the target is removed
	CancelRemoval = call[string, stele.Committed]("CancelRemoval", Changes)
	Targets       = call[None, []stele.TargetStatus]("Targets", Reads)
	FlushTargets  = call[None, Done]("FlushTargets", Changes)
	DrillTarget   = call[stele.DrillRequest, stele.Drilled]("DrillTarget", Changes)
	PromoteFrom   = call[string, stele.Promotion]("PromoteFrom", Changes) // of a server that serves from a backup
)

// Standbys. Learn ends the store's epoch, on the word of its own signer and on nobody else's: so anyone may tell. A server answers Following and PromoteStandby only while it is a standby.
var (
	AddStandby     = call[stele.StandbyInfo, stele.Committed]("AddStandby", Changes)
	RemoveStandby  = call[stele.StandbyInfo, stele.Committed]("RemoveStandby", Changes)
	Standbys       = call[None, []stele.StandbyInfo]("Standbys", Reads)
	Learn          = call[LearnArgs, Done]("Learn", Proof)
	Following      = call[None, FollowState]("Following", Reads)
	PromoteStandby = call[string, stele.Promotion]("PromoteStandby", Changes)
)
