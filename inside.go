package stele

import (
	"stele/internal/backup"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/epoch"
	"stele/internal/hydrate"
	"stele/internal/replica"
)

// Rooms are the rooms below a store, for the programs of this module: internal/node makes a server's calls of them. No other module can name their types.
type Rooms struct {
	Core    *core.Store
	Care    *care.Care
	Over    *hydrate.Store
	Backups *backup.Backups
	Epochs  *epoch.Epochs
	Replica *replica.Replica
}

// Rooms returns the rooms below the store.
func (s *Store) Rooms() Rooms { return Rooms{s.core, s.care, s.over, s.backup, s.epochs, s.replica} }
