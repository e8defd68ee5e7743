// Package backup keeps the copies of a store: it ships to targets, says how each stands and what it lost, brings snapshots of the index there, proves by drills that a target can be restored,
// gives the targets as copies to what heals, and makes a folder anew from one. docs/BACKUP.md has the protocol with a target, internal/replicate its files.
package backup

import (
	"context"
	"time"

	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/hydrate"
)

// Backups keeps copies of a store on targets, looks after them, and has a folder made from one. Its methods may be called concurrently.
type Backups struct {
	core *core.Store
	care *care.Care
	over *hydrate.Store
	Opt  Options

	Shippers  targets   // what is shipped to now
	Snapshots snapshots // when a snapshot of the index is due
}

// Options say how a store's copies are reached.
type Options struct {
	// OpenTarget opens a target for the store that ships to it, or that reads it as a copy. nil: targets are kept in the ledger, and nothing is shipped.
	OpenTarget func(ctx context.Context, spec TargetSpec) (OpenedTarget, error)
	// ListTargets is how often each target is listed anew and compared with what was shipped to it; 0: every hour, below 0: only after errors, and where a drill failed.
	ListTargets time.Duration
	Copies      func() []engine.Copy // further copies, which no target is; nil: none
	// OpenCopy opens a scratch folder over a target, as after a fire, for a drill.
	OpenCopy func(ctx context.Context, folder string, from hydrate.From, identity string) (*Copied, error)
}

// Copied is a copy of the store that a drill has opened.
type Copied struct {
	Core *core.Store
	Care *care.Care
	// Lists lists the first keys of each bucket as of a size, there and in the store itself. It returns how many keys there are, and in what the copy differs.
	Lists func(ctx context.Context, size uint64) (keys int64, differs []string, err error)
}

// New is for the store whose core, care and filling these are.
func New(c *core.Store, care *care.Care, over *hydrate.Store, opt Options) *Backups {
	return &Backups{core: c, care: care, over: over, Opt: opt}
}
