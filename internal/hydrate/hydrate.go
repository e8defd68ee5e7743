// Package hydrate serves a store from a backup: the folder is opened over the target beneath it ([Store.Serve] makes the layer that core's opening takes), what it has not got is read from
// there, and it is filled behind until it has everything. The folder may be promoted before it is full.
package hydrate

import (
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/ledger"
	"stele/internal/snapshot"
)

// Store serves a folder from a backup that lies beneath it, and fills the folder. Its methods may be called concurrently.
type Store struct {
	core *core.Store
	Opt  Options // set once, before the opening
	// from is set before any method can be called.
	from *Backing // nil: the folder is all there is
}

// Options say what serving from a backup needs of the store above.
type Options struct {
	Copies    func() []engine.Copy    // of the store, on other targets
	Snapshots func() snapshot.Options // which snapshots of the index to believe
	Clock     ledger.Clock
}

// New is for a folder that is, or may be, served from a backup.
func New(s *core.Store, opt Options) *Store { return &Store{core: s, Opt: opt} }
