package stele

import (
	"stele/internal/replica"
)

// What a store is for those who follow it: see internal/replica.
type (
	StandbyInfo  = replica.StandbyInfo // an admitted standby
	ReplicaFile  = replica.File        // a file of the store as one that copies it sees it
	ReplicaState = replica.State       // where the store stands
)

// ErrNoStandby: no standby of that name is admitted.
var ErrNoStandby = replica.ErrNoStandby
