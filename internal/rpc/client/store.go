// Package client is a store as a verb sees it, and the one that a server holds: the client of the admin API. It links no server.
//
// [Store] is what a verb needs of a store. A [Local], which is a *node.Node, is one. A [Client] is another: it asks the server that holds the folder, over its unix socket ([Connect]) or its admin port ([Dial]). So a verb has
// the same words and the same output whichever it talks to. The calls are those of package rpc.
//
// A client trusts the server that it talks to: on the socket because the socket's folder belongs to the same user, on the admin port as far as TLS does. A program that must not trust it checks receipts
// (package verify).
package client

import (
	"context"
	"io"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
	"stele/internal/node"
	"stele/tree"
)

// Store is what the verbs need of a store. The docs of each method are those of *stele.Store and *node.Node. The actor given to a Client is not
// used: the server knows who asks.
type Store interface {
	Objects
	Listing
	Buckets
	BucketRules
	Moments
	Audit
	Standbys
	Targets
	Drills
	Parts
	Keys() Keys
	Ledger() Ledger
	io.Closer
}

// Standbys are the calls for those who follow the store.
type Standbys interface {
	AddStandby(ctx context.Context, by stele.Actor, name, recipient string) (stele.Committed, error)
	RemoveStandby(ctx context.Context, by stele.Actor, name string) (stele.Committed, error)
	Standbys(ctx context.Context) ([]stele.StandbyInfo, error)
}

// Targets are the calls for backups.
type Targets interface {
	AddTarget(ctx context.Context, by stele.Actor, spec stele.TargetSpec) (stele.Committed, error)
	AddTargetAnew(ctx context.Context, by stele.Actor, spec stele.TargetSpec, kit []byte) (stele.Committed, error)
	RemoveTarget(ctx context.Context, by stele.Actor, name string, kit []byte) (time.Time, error)
	CancelRemoval(ctx context.Context, by stele.Actor, name string) (stele.Committed, error)
	Targets(ctx context.Context) ([]stele.TargetStatus, error)
	FlushTargets(ctx context.Context) error
}

// Objects are the calls for one object.
type Objects interface {
	Put(ctx context.Context, q stele.PutRequest) (stele.Version, error)
	Head(ctx context.Context, at stele.Place) (stele.Version, error)
	OpenBody(ctx context.Context, v stele.Version, off, n int64) (io.ReadCloser, error)
	Hide(ctx context.Context, q stele.HideRequest) (stele.HideResult, error)
}

// Listing are the calls for many.
type Listing interface {
	List(ctx context.Context, q stele.ListRequest) (stele.Page, error)
	ListVersions(ctx context.Context, q stele.ListRequest) (stele.Page, error)
	History(ctx context.Context, q stele.HistoryRequest) (page []stele.Change, more bool, err error)
	WhyGone(ctx context.Context, bucket, key string, at stele.View) (stele.Gone, bool, error)
}

// Buckets are the calls for buckets.
type Buckets interface {
	Buckets(ctx context.Context, at stele.View) ([]stele.Bucket, error)
	Bucket(ctx context.Context, name string, at stele.View) (stele.Bucket, error)
	CreateBucket(ctx context.Context, by stele.Actor, name string, objectLock bool) (stele.Committed, error)
	DeleteBucket(ctx context.Context, by stele.Actor, name string) (stele.Committed, error)
}

// BucketRules are the settings of a bucket that verbs change.
type BucketRules interface {
	SetVersioning(ctx context.Context, by stele.Actor, bucket string, to stele.Versioning) (stele.Committed, error)
	SetObjectLock(ctx context.Context, by stele.Actor, bucket string, def stele.Retention) (stele.Committed, error)
}

// Moments are views of the past.
type Moments interface {
	ViewAt(ctx context.Context, when string) (stele.View, error)
	ParseBucket(ctx context.Context, name string) (string, stele.View, error)
	Pin(ctx context.Context, by stele.Actor, name string, at stele.View) (stele.Pinned, error)
	Views(ctx context.Context) ([]stele.Pinned, error)
}

// Ledger is the ledger and its proofs. The docs of each method are those of stele.Ledger.
type Ledger interface {
	VKey() string
	Succession(ctx context.Context) (stele.Succession, error)
	Log(ctx context.Context, q stele.LogQuery, fn func(*entry.Entry) error) error
	Prove(ctx context.Context, at stele.Place) ([]byte, stele.Version, error)
	Consistency(ctx context.Context, from, to uint64) ([]tree.Hash, error)
}

// Audit is the state of the store.
type Audit interface {
	ID() string
	Verify(ctx context.Context, opt stele.VerifyOptions) (fsck.Report, error)
	Stats(ctx context.Context) (stele.Stats, error)
	Scrubbed(ctx context.Context) (stele.ScrubStatus, error)
	HideBursts(ctx context.Context) ([]stele.HideBurst, error)
	SeeHides(ctx context.Context, by stele.Actor) (stele.Committed, error)
}

// Drills are proven restores.
type Drills interface {
	DrillTarget(ctx context.Context, by stele.Actor, q stele.DrillRequest) (stele.Drilled, error)
}

// Parts are restores of a part of the store.
type Parts interface {
	RestorePart(ctx context.Context, q stele.PartRestore) (stele.PartReport, error)
}

// Keys are access keys and the recovery kit. The docs of each method are those of stele.Keys.
type Keys interface {
	Create(ctx context.Context, by stele.Actor, role string, scope []string, rate int) (entry.AccessKey, error)
	Revoke(ctx context.Context, by stele.Actor, id string) (stele.Committed, error)
	List(ctx context.Context) ([]stele.KeyInfo, error)
	ConfirmKit(ctx context.Context, by stele.Actor, text []byte) error
	KitConfirmed() (time.Time, error)
	NoteShares(ctx context.Context, by stele.Actor, of stele.ShareOf, verifiers []string) error
	ConfirmShare(ctx context.Context, by stele.Actor, of stele.ShareOf, i int, proof string) error
	ShareSets() ([]stele.ShareSet, error)
}

// Local is a store that this process has open, as verbs see it.
type Local struct{ *node.Node }

// Keys are the store's own.
func (l Local) Keys() Keys { return l.Node.Keys() }

// Ledger is the store's own.
func (l Local) Ledger() Ledger { return l.Node.Ledger() }

var (
	_ Store = Local{}
	_ Store = (*Client)(nil)
)
